use super::*;
use futures::FutureExt;
use lockkeeper_ports::LlmError;
use std::time::Duration;
use tokio::sync::mpsc;

impl Broken for &'static str {
    fn reason(&self) -> String {
        (*self).to_owned()
    }
}

const LIMITS: Limits = Limits {
    head: Duration::from_secs(1),
    idle: Duration::from_mins(5),
    models: Duration::from_secs(1),
    event_bytes: 1_000,
    answer_bytes: 5_000,
};

type Chunk = Result<Bytes, &'static str>;

fn body(chunks: Vec<Chunk>, is_json: bool) -> (Arc<Link>, BoxStream<'static, Result<Bytes, io::Error>>) {
    let link = Arc::new(Link::default());
    let body = Body::new(stream::iter(chunks).boxed(), is_json, LIMITS, Arc::clone(&link));
    (link, body.into_stream().boxed())
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn read(chunks: Vec<Chunk>, is_json: bool) -> (Vec<String>, Option<LlmError>, bool) {
    let (link, mut stream) = body(chunks, is_json);
    let mut events = Vec::new();
    while let Some(Ok(event)) = stream.next().await {
        link.taken();
        events.push(String::from_utf8_lossy(&event).into_owned());
    }
    (events, link.failure().map(|f| f.error), link.is_done())
}

#[tokio::test]
async fn events_come_whole_and_comments_not_at_all() {
    let wire = ": hello\n\nevent: a\ndata: {\"x\":\ndata: 1}\n\ndata: {\"type\":\"b\"}\n\ndata: [DONE]\n\ndata: {}\n\n";
    let (events, failure, done) = read(vec![Ok(bytes(wire))], false).await;
    let expected =
        ["data: {\"x\":1,\"type\":\"a\"}\n\n", "data: {\"type\":\"b\"}\n\n", "data: [DONE]\n\n", "data: {}\n\n"];
    assert_eq!(events, expected);
    assert_eq!((failure, done), (None, true));
}

#[tokio::test]
async fn a_server_that_does_not_stream_is_understood() {
    let (events, failure, done) = read(vec![Ok(bytes("{\"object\":")), Ok(bytes("\"response\"}\n"))], true).await;
    assert_eq!(events, ["data: {\"object\":\"response\"}\n\n", "data: [DONE]\n\n"]);
    assert_eq!((failure, done), (None, true));
}

#[tokio::test]
async fn what_is_not_json_is_refused_without_repeating_it() {
    let (events, failure, _) = read(vec![Ok(bytes("data: {\"secret\": oops}\n\n"))], false).await;
    assert!(events.is_empty());
    let error = failure.expect("a failure");
    assert!(matches!(&error, LlmError::BadResponse(reason) if !reason.contains("oops")), "{error:?}");
}

#[tokio::test]
async fn a_broken_connection_is_a_cut() {
    let (events, failure, done) = read(vec![Ok(bytes("data: 1\n\nda")), Err("reset")], false).await;
    assert_eq!(events, ["data: 1\n\n"]);
    assert_eq!((failure, done), (Some(LlmError::Cut("reset".to_owned())), false));
}

#[tokio::test]
async fn an_event_and_an_answer_have_a_largest_size() {
    let huge = format!("data: \"{}\"\n\n", "x".repeat(2_000));
    let (events, failure, _) = read(vec![Ok(bytes(&huge))], false).await;
    assert!(events.is_empty() && matches!(failure, Some(LlmError::BadResponse(_))), "{failure:?}");
    let (_, failure, _) = read(vec![Ok(bytes(&huge))], true).await;
    assert!(matches!(failure, Some(LlmError::BadResponse(_))), "{failure:?}");
    let small = Ok(bytes(&format!("data: \"{}\"\n\n", "x".repeat(900))));
    let (events, failure, _) = read(vec![small; 6], false).await;
    assert_eq!(events.len(), 5);
    assert!(matches!(failure, Some(LlmError::BadResponse(_))), "{failure:?}");
}

#[tokio::test(start_paused = true)]
async fn silence_is_noticed_and_any_byte_ends_it() {
    let (sender, chunks) = mpsc::unbounded_channel::<Chunk>();
    let link = Arc::new(Link::default());
    let source = stream::unfold(chunks, async |mut chunks| Some((chunks.recv().await?, chunks)));
    let mut stream = Body::new(source.boxed(), false, LIMITS, Arc::clone(&link)).into_stream().boxed();
    for _ in 0..3 {
        tokio::time::advance(Duration::from_secs(299)).await;
        sender.send(Ok(bytes(": ping\n\n"))).expect("a reader");
        assert!(stream.next().now_or_never().is_none());
    }
    let begun = tokio::time::Instant::now();
    assert!(stream.next().await.is_some_and(|event| event.is_err()));
    assert_eq!(begun.elapsed().as_secs(), 300);
    assert!(matches!(link.failure().map(|f| f.error), Some(LlmError::Timeout(_))));
}

#[tokio::test]
async fn a_reader_that_does_not_read_stops_the_network() {
    let wire = "data: 1\n\n".repeat(READ_AHEAD + 10);
    let (link, mut stream) = body(vec![Ok(bytes(&wire))], false);
    for _ in 0..READ_AHEAD {
        assert!(stream.next().now_or_never().is_some());
    }
    assert!(stream.next().now_or_never().is_none());
    link.taken();
    assert!(stream.next().now_or_never().is_some());
}
