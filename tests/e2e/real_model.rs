//! The whole loop with a language model that nobody here wrote: llama.cpp on loopback, over each of the adapters.

use crate::{
    case::{Case, Ground, cases},
    conversation::stdout,
};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Client, Event, RealModel, Server};
use serde_json::{Value, json};
use std::{rc::Rc, sync::Arc};

pub(crate) fn cases() -> Vec<Case> {
    cases![
        over_openais_responses needs RealModel;
        over_openais_chat_completions needs RealModel;
        over_claudes_messages needs RealModel;
        over_geminis_generate_content needs RealModel;
    ]
}

/// A server and the model that it asks.
struct Stage {
    server: Server,
    model: Arc<RealModel>,
}

/// A model of this size names a tool's arguments as the question does, and no better.
const QUESTION: &str = "Use workspace__execute_command with the command: uname";

async fn stage(ground: &Ground, settings: impl FnOnce(&RealModel) -> String) -> Result<Stage> {
    let model = tokio::task::spawn_blocking(RealModel::shared).await??;
    let limits = "session.max_output_tokens = 160\nsession.system_prompt = 'You are an assistant. Be brief.'";
    let server = ground.setup().config(limits).config(&settings(&model)).start().await?;
    Ok(Stage { server, model })
}

/// A question, its call, the approval, the sandbox, the answer; and then a second question, with all of that behind it.
async fn converse(stage: &Stage, provider: &str) -> Result<()> {
    let mut client = stage.server.connect().open().await?;
    ensure!(client.ready["provider"] == provider && client.ready["model"] == stage.model.name(), "{}", client.ready);
    client.say(QUESTION).await?;
    let asks = next(&mut client, "tool:approval_required").await?;
    ensure!(asks.payload["name"] == "execute_command" && asks.payload["args"]["command"].is_string(), "{asks:?}");
    client.approve(asks.call().context("no call")?, true).await?;
    let output = next(&mut client, "tool:output").await?;
    ensure!(stdout(&output).contains("Linux"), "the command ran in the sandbox: {asks:?} {output:?}");
    let answer = next(&mut client, "agent:response").await?;
    ensure!(!answer.text().trim().is_empty(), "{answer:?}");
    let completed = next(&mut client, "turn:completed").await?;
    costs(&completed)?;

    client.say("Thank you. Which system is it?").await?;
    let answer = next(&mut client, "agent:response").await?;
    ensure!(!answer.text().trim().is_empty(), "{answer:?}");
    costs(&next(&mut client, "turn:completed").await?)?;
    let deltas = client.journal().iter().filter(|event| event.name == "agent:delta").count();
    ensure!(deltas > 2, "the answers stream: {deltas} pieces");
    Ok(())
}

/// The next event of this name. An error in its place is the case's.
async fn next(client: &mut Client, name: &str) -> Result<Event> {
    let is_it = |event: &Event| event.name == name || matches!(event.name.as_str(), "agent:error" | "turn:completed");
    // A small machine that does other things too makes its first words late: silence is not yet a failure.
    let mut silent = 0;
    let found = loop {
        match client.until_matching(name, is_it).await {
            Err(_) if silent < 5 => silent += 1,
            found => break found?,
        }
    };
    let before = client.journal().len().saturating_sub(6);
    ensure!(found.name == name, "{name} was to come: {:#?}", &client.journal()[before..]);
    Ok(found)
}

fn costs(completed: &Event) -> Result<()> {
    let Value::Object(usage) = &completed.payload["usage"] else { anyhow::bail!("{completed:?}") };
    let is_counted = |name: &str| usage.get(name).and_then(Value::as_u64).is_some_and(|count| count > 0);
    ensure!(is_counted("inputTokens") && is_counted("outputTokens"), "the model counts its tokens: {completed:?}");
    ensure!(matches!(completed.payload["stopReason"].as_str(), Some("end_turn" | "max_tokens")), "{completed:?}");
    Ok(())
}

async fn over_openai(ground: &Ground, api: &str) -> Result<()> {
    let settings = |model: &RealModel| {
        let (url, name) = (json!(format!("{}/v1", model.url())), json!(model.name()));
        format!("llm.provider = 'openai'\nllm.openai = {{ base_url = {url}, default_model = {name}, api = '{api}' }}")
    };
    converse(&stage(ground, settings).await?, "openai").await
}

async fn over_openais_responses(ground: Rc<Ground>) -> Result<()> {
    over_openai(&ground, "responses").await
}

async fn over_openais_chat_completions(ground: Rc<Ground>) -> Result<()> {
    over_openai(&ground, "chat").await
}

async fn over_claudes_messages(ground: Rc<Ground>) -> Result<()> {
    // What llama.cpp speaks of Claude's API.
    let settings = |model: &RealModel| {
        format!(
            "[llm]
             provider = 'claude'
             [llm.claude]
             base_url = '{}'
             model = '{}'
             api_version = '2023-06-01'
             thinking = false
             prompt_cache = 'off'",
            model.url(),
            model.name(),
        )
    };
    converse(&stage(&ground, settings).await?, "claude").await
}

async fn over_geminis_generate_content(ground: Rc<Ground>) -> Result<()> {
    let settings = |model: &RealModel| {
        let (url, name) = (json!(model.url()), json!(model.name()));
        format!("llm.provider = 'gemini'\nllm.gemini = {{ base_url = {url}, model = {name}, thinking = false }}")
    };
    converse(&stage(&ground, settings).await?, "gemini").await
}
