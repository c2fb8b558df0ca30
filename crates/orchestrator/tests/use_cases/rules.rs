use crate::desk::{Desk, User};
use lockkeeper_domain::{Code, Decision, DecisionRule, EventBody, Outcome, Policy, Rule};
use lockkeeper_orchestrator::Rulebook;
use lockkeeper_testkit::llm::Step;
use serde_json::json;

fn rules(decisions: &[(&str, DecisionRule)]) -> Policy {
    let rule = |(tool, decision): &(&str, DecisionRule)| Rule {
        tool: (*tool).to_owned(),
        decision: *decision,
        ..Rule::default()
    };
    Policy::new(decisions.iter().map(rule).collect())
}

fn with_book(steps: impl IntoIterator<Item = Step>) -> (Desk, Rulebook) {
    let book = Rulebook::new(Policy::default());
    (Desk { rulebook: Some(book.clone()), ..Desk::new(steps) }, book)
}

fn echo(text: &str) -> Step {
    Step::calls([("box__echo", json!({"text": text}))])
}

#[tokio::test(start_paused = true)]
async fn a_running_session_judges_by_rules_that_came_since() {
    let (desk, book) = with_book([echo("a"), echo("b"), Step::text("done")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    assert!(book.replace(rules(&[("echo", DecisionRule::Allow)])));
    ann.answers(&call, true).await.expect("a question that was asked is a human's to answer");
    assert_eq!(ann.sees_answer().await, "done");
    assert_eq!(desk.host.calls().len(), 2, "the second call asked nobody");
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_refused_when_a_rule_comes_that_denies_it() {
    let (desk, book) = with_book([echo("a"), Step::text("as the rule says")]);
    let mut ann = User::ready(&desk.manager()).await;
    ann.says("go").await.expect("accepted");
    let call = ann.is_asked().await;
    book.replace(rules(&[("echo", DecisionRule::Deny)]));
    let resolved = ann
        .sees(|body| match body {
            EventBody::ApprovalResolved(resolved) => Some(resolved.clone()),
            _ => None,
        })
        .await;
    assert_eq!((resolved.decision, resolved.by), (Decision::Denied, None));
    let settled = ann.sees_result().await;
    assert_eq!(settled.result.outcome, Outcome::Failed(Code::Denied));
    assert!(settled.result.text().contains("rule 1"), "{}", settled.result.text());
    assert_eq!(ann.answers(&call, true).await.expect_err("too late").code, Code::AlreadyResolved);
    assert_eq!(ann.sees_answer().await, "as the rule says");
    assert_eq!(desk.host.calls().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_never_comes_before_a_rule_that_denies() {
    for _ in 0..50 {
        let (desk, book) = with_book([echo("a"), Step::text("over")]);
        let mut ann = User::ready(&desk.manager()).await;
        ann.says("go").await.expect("accepted");
        let call = ann.is_asked().await;
        // Both wait for the actor at once: whichever it wakes up by, the rule is there already.
        book.replace(rules(&[("echo", DecisionRule::Deny)]));
        assert_eq!(ann.answers(&call, true).await.expect_err("denied").code, Code::AlreadyResolved);
        assert_eq!(desk.host.calls().len(), 0);
    }
}
