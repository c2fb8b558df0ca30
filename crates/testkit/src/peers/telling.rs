use super::{LONG, Three, next_news};
use futures::{StreamExt, stream::BoxStream};
use lockkeeper_domain::SessionId;
use lockkeeper_ports::{MAX_PEER_BYTES, PeerError, Peers, Topic};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::timeout;

/// A topic that no other test of this process and no other run uses: servers' names are used once.
fn topic(a: &Arc<dyn Peers>) -> Topic {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let harmless = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = a.name().chars().map(harmless).take(48).collect();
    let id = format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    Topic::Session(SessionId::parse(&id).unwrap())
}

async fn tell(teller: &Arc<dyn Peers>, topic: &Topic, news: &str) {
    teller.tell(topic, news.as_bytes().to_vec()).await.unwrap();
}

async fn hears(listener: &mut BoxStream<'static, Vec<u8>>, news: &str) {
    assert_eq!(String::from_utf8(next_news(listener).await).unwrap(), news);
}

pub async fn news_reach_all_others_that_listen([a, b, c]: Three) {
    let topic = topic(&a);
    let (mut own, mut at_b, mut at_c) =
        (a.listen(&topic).await.unwrap(), b.listen(&topic).await.unwrap(), c.listen(&topic).await.unwrap());
    tell(&a, &topic, "from a").await;
    hears(&mut at_b, "from a").await;
    hears(&mut at_c, "from a").await;
    tell(&b, &topic, "from b").await;
    hears(&mut at_c, "from b").await;
    // The first that it hears is not what it told itself.
    hears(&mut own, "from b").await;
}

pub async fn news_stay_with_their_topic([a, b, _]: Three) {
    let (one, other) = (topic(&a), topic(&a));
    let (mut one_news, mut other_news) = (b.listen(&one).await.unwrap(), b.listen(&other).await.unwrap());
    let mut all = b.listen(&Topic::Servers).await.unwrap();
    tell(&a, &one, "one").await;
    tell(&a, &other, "other").await;
    let mark = format!("mark of {}", a.name());
    tell(&a, &Topic::Servers, &mark).await;
    hears(&mut one_news, "one").await;
    hears(&mut other_news, "other").await;
    // Other runs may tell all servers of the same place something, but never sessions' news.
    loop {
        let heard = String::from_utf8(next_news(&mut all).await).unwrap();
        assert!(heard != "one" && heard != "other", "{heard}");
        if heard == mark {
            break;
        }
    }
}

pub async fn news_come_in_order([a, b, _]: Three) {
    let topic = topic(&a);
    let mut news = b.listen(&topic).await.unwrap();
    for n in 0..500 {
        let n = n.to_string();
        tell(&a, &topic, &n).await;
        hears(&mut news, &n).await;
    }
    for n in 0..20 {
        tell(&a, &topic, &n.to_string()).await;
    }
    for n in 0..20 {
        hears(&mut news, &n.to_string()).await;
    }
}

pub async fn news_that_nobody_hears_are_no_error([a, b, _]: Three) {
    let topic = topic(&a);
    tell(&a, &topic, "early").await;
    let mut news = b.listen(&topic).await.unwrap();
    tell(&a, &topic, "in time").await;
    hears(&mut news, "in time").await;
}

pub async fn news_that_are_too_large_are_refused([a, b, _]: Three) {
    let topic = topic(&a);
    let mut news = b.listen(&topic).await.unwrap();
    let error = a.tell(&topic, vec![0; MAX_PEER_BYTES + 1]).await.unwrap_err();
    assert!(matches!(error, PeerError::TooLarge(bytes) if bytes == MAX_PEER_BYTES + 1), "{error}");
    a.tell(&topic, vec![1; MAX_PEER_BYTES]).await.unwrap();
    let heard = next_news(&mut news).await;
    assert!(heard == vec![1; MAX_PEER_BYTES], "{} bytes were heard", heard.len());
}

pub async fn a_listener_that_does_not_read_holds_nobody_up([a, b, c]: Three) {
    let topic = topic(&a);
    let _deaf = b.listen(&topic).await.unwrap();
    let mut news = c.listen(&topic).await.unwrap();
    for n in 0..5_000 {
        let n = n.to_string();
        timeout(LONG, tell(&a, &topic, &n)).await.unwrap();
        hears(&mut news, &n).await;
    }
}

pub async fn a_listener_that_went_is_missed_by_nobody([a, b, c]: Three) {
    let topic = topic(&a);
    let (gone, mut news) = (b.listen(&topic).await.unwrap(), c.listen(&topic).await.unwrap());
    drop(gone);
    tell(&a, &topic, "still here").await;
    hears(&mut news, "still here").await;
    let mut back = b.listen(&topic).await.unwrap();
    tell(&a, &topic, "back").await;
    hears(&mut back, "back").await;
}

pub async fn every_listener_of_a_server_hears([a, b, _]: Three) {
    let topic = topic(&a);
    let (mut one, mut other) = (b.listen(&topic).await.unwrap(), b.listen(&topic).await.unwrap());
    tell(&a, &topic, "both").await;
    hears(&mut one, "both").await;
    hears(&mut other, "both").await;
    // One that goes takes nothing from the other.
    drop(one);
    tell(&a, &topic, "one").await;
    hears(&mut other, "one").await;
    assert!(timeout(Duration::from_millis(50), other.next()).await.is_err(), "each comes once");
}
