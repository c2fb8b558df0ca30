use super::{LONG, Three, echo, next_request};
use futures::{StreamExt, future::join_all, stream::BoxStream};
use lockkeeper_ports::{Asked, MAX_PEER_BYTES, PeerError, Peers};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

pub async fn an_answer_comes_back([a, b, _]: Three) {
    let _echo = echo(&b).await;
    let answer = a.ask(b.name(), b"hello".to_vec(), LONG).await.unwrap();
    assert_eq!(answer, format!("{}: hello", b.name()).into_bytes());
}

pub async fn a_request_goes_to_the_named_server_alone([a, b, c]: Three) {
    let (_b, _c) = (echo(&b).await, echo(&c).await);
    for named in [&b, &c, &b] {
        let answer = a.ask(named.name(), b"you".to_vec(), LONG).await.unwrap();
        assert_eq!(answer, format!("{}: you", named.name()).into_bytes());
    }
}

pub async fn a_server_may_ask_itself([a, ..]: Three) {
    let _echo = echo(&a).await;
    let answer = a.ask(a.name(), b"me".to_vec(), LONG).await.unwrap();
    assert_eq!(answer, format!("{}: me", a.name()).into_bytes());
}

pub async fn requests_at_once_get_their_own_answers([a, b, c]: Three) {
    let _echo = echo(&c).await;
    let ask = async |n: usize| {
        let from = if n.is_multiple_of(2) { &a } else { &b };
        let answer = from.ask(c.name(), n.to_string().into_bytes(), LONG).await.unwrap();
        assert_eq!(answer, format!("{}: {n}", c.name()).into_bytes());
    };
    join_all((0..200).map(ask)).await;
}

pub async fn a_slow_answer_holds_no_other_up([a, b, _]: Three) {
    let mut requests = b.serve().await.unwrap();
    let slow = a.ask(b.name(), b"slow".to_vec(), LONG);
    let others = async {
        let slow = next_request(&mut requests).await;
        let (quick, ()) = tokio::join!(a.ask(b.name(), b"quick".to_vec(), LONG), async {
            next_request(&mut requests).await.answer(b"at once".to_vec());
        });
        assert_eq!(quick.unwrap(), b"at once");
        slow.answer(b"at last".to_vec());
    };
    let (slow, ()) = tokio::join!(slow, others);
    assert_eq!(slow.unwrap(), b"at last");
}

pub async fn bytes_come_as_they_were([a, b, _]: Three) {
    let bytes: Vec<u8> = (0..=255).cycle().take(5_000).collect();
    let mut requests = b.serve().await.unwrap();
    for sent in [Vec::new(), vec![0], b"\r\n$-1\r\n".to_vec(), bytes] {
        assert_eq!(exchange(&a, b.name(), &mut requests, sent.clone(), sent.clone()).await.unwrap(), sent);
    }
}

pub async fn the_largest_request_and_answer_come_whole([a, b, _]: Three) {
    let sent = vec![7; MAX_PEER_BYTES];
    let mut requests = b.serve().await.unwrap();
    let answer = exchange(&a, b.name(), &mut requests, sent, vec![8; MAX_PEER_BYTES]).await.unwrap();
    assert!(answer == vec![8; MAX_PEER_BYTES], "{} bytes came back", answer.len());
}

pub async fn a_request_that_is_too_large_is_not_sent([a, b, _]: Three) {
    let mut requests = b.serve().await.unwrap();
    let error = a.ask(b.name(), vec![0; MAX_PEER_BYTES + 1], LONG).await.unwrap_err();
    assert!(matches!(error, PeerError::TooLarge(bytes) if bytes == MAX_PEER_BYTES + 1), "{error}");
    let (answer, ()) = tokio::join!(a.ask(b.name(), b"small".to_vec(), LONG), async {
        let asked = next_request(&mut requests).await;
        assert_eq!(asked.request, b"small");
        asked.answer(Vec::new());
    });
    answer.unwrap();
}

