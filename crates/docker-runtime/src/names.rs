//! How containers are called and labelled. A name can change, labels cannot: the name says whose a container is.

use lockkeeper_domain::{Epoch, SessionId, Timestamp};
use lockkeeper_ports::{SandboxId, SandboxSpec, SandboxSummary};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

pub(crate) const OWNER: &str = "io.lockkeeper.owner";
pub(crate) const INSTANCE: &str = "io.lockkeeper.instance";
pub(crate) const CREATED: &str = "io.lockkeeper.created";
pub(crate) const EXPIRES: &str = "io.lockkeeper.expires";
pub(crate) const PROFILE: &str = "io.lockkeeper.profile";
pub(crate) const ATTEMPT: &str = "io.lockkeeper.attempt";
pub(crate) const USER: &str = "io.lockkeeper.user";

/// The labels of a container, as the engine hands them out.
pub(crate) type Labels = HashMap<String, String>;

/// The names of one deployment's containers.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    deployment: String,
    prefix: String,
}

/// What a name says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// It belongs to a session.
    Session(SandboxSpec),
    /// It waits for one.
    Reserved,
}

impl Names {
    pub(crate) fn new(deployment: &str) -> Self {
        let hash = Sha256::digest(deployment);
        let short = hash.iter().take(4).fold(0_u32, |short, byte| short << 8 | u32::from(*byte));
        Self { deployment: deployment.into(), prefix: format!("lockkeeper-{short:08x}-") }
    }

    /// Whose containers they are.
    pub(crate) fn deployment(&self) -> &str {
        &self.deployment
    }

    /// The one name of a session's container in an epoch: who creates it first has it.
    pub(crate) fn of(&self, spec: &SandboxSpec) -> SandboxId {
        SandboxId::new(format!("{}{}-{}", self.prefix, spec.epoch, spec.session))
    }

    pub(crate) fn reserved(&self, unique: &str) -> SandboxId {
        SandboxId::new(format!("{}reserved-{unique}", self.prefix))
    }

    /// Reads a name, with or without the slash that the engine puts before it. `None` for what is none of ours: such text
    /// must not reach the address of a request.
    pub(crate) fn parse(&self, name: &str) -> Option<Named> {
        let (epoch, rest) = name.trim_start_matches('/').strip_prefix(&self.prefix)?.split_once('-')?;
        if epoch == "reserved" {
            return rest.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(Named::Reserved);
        }
        let epoch = epoch.parse().ok().map(Epoch::new)?;
        Some(Named::Session(SandboxSpec { session: SessionId::parse(rest).ok()?, epoch }))
    }

    pub(crate) fn is_ours(&self, labels: &Labels) -> bool {
        labels.get(OWNER) == Some(&self.deployment)
    }

    /// A container of a session; `None` for all others.
    pub(crate) fn summary(&self, names: &[String], labels: &Labels) -> Option<SandboxSummary> {
        let (name, spec) = names.iter().find_map(|name| match self.parse(name) {
            Some(Named::Session(spec)) => Some((name, spec)),
            _ => None,
        })?;
        let created = labels.get(CREATED).and_then(|seconds| seconds.parse::<i64>().ok()).unwrap_or_default();
        Some(SandboxSummary {
            id: SandboxId::new(name.trim_start_matches('/')),
            session: spec.session,
            epoch: spec.epoch,
            created_at: Timestamp::from_millis(created.saturating_mul(1000)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(session: &str, epoch: u64) -> SandboxSpec {
        SandboxSpec { session: SessionId::parse(session).expect("a session id"), epoch: Epoch::new(epoch) }
    }

    #[test]
    fn a_name_is_read_back() {
        let names = Names::new("here");
        for spec in [spec("a", 1), spec("0-1-reserved-_", 18_446_744_073_709_551_615)] {
            assert_eq!(names.parse(names.of(&spec).as_str()), Some(Named::Session(spec)));
        }
        assert_eq!(names.parse(names.reserved("0f").as_str()), Some(Named::Reserved));
    }

    #[test]
    fn two_deployments_never_share_a_name() {
        let (here, there) = (Names::new("here"), Names::new("there"));
        assert_eq!(there.parse(here.of(&spec("a", 1)).as_str()), None);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let names = Names::new("here");
        let name = names.of(&spec("a", 1)).to_string();
        for other in ["", "a", "../..", &name[..name.len() - 1], &name.replace("-1-", "-x-"), &format!("{name}/../b")] {
            assert_eq!(names.parse(other), None, "{other}");
        }
    }
}
