//! Lockkeeper's use cases: sessions, the agent loop, approvals, the janitor.
