//! The contract of `LlmProvider`, and a scripted one.
