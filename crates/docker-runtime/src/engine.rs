//! The connection to the engine: each request has a deadline, and one that hangs is not asked again and again.

mod dialect;
mod fault;

pub(crate) use dialect::Dialect;
pub(crate) use fault::Fault;

use crate::config::Config;
use bollard::{ClientVersion, Docker, models::SystemVersion};
use lockkeeper_ports::{Availability, AvailabilityReporter};
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout},
};

/// The oldest API that has what a sandbox needs: that of Docker 20.10.
const OLDEST: (usize, usize) = (1, 41);
/// What is asked with, until the engine has said what it speaks. Old engines refuse new versions, and new ones old.
const FIRST_WORDS: [(usize, usize); 3] = [(1, 44), OLDEST, (1, 53)];
/// So many requests in a row that nothing came back for make an engine that hangs.
const HANGS_AFTER: u32 = 3;
/// How long an engine that hangs is left alone, before one request may try again.
const REST: Duration = Duration::from_secs(5);

/// An engine that has answered once.
pub(crate) struct Engine {
    host: String,
    config: Arc<Config>,
    docker: RwLock<Docker>,
    circuit: Mutex<Circuit>,
    reporter: AvailabilityReporter,
    /// A request came to nothing, perhaps because the engine is away.
    doubted: Notify,
}

#[derive(Debug, Default)]
struct Circuit {
    unanswered: u32,
    /// The last ping was not answered.
    is_silent: bool,
    open_until: Option<Instant>,
}

impl Engine {
    /// Finds out which version of the API the engine speaks.
    pub(crate) async fn connect(config: Arc<Config>) -> Result<Self, Fault> {
        let (docker, _) = negotiate(&config).await?;
        Ok(Self {
            host: config.host.clone(),
            config,
            docker: RwLock::new(docker),
            circuit: Mutex::default(),
            reporter: AvailabilityReporter::default(),
            doubted: Notify::new(),
        })
    }

    /// Finds it out anew: it may be another engine by now.
    pub(crate) async fn reconnect(&self) -> Result<(), Fault> {
        let (docker, _) = negotiate(&self.config).await?;
        *self.docker.write().unwrap_or_else(PoisonError::into_inner) = docker;
        self.change(|circuit| *circuit = Circuit::default());
        Ok(())
    }

    /// Whether the engine answers: its pings are answered, and it does not leave one request after the other unanswered.
    pub(crate) fn availability(&self) -> Availability {
        self.reporter.observe()
    }

    /// Asks the engine again and again whether it is there, at once after a request came to nothing.
    pub(crate) async fn watch(&self) {
        loop {
            // One that is away answers when it goes on: whoever waits for longer hears of it sooner.
            let is_away = self.circuit().is_silent;
            let limit = if is_away { self.config.api_timeout() } else { self.config.away_after() };
            let docker = self.docker();
            let answer = timeout(limit, docker.ping()).await;
            let answers = answer.is_ok_and(|answer| {
                !matches!(answer.map_err(Fault::from), Err(Fault::Unreachable(_) | Fault::Timeout(_)))
            });
            self.heard(answers);
            tokio::select! {
                () = sleep(self.config.ping()) => {}
                () = self.doubted.notified(), if answers => {}
            }
        }
    }

    fn heard(&self, answers: bool) {
        self.change(|circuit| {
            let now = Instant::now();
            let is_rested = circuit.open_until.is_some_and(|until| until <= now);
            if answers && (circuit.is_silent || is_rested) {
                *circuit = Circuit::default();
            }
            circuit.is_silent = !answers;
        });
    }

    /// Changes what is known of the engine, and reports what others must know of that.
    fn change(&self, change: impl FnOnce(&mut Circuit)) {
        let mut circuit = self.circuit();
        change(&mut circuit);
        let is_away = circuit.is_silent || circuit.open_until.is_some();
        if is_away && self.reporter.away() {
            tracing::warn!(host = self.host, "the Docker engine does not answer; sandboxes are left as they are");
        } else if !is_away && self.reporter.back() {
            tracing::info!(host = self.host, "the Docker engine answers again");
        }
    }

