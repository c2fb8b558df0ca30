//! What is wrong with a configuration, told so that one edit mends it.

use std::{fmt, path::PathBuf};

/// The kinds of problems. Their names are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No setting has this name.
    UnknownKey,
    /// The value is of another type than the setting.
    WrongType,
    /// The value is of the right type and makes no sense.
    BadValue,
    /// Nothing is set where something must be.
    Missing,
    /// A file cannot be parsed.
    Syntax,
    /// A file cannot be read.
    Unreadable,
    /// A `${VAR}` without a default names a variable that is not set.
    UnsetVariable,
    /// Two settings contradict each other.
    Conflict,
    /// The setting asks for something that this version does not have.
    Unsupported,
    /// The setting would open the server to strangers.
    Unsafe,
}

impl Kind {
    /// The stable name.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownKey => "unknown_key",
            Self::WrongType => "wrong_type",
            Self::BadValue => "bad_value",
            Self::Missing => "missing",
            Self::Syntax => "syntax",
            Self::Unreadable => "unreadable",
            Self::UnsetVariable => "unset_variable",
            Self::Conflict => "conflict",
            Self::Unsupported => "unsupported",
            Self::Unsafe => "unsafe",
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody set it, and it has no default.
    #[default]
    Unset,
    /// Nobody set it.
    Default,
    /// A place in a file; it is absent where the whole file is meant.
    File { path: PathBuf, place: Option<Place> },
    /// A variable of a `.env` file.
    DotEnv { path: PathBuf, line: usize, variable: String },
    /// An environment variable.
    Variable(String),
    /// A command-line flag.
    Flag(String),
}

/// A place in a text, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) line: usize,
    /// In characters.
    pub(crate) column: usize,
}

impl Place {
    /// The place of the byte at `offset`.
    pub(crate) fn of(text: &str, offset: usize) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let start = before.rfind('\n').map_or(0, |at| at + 1);
        Self { line: 1 + before.matches('\n').count(), column: 1 + before[start..].chars().count() }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("not set"),
            Self::Default => f.write_str("default"),
            Self::File { path, place: Some(place) } => write!(f, "{}:{place}", path.display()),
            Self::File { path, place: None } => write!(f, "{}", path.display()),
            Self::DotEnv { path, line, variable } => write!(f, "{}:{line} ({variable})", path.display()),
            Self::Variable(variable) => write!(f, "environment variable {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// One problem of a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    /// The setting, as in `server.port`; empty where a whole file is meant.
    pub(crate) key: String,
    pub(crate) origin: Origin,
    /// What is wrong. Holds no secret.
    pub(crate) what: String,
    /// One edit or command that mends it.
    pub(crate) fix: String,
}

/// All problems, as people read them.
pub(crate) struct Report<'a>(pub(crate) &'a [Problem]);

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        writeln!(f, "the configuration has {count} {noun}:")?;
        for Problem { kind, key, origin, what, fix } in self.0 {
            let key = if key.is_empty() { String::new() } else { format!(" {key}") };
            writeln!(f, "\n  [{}]{key}: {what}", kind.as_str())?;
            writeln!(f, "      where: {origin}")?;
            writeln!(f, "      fix:   {fix}")?;
        }
        Ok(())
    }
}
