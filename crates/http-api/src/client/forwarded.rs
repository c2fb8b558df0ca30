//! `Forwarded`, as RFC 7239 defines it.

use axum::http::{HeaderMap, HeaderValue};
use std::net::SocketAddr;

pub(super) const NAME: &str = "forwarded";

/// Returns the hops, the nearest one first. `None` stands for a hop that names no address, and for a malformed line:
/// an unbalanced quote in the part that a client wrote could swallow what the proxy appended.
pub(super) fn hops(headers: &HeaderMap) -> impl Iterator<Item = Option<SocketAddr>> {
    headers.get_all(NAME).into_iter().rev().flat_map(line)
}

fn line(value: &HeaderValue) -> Vec<Option<SocketAddr>> {
    let mut hops = value.to_str().ok().and_then(elements).unwrap_or_else(|| vec![None]);
    hops.reverse();
    hops
}

/// Returns what `for` names in each element, or `None` if the line does not follow the grammar.
fn elements(text: &str) -> Option<Vec<Option<SocketAddr>>> {
    let (mut rest, mut hops) = (text.trim_start(), Vec::new());
    loop {
        let mut hop: Option<String> = None;
        loop {
            let (name, after) = rest.split_once('=')?;
            let name = name.trim();
            if name.is_empty() || !name.bytes().all(is_token) {
                return None;
            }
            let (value, after) =
                if let Some(quoted) = after.strip_prefix('"') { unquote(quoted)? } else { bare(after)? };
            if name.eq_ignore_ascii_case("for") && hop.replace(value).is_some() {
                return None;
            }
            rest = after.trim_start();
            match rest.strip_prefix(';') {
                Some(after) => rest = after.trim_start(),
                None => break,
            }
        }
        hops.push(hop.as_deref().and_then(super::node));
        match rest.strip_prefix(',') {
            Some(after) => rest = after.trim_start(),
            None => return rest.is_empty().then_some(hops),
        }
    }
}

fn unquote(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            other => value.push(other),
        }
    }
    None
}

/// A token, and what many proxies write without the quotes that it needs: an address with colons or brackets.
fn bare(text: &str) -> Option<(String, &str)> {
    let end = text.find([',', ';', ' ', '\t']).unwrap_or(text.len());
    let (value, rest) = text.split_at_checked(end)?;
    let fits = !value.is_empty() && value.bytes().all(|byte| is_token(byte) || matches!(byte, b':' | b'[' | b']'));
    fits.then(|| (value.to_owned(), rest))
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