    /// Makes a request that is due within the time that the configuration gives to each.
    pub(crate) async fn call<T, E: Into<Fault>>(
        &self,
        request: impl AsyncFnOnce(Docker) -> Result<T, E>,
    ) -> Result<T, Fault> {
        self.call_within(self.config.api_timeout(), request).await
    }

    /// Makes a request that is due within `limit`.
    pub(crate) async fn call_within<T, E: Into<Fault>>(
        &self,
        limit: Duration,
        request: impl AsyncFnOnce(Docker) -> Result<T, E>,
    ) -> Result<T, Fault> {
        self.admit()?;
        let answer = timeout(limit, request(self.docker())).await;
        let answer = answer.map_or(Err(Fault::Timeout(limit)), |answer| answer.map_err(Into::into));
        self.note(answer.as_ref().err());
        answer
    }

    /// For what goes on for longer than a request.
    pub(crate) fn docker(&self) -> Docker {
        self.docker.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn admit(&self) -> Result<(), Fault> {
        let mut circuit = self.circuit();
        match circuit.open_until {
            Some(until) if Instant::now() < until => Err(Fault::Hangs(circuit.unanswered)),
            Some(_) => {
                // This one tries; the others wait for what it finds.
                circuit.open_until = Some(Instant::now() + REST);
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn note(&self, fault: Option<&Fault>) {
        self.change(|circuit| match fault {
            Some(Fault::Timeout(_)) => {
                circuit.unanswered += 1;
                if circuit.unanswered >= HANGS_AFTER {
                    circuit.open_until = Some(Instant::now() + REST);
                }
            }
            // Nobody listens, or the connection broke off: a ping tells which.
            Some(Fault::Unreachable(_)) => {
                *circuit = Circuit { is_silent: circuit.is_silent, ..Circuit::default() };
            }
            _ => *circuit = Circuit::default(),
        });
        if fault.is_some_and(Fault::is_away) {
            self.doubted.notify_one();
        }
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("host", &self.host).finish_non_exhaustive()
    }
}

/// A client that speaks a version that the engine understands, and what the engine says about itself.
pub(crate) async fn negotiate(config: &Config) -> Result<(Docker, SystemVersion), Fault> {
    fault::reach(config).await?;
    let mut refused = None;
    for version in FIRST_WORDS {
        let docker = client(config, version)?;
        match timeout(config.api_timeout(), docker.version()).await {
            Err(_) => return Err(Fault::Timeout(config.api_timeout())),
            Ok(Ok(engine)) => {
                let spoken = engine.api_version.as_deref().and_then(parse_version).unwrap_or(version);
                if spoken < OLDEST {
                    return Err(Fault::TooOld(engine.api_version.unwrap_or_default()));
                }
                return Ok((client(config, spoken.min(newest()))?, engine));
            }
            Ok(Err(error)) => match Fault::from(error) {
                fault @ Fault::Refused { status: 400, .. } => refused = Some(fault),
                fault => return Err(fault),
            },
        }
    }
    Err(refused.unwrap_or_else(|| Fault::Unreachable("it speaks no version of the API that we know".into())))
}

fn client(config: &Config, version: (usize, usize)) -> Result<Docker, Fault> {
    // Of this client's own deadline, which covers the head of an answer alone, nothing is needed: ours come first.
    const NEVER_SECS: u64 = 24 * 60 * 60;
    let version = ClientVersion { major_version: version.0, minor_version: version.1 };
    let host = config.host.as_str();
    let docker = match host.split_once("://") {
        Some(("unix", path)) => Docker::connect_with_unix(path, NEVER_SECS, &version),
        _ => Docker::connect_with_http(host, NEVER_SECS, &version),
    };
    Ok(docker?)
}

fn newest() -> (usize, usize) {
    (bollard::API_DEFAULT_VERSION.major_version, bollard::API_DEFAULT_VERSION.minor_version)
}

fn parse_version(text: &str) -> Option<(usize, usize)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!(parse_version("1.9").expect("a version") < OLDEST);
        assert!(parse_version("1.100").expect("a version") > newest());
        assert_eq!(parse_version("one"), None);
    }
}
