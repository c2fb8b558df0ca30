//! What can be wrong with a Redis, in words that say what to do.

use crate::address::Address;
use fred::error::{Error, ErrorKind};
use lockkeeper_ports::StoreError;
use std::{fmt, time::Duration};

/// Why a command was not done, or is not known to be.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    details: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No answer in time.
    Timeout,
    /// No connection, or one that broke.
    Disconnected,
    /// Too many commands wait.
    Overloaded,
    ReadOnly,
    Loading,
    MasterDown,
    ClusterDown,
    OutOfMemory,
    CannotPersist,
    NoReplicas,
    Busy,
    TooManyClients,
    Unauthenticated,
    NotAllowed,
    /// A script is not known to the server yet.
    NoScript,
    /// A key holds something else than it should.
    WrongType,
    Other,
}

/// The beginnings of a server's errors.
const ANSWERS: &[(&str, Kind)] = &[
    ("READONLY", Kind::ReadOnly),
    ("LOADING", Kind::Loading),
    ("MASTERDOWN", Kind::MasterDown),
    ("CLUSTERDOWN", Kind::ClusterDown),
    ("TRYAGAIN", Kind::ClusterDown),
    ("OOM", Kind::OutOfMemory),
    ("MISCONF", Kind::CannotPersist),
    ("NOREPLICAS", Kind::NoReplicas),
    ("BUSY", Kind::Busy),
    ("ERR max number of clients", Kind::TooManyClients),
    ("NOAUTH", Kind::Unauthenticated),
    ("WRONGPASS", Kind::Unauthenticated),
    ("ERR invalid password", Kind::Unauthenticated),
    ("ERR Client sent AUTH", Kind::Unauthenticated),
    ("NOPERM", Kind::NotAllowed),
    ("ERR The user executing the script", Kind::NotAllowed),
    ("NOSCRIPT", Kind::NoScript),
    ("WRONGTYPE", Kind::WrongType),
];

impl Kind {
    /// Whether the same command may be done a moment later.
    pub(crate) fn may_pass(self) -> bool {
        matches!(
            self,
            Self::Timeout
                | Self::Disconnected
                | Self::ReadOnly
                | Self::Loading
                | Self::MasterDown
                | Self::ClusterDown
                | Self::NoReplicas
                | Self::Busy
                | Self::TooManyClients
        )
    }

    /// Whether a server said so, and it is not just that it said nothing.
    pub(crate) fn is_told(self) -> bool {
        !matches!(self, Self::Timeout | Self::Disconnected | Self::Overloaded)
    }

    fn says(self) -> &'static str {
        match self {
            Self::Timeout => "does not answer in time: is it stopped, overloaded or far away?",
            Self::Disconnected => "cannot be reached: is it running, and is the address right?",
            Self::Overloaded => "does not answer, and too many commands wait for it",
            Self::ReadOnly => "is a read-only replica: a failover may be under way, or the address is a replica's",
            Self::Loading => "is still loading its data: wait until it is done",
            Self::MasterDown => "is a replica whose primary is gone: a failover must come first",
            Self::ClusterDown => "is a cluster that does not serve all slots: look at `redis-cli cluster info`",
            Self::OutOfMemory => "is full: raise its `maxmemory`, or set a retention (its policy must be `noeviction`)",
            Self::CannotPersist => "cannot write to its disk, and refuses writes: make room, and look at its log",
            Self::NoReplicas => "has fewer replicas than `min-replicas-to-write` wants: look at `info replication`",
            Self::Busy => "is held up by somebody's long script: end that one with `script kill`",
            Self::TooManyClients => "has no room for more clients: raise its `maxclients`",
            Self::Unauthenticated => "does not accept the user or the password of the address",
            Self::NotAllowed => {
                "does not allow its user what is needed: see the rights in docs/adr/0014-redis-store.md"
            }
            Self::NoScript => "does not know a script that it was just given",
            Self::WrongType => "holds something foreign under one of Lockkeeper's keys",
            Self::Other => "refuses a command",
        }
    }
}

impl Failure {
    pub(crate) fn timeout(within: Duration) -> Self {
        Self { kind: Kind::Timeout, details: format!("nothing came within {} ms", within.as_millis()) }
    }

    /// A failure of an attempt that the server at `address` answered or did not answer.
    pub(crate) fn at(self, address: &Address) -> Unavailable {
        Unavailable { address: address.clone(), failure: self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let details = error.details().to_owned();
        // Redis 6 wraps the error of a command within a script: `ERR Error running script (..): .. -OOM command ..`.
        let wrapped = details.starts_with("ERR Error running script");
        let is = |beginning: &str| {
            details.starts_with(beginning) || (wrapped && details.contains(&format!(" -{beginning}")))
        };
        let answered = ANSWERS.iter().find(|(beginning, _)| is(beginning)).map(|(_, kind)| *kind);
        let kind = answered.unwrap_or(match error.kind() {
            ErrorKind::Timeout => Kind::Timeout,
            ErrorKind::IO | ErrorKind::Canceled | ErrorKind::Routing | ErrorKind::Sentinel | ErrorKind::Tls => {
                Kind::Disconnected
            }
            ErrorKind::Cluster => Kind::ClusterDown,
            ErrorKind::Backpressure => Kind::Overloaded,
            ErrorKind::Auth => Kind::Unauthenticated,
            _ => Kind::Other,
        });
        Self { kind, details }
    }
}

/// What is wrong with the Redis at an address, and what to do about it.
#[derive(Clone, Debug)]
pub(crate) struct Unavailable {
    address: Address,
    pub(crate) failure: Failure,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, failure: Failure { kind, details } } = self;
        write!(f, "the Redis at {address} {} ({details})", kind.says())
    }
}

impl std::error::Error for Unavailable {}

impl From<Unavailable> for StoreError {
    fn from(error: Unavailable) -> Self {
        match error.failure.kind {
            Kind::WrongType => Self::Corrupt { what: "key", source: Box::new(error) },
            _ => Self::Unavailable(Box::new(error)),
        }
    }
}

/// What a key holds cannot be read.
pub(crate) fn corrupt(what: &'static str, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
    StoreError::Corrupt { what, source: why.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &'static str, kind: Kind, may_pass: bool) {
        let failure = Failure::from(Error::new(ErrorKind::Unknown, answer));
        assert_eq!((failure.kind, failure.kind.may_pass()), (kind, may_pass), "{answer}");
    }

    #[test]
    fn errors_are_told_apart() {
        check("READONLY You can't write against a read only replica.", Kind::ReadOnly, true);
        check("LOADING Redis is loading the dataset in memory", Kind::Loading, true);
        check("MASTERDOWN Link with MASTER is down", Kind::MasterDown, true);
        check("CLUSTERDOWN Hash slot not served", Kind::ClusterDown, true);
        check("OOM command not allowed when used memory > 'maxmemory'.", Kind::OutOfMemory, false);
        check("MISCONF Errors writing to the AOF file: No space left", Kind::CannotPersist, false);
        check("NOREPLICAS Not enough good replicas to write.", Kind::NoReplicas, true);
        check("BUSY Redis is busy running a script.", Kind::Busy, true);
        check("ERR max number of clients reached", Kind::TooManyClients, true);
        check("WRONGPASS invalid username-password pair", Kind::Unauthenticated, false);
        check("NOPERM this user has no permissions", Kind::NotAllowed, false);
        check("ERR something new", Kind::Other, false);
        check(
            "ERR Error running script (call to f_6b1): @user_script:1: @user_script: 1: -OOM command not allowed",
            Kind::OutOfMemory,
            false,
        );
    }
}
