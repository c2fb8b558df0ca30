//! The open questions that one connection was shown. An answer without a digest, or about a budget without a name, can be to
//! one of them alone, if there is one alone; the view records them, the commands look them up, and the first answer to each
//! call has no rate limit.

use lockkeeper_domain::{ApprovalRequired, BudgetAsked, CallId, Digest, QuestionId};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The questions of a connection.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    calls: Mutex<Open>,
    /// About budgets: those that the connection has not answered, open or not. An answer to any of them may be on its way.
    budgets: Mutex<Vec<Option<QuestionId>>>,
}

/// The questions about calls.
#[derive(Debug, Default)]
struct Open {
    /// Each as it was shown last.
    questions: BTreeMap<CallId, Question>,
    /// The calls that wait, asked about or not yet, and that the client has not answered.
    unanswered: BTreeSet<CallId>,
}

/// An answer without a name could be to more than one question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ambiguous;

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

    /// The client is shown this question about a budget.
    pub(crate) fn budget_asked(&self, asked: &BudgetAsked) {
        const MOST: usize = 8;
        let mut budgets = self.budgets();
        if !budgets.contains(&asked.question) {
            if budgets.len() == MOST {
                budgets.remove(0);
            }
            budgets.push(asked.question.clone());
        }
    }

    /// The client is shown the session as it stands, with this question about a budget or none.
    pub(crate) fn only_budget(&self, asked: Option<&BudgetAsked>) {
        *self.budgets() = asked.map(|asked| asked.question.clone()).into_iter().collect();
    }

    /// The client has answered a question about a budget, and so none of those before it any more.
    pub(crate) fn budget_answered(&self, question: Option<&QuestionId>) {
        let mut budgets = self.budgets();
        if let Some(at) = budgets.iter().position(|shown| shown.as_ref() == question) {
            budgets.drain(..=at);
        }
    }

    /// The name of the question that an answer about a budget without a name is to; `None` where the question has no name, or
    /// the client was shown none.
    pub(crate) fn budget(&self) -> Result<Option<QuestionId>, Ambiguous> {
        match &self.budgets()[..] {
            [] => Ok(None),
            [only] => Ok(only.clone()),
            _ => Err(Ambiguous),
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn budgets(&self) -> MutexGuard<'_, Vec<Option<QuestionId>>> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::{Annotations, BudgetOf, Measure, Timestamp};
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
    fn budget(name: &str) -> BudgetAsked {
        let question = Some(QuestionId::parse(name).expect("an id"));
        let expires_at = Timestamp::from_millis(1);
        BudgetAsked { question, of: BudgetOf::Day, measure: Measure::Tokens, taken: 9, limit: 10, expires_at }
    }

    /// Covers: F7
    #[test]
    fn unnamed_answer_is_to_the_one_unanswered_budget_question() {
        let shown = Shown::default();
        let [first, second] = [budget("q1"), budget("q2")];
        assert_eq!(shown.budget(), Ok(None));
        shown.budget_asked(&first);
        assert_eq!(shown.budget(), Ok(first.question.clone()));
        shown.budget_asked(&second);
        assert_eq!(shown.budget(), Err(Ambiguous), "an answer to the first may be on its way");
        shown.budget_answered(first.question.as_ref());
        assert_eq!(shown.budget(), Ok(second.question.clone()));
        shown.budget_answered(second.question.as_ref());
        assert_eq!(shown.budget(), Ok(None));
        shown.budget_asked(&first);
        shown.only_budget(Some(&second));
        assert_eq!(shown.budget(), Ok(second.question.clone()));
    }
}
