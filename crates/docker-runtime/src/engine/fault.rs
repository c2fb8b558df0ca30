use crate::config::Config;
use std::{error::Error, io, time::Duration};
use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

/// Why a request to the engine came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no such container, image or process.
    #[error("the Docker engine knows no such thing: {0}")]
    NotFound(String),
    /// It is not in the state for it, or its name is taken.
    #[error("the Docker engine refuses: {0}")]
    Conflict(String),
    /// Any other refusal.
    #[error("the Docker engine refuses ({status}): {message}")]
    Refused { status: u16, message: String },
    /// Nothing came back in time.
    #[error("the Docker engine has not answered for {0:?}")]
    Timeout(Duration),
    /// Nothing came back to several requests, and it was not asked.
    #[error("the Docker engine has not answered {0} requests in a row, and is left alone for a while")]
    Hangs(u32),
    /// Nobody listens.
    #[error("the Docker engine cannot be reached: {0}")]
    Unreachable(String),
    /// Somebody listens, but not to this user.
    #[error("this user may not speak with the Docker engine: {0}")]
    Forbidden(String),
    /// It lacks what a sandbox needs.
    #[error("the Docker engine is too old: it speaks version {0} of the API, and 1.41 (Docker 20.10) is needed")]
    TooOld(String),
}

impl Fault {
    /// Whether it says nothing about what was asked for: the engine did not answer.
    pub(crate) fn is_away(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Hangs(_) | Self::Unreachable(_))
    }

    /// What the engine itself says.
    pub(crate) fn message(&self) -> &str {
        match self {
            Self::NotFound(message) | Self::Conflict(message) | Self::Refused { message, .. } => message,
            _ => "",
        }
    }
}

impl From<bollard::errors::Error> for Fault {
    fn from(error: bollard::errors::Error) -> Self {
        use bollard::errors::Error::{DockerResponseServerError, RequestTimeoutError};
        match error {
            DockerResponseServerError { status_code: 404, message } => Self::NotFound(message),
            DockerResponseServerError { status_code: 409, message } => Self::Conflict(message),
            // Podman's words for what went while it looked, and for a name that is taken.
            DockerResponseServerError { status_code: 500, message } if message.ends_with("no such container") => {
                Self::NotFound(message)
            }
            DockerResponseServerError { status_code: 500, message } if message.contains("is already in use") => {
                Self::Conflict(message)
            }
            DockerResponseServerError { status_code: status, message } => Self::Refused { status, message },
            RequestTimeoutError => Self::Timeout(Duration::ZERO),
            other => Self::Unreachable(with_causes(&other)),
        }
    }
}

/// Tells why a connection cannot be made, which the client's own error does not.
pub(super) async fn reach(config: &Config) -> Result<(), Fault> {
    let connect = async {
        match config.host.split_once("://") {
            Some(("unix", path)) => UnixStream::connect(path).await.map(drop),
            Some((_, address)) => TcpStream::connect(address.trim_end_matches('/')).await.map(drop),
            None => Err(io::ErrorKind::InvalidInput.into()),
        }
    };
    let host = &config.host;
    match timeout(config.api_timeout(), connect).await {
        Err(_) => Err(Fault::Timeout(config.api_timeout())),
        Ok(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => {
            Err(Fault::Forbidden(format!("{host}: {error}")))
        }
        Ok(Err(error)) => Err(Fault::Unreachable(format!("{host}: {error}"))),
        Ok(Ok(())) => Ok(()),
    }
}

fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_or_taken_is_told_in_every_dialect() {
        let fault = |status_code, message: &str| {
            Fault::from(bollard::errors::Error::DockerResponseServerError { status_code, message: message.into() })
        };
        assert!(matches!(fault(409, "Conflict."), Fault::Conflict(_)));
        let podman =
            "container create: creating container storage: the container name \"a\" is already in use by 9795.";
        assert!(matches!(fault(500, podman), Fault::Conflict(_)));
        assert!(matches!(fault(500, "container 3d does not exist in database: no such container"), Fault::NotFound(_)));
        assert!(matches!(fault(500, "no space left on device"), Fault::Refused { status: 500, .. }));
    }
}
