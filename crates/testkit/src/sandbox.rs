//! The contract of `SandboxRuntime`, and a fake one.
