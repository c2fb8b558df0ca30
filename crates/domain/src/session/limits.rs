//! The ceilings of a turn. What would exceed one is refused, or ends the turn, and people are told which it was.

use super::{Rules, Session, command::Draft};
use crate::{Code, Effect, EventBody, Failure, StopReason, Turn, Usage};

/// Why no call of a step runs; `None` where the turn has room.
pub(super) fn spent(turn: &Turn, step: u32, usage: Usage, rules: &Rules) -> Option<String> {
    let tokens = turn.usage().total().saturating_add(usage.total());
    if step + 1 >= rules.max_steps {
        return Some(format!("the turn has taken all of its {} steps (session.max_steps)", rules.max_steps));
    }
    if tokens >= rules.max_turn_tokens {
        let most = rules.max_turn_tokens;
        return Some(format!("the turn has used {tokens} tokens of {most} (session.max_turn_tokens)"));
    }
    if turn.output() >= rules.max_turn_output {
        let (found, most) = (turn.output(), rules.max_turn_output);
        return Some(format!("the turn's tools have said {found} bytes of {most} (session.max_turn_output_bytes)"));
    }
    None
}

impl Session {
    /// Ends the turn where the model may not be asked again. Whether it did.
    pub(super) fn ends_at_a_limit(&mut self, draft: &mut Draft<'_>) -> bool {
        let Some(turn) = &self.turn else { return false };
        let (step, tokens, rules) = (turn.step(), turn.usage().total(), draft.rules);
        if step >= rules.max_steps {
            let message = format!("The turn was ended after {step} steps, as many as are allowed (session.max_steps).");
            self.end_at_limit(message, StopReason::StepLimit, draft);
        } else if tokens >= rules.max_turn_tokens {
            let most = rules.max_turn_tokens;
            let message =
                format!("The turn was ended after {tokens} tokens; {most} are allowed (session.max_turn_tokens).");
            self.end_at_limit(message, StopReason::TurnLimit, draft);
        } else {
            return false;
        }
        true
    }

    /// Ends a turn that has taken too long, with all that runs in it.
    pub(super) fn end_overlong(&mut self, draft: &mut Draft<'_>) {
        let most = draft.rules.max_turn;
        let Some(turn) = &self.turn else { return };
        if turn.deadline(most).is_none_or(|at| at > draft.now) {
            return;
        }
        self.close_budget_question(false, None, draft);
        let secs = most.as_secs();
        let message = format!("The turn was ended after {secs} s, as long as is allowed (session.max_turn_secs).");
        self.settle_open_calls(draft, Code::TurnLimit, "the turn has taken as long as is allowed");
        if self.asked.is_some() {
            draft.effects.push(Effect::StopModel);
        }
        self.end_at_limit(message, StopReason::TurnLimit, draft);
    }

    fn end_at_limit(&mut self, message: String, stop: StopReason, draft: &mut Draft<'_>) {
        let Some(id) = self.turn.as_ref().map(Turn::id) else { return };
        self.record(draft, Some(id), EventBody::Failure(Failure::new(Code::TurnLimit, message)));
        self.complete(draft, stop);
    }
}
