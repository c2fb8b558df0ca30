//! `X-Forwarded-For`.

use axum::http::{HeaderMap, HeaderValue};
use std::net::SocketAddr;

pub(super) const NAME: &str = "x-forwarded-for";

/// Returns the hops, the nearest one first. `None` stands for a hop that names no address.
pub(super) fn hops(headers: &HeaderMap) -> impl Iterator<Item = Option<SocketAddr>> {
    headers.get_all(NAME).into_iter().rev().flat_map(line)
}

fn line(value: &HeaderValue) -> Vec<Option<SocketAddr>> {
    let Ok(text) = value.to_str() else { return vec![None] };
    text.rsplit(',').map(|hop| super::node(hop.trim().trim_matches('"'))).collect()
}
