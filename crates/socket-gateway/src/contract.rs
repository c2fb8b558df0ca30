//! The contract as data. What the wire's types and the lists of events say of themselves is written as JSON Schema, and from
//! that follow an AsyncAPI document, TypeScript types, and the tables of the documentation. All of it is committed, and the
//! test here compares. [ADR 0025](../../../docs/adr/0025-the-contract-is-generated-by-a-test.md) says why a test does it.

mod asyncapi;
mod handshake;
mod reference;
mod schema;
mod tables;
mod typescript;

use crate::wire::By;
use schemars::{Schema, SchemaGenerator};
use serde_json::Value;
use std::{fs, path::Path};

/// Describes a payload or an answer.
type Describe = fn(&mut SchemaGenerator) -> Schema;

/// An event from the server, as it was declared.
pub(crate) struct ServerEntry {
    pub(crate) name: &'static str,
    pub(crate) logged: Logged,
    pub(crate) description: &'static str,
    pub(crate) payload: Describe,
}

/// Whether an event stands in the session's log, and so has an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Logged {
    Always,
    Sometimes,
    Never,
}

impl Logged {
    fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Sometimes => "sometimes",
            Self::Never => "never",
        }
    }
}

/// A command, as it was declared.
pub(crate) struct CommandEntry {
    pub(crate) name: &'static str,
    pub(crate) by: By,
    pub(crate) description: &'static str,
    pub(crate) payload: Describe,
    pub(crate) answer: Describe,
}

/// A name that a `$ref` ends with.
fn referred(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// Every file that follows from the code, by its path in the repository, with what it should hold. `committed` reads one.
fn documents(committed: impl Fn(&str) -> String) -> Vec<(&'static str, String)> {
    let schema = schema::document();
    let json = |value: &Value| format!("{value:#}\n");
    vec![
        ("docs/contract/events.schema.json", json(&schema)),
        ("docs/contract/asyncapi.json", json(&asyncapi::document(&schema))),
        ("docs/contract/reference.md", reference::document(&schema)),
        ("docs/events.md", tables::renewed(&committed("docs/events.md"), &schema)),
        ("apps/client/src/events.ts", typescript::document(&schema)),
    ]
}

#[test]
#[expect(clippy::disallowed_methods, reason = "it is no configuration: it says whether this test compares or writes")]
fn what_is_committed_is_what_the_code_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let committed = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let stale: Vec<_> = documents(committed).into_iter().filter(|(path, text)| committed(path) != *text).collect();
    if std::env::var_os("RENEW_CONTRACT").is_some() {
        for (path, text) in stale {
            let path = root.join(path);
            fs::create_dir_all(path.parent().expect("a file")).expect("a folder");
            fs::write(path, text).expect("written");
        }
        return;
    }
    let stale: Vec<_> = stale.iter().map(|(path, _)| path).collect();
    assert!(
        stale.is_empty(),
        "The events were changed, and these files were not: {stale:?}. To renew them run `just contract`, which is \
         `RENEW_CONTRACT=1 cargo test --locked -p lockkeeper-socket-gateway contract`. Look at the difference, and commit it."
    );
}

#[test]
fn every_event_has_a_name_of_its_own_and_says_what_it_means() {
    use crate::wire::{COMMANDS, Command, SERVER_EVENTS};
    let server = SERVER_EVENTS.iter().map(|entry| (entry.name, entry.description));
    let client = COMMANDS.iter().map(|entry| (entry.name, entry.description));
    for entries in [server.collect::<Vec<_>>(), client.collect()] {
        for (at, (name, description)) in entries.iter().enumerate() {
            let description = description.trim();
            assert!(entries[..at].iter().all(|(other, _)| other != name), "{name} is declared twice");
            assert!(description.len() > 20 && description.ends_with('.'), "{name} says only {description:?}");
        }
    }
    assert!(COMMANDS.iter().all(|entry| Command::named(entry.name).is_some_and(|command| command.by() == entry.by)));
    assert_eq!(Command::named("no:such"), None);
}
