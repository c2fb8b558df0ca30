//! The contract of [`Peers`]: one test for each sentence of its documentation.
//!
//! An adapter runs [`peers_contract!`](crate::peers_contract) in a test module. It makes three servers that reach each other,
//! under names that no other run uses. Deadlines are long; no test waits for one but those that are about deadlines.

#![expect(clippy::unwrap_used, reason = "what fails in a contract's test fails the test")]

#[doc(hidden)]
pub mod asking;
#[doc(hidden)]
pub mod telling;

use futures::{StreamExt, future::BoxFuture, stream::BoxStream};
use lockkeeper_ports::{Asked, Peers};
use std::{sync::Arc, time::Duration};
use tokio::task::JoinSet;

/// Three servers that reach each other.
pub type Three = [Arc<dyn Peers>; 3];

/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_mins(1);

/// Makes a test of each requirement. `$fresh` is an async function that returns a [`Three`].
#[macro_export]
macro_rules! peers_contract {
    ($fresh:path) => {
        $crate::peers_contract! { @cases each $fresh }
    };
    (@cases $how:ident $($fresh:path)?) => {
        $crate::peers_contract! {
            @$how $($fresh)?;
            asking:
                an_answer_comes_back,
                a_request_goes_to_the_named_server_alone,
                a_server_may_ask_itself,
                requests_at_once_get_their_own_answers,
                a_slow_answer_holds_no_other_up,
                bytes_come_as_they_were,
                the_largest_request_and_answer_come_whole,
                a_request_that_is_too_large_is_not_sent,
                an_answer_that_is_too_large_says_so,
                a_name_that_nobody_has_is_not_reached,
                a_server_that_serves_no_more_is_not_reached,
                an_answer_that_does_not_come_is_missed_at_the_deadline,
                a_request_that_is_dropped_is_unanswered,
                a_request_that_nobody_waits_for_is_taken_all_the_same,
                a_thousand_requests_wait,;
            telling:
                news_reach_all_others_that_listen,
                news_stay_with_their_topic,
                news_come_in_order,
                news_that_nobody_hears_are_no_error,
                news_that_are_too_large_are_refused,
                a_listener_that_does_not_read_holds_nobody_up,
                a_listener_that_went_is_missed_by_nobody,
                every_listener_of_a_server_hears,;
        }
    };
    (@each $fresh:path; $($module:ident: $($name:ident,)*;)*) => {
        $(
            mod $module {
                use super::*;
                $(
                    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                    async fn $name() {
                        $crate::peers::$module::$name($fresh().await).await;
                    }
                )*
            }
        )*
    };
    (@list; $($module:ident: $($name:ident,)*;)*) => {
        &[$($(Case {
            name: concat!(stringify!($module), "::", stringify!($name)),
            check: |fresh| Box::pin($module::$name(fresh)),
        }),*),*]
    };
}

/// One requirement.
#[derive(Clone, Copy)]
pub struct Case {
    /// Its name.
    pub name: &'static str,
    /// Panics where it is not met.
    pub check: fn(Three) -> BoxFuture<'static, ()>,
}

/// All requirements, for a test harness of one's own. Others use [`peers_contract!`](crate::peers_contract).
pub const CASES: &[Case] = peers_contract!(@cases list);

/// Answers every request with its name and what was asked, for as long as the task is held.
async fn echo(peer: &Arc<dyn Peers>) -> JoinSet<()> {
    let mut requests = peer.serve().await.unwrap();
    let name = peer.name().to_owned();
    let mut task = JoinSet::new();
    task.spawn(async move {
        while let Some(asked) = requests.next().await {
            let answer = [name.as_bytes(), b": ", &asked.request].concat();
            asked.answer(answer);
        }
    });
    task
}

async fn next_request(requests: &mut BoxStream<'static, Asked>) -> Asked {
    tokio::time::timeout(LONG, requests.next()).await.unwrap().unwrap()
}

async fn next_news(news: &mut BoxStream<'static, Vec<u8>>) -> Vec<u8> {
    tokio::time::timeout(LONG, news.next()).await.unwrap().unwrap()
}
