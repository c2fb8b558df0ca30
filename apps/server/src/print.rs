//! Printing to a terminal or a pipe. A reader that has seen enough (`lockkeeper .. | head -1`) closes its end: what is written
//! after that is dropped, where the macros of the standard library panic.

use std::{
    fmt,
    io::{self, Write as _},
};

/// Writes to standard output.
pub(crate) fn out(text: fmt::Arguments<'_>) {
    // Nobody is left to be told.
    let _ = io::stdout().lock().write_fmt(text);
}

/// Writes to standard error.
pub(crate) fn error(text: fmt::Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// Whether an error says that the reader of a pipe has gone.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe))
}

macro_rules! print {
    ($($text:tt)*) => { $crate::print::out(format_args!($($text)*)) };
}

macro_rules! println {
    () => { $crate::print::out(format_args!("\n")) };
    ($($text:tt)*) => { $crate::print::out(format_args!("{}\n", format_args!($($text)*))) };
}

macro_rules! eprint {
    ($($text:tt)*) => { $crate::print::error(format_args!($($text)*)) };
}

macro_rules! eprintln {
    () => { $crate::print::error(format_args!("\n")) };
    ($($text:tt)*) => { $crate::print::error(format_args!("{}\n", format_args!($($text)*))) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn broken_pipe_is_found_below_its_context() {
        let of = |kind: io::ErrorKind| Err::<(), _>(io::Error::from(kind)).context("the audit").expect_err("an error");
        assert!(is_broken_pipe(&of(io::ErrorKind::BrokenPipe)));
        assert!(!is_broken_pipe(&of(io::ErrorKind::NotFound)));
    }
}
