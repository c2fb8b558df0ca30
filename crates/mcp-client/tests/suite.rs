//! The MCP client against scripted servers, honest and hostile, behind a fake sandbox.

#[path = "suite/calls.rs"]
mod calls;
#[path = "suite/changes.rs"]
mod changes;
#[path = "suite/contract.rs"]
mod contract;
#[path = "suite/faults.rs"]
mod faults;
#[path = "suite/floods.rs"]
mod floods;
#[path = "suite/health.rs"]
mod health;
#[path = "suite/hostile.rs"]
mod hostile;
#[path = "suite/listing.rs"]
mod listing;
#[path = "suite/sandbox.rs"]
mod sandbox;
#[path = "suite/script.rs"]
mod script;
#[path = "suite/stalls.rs"]
mod stalls;
#[path = "suite/tenants.rs"]
mod tenants;
