//! Sandboxes as isolated local processes, for machines without Docker.
