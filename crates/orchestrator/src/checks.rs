//! Checks of arguments against the schemas of tools, off the async workers and within a deadline.
//!
//! Both schema and arguments come from strangers. The schema's budget and the estimate before each check bound the work; the deadline
//! and the number of threads bound what is left if those are wrong.

use lockkeeper_domain::{ToolDefinition, ToolName};
use lockkeeper_ports::ProposedCall;
use lockkeeper_tool_schema::{Invalid, Validator};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Validators recurse over the schema and the arguments; this holds the deepest that their limits allow.
const STACK_BYTES: usize = 64 << 20;
/// How many threads one session may use at once.
const THREADS_PER_SESSION: usize = 2;

/// The limits of checking arguments against the schemas of tools.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckLimits {
    /// How long the calls of one step may be checked, in milliseconds, before the rest of them is refused. Default 1000.
    pub deadline_ms: u64,
    /// How much work one check may take, in steps of a validator. Default 10000000.
    pub max_steps: u64,
    /// How many threads check at once, for all sessions. Default 8.
    pub threads: usize,
}

impl Default for CheckLimits {
    fn default() -> Self {
        Self { deadline_ms: 1_000, max_steps: 10_000_000, threads: 8 }
    }
}

/// Why arguments do not pass, for the model and for people.
pub(crate) type Checked = Result<(), String>;

/// A tool's schema, compiled when it is first needed.
struct Schema {
    source: Value,
    compiled: OnceLock<Result<Validator, String>>,
}

impl Schema {
    fn check(&self, args: &Value, max_steps: u64) -> Checked {
        if !args.is_object() {
            return Err("The arguments must be a JSON object.".to_owned());
        }
        let compiled = self.compiled.get_or_init(|| Validator::new(&self.source).map_err(|error| error.to_string()));
        let validator = compiled.as_ref().map_err(|why| format!("The tool's schema cannot be used: {why}"))?;
        validator.check(args, max_steps).map_err(|invalid| match invalid {
            Invalid::Mismatch(shown) => format!("The arguments do not fit the tool's schema: {}", shown.join("; ")),
            Invalid::TooMuchWork => {
                "Checking the arguments against the tool's schema would take too long; use smaller arguments."
                    .to_owned()
            }
        })
    }
}

/// The schemas of a session's tools.
#[derive(Clone)]
pub(crate) struct Schemas {
    schemas: HashMap<ToolName, Arc<Schema>>,
    threads: Arc<Semaphore>,
}

impl Schemas {
    pub(crate) fn of(tools: &[ToolDefinition]) -> Self {
        let schemas = tools.iter().map(|tool| (tool.name.clone(), Arc::new(Schema::of(tool)))).collect();
        Self { schemas, threads: Arc::new(Semaphore::new(THREADS_PER_SESSION)) }
    }

    /// The same, but for this tool as it is now.
    pub(crate) fn with(&self, now: &ToolDefinition) -> Self {
        let mut changed = self.clone();
        changed.schemas.insert(now.name.clone(), Arc::new(Schema::of(now)));
        changed
    }
}

impl Schema {
    fn of(tool: &ToolDefinition) -> Self {
        Self { source: tool.input_schema.clone(), compiled: OnceLock::new() }
    }
}

/// What checks arguments, for all sessions of this process.
pub(crate) struct Checks {
    limits: CheckLimits,
    threads: Arc<Semaphore>,
}

/// What a thread that checks holds.
type Places = (OwnedSemaphorePermit, OwnedSemaphorePermit);

