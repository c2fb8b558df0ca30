//! The Chat Completions API, as OpenAI defines it and as the servers that copy it speak it.

mod calls;
mod decode;
mod details;
mod request;
mod think;

pub(crate) use decode::Decoder;
pub(crate) use request::body;
