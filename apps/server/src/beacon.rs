//! Where the server is that has the embedded store: it leaves a note beside the store, and other commands of the same
//! configuration find it there, instead of a file that is in use.

use crate::config::{Config, Loaded, StoreKind};
use anyhow::{Context as _, Result};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::Write as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{net::TcpStream, time::timeout};

/// How long a server may take to answer the knock of a command on the same machine.
const PATIENCE: Duration = Duration::from_secs(1);

/// The note of a server that runs. It goes with the server.
#[derive(Debug)]
pub(crate) struct Beacon {
    path: PathBuf,
    text: String,
}

/// A server that runs.
#[derive(Debug)]
pub(crate) struct Found {
    /// As in `http://127.0.0.1:3000`.
    pub(crate) url: String,
    /// A token that lets its own user in, where it made one up.
    pub(crate) token: Option<SecretString>,
}

#[derive(Serialize, Deserialize)]
struct Note {
    address: SocketAddr,
    pid: u32,
    token: Option<String>,
}

impl Drop for Beacon {
    fn drop(&mut self) {
        // Another server may have left its own meanwhile.
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.text) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Leaves a note that only the server's own user can read. `None` where there is no store to leave it beside.
pub(crate) fn leave(config: &Config, address: SocketAddr, token: Option<&SecretString>) -> Result<Option<Beacon>> {
    let Some(path) = path(config) else { return Ok(None) };
    let token = token.map(|token| token.expose_secret().to_owned());
    let note = Note { address: reachable(address), pid: std::process::id(), token };
    let text = serde_json::to_string(&note)?;
    let context = || format!("cannot write {}", path.display());
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).with_context(context),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).with_context(context)?;
    file.write_all(text.as_bytes()).with_context(context)?;
    Ok(Some(Beacon { path, text }))
}

/// The server that has the store of this configuration, if it answers.
pub(crate) async fn find(loaded: &Loaded) -> Option<Found> {
    let text = fs::read_to_string(path(&loaded.config)?).ok()?;
    let Note { address, token, .. } = serde_json::from_str(&text).ok()?;
    // Only of this machine: a note that somebody else wrote must not send a token away.
    if !address.ip().is_loopback() && token.is_some() {
        return None;
    }
    timeout(PATIENCE, TcpStream::connect(address)).await.ok()?.ok()?;
    Some(Found { url: format!("http://{address}"), token: token.map(SecretString::from) })
}

fn path(config: &Config) -> Option<PathBuf> {
    let store = &config.store;
    let is_embedded = store.kind == Some(StoreKind::Embedded) || (store.kind.is_none() && store.url.is_none());
    let path = store.embedded().path.filter(|_| is_embedded)?;
    path.parent().is_some_and(Path::exists).then(|| path.with_added_extension("server"))
}

/// A server that listens on every address is reached on this machine's own.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Inputs, load};
    use std::{collections::BTreeMap, os::unix::fs::PermissionsExt as _};
    use tokio::net::TcpListener;

    fn loaded(dir: &Path) -> Loaded {
        let store = dir.join("store.redb").display().to_string();
        let environment = BTreeMap::from([
            ("LOCKKEEPER_STORE__KIND".to_owned(), "embedded".to_owned()),
            ("LOCKKEEPER_STORE__EMBEDDED__PATH".to_owned(), store),
        ]);
        load(&Inputs { environment, dir: dir.to_owned(), system_file: None, config: None, settings: Vec::new() })
    }

    #[tokio::test]
    async fn server_is_found_while_it_runs_and_by_its_own_user() {
        let folder = tempfile::tempdir().expect("a folder");
        let loaded = loaded(folder.path());
        assert!(find(&loaded).await.is_none(), "nobody left a note");
        let listener = TcpListener::bind("0.0.0.0:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let token = SecretString::from("made up".to_owned());
        let beacon = leave(&loaded.config, address, Some(&token)).expect("left").expect("beside the store");
        let mode = fs::metadata(&beacon.path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let found = find(&loaded).await.expect("found");
        assert_eq!(found.url, format!("http://127.0.0.1:{}", address.port()));
        assert_eq!(found.token.expect("a token").expose_secret(), "made up");
        drop(listener);
        assert!(find(&loaded).await.is_none(), "it does not answer any more");
        let path = beacon.path.clone();
        drop(beacon);
        assert!(!path.exists());
    }
}