pub async fn an_answer_that_is_too_large_says_so([a, b, _]: Three) {
    let mut requests = b.serve().await.unwrap();
    let much = vec![0; MAX_PEER_BYTES + 1];
    let error = exchange(&a, b.name(), &mut requests, b"much?".to_vec(), much).await.unwrap_err();
    assert!(matches!(error, PeerError::TooLarge(bytes) if bytes == MAX_PEER_BYTES + 1), "{error}");
}

pub async fn a_name_that_nobody_has_is_not_reached([a, b, _]: Three) {
    let _echo = echo(&b).await;
    let nobody = format!("{}-gone/janitor *", b.name());
    let error = a.ask(&nobody, b"hello".to_vec(), LONG).await.unwrap_err();
    assert!(matches!(error, PeerError::NotReached(_)), "{error}");
}

pub async fn a_server_that_serves_no_more_is_not_reached([a, b, _]: Three) {
    drop(b.serve().await.unwrap());
    let began = Instant::now();
    while !matches!(a.ask(b.name(), Vec::new(), Duration::from_secs(1)).await, Err(PeerError::NotReached(_))) {
        assert!(began.elapsed() < LONG, "it is still reached");
        tokio::task::yield_now().await;
    }
}

pub async fn an_answer_that_does_not_come_is_missed_at_the_deadline([a, b, _]: Three) {
    let mut requests = b.serve().await.unwrap();
    let soon = Duration::from_millis(300);
    let began = Instant::now();
    let (answer, asked) = tokio::join!(a.ask(b.name(), b"well?".to_vec(), soon), next_request(&mut requests));
    let error = answer.unwrap_err();
    assert!(matches!(error, PeerError::Unanswered(_)), "{error}");
    assert!(began.elapsed() >= soon);
    // Too late, and for nobody.
    asked.answer(b"yes".to_vec());
    assert_eq!(exchange(&a, b.name(), &mut requests, b"2".to_vec(), b"4".to_vec()).await.unwrap(), b"4");
}

pub async fn a_request_that_is_dropped_is_unanswered([a, b, _]: Three) {
    let mut requests = b.serve().await.unwrap();
    let ask = a.ask(b.name(), b"well?".to_vec(), Duration::from_secs(2));
    let (answer, ()) = tokio::join!(ask, async { drop(next_request(&mut requests).await) });
    let error = answer.unwrap_err();
    assert!(matches!(error, PeerError::Unanswered(_)), "{error}");
}

pub async fn a_request_that_nobody_waits_for_is_taken_all_the_same([a, b, _]: Three) {
    let mut requests = b.serve().await.unwrap();
    let asked = {
        let mut ask = a.ask(b.name(), b"do it".to_vec(), LONG);
        tokio::select! {
            _ = &mut ask => panic!("nobody has answered"),
            asked = next_request(&mut requests) => asked,
        }
    };
    assert_eq!(asked.request, b"do it");
    asked.answer(Vec::new());
}

pub async fn a_thousand_requests_wait([a, b, _]: Three) {
    let requests = b.serve().await.unwrap();
    let asked = join_all((0..1_000).map(|n: usize| a.ask(b.name(), n.to_string().into_bytes(), LONG)));
    let answers = async {
        // None is answered before all have come.
        for asked in requests.take(1_000).collect::<Vec<_>>().await {
            let answer = asked.request.clone();
            asked.answer(answer);
        }
    };
    let (answers, ()) = tokio::join!(asked, answers);
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap(), n.to_string().into_bytes());
    }
}

/// One request with its answer.
async fn exchange(
    a: &Arc<dyn Peers>,
    b: &str,
    requests: &mut BoxStream<'static, Asked>,
    request: Vec<u8>,
    answer: Vec<u8>,
) -> Result<Vec<u8>, PeerError> {
    let expected = request.clone();
    let (answered, ()) = tokio::join!(a.ask(b, request, LONG), async {
        let asked = next_request(requests).await;
        assert!(asked.request == expected, "{} bytes arrived", asked.request.len());
        asked.answer(answer);
    });
    answered
}
