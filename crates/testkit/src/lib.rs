//! One contract suite per port, run by every adapter, and working fakes for the use cases' own tests.

pub mod budget;
pub mod clock;
pub mod faulty_store;
pub mod llm;
pub mod peers;
pub mod rules;
pub mod sandbox;
pub mod store;
pub mod tools;
