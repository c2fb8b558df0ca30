//! Unguessable names.

use anyhow::{Context as _, Result};
use std::fmt::Write as _;

/// `N` random bytes of the operating system, as hexadecimal digits.
pub(crate) fn hex<const N: usize>() -> Result<String> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).context("the operating system gives no random numbers")?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
