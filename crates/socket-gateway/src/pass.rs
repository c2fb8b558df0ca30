//! Who a connection is, and for how long.

use crate::connection::refusal;
use lockkeeper_domain::{Code, Failure, Timestamp, Via};
use lockkeeper_ports::{Authenticator, Clock, Credentials, Principal};
use secrecy::SecretString;
use std::{net::IpAddr, sync::Arc, time::Duration};
use tokio::{
    sync::watch,
    time::{sleep, timeout},
};

/// A client that was let in, for as long as its token is good.
pub(crate) struct Pass {
    principal: watch::Sender<Principal>,
    authenticator: Arc<dyn Authenticator>,
    clock: Arc<dyn Clock>,
    address: IpAddr,
    patience: Duration,
}

impl Pass {
    /// How often the clock is looked at, which may be set while one waits.
    const LOOK: Duration = Duration::from_mins(1);

    /// The pass of who was just known. Asking again takes at most `patience`.
    pub(crate) fn new(
        principal: Principal,
        authenticator: Arc<dyn Authenticator>,
        clock: Arc<dyn Clock>,
        address: IpAddr,
        patience: Duration,
    ) -> Self {
        Self { principal: watch::Sender::new(principal), authenticator, clock, address, patience }
    }

    /// Who it is, whether its token is good or not.
    pub(crate) fn principal(&self) -> Principal {
        self.principal.borrow().clone()
    }

    /// Who it is, if its token is good.
    pub(crate) fn check(&self) -> Result<Principal, Failure> {
        let principal = self.principal();
        if principal.expires_at.is_some_and(|at| at <= self.clock.now()) { Err(expired()) } else { Ok(principal) }
    }

    /// Takes a fresh token of the same principal's. Says until when it is good.
    pub(crate) async fn refresh(&self, token: SecretString) -> Result<Option<Timestamp>, Failure> {
        let credentials = Credentials { token: Some(token), key: None, address: self.address };
        let known = timeout(self.patience, self.authenticator.authenticate(&credentials)).await;
        let fresh = known.map_err(|_| crate::connection::unavailable())?.map_err(refusal)?;
        let before = self.principal();
        if fresh.id != before.id {
            return Err(Failure::new(
                Code::Forbidden,
                "The token is somebody else's; this connection stays who it was.",
            )
            .with_hint("Connect anew to be somebody else."));
        }
        let expires_at = fresh.expires_at;
        let via = Via { token: fresh.via.token, ..before.via };
        self.principal.send_replace(Principal { via, ..fresh });
        Ok(expires_at)
    }

    /// Waits until the token has been no good for so `long`, and says since when.
    pub(crate) async fn expired_for(&self, long: Duration) -> Timestamp {
        let mut changes = self.principal.subscribe();
        loop {
            let ends = changes.borrow_and_update().expires_at;
            let left = ends.map(|at| (at, at.after(long).since(self.clock.now())));
            match left {
                Some((at, Duration::ZERO)) => return at,
                Some((_, left)) => tokio::select! {
                    // The sender is this very pass.
                    _ = changes.changed() => {}
                    () = sleep(left.min(Self::LOOK)) => {}
                },
                None => drop(changes.changed().await),
            }
        }
    }

    /// Waits until there is a good token again.
    pub(crate) async fn renewed(&self) {
        let is_good = |principal: &Principal| principal.expires_at.is_none_or(|at| at > self.clock.now());
        // The sender is this very pass.
        let _ = self.principal.subscribe().wait_for(is_good).await;
    }
}

/// Why a connection whose token is over does nothing.
pub(crate) fn expired() -> Failure {
    Failure::new(Code::Unauthenticated, "Your token has expired.")
        .with_hint("Send a fresh one with auth:refresh, or connect again with one.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::PrincipalId;
    use lockkeeper_ports::{AuthError, mocks::MockAuthenticator};
    use lockkeeper_testkit::clock::TokioClock;
    use secrecy::ExposeSecret;

    fn principal(name: &str, expires_at: Timestamp) -> Principal {
        Principal { expires_at: Some(expires_at), ..Principal::known(PrincipalId::parse(name).expect("an id")) }
    }

    /// Ann's pass for ten seconds. A token is a name and how many seconds it is good for from the start.
    fn pass() -> Pass {
        let clock = TokioClock::start();
        let start = clock.now();
        let mut authenticator = MockAuthenticator::new();
        authenticator.expect_authenticate().returning(move |credentials| {
            let token = credentials.token.as_ref().expect("a token").expose_secret();
            let (name, secs) = token.split_once(' ').ok_or(AuthError::Refused("It is bad.".to_owned()))?;
            Ok(principal(name, start.after(Duration::from_secs(secs.parse().expect("a number")))))
        });
        let ends = start.after(Duration::from_secs(10));
        let address = IpAddr::from([192, 0, 2, 1]);
        Pass::new(principal("ann", ends), Arc::new(authenticator), Arc::new(clock), address, Duration::from_secs(1))
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_ends_with_its_token_and_not_before() {
        let (pass, started) = (pass(), tokio::time::Instant::now());
        pass.check().expect("good");
        pass.expired_for(Duration::ZERO).await;
        assert_eq!(started.elapsed().as_secs(), 10);
        assert_eq!(pass.check().map_err(|failure| failure.code).err(), Some(Code::Unauthenticated));
        pass.expired_for(Duration::from_secs(5)).await;
        assert_eq!(started.elapsed().as_secs(), 15);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fresh_token_of_the_same_principal_makes_it_good_again() {
        let (pass, started) = (pass(), tokio::time::Instant::now());
        pass.expired_for(Duration::ZERO).await;
        let refused = |answer: Result<Option<Timestamp>, Failure>| answer.map_err(|failure| failure.code).err();
        assert_eq!(refused(pass.refresh("nonsense".into()).await), Some(Code::Unauthenticated));
        assert_eq!(refused(pass.refresh("bob 100".into()).await), Some(Code::Forbidden));
        pass.check().expect_err("still over");
        pass.refresh("ann 30".into()).await.expect("taken");
        pass.check().expect("good again");
        pass.renewed().await;
        pass.expired_for(Duration::ZERO).await;
        assert_eq!(started.elapsed().as_secs(), 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_that_is_renewed_in_time_never_expires() {
        let (pass, started) = (pass(), tokio::time::Instant::now());
        let renew = async {
            for secs in [9_u64, 18, 27] {
                tokio::time::sleep_until(started + Duration::from_secs(secs)).await;
                pass.refresh(format!("ann {}", secs + 10).into()).await.expect("taken");
                pass.check().expect("good");
            }
        };
        let (since, ()) = tokio::join!(pass.expired_for(Duration::ZERO), renew);
        assert_eq!(started.elapsed().as_secs(), 37);
        assert_eq!(Some(since), pass.principal().expires_at);
    }
}