/// Stops a thread before its next check, when nobody waits for it any more.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Checks {
    pub(crate) fn new(limits: CheckLimits) -> Self {
        let threads = Arc::new(Semaphore::new(limits.threads));
        Self { limits, threads }
    }

    /// Checks the arguments of each call that the model proposes, in their order.
    pub(crate) async fn of_calls(&self, schemas: &Schemas, calls: &[ProposedCall]) -> Vec<Checked> {
        let wanted = calls.iter().map(|call| (ToolName::as_written(call.name.clone()), call.args.clone()));
        let no_args = |args: Value| if args.is_null() { Value::Object(serde_json::Map::new()) } else { args };
        self.all(schemas, wanted.map(|(tool, args)| (tool, no_args(args))).collect()).await
    }

    /// Checks the arguments of one call.
    pub(crate) async fn of_call(&self, schemas: &Schemas, tool: &ToolName, args: &Value) -> Checked {
        let checked = self.all(schemas, vec![(tool.clone(), args.clone())]).await;
        checked.into_iter().next().unwrap_or_else(|| Err(self.too_late()))
    }

    /// Waits at most until the deadline. Dropping the future leaves at most the check that runs.
    async fn all(&self, schemas: &Schemas, wanted: Vec<(ToolName, Value)>) -> Vec<Checked> {
        let count = wanted.len();
        let deadline = Duration::from_millis(self.limits.deadline_ms);
        let mut checked = match timeout(deadline, self.places(schemas)).await {
            Ok(Some(places)) if count > 0 => self.run(schemas, wanted, places).await,
            _ => Vec::new(),
        };
        // What is not checked by then is refused.
        checked.resize_with(count, || Err(self.too_late()));
        checked
    }

    /// Room for one more thread, of the session and in all.
    async fn places(&self, schemas: &Schemas) -> Option<Places> {
        let of_session = Arc::clone(&schemas.threads).acquire_owned().await.ok()?;
        let of_all = Arc::clone(&self.threads).acquire_owned().await.ok()?;
        Some((of_session, of_all))
    }

    async fn run(&self, schemas: &Schemas, wanted: Vec<(ToolName, Value)>, places: Places) -> Vec<Checked> {
        let wanted: Vec<_> =
            wanted.into_iter().map(|(tool, args)| (schemas.schemas.get(&tool).cloned(), tool, args)).collect();
        let (results, heard) = mpsc::channel();
        let stop = Arc::new(AtomicBool::new(false));
        let _stop = StopOnDrop(Arc::clone(&stop));
        let (max_steps, deadline) = (self.limits.max_steps, Duration::from_millis(self.limits.deadline_ms));
        let work = move || work(wanted, max_steps, &results, &stop, places);
        let thread = thread::Builder::new().name("schema-check".to_owned()).stack_size(STACK_BYTES).spawn(work);
        if let Err(error) = thread {
            tracing::error!(%error, "failed to start a thread that checks arguments");
            return Vec::new();
        }
        // The runtime waits for this thread when it shuts down, and not for the one that checks.
        tokio::task::spawn_blocking(move || collect(&heard, deadline)).await.unwrap_or_default()
    }

    fn too_late(&self) -> String {
        let ms = self.limits.deadline_ms;
        format!("The arguments could not be checked against the tool's schema within {ms} ms; the call was refused.")
    }
}

/// What comes until the checks are done or the time is over.
fn collect(heard: &mpsc::Receiver<Checked>, deadline: Duration) -> Vec<Checked> {
    let started = Instant::now();
    let left = || deadline.saturating_sub(started.elapsed());
    std::iter::from_fn(|| heard.recv_timeout(left()).ok()).collect()
}

/// Holds its places until it ends, whoever still waits for it.
fn work(
    wanted: Vec<(Option<Arc<Schema>>, ToolName, Value)>,
    max_steps: u64,
    results: &mpsc::Sender<Checked>,
    stop: &AtomicBool,
    _places: Places,
) {
    for (schema, tool, args) in wanted {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let result = match schema {
            Some(schema) => schema.check(&args, max_steps),
            None => Err(format!("No tool is called {tool}.")),
        };
        if results.send(result).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::ServerName;
    use serde_json::json;

    fn tool(schema: Value) -> ToolDefinition {
        let server = ServerName::new("fs");
        ToolDefinition {
            name: ToolName::namespaced(&server, "t"),
            server,
            tool: "t".to_owned(),
            title: None,
            description: String::new(),
            input_schema: schema,
            annotations: lockkeeper_domain::Annotations::default(),
            fingerprint: "f".to_owned(),
        }
    }

    /// Covers: S1-1
    #[tokio::test]
    async fn a_check_over_its_limits_refuses_the_call() {
        let next = |at: u32| json!({"allOf": [{"$ref": format!("#/$defs/a{at}")}, {"$ref": format!("#/$defs/a{at}")}]});
        let mut defs: serde_json::Map<_, _> = (0..40).map(|at| (format!("a{at}"), next(at + 1))).collect();
        defs.insert("a40".to_owned(), json!({}));
        let hostile = tool(json!({"$defs": defs, "$ref": "#/$defs/a0"}));
        let schemas = Schemas::of(std::slice::from_ref(&hostile));
        let checks = Checks::new(CheckLimits::default());
        let refused = checks.of_call(&schemas, &hostile.name, &json!({})).await.expect_err("it is too much work");
        assert!(refused.contains("would take too long"), "{refused}");
    }

    /// Covers: S1-1
    #[tokio::test(start_paused = true)]
    async fn checks_without_a_free_thread_are_refused_in_time() {
        let plain = tool(json!({"type": "object"}));
        let schemas = Schemas::of(std::slice::from_ref(&plain));
        let checks = Checks::new(CheckLimits { threads: 1, ..CheckLimits::default() });
        let _busy = Arc::clone(&checks.threads).acquire_owned().await.expect("it is open");
        let refused = checks.of_call(&schemas, &plain.name, &json!({})).await.expect_err("no thread is free");
        assert!(refused.contains("within 1000 ms"), "{refused}");
    }

    #[tokio::test]
    async fn calls_are_checked_in_their_order() {
        let plain = tool(json!({"type": "object", "required": ["a"]}));
        let schemas = Schemas::of(std::slice::from_ref(&plain));
        let call = |name: &str, args: Value| ProposedCall { provider_id: None, name: name.to_owned(), args };
        let calls = [
            call("fs__t", json!({"a": 1})),
            call("fs__none", json!({})),
            call("fs__t", Value::Null),
            call("fs__t", json!([])),
        ];
        let checked = Checks::new(CheckLimits::default()).of_calls(&schemas, &calls).await;
        assert_eq!(checked.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, false, false]);
    }
}
