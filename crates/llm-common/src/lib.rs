//! What the adapters of language models share.
//!
//! Vendors refuse whole requests for one part of them: a tool whose schema they do not like, a picture of another type than it
//! is said to be, a field that a model does not know. Here is what they refuse alike, and how a request does without it:
//!
//! - [`Toolbox`] repairs the schemas of tools, keeps within the vendor's limit, and leaves out the tool that a refusal names.
//! - [`media`] says what a file is by its bytes, and strikes the one that a refusal names.
//! - [`Memory`] keeps what was refused, so that it is not sent with each step again.
//! - [`arguments()`] reads the arguments of calls, which servers write in more than one way.

mod arguments;
mod blame;
mod dialect;
pub mod media;
mod memory;
mod names;
mod schema;
mod toolbox;

pub use arguments::{arguments, is_whole};
pub use dialect::Dialect;
pub use memory::{Known, Memory};
pub use names::{Keys, Names};
pub use schema::{Repaired, repair};
pub use toolbox::{Conceded, ToolChoice, Toolbox, WireTool};
