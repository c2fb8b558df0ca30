//! What the demo answers: the next step of what was asked, or the words at its end.

use crate::{
    action::Action,
    history::Turn,
    intent::{Intent, Kind, Plan},
    quote::{self, inline},
    reply::Reply,
    script,
    story::story,
    toolbox,
};
use lockkeeper_domain::{Attachment, ToolDefinition};

/// The most results that one answer quotes.
const MAX_QUOTES: usize = 12;
/// The most tools that an answer names.
const MAX_TOOLS: usize = 20;

/// The answer to the step that `turn` has come to, with at most `quote_bytes` of each result in it.
pub(crate) fn reply_to(turn: &Turn, quote_bytes: usize) -> Reply {
    let Some(question) = turn.question else {
        return Reply::text("This turn has become so long that I no longer see your question, so I stop here.");
    };
    match Intent::of(question, !turn.attachments.is_empty()) {
        Intent::Script(script) => script::play(script, turn, quote_bytes),
        Intent::Plan(plan) => next_of(&plan, turn, quote_bytes),
        Intent::Story { words } => Reply::text(story(words)),
        Intent::Think => think(question),
        Intent::Attachments => Reply::text(describe(turn.attachments)),
        Intent::Help => Reply::text(help(turn.tools)),
    }
}

fn next_of(plan: &Plan, turn: &Turn, quote_bytes: usize) -> Reply {
    let failed = turn.newest().iter().any(|done| done.result.is_error());
    let Some(actions) = plan.steps.get(turn.step()).filter(|_| !failed) else {
        return Reply::text(summary(plan, turn, quote_bytes));
    };
    match actions.iter().map(|action| toolbox::propose(action, turn.tools)).collect() {
        Ok(calls) => Reply { text: introduction(plan, turn.step(), actions), calls, ..Reply::default() },
        Err(missing) => Reply::text(format!(
            "For this I need a tool named {}, and this session offers none. {}",
            inline(missing),
            offered(turn.tools),
        )),
    }
}

fn introduction(plan: &Plan, step: usize, actions: &[Action]) -> String {
    let [action] = actions else {
        let all: Vec<String> = actions.iter().take(MAX_QUOTES).map(|a| format!("- {}", purpose(a))).collect();
        let more = if actions.len() > all.len() { "\n- and so on" } else { "" };
        return format!("I ask for {} calls at once:\n\n{}{more}\n", actions.len(), all.join("\n"));
    };
    let what = purpose(action);
    let (number, count) = (step + 1, plan.steps.len());
    match (plan.kind, step) {
        (Kind::Failure, _) => format!("I {what}, which is not there, so that you see how a failure looks."),
        (Kind::Project, 0) => format!("A small project in {count} steps. First I {what}."),
        (_, 0) if count == 1 => format!("I {what}."),
        _ => format!("Step {number} of {count}: I {what}."),
    }
}

fn purpose(action: &Action) -> String {
    match action {
        Action::List { path } if path == "." => "list the files of the workspace".to_owned(),
        Action::List { path } => format!("list the files in {}", inline(path)),
        Action::Read { path } => format!("read {}", inline(path)),
        Action::Write { path, content } => format!("write {} bytes to {}", content.len(), inline(path)),
        Action::Run { command } => format!("run {}", inline(command)),
        Action::Call { name, .. } => format!("call {}", inline(name)),
    }
}

fn summary(plan: &Plan, turn: &Turn, quote_bytes: usize) -> String {
    let count = turn.done().count();
    let mut parts: Vec<String> = turn.done().take(MAX_QUOTES).map(|done| quote::outcome(&done, quote_bytes)).collect();
    if count > MAX_QUOTES {
        parts.push(format!("And {} more calls, which I do not quote.", count - MAX_QUOTES));
    }
    let left = plan.steps.len().saturating_sub(turn.step());
    let went_wrong = turn.newest().iter().any(|done| done.result.is_error());
    parts.extend(match (plan.kind, went_wrong) {
        (Kind::Failure, true) => {
            Some("A failed call ends nothing: I get the error as the call's result, and go on.".into())
        }
        (Kind::Failure, false) => Some("So this time the call did not fail.".into()),
        (_, true) if left > 0 => Some(format!("I stop here and leave out the {left} steps that were to follow.")),
        (_, true) | (Kind::Asked, false) => None,
        (Kind::Project, false) => Some("That is the whole project: written, run and read back.".into()),
        (Kind::Chain, false) => Some(format!("All {} steps are done.", plan.steps.len())),
    });
    parts.join("\n\n")
}

fn think(question: &str) -> Reply {
    let reasoning = format!(
        "The message is {} characters long and wants me to think. I have no model to think with, so I follow my \
         script: first some reasoning, which a client can show apart from the answer, and then the answer itself.",
        question.chars().count(),
    );
    let text = "I have thought about it. What you saw before this sentence was streamed as reasoning, apart from the \
                answer; Claude, Gemini and OpenAI show a summary of theirs in the same place.";
    Reply { reasoning, ..Reply::text(text) }
}

fn describe(attachments: &[Attachment]) -> String {
    if attachments.is_empty() {
        return "I see no attachment. Attach an image to a message, and I tell what came with it.".to_owned();
    }
    let line = |(index, attachment): (usize, &Attachment)| {
        let name = attachment.name.as_deref().map_or_else(|| "without a name".to_owned(), inline);
        let bytes = attachment.data.len() / 4 * 3;
        format!("{}. {name}: {}, about {bytes} bytes", index + 1, inline(&attachment.mime_type))
    };
    let lines: Vec<String> = attachments.iter().enumerate().take(MAX_QUOTES).map(line).collect();
    let count = match attachments.len() {
        1 => "1 attachment".to_owned(),
        n => format!("{n} attachments"),
    };
    format!("Your message came with {count}:\n\n{}\n\nI cannot look into them, as I am no model.", lines.join("\n"))
}

fn help(tools: &[ToolDefinition]) -> String {
    format!(
        "Hello! I am Lockkeeper's demo: a script that plays a model, without a key and without the network. I \
         understand a few sentences only, but the tools, the sandbox and the approvals behind them are real. Try one \
         of these:\n\n\
         - `list files`\n\
         - `write hello.txt: Hello from the sandbox`\n\
         - `run uname -a`\n\
         - `list files and run date at once`\n\
         - `build a hello project`\n\n\
         I can also `fail`, `think`, and `tell me a long story`. {}\n\n\
         For real answers, start Lockkeeper with `ANTHROPIC_API_KEY`, `OPENAI_API_KEY` or `GEMINI_API_KEY`.",
        offered(tools),
    )
}

fn offered(tools: &[ToolDefinition]) -> String {
    if tools.is_empty() {
        return "This session offers no tools.".to_owned();
    }
    let mut names: Vec<String> = tools.iter().take(MAX_TOOLS).map(|t| inline(t.name.as_str())).collect();
    if tools.len() > MAX_TOOLS {
        names.push(format!("{} more", tools.len() - MAX_TOOLS));
    }
    format!("The session offers these tools: {}.", names.join(", "))
}
