use super::{examples, session_id};
use clap::Subcommand;
use lockkeeper_ports::AuditCursor;
use std::path::PathBuf;

/// `lockkeeper audit ..`.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Write the audit of a session, out of the store that the configuration names: who let which call run, by which rule,
    /// and what became of it. The server that has an embedded store open is asked for it.
    #[command(after_help = examples::AUDIT_EXPORT)]
    Export {
        /// The session.
        #[arg(value_name = "SESSION", value_parser = session_id, conflicts_with = "follow")]
        session: Option<String>,
        /// Write to this file, which must not exist yet, instead of standard output.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Of the sessions that had this id, the one that was born so. By default the one that is stored, else the latest.
        #[arg(long, value_name = "BIRTH")]
        born: Option<String>,
        /// Write the records of all sessions to standard output as JSON lines, and those to come as they are written. Each line has a
        /// `cursor`. The store is a Redis that servers use; with an embedded store, set `audit.sink`.
        #[arg(long, conflicts_with_all = ["out", "born"])]
        follow: bool,
        /// Go on after the line with this cursor. The last lines before it may come again.
        #[arg(long, value_name = "CURSOR", requires = "follow")]
        after: Option<AuditCursor>,
    },
    /// Check an exported audit, without a store and without a server: exit code 1 where anything was changed, removed or
    /// added since it was written.
    #[command(after_help = examples::AUDIT_VERIFY)]
    Verify {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The file with the key that it was written under. By default that of the configuration.
        #[arg(long, value_name = "FILE", conflicts_with = "chain_only")]
        key_file: Option<PathBuf>,
        /// Check that it is whole, and not who wrote it: anyone can write a whole audit.
        #[arg(long)]
        chain_only: bool,
        /// Accept records up to this number without the key's mark: those that were written before the server had a key.
        #[arg(long, value_name = "NUMBER", default_value_t = 0, conflicts_with = "chain_only")]
        unmarked_through: u64,
    },
}
