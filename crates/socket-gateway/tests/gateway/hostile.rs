use crate::{client::Frame, world::World};
use serde_json::json;

#[tokio::test]
async fn a_payload_of_the_wrong_form_is_answered_and_never_a_panic() {
    let world = World::builder([]).fast().build();
    let mut client = world.ready("sessionId=s1").await;
    let deep = format!("[\"message\",{}{}]", "[".repeat(40), "]".repeat(40));
    let abyss = format!("[\"message\",{}{}]", "[".repeat(50_000), "]".repeat(50_000));
    for arguments in [
        // Reference defect 3: this ended the whole process.
        "[\"tool:approval\"]",
        "[\"tool:approval\",null]",
        "[\"tool:approval\",7]",
        "[\"tool:approval\",{\"callId\":null,\"approved\":true}]",
        "[\"tool:approval\",{\"callId\":\"call_1_0_0\",\"approved\":\"true\"}]",
        "[\"message\"]",
        "[\"message\",null]",
        "[\"message\",[]]",
        "[\"message\",{\"text\":{}}]",
        "[\"message\",{\"text\":\"a\",\"attachments\":\"b\"}]",
        "[\"message\",\"\"]",
        "[\"history:get\",\"x\"]",
        "[\"history:get\",{\"limit\":-1}]",
        "[\"no such event\"]",
        "[\"system:ready\",{}]",
        "[\"__proto__\",1]",
        &deep,
        &abyss,
    ] {
        let answer = client.call_raw(arguments).await;
        let shown = &arguments[..arguments.len().min(60)];
        assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!("invalid_payload")), "{shown}: {answer}");
    }
    let long = format!("[\"message\",\"{}\"]", "a".repeat(65 << 10));
    assert_eq!(client.call_raw(&long).await["code"], "too_large");
    let reason = json!({"callId": "call_1_0_0", "approved": false, "reason": "r".repeat(5_000)});
    assert_eq!(client.call("tool:approval", reason).await["code"], "too_large");
    assert_eq!(client.call("history:get", json!({})).await["ok"], true);
}

#[tokio::test]
async fn packets_that_break_the_protocol_end_their_own_connection_at_most() {
    let world = World::builder([])
        .config(|c| (c.connection_burst, c.max_connections_per_principal) = (100, 100))
        .fast()
        .build();
    let mut witness = world.ready("sessionId=witness").await;
    for bad in [
        "42{}",
        "42",
        "42[]",
        "42[1]",
        "42[null]",
        "42[\"message\"",
        "42[\"message\",\"a\"",
        "421[\"message\",nonsense]",
        "421[\"message\",\"\\ud800\"]",
        "429999999999999999999[\"message\",\"a\"]",
        "9",
        "4",
        "49",
        "",
        "451-[\"message\",{\"_placeholder\":true,\"num\":0}]",
        "45999999-[\"message\",{\"_placeholder\":true,\"num\":0}]",
        "450-[\"message\",\"a\"]",
        "461-1[1]",
        "4399[1]",
        "43[1]",
        "44{\"message\":\"x\"}",
        "40",
        "40{}",
        "40{\"token\":",
        "40/admin,",
        "40/admin,{}",
        "42/admin,[\"message\",\"a\"]",
        "41/admin,",
        "6",
        "3probe",
        "5",
        "2probe",
        "b",
        "bAAAA",
        "\u{0}",
        "4\u{1e}4",
    ] {
        let mut client = world.ready("sessionId=s1").await;
        client.send(bad).await;
        assert_eq!(witness.call("history:get", json!({})).await["ok"], true, "after {bad:?}");
    }
    for bytes in [vec![], vec![0xff; 10], vec![4, 0x80], b"42[\"message\",\"a\"]".to_vec()] {
        let mut client = world.ready("sessionId=s1").await;
        client.binary(bytes.clone()).await;
        assert!(matches!(client.until_end_or_silence().await, Some(Frame::Closed) | None), "{bytes:?}");
    }
    assert_eq!(witness.call("history:get", json!({})).await["ok"], true);
}

#[tokio::test]
async fn a_frame_over_the_limit_ends_the_connection() {
    // Trap 8: WebSockets take 64 MiB unless they are told not to.
    let world = World::new([]);
    let mut client = world.ready("sessionId=s1").await;
    client.feed(format!("42[\"message\",\"{}\"]", "a".repeat(257 << 10))).await;
    client.flush().await;
    assert_eq!(client.until_end().await, Frame::Closed);
    assert!(world.log("s1").await.is_empty());
}
