//! The vendors' adapters behind the real server, against a vendor on loopback that speaks their formats.

mod endings;
mod failures;
mod keys;
pub(crate) mod replay;

use crate::case::{Case, Ground};
use anyhow::{Context, Result, ensure};
use lockkeeper_tests::{Client, Event, Setup, Vendor, Wire, vendor_settings};

/// The key that the servers of these cases have. No log and no client may show it.
const KEY: &str = "sk-0123456789-of-nobody";
/// The tool that runs a command, by the name that vendors are given.
const RUN: &str = "workspace__execute_command";

pub(crate) fn cases() -> Vec<Case> {
    [endings::cases(), failures::cases(), keys::cases(), replay::cases()].into_iter().flatten().collect()
}

/// A server that asks this vendor.
fn asking(ground: &Ground, wire: Wire, vendor: &Vendor) -> Setup {
    ground.setup().config(&vendor_settings(wire, vendor.url(), KEY))
}

/// Says something and waits for the end of its turn; the events on the way.
async fn turn(client: &mut Client, text: &str) -> Result<Vec<Event>> {
    client.say(text).await?;
    client.approve_all().await
}

/// The one event of this name.
fn the<'a>(events: &'a [Event], name: &str) -> Result<&'a Event> {
    let mut found = events.iter().filter(|event| event.name == name);
    let first = found.next().with_context(|| format!("there is no {name}: {events:?}"))?;
    ensure!(found.next().is_none(), "there is more than one {name}: {events:?}");
    Ok(first)
}

/// All pieces of the answer that were shown.
fn shown(events: &[Event]) -> String {
    let deltas = events.iter().filter(|event| event.name == "agent:delta");
    deltas.filter_map(|event| event.payload["text"].as_str()).collect()
}
