//! Lockkeeper's HTTP interface: health, readiness, the console's files.
