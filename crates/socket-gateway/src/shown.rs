//! The open questions that one connection was shown. An answer without a digest can be to one of them alone, if there is
//! one alone; the view records them, the commands look them up, and the first answer to each has no rate limit.

use lockkeeper_domain::{ApprovalRequired, CallId, Digest};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

/// The questions of a connection, by their calls, each as it was shown last.
#[derive(Debug, Default)]
pub(crate) struct Shown(Mutex<Open>);

#[derive(Debug, Default)]
struct Open {
    questions: BTreeMap<CallId, Question>,
    /// The calls that wait, asked about or not yet, and that the client has not answered.
    unanswered: BTreeSet<CallId>,
}

#[derive(Debug, PartialEq)]
struct Question {
    /// `None` where an answer could be to other arguments that were shown before, or where the question has none.
    digest: Option<Digest>,
    args: Digest,
}

impl Shown {
    /// The client is shown this question.
    pub(crate) fn asked(&self, question: &ApprovalRequired) {
        let args = Digest::of(&question.args);
        let mut open = self.open();
        let differs = open.questions.get(&question.call).is_some_and(|shown| !shown.args.matches(&args));
        let digest = question.digest.filter(|_| !differs);
        open.questions.insert(question.call.clone(), Question { digest, args });
        open.unanswered.insert(question.call.clone());
    }

    /// The client is shown calls that wait, each to be asked about in its turn.
    pub(crate) fn waiting<'a>(&self, calls: impl IntoIterator<Item = &'a CallId>) {
        self.open().unanswered.extend(calls.into_iter().cloned());
    }

    /// Whether the client answers a call that waits for the first time.
    pub(crate) fn first_answer(&self, call: &CallId) -> bool {
        self.open().unanswered.remove(call)
    }

    /// The client is shown that the question is closed.
    pub(crate) fn closed(&self, call: &CallId) {
        let mut open = self.open();
        open.questions.remove(call);
        open.unanswered.remove(call);
    }

    /// The client is shown the session as it stands: these questions are open, and no others.
    pub(crate) fn only_open<'a>(&self, questions: impl IntoIterator<Item = &'a ApprovalRequired>) {
        *self.open() = Open::default();
        questions.into_iter().for_each(|question| self.asked(question));
    }

    /// The digest of the question about this call, if it is the only open one that the client was shown.
    pub(crate) fn only(&self, call: &CallId) -> Option<Digest> {
        let open = self.open();
        (open.questions.len() == 1).then(|| open.questions.get(call).and_then(|question| question.digest)).flatten()
    }

    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::{Annotations, Timestamp};
    use serde_json::json;

    fn call(n: u8) -> CallId {
        CallId::parse(format!("call_1_0_{n}")).expect("an id")
    }

    fn digest(n: u8) -> Digest {
        Digest::of_bytes(&[n])
    }

    fn question(of: u8, digested: u8, args: u8) -> ApprovalRequired {
        ApprovalRequired {
            call: call(of),
            server: None,
            tool: "t".to_owned(),
            args: json!({ "n": args }),
            why: String::new(),
            annotations: Annotations::default(),
            position: 1,
            total: 1,
            expires_at: Timestamp::from_millis(1),
            always: None,
            scopes: Vec::new(),
            digest: Some(digest(digested)),
        }
    }

    #[test]
    fn each_waiting_call_has_one_first_answer() {
        let shown = Shown::default();
        assert!(!shown.first_answer(&call(0)), "nobody asked");
        shown.waiting([&call(0), &call(1)]);
        shown.asked(&question(2, 2, 0));
        assert!(shown.first_answer(&call(1)) && !shown.first_answer(&call(1)));
        assert!(shown.first_answer(&call(2)));
        shown.closed(&call(0));
        assert!(!shown.first_answer(&call(0)));
        shown.only_open([&question(3, 3, 0)]);
        assert!(shown.first_answer(&call(3)));
    }

    /// Covers: S2-11
    #[test]
    fn only_question_is_the_one_that_was_shown() {
        let shown = Shown::default();
        assert_eq!(shown.only(&call(0)), None);
        shown.asked(&question(0, 0, 0));
        assert_eq!((shown.only(&call(0)), shown.only(&call(1))), (Some(digest(0)), None));
        shown.asked(&question(1, 1, 0));
        assert_eq!((shown.only(&call(0)), shown.only(&call(1))), (None, None), "two are open");
        shown.closed(&call(0));
        assert_eq!((shown.only(&call(0)), shown.only(&call(1))), (None, Some(digest(1))));
        shown.asked(&question(1, 2, 0));
        assert_eq!(shown.only(&call(1)), Some(digest(2)), "asked again about the same arguments");
        shown.asked(&question(1, 3, 1));
        assert_eq!(shown.only(&call(1)), None, "an answer could be to the arguments before");
        shown.only_open([&question(2, 2, 0)]);
        assert_eq!((shown.only(&call(1)), shown.only(&call(2))), (None, Some(digest(2))));
        shown.only_open([]);
        assert_eq!(shown.only(&call(2)), None);
    }
}
