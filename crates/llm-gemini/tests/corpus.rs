//! Recorded traffic, which is not part of the repository. `LOCKKEEPER_LLM_CORPUS` names the directory that holds
//! `gemini/<case>/{meta.json, request.json, response.sse}`; without it one test is reported as ignored.

#[path = "../src/tests/server.rs"]
#[expect(dead_code, reason = "the unit tests use more of it")]
mod server;

#[path = "../src/tests/harm.rs"]
mod harm;

#[path = "corpus/cases.rs"]
mod cases;
#[path = "corpus/expected.rs"]
mod expected;

use cases::{Case, decode, replies};
use libtest_mimic::{Arguments, Failed, Trial};
use lockkeeper_domain::{Content, Message, ToolResult};
use lockkeeper_llm_gemini::{Api, Config, GeminiProvider, Reading};
use lockkeeper_ports::{Completion, GenerateRequest, LlmProvider};
use lockkeeper_testkit::llm::history::History;
use serde_json::Value;
use server::Server;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

const VENDOR: &str = "gemini";

fn main() {
    let arguments = Arguments::from_args();
    let Some(root) = root() else {
        let trial = Trial::test("recorded_traffic_of_gemini_where_LOCKKEEPER_LLM_CORPUS_names_it", || Ok(()));
        libtest_mimic::run(&arguments, vec![trial.with_ignored_flag(true)]).exit();
    };
    let cases: Vec<Arc<Case>> = Case::all(&root.join(VENDOR)).into_iter().map(Arc::new).collect();
    let mut conversations: BTreeMap<String, Vec<Arc<Case>>> = BTreeMap::new();
    let mut trials = Vec::new();
    for case in &cases {
        if let Some(group) = &case.group {
            conversations.entry(group.clone()).or_default().push(case.clone());
        }
        let (one, other) = (case.clone(), case.clone());
        trials.push(Trial::test(format!("decodes::{}", case.name), move || run(expected::check(&one))));
        if case.is_stream() {
            trials.push(Trial::test(format!("cut::{}", case.name), move || {
                cases::check_cuts(&other).map_err(Failed::from)
            }));
        }
    }
    trials.push(Trial::test("fuzz", move || {
        cases::fuzz(&cases);
        Ok(())
    }));
    for (group, turns) in conversations.into_iter().filter(|(_, turns)| turns.len() > 1) {
        trials.push(Trial::test(format!("carries_back::{group}"), move || run(carries_back(turns))));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

#[expect(clippy::disallowed_methods, reason = "a test's only way to learn where the recordings are")]
fn root() -> Option<PathBuf> {
    let root = PathBuf::from(std::env::var_os("LOCKKEEPER_LLM_CORPUS")?);
    Some(if root.join("llm").is_dir() { root.join("llm") } else { root })
}

fn run(check: impl Future<Output = Result<(), String>>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(check).map_err(Failed::from)
}

fn config(case: &Case) -> Config {
    let api = if case.api.ends_with("interactions") { Api::Interactions } else { Api::GenerateContent };
    Config { api, max_retries: 0, api_key: "key".into(), ..Config::default() }
}

fn provider(url: &str, case: &Case) -> GeminiProvider {
    GeminiProvider::new(Config { base_url: url.to_owned(), ..config(case) }).expect("a valid configuration")
}

fn reading(case: &Case) -> Reading {
    Reading::new(&config(case), case.model())
}

/// Turn after turn, the request carries what the recorded one carries of the answers before it.
async fn carries_back(turns: Vec<Arc<Case>>) -> Result<(), String> {
    let mut history = History::asked("the recorded question");
    let mut answers = String::new();
    for (index, case) in turns.iter().enumerate() {
        if index > 0 {
            let ours = sent(case, &history).await;
            let recorded = case.request.as_ref().ok_or("the recording has no request")?;
            let (ours, theirs) = (expected::marks(&ours, &answers), expected::marks(recorded, &answers));
            // What the recorded client sent twice, or did not send, is its own affair; what it sent has to be there, in order.
            let mut rest = ours.iter();
            if let Some(missing) = theirs.iter().find(|mark| !rest.any(|ours| ours == *mark)) {
                return Err(format!("turn {}: {missing:?} is not in {ours:?}, as it is in {theirs:?}", index + 1));
            }
        }
        if case.status != 200 {
            break;
        }
        let said = decode(case, usize::MAX).await.map_err(|e| e.to_string())?;
        answers.push_str(&case.body_text());
        history = goes_on(history, said);
    }
    Ok(())
}

fn goes_on(history: History, said: Completion) -> History {
    let results: Vec<ToolResult> =
        said.calls.iter().map(|call| ToolResult::succeeded(vec![Content::text(call.name.clone())])).collect();
    let ended = results.is_empty();
    let history = history.completed(said, results);
    if ended { history.user("the next question") } else { history }
}

/// The request that the adapter sends, after the history went through a store.
async fn sent(case: &Case, history: &History) -> Value {
    let request = history.request(case.model());
    let json = serde_json::to_string(&request.messages).expect("JSON");
    let messages: Vec<Message> = serde_json::from_str(&json).expect("a history");
    let server = Server::replying(replies(case, usize::MAX)).await;
    let request = GenerateRequest { messages, ..request };
    // Whatever comes of it, the request was sent.
    drop(provider(&server.url, case).generate(request).await);
    server.seen().remove(0).body
}
