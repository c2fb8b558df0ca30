//! What the routes answer: to operators, and as `docs/openapi.json` describes it.

mod admin;
mod openapi;
mod sessions;
mod world;
