//! The scripts: each operation on a session is one, and so atomic.

use fred::util::sha1_hash;
use std::sync::LazyLock;

/// A script, known to the server by its hash once it has seen it.
pub(crate) struct Script {
    pub(crate) body: &'static str,
    hash: LazyLock<String>,
}

impl Script {
    pub(crate) fn hash(&self) -> &str {
        &self.hash
    }
}

macro_rules! scripts {
    ($($name:ident = $file:literal;)*) => {
        $(
            pub(crate) static $name: Script = Script {
                body: include_str!(concat!("scripts/", $file)),
                hash: LazyLock::new(|| sha1_hash(include_str!(concat!("scripts/", $file)))),
            };
        )*
    };
}

scripts! {
    CREATE = "create.lua";
    TOUCH = "touch.lua";
    RENAME = "rename.lua";
    CLAIM = "claim.lua";
    RENEW = "renew.lua";
    RELEASE = "release.lua";
    DELETE = "delete.lua";
    COMMIT = "commit.lua";
    TRIM = "trim.lua";
    TRIM_TO = "trim_to.lua";
    OCCUPIED = "occupied.lua";
    READ = "read.lua";
    AUDIT = "audit.lua";
    AUDIT_INDEX = "audit_index.lua";
    AUDIT_FORGET = "audit_forget.lua";
    AUDIT_REMOVE = "audit_remove.lua";
    REPAIR = "repair.lua";
    RULE_USED = "rule_used.lua";
    RESERVE = "reserve.lua";
    SETTLE = "settle.lua";
}
