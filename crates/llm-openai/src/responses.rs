//! The Responses API.

mod decode;
mod items;
mod request;

pub(crate) use decode::Decoder;
pub(crate) use request::body;
