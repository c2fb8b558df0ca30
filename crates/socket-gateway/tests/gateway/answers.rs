//! Answers and cancels reach a session whatever else its client sends or waits for.

use crate::{
    client::{Client, Frame},
    world::World,
};
use lockkeeper_testkit::{llm::Step, tools::FakeTool};
use serde_json::{Value, json};

const CALLS: usize = 40;

/// One step with many calls.
fn many_calls() -> Step {
    (0..CALLS).fold(Step::new(), |step, n| step.call("box__echo", json!({ "n": n })))
}

fn world() -> World {
    let mut builder = World::builder([many_calls(), Step::text("Done.")]);
    builder.sessions.max_calls_per_step = CALLS;
    // A client that is as slow as can be: what is no answer has used up the limit at once.
    let slow = |c: &mut lockkeeper_socket_gateway::Config| {
        (c.event_burst, c.events_per_sec, c.event_burst_per_principal, c.events_per_sec_per_principal) = (2, 1, 2, 1);
        (c.answer_burst, c.answers_per_sec) = (1, 1);
    };
    builder.config(slow).build()
}

async fn spend_the_rate(client: &mut Client) {
    while client.call("history:get", json!({})).await["code"] != "rate_limited" {}
}

#[tokio::test]
async fn every_question_can_be_answered_beyond_the_event_rate() {
    let world = world();
    let mut client = world.ready("sessionId=s1").await;
    assert_eq!(client.call("message", json!("go")).await["ok"], true);
    for _ in 0..CALLS {
        let question = client.until("tool:approval_required").await.payload;
        let answer = json!({"callId": question["callId"], "approved": true, "digest": question["digest"]});
        assert_eq!(client.call("tool:approval", answer).await["ok"], true);
    }
    assert_eq!(client.until("agent:response").await.payload, "Done.");
}

#[tokio::test]
async fn calls_of_a_step_can_be_answered_all_at_once() {
    let world = world();
    let mut client = world.ready("sessionId=s1").await;
    client.call("message", json!("go")).await;
    let calls = client.until("tool:calls").await.payload;
    spend_the_rate(&mut client).await;
    let calls: Vec<Value> = calls.as_array().expect("calls").clone();
    for (ack, call) in (1_000..).zip(calls.iter().rev()) {
        let answer = json!({"callId": call["callId"], "approved": true, "digest": call["digest"]});
        client.send(&format!("42{ack}{}", json!(["tool:approval", answer]))).await;
    }
    let mut taken = 0;
    while taken < CALLS {
        if let Frame::Ack(1_000.., answer) = client.next().await {
            assert_eq!(answer["ok"], true, "{answer}");
            taken += 1;
        }
    }
    client.until("turn:completed").await;
}

#[tokio::test]
async fn second_answers_and_unknown_calls_have_a_limit_of_their_own() {
    let world = world();
    let mut client = world.ready("sessionId=s1").await;
    let unknown = json!({"callId": "call_9_0_0", "approved": true});
    let mut codes = Vec::new();
    for _ in 0..3 {
        codes.push(client.call("tool:approval", unknown.clone()).await["code"].clone());
    }
    assert_eq!(codes, ["unknown_call", "rate_limited", "rate_limited"]);
}

#[tokio::test]
async fn turn_can_be_cancelled_when_the_event_rate_is_spent() {
    let world = world();
    let mut client = world.ready("sessionId=s1").await;
    client.call("message", json!("go")).await;
    client.until("tool:approval_required").await;
    spend_the_rate(&mut client).await;
    assert_eq!(client.call("turn:cancel", json!(null)).await["ok"], true);
}

/// A tool server that does not answer holds up the request for a file, and nothing else.
#[tokio::test(start_paused = true)]
async fn cancel_overtakes_a_file_that_does_not_come() {
    let steps = [Step::new().call("box__echo", json!({"text": "a"}))];
    let world = World::builder(steps).tool(FakeTool::hangs("box", "read_file")).build();
    let mut client = world.ready("sessionId=s1").await;
    client.call("message", json!("go")).await;
    client.until("tool:approval_required").await;
    for ack in 901..=904 {
        client.send(&format!("42{ack}{}", json!(["workspace:read", {"path": "a"}]))).await;
    }
    let started = tokio::time::Instant::now();
    client.send("42905[\"turn:cancel\"]").await;
    let mut acks = Vec::new();
    while acks.len() < 5 {
        if let Frame::Ack(ack, _) = client.next().await {
            acks.push(ack);
        }
    }
    assert_eq!(acks[0], 905, "{acks:?}");
    let looked = started.elapsed().as_secs();
    assert!((4..=6).contains(&looked), "four looks at once took {looked} s");
}
