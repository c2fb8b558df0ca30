use super::answer::{failed, unauthenticated};
use axum::{
    Extension,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use lockkeeper_domain::{Code, Failure};
use lockkeeper_orchestrator::Budget;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};
use subtle::ConstantTimeEq;

/// Knows the operators' token, and how often who does not know it may try.
pub(super) struct Guard {
    /// The SHA-256 of the token: of the same length whatever the token's.
    token: [u8; 32],
    attempts: Mutex<Budget>,
}

/// How many wrong tokens one address may send at once, and per minute after that.
const ATTEMPTS: u32 = 10;
/// The longest token that is looked at, in bytes.
const MAX_TOKEN: usize = 8 << 10;

/// Why somebody is not let in.
#[derive(Debug, PartialEq, Eq)]
enum Refused {
    Unknown,
    TooMany,
}

impl Guard {
    pub(super) fn new(token: &SecretString) -> Self {
        Self { token: digest(token.expose_secret()), attempts: Mutex::new(Budget::new(ATTEMPTS, ATTEMPTS)) }
    }

    /// The right token always passes: a limit that refused it would let anybody lock operators out. Guessing one of at least
    /// 16 bytes is hopeless at any rate, so failures are throttled only to keep their answers and logs cheap.
    fn check(&self, caller: IpAddr, headers: &HeaderMap) -> Result<(), Refused> {
        let token = bearer(headers).filter(|token| !token.is_empty() && token.len() <= MAX_TOKEN);
        if bool::from(digest(token.unwrap_or_default()).ct_eq(&self.token)) {
            return Ok(());
        }
        let mut attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        Err(if attempts.take(caller) { Refused::Unknown } else { Refused::TooMany })
    }
}

/// Lets operators through.
pub(super) async fn admit(
    State(guard): State<Arc<Guard>>,
    peer: Option<Extension<SocketAddr>>,
    request: Request,
    next: Next,
) -> Response {
    let caller = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Extension(peer)| peer.ip());
    match guard.check(caller, request.headers()) {
        Ok(()) => {
            let mut response = next.run(request).await;
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            response
        }
        Err(Refused::Unknown) => {
            tracing::warn!(%caller, "somebody without the operators' token asked for what is theirs");
            unauthenticated()
        }
        Err(Refused::TooMany) => {
            failed(&Failure::new(Code::RateLimited, "Too many wrong tokens came from your address; wait a minute."))
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(authorization: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(authorization).expect("a value"))])
    }

    /// Covers: S2-8
    #[tokio::test(start_paused = true)]
    async fn wrong_tokens_are_throttled_and_right_one_passes() {
        let guard = Guard::new(&"the token".into());
        let guesser = IpAddr::from([192, 0, 2, 1]);
        for guess in ["", "Bearer", "Bearer ", "Bearer the tokem", "Basic the token", "the token", "Bearer the token2"]
        {
            assert_eq!(guard.check(guesser, &headers(guess)), Err(Refused::Unknown), "{guess}");
        }
        for _ in 7..ATTEMPTS {
            assert_eq!(guard.check(guesser, &HeaderMap::new()), Err(Refused::Unknown));
        }
        assert_eq!(guard.check(guesser, &headers("Bearer wrong")), Err(Refused::TooMany));
        assert_eq!(guard.check(guesser, &headers("Bearer the token")), Ok(()));
        assert_eq!(guard.check(guesser, &headers("bearer  the token ")), Ok(()));
        // A host of IPv6 has as many addresses as it likes.
        for host in 0..u16::try_from(ATTEMPTS).expect("few") {
            let caller = IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
            assert_eq!(guard.check(caller, &headers("Bearer wrong")), Err(Refused::Unknown));
        }
        let next = IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, 0xffff]);
        assert_eq!(guard.check(next, &headers("Bearer wrong")), Err(Refused::TooMany));
        tokio::time::advance(std::time::Duration::from_mins(1)).await;
        assert_eq!(guard.check(guesser, &headers("Bearer wrong")), Err(Refused::Unknown));
    }
}
