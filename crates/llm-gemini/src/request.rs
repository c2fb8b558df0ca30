//! The body of a request, in the form of one of the vendor's APIs.

mod content;
mod fallback;
mod generate;
mod interactions;

use crate::{Api, Config, decode::Decoder};
use lockkeeper_llm_common::{Dialect, Memory, Toolbox};
use lockkeeper_ports::{Completion, GenerateRequest, LlmError, Notice};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What the vendor takes in place of a signature that it did not give
/// (<https://ai.google.dev/gemini-api/docs/thought-signatures>).
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// A request as it goes over the wire.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) body: Value,
    pub(crate) model: String,
    /// The path within the API.
    pub(crate) path: String,
    pub(crate) api: Api,
    /// Whether it asks for summaries of the thinking.
    pub(crate) summaries: bool,
    toolbox: Toolbox,
    /// What this request had to do without, and why.
    refused_fields: BTreeMap<&'static str, String>,
    refused_parts: BTreeSet<u64>,
    notices: Vec<Notice>,
    /// Whether its signatures were left out.
    unsigned: bool,
}

impl Request {
    pub(crate) fn decoder(&self) -> Decoder {
        Decoder::new(self.api, self.model.clone())
    }

    /// What people should know of it.
    pub(crate) fn take_notices(&mut self) -> Vec<Notice> {
        let mut notices = self.toolbox.take_notices();
        notices.append(&mut self.notices);
        notices
    }

    /// The arguments of calls under the names that the tools' servers know.
    pub(crate) fn restore(&self, completion: &mut Completion) {
        self.toolbox.restore(completion);
    }
}

/// The request for an answer to `request`, without what the server is known to refuse.
pub(crate) fn of(request: GenerateRequest, config: &Config, memory: &Memory) -> Result<Request, LlmError> {
    let model = request.model.strip_prefix("models/").unwrap_or(&request.model);
    // It becomes a part of the address.
    if model.is_empty() || !model.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
        return Err(LlmError::BadRequest(format!("{:?} is not the name of a model", request.model)));
    }
    let choice = (&config.tools, "llm.gemini.tools");
    let toolbox = Toolbox::pack(&request.tools, &Dialect::GEMINI, choice, (memory, &request.model));
    let tools = toolbox.tools();
    let (path, body) = match config.api {
        Api::GenerateContent => {
            (format!("models/{model}:streamGenerateContent?alt=sse"), generate::body(&request, model, config, tools))
        }
        Api::Interactions => ("interactions?alt=sse".to_owned(), interactions::body(&request, model, config, tools)),
    };
    let mut new = Request {
        body,
        path,
        api: config.api,
        model: request.model,
        summaries: config.thinking,
        toolbox,
        refused_fields: BTreeMap::new(),
        refused_parts: BTreeSet::new(),
        notices: Vec::new(),
        unsigned: false,
    };
    new.leave_out_known(&memory.of(&new.model));
    Ok(new)
}

/// Whether the model is of a generation that checks signatures, which is also the one that takes images within results.
fn checks_signatures(model: &str) -> bool {
    !model.starts_with("gemini-1") && !model.starts_with("gemini-2")
}

/// A name that the vendor takes. The name of a tool is one; what another model wrote in its place may not be.
fn name(written: &str) -> String {
    let fits = |c: char| if c.is_ascii_alphanumeric() || "_-".contains(c) { c } else { '_' };
    let name: String = written.chars().map(fits).take(64).collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') { name } else { format!("_{name}") }
}

/// Arguments that the vendor takes: an object.
fn arguments(args: &Value) -> Value {
    if args.is_object() { args.clone() } else { serde_json::json!({"value": args}) }
}
