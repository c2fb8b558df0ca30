use super::*;
use futures::stream;
use tokio::io::duplex;

/// What a receiver made of what the engine sent.
struct Received {
    started: Option<Result<(), LaunchError>>,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    last: Option<Report>,
    complaint: Vec<u8>,
}

/// Has a receiver take `sent`, to a user who reads nothing before the process is said to run.
async fn receive(sent: Vec<LogOutput>) -> Received {
    let (killed, credit) = (CancellationToken::new(), Semaphore::new(0));
    let ((mut stdout, to_stdout), (mut stderr, to_stderr)) = (duplex(64 << 10), duplex(64 << 10));
    let (started, starts) = oneshot::channel();
    let receiver = Receiver {
        to_stdout: Some(to_stdout),
        to_stderr: Some(to_stderr),
        started: Some(started),
        killed: &killed,
        credit: &credit,
        reports: BytesMut::new(),
        complaint: Vec::new(),
        before_start: 0,
        last: None,
    };
    let output: Output = Box::pin(stream::iter(sent.into_iter().map(Ok)));
    let died = CancellationToken::new();
    let run = async {
        let over = receiver.run(output, &died, Duration::from_mins(1)).await;
        // The ends of the streams.
        (over.last, over.complaint)
    };
    let user = async {
        let started = starts.await.ok();
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let read = futures::join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut err));
        read.0.and(read.1).expect("read");
        (started, out, err)
    };
    let both = async { futures::join!(run, user) };
    let ((last, complaint), (started, stdout, stderr)) =
        timeout(Duration::from_mins(1), both).await.expect("neither waits for the other");
    Received { started, stdout, stderr, last, complaint }
}

fn out(bytes: usize) -> LogOutput {
    LogOutput::StdOut { message: vec![b'x'; bytes].into() }
}

fn err(bytes: &[u8]) -> LogOutput {
    LogOutput::StdErr { message: bytes.to_vec().into() }
}

const STARTED: &[u8] = &[1, 0, 0, 0, 0];
const EXITED: &[u8] = &[5, 0, 0, 0, 4, 0, 0, 0, 3];

#[tokio::test(start_paused = true)]
async fn streams_are_taken_apart() {
    let text = [STARTED, &[3, 0, 0, 0, 2], b"hi", EXITED].concat();
    let received = receive(vec![err(&text[..7]), out(5), err(&text[7..])]).await;
    assert!(matches!(received.started, Some(Ok(()))));
    assert_eq!((received.stdout.len(), received.stderr.as_slice()), (5, &b"hi"[..]));
    assert_eq!(received.last, Some(Report::Exited(3)));
}

#[tokio::test(start_paused = true)]
async fn a_flood_that_overtakes_the_word_that_it_runs_does_not_hide_it() {
    let mut sent: Vec<_> = (0..40).map(|_| out(32 << 10)).collect();
    sent.push(err(&[STARTED, EXITED].concat()));
    let received = receive(sent).await;
    assert!(matches!(received.started, Some(Ok(()))));
    assert_eq!((received.stdout.len(), received.last), (40 * (32 << 10), Some(Report::Exited(3))));
}

#[tokio::test(start_paused = true)]
async fn what_an_engine_says_instead_of_a_process_is_kept() {
    let said = LogOutput::StdOut { message: Bytes::from_static(b"OCI runtime exec failed") };
    let received = receive(vec![said]).await;
    assert!(received.started.is_none() && received.last.is_none());
    assert_eq!(received.complaint, b"OCI runtime exec failed");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_report_ends_the_reading() {
    let received = receive(vec![err(STARTED), err(b"garbage"), out(1)]).await;
    assert_eq!((received.stdout.len(), received.last), (0, None));
}
