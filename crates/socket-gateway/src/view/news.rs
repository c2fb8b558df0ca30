use lockkeeper_domain::Seq;
use lockkeeper_orchestrator::{Attached, Live, LiveEvent};
use std::{collections::VecDeque, future::pending};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Events that are not logged, each held until the view has come to its place in the log.
pub(super) struct News {
    receiver: Option<Receiver<Live>>,
    held: VecDeque<Live>,
}

/// Whether there is something to show.
#[derive(Debug, PartialEq)]
pub(super) enum Due {
    /// This, now.
    Now(LiveEvent),
    /// Nothing before the view moves on.
    Nothing,
}

impl News {
    /// How many are held for a view that is behind. They are worth little then, so the oldest go first.
    const HELD: usize = 64;

    /// Listens from now on. The session's news outlive its actors, for as long as the view is attached.
    pub(super) fn new(attached: &mut Attached) -> Self {
        let live = attached.live();
        let rest = live.resubscribe();
        Self { receiver: Some(std::mem::replace(live, rest)), held: VecDeque::new() }
    }

    /// The next one that was sent. Waits for ever once nothing will come any more.
    pub(super) async fn next(&mut self) -> Live {
        while let Some(receiver) = &mut self.receiver {
            match receiver.recv().await {
                Ok(live) => return live,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => self.receiver = None,
            }
        }
        pending().await
    }

    /// The next one that was sent, if it is there.
    pub(super) fn try_next(&mut self) -> Option<Live> {
        use tokio::sync::broadcast::error::TryRecvError;
        loop {
            match self.receiver.as_mut()?.try_recv() {
                Ok(live) => return Some(live),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return None,
            }
        }
    }

    /// Keeps one until the view is there. The same one is kept once.
    pub(super) fn hold(&mut self, live: Live) {
        if self.held.contains(&live) {
            return;
        }
        if self.held.len() == Self::HELD {
            self.held.pop_front();
        }
        self.held.push_back(live);
    }

    /// What belongs to the place where the view is. What belongs to earlier places is dropped.
    pub(super) fn due(&mut self, cursor: Seq) -> Due {
        self.held.retain(|live| live.after >= cursor);
        let here = self.held.iter().position(|live| live.after == cursor);
        here.and_then(|index| self.held.remove(index)).map_or(Due::Nothing, |live| Due::Now(live.event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::TurnId;

    fn thinking(after: u64, turn: u64) -> Live {
        Live { after: Seq::new(after), event: LiveEvent::Thinking(TurnId::new(turn)) }
    }

    fn news(held: impl IntoIterator<Item = Live>) -> News {
        let mut news = News { receiver: None, held: VecDeque::new() };
        held.into_iter().for_each(|live| news.hold(live));
        news
    }

    #[test]
    fn each_is_shown_at_its_own_place_and_never_later() {
        let mut news = news([thinking(3, 1), thinking(5, 2), thinking(5, 3)]);
        assert_eq!(news.due(Seq::new(2)), Due::Nothing);
        assert_eq!(news.due(Seq::new(3)), Due::Now(thinking(3, 1).event));
        assert_eq!(news.due(Seq::new(3)), Due::Nothing);
        assert_eq!(news.due(Seq::new(5)), Due::Now(thinking(5, 2).event));
        assert_eq!(news.due(Seq::new(6)), Due::Nothing);
        assert_eq!(news.due(Seq::new(5)), Due::Nothing);
    }

    #[test]
    fn what_is_held_is_bounded() {
        let news = news((0..1_000).map(|n| thinking(n, n)));
        assert_eq!(news.held.len(), News::HELD);
        assert_eq!(news.held.back(), Some(&thinking(999, 999)));
    }

    #[tokio::test]
    async fn a_view_without_news_waits_and_does_not_spin() {
        let mut news = news([]);
        let waited = tokio::time::timeout(std::time::Duration::from_millis(5), news.next()).await;
        assert!(waited.is_err());
    }
}
