//! The contract of `ToolHost`, and a fake one.

pub mod contract;
mod fake;
mod host;

pub use contract::ToolHostFixture;
pub use fake::{Behaviour, FakeTool};
pub use host::{FakeToolHost, FakeToolSession, RecordedCall};
