use super::{NOTE, contents, ring};
use lockkeeper_domain::ServerName;
use sha2::{Digest, Sha256};
use std::{io, path::PathBuf};

/// A sandbox's directory and what is in it.
#[derive(Clone, Debug)]
pub(crate) struct SandboxDir {
    pub(super) path: PathBuf,
    /// The user as whom the sandbox's commands run, when the server is root.
    pub(crate) uid: Option<u32>,
}

impl SandboxDir {
    pub(crate) fn workspace(&self) -> PathBuf {
        self.path.join("workspace")
    }

    /// The home of a server, for variants without a file system tree.
    pub(crate) fn home(&self, server: &ServerName) -> PathBuf {
        self.private(server, "home")
    }

    /// The directory for a server's temporary files, for variants without a file system tree.
    pub(crate) fn tmp(&self, server: &ServerName) -> PathBuf {
        self.private(server, "tmp")
    }

    /// Makes both. Whoever may write to them cannot write to what they lie in.
    pub(crate) fn make_private(&self, server: &ServerName) -> io::Result<()> {
        contents::make_private(&self.all_private(), &[self.home(server), self.tmp(server)], self.uid)
    }

    /// Names of servers come from the configuration: a digest is safe as a part of a path.
    fn private(&self, server: &ServerName, kind: &str) -> PathBuf {
        let digest = Sha256::digest(server.as_str());
        let name = digest.iter().take(8).fold(kind.to_owned(), |name, byte| format!("{name}-{byte:02x}"));
        self.all_private().join(name)
    }

    /// Where these directories of all servers lie.
    pub(crate) fn all_private(&self) -> PathBuf {
        self.path.join("private")
    }

    pub(crate) fn mount_point(&self) -> PathBuf {
        self.path.join("root")
    }

    /// Files of `/etc` that speak of the sandbox's user and not of the host's.
    pub(crate) fn etc(&self) -> PathBuf {
        self.path.join("etc")
    }

    pub(crate) fn fence(&self) -> PathBuf {
        self.path.join("fence")
    }

    pub(crate) fn exists(&self) -> bool {
        self.path.join(NOTE).exists()
    }

    /// Tells every supervisor of the sandbox to end it; whether there was one. It hangs up on the FIFO that they watch.
    pub(crate) fn ring(&self) -> io::Result<bool> {
        ring(&self.path)
    }
}
