use anyhow::{Context, Result};
use std::sync::{Arc, Mutex};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// An address that stays while the server behind it is another one: what a browser has in its address bar.
#[derive(Debug)]
pub struct Proxy {
    url: String,
    behind: Arc<Mutex<String>>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// Listens, and passes everything on to the server at `url`. While that does not answer, connections are closed.
    pub async fn to(url: &str) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let own = format!("http://{}", listener.local_addr()?);
        let behind = Arc::new(Mutex::new(address(url)?));
        let target = Arc::clone(&behind);
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let address = target.lock().expect("nobody panics while holding it").clone();
                connections.spawn(async move {
                    if let Ok(mut server) = TcpStream::connect(address).await {
                        let _ = copy_bidirectional(&mut client, &mut server).await;
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { url: own, behind, _accepting: accepting })
    }

    /// Its own address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// From now on the server is at `url`.
    pub fn turn_to(&self, url: &str) -> Result<()> {
        *self.behind.lock().expect("nobody panics while holding it") = address(url)?;
        Ok(())
    }
}

fn address(url: &str) -> Result<String> {
    url.strip_prefix("http://").map(str::to_owned).with_context(|| format!("{url} is no address of a server"))
}
