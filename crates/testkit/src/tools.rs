//! The contract of `ToolHost`, and a fake one.
