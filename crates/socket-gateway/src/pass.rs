//! Who a connection is, for how long, and with which permissions.
//!
//! Permissions change while a connection lasts: by `auth:refresh`, and when the authenticator's configuration is read
//! again. Everything that is sent to a client on the strength of its permissions is sent through
//! [`Pass::while_stands`], so that nothing that was decided before a change is sent after it.

use crate::connection::refusal;
use lockkeeper_domain::{Code, Failure, Timestamp, Via};
use lockkeeper_ports::{AuthError, Authenticator, Clock, Credentials, Principal};
use secrecy::SecretString;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, watch},
    time::{sleep, timeout},
};

/// Identifies a state of a [`Pass`]: the permissions as they were when it was returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Version(u64);

/// A principal as it was last authenticated.
#[derive(Clone, Debug)]
struct Standing {
    principal: Principal,
    version: Version,
    /// Which [recheck](crate::Gateway::recheck) this result is as recent as.
    checked: u64,
}

/// A client that was let in, for as long as its token is good.
pub(crate) struct Pass {
    standing: watch::Sender<Standing>,
    /// Counts the rechecks of all connections.
    rechecks: watch::Receiver<u64>,
    /// What the client last authenticated with. Held while it is used, so that a refresh and a recheck do not overlap.
    credentials: Mutex<Credentials>,
    authenticator: Arc<dyn Authenticator>,
    clock: Arc<dyn Clock>,
    patience: Duration,
}

impl Pass {
    /// The longest interval between two looks at the clock, which may be adjusted in between.
    const LOOK: Duration = Duration::from_mins(1);

    /// Creates the pass of a client that `credentials` have just authenticated. `checked` is the number of rechecks that
    /// had been asked for before that. Authenticating again takes at most `patience`.
    pub(crate) fn new(
        principal: Principal,
        credentials: Credentials,
        (rechecks, checked): (watch::Receiver<u64>, u64),
        authenticator: Arc<dyn Authenticator>,
        clock: Arc<dyn Clock>,
        patience: Duration,
    ) -> Self {
        let standing = Standing { principal, version: Version(0), checked };
        let credentials = Mutex::new(credentials);
        Self { standing: watch::Sender::new(standing), rechecks, credentials, authenticator, clock, patience }
    }

    /// The principal, whether its token is still good or not.
    pub(crate) fn principal(&self) -> Principal {
        self.standing.borrow().principal.clone()
    }

    /// The principal with its current permissions. Authenticates the client again if a recheck was asked for since the
    /// last time; fails if its token is not accepted any more. An expired token does not fail here.
    pub(crate) async fn current(&self) -> Result<(Principal, Version), Failure> {
        loop {
            let Standing { principal, version, checked } = self.standing.borrow().clone();
            if checked == *self.rechecks.borrow() {
                return Ok((principal, version));
            }
            self.recheck().await?;
        }
    }

    /// The principal with its current permissions, if its token has not expired.
    pub(crate) async fn check(&self) -> Result<(Principal, Version), Failure> {
        let (principal, version) = self.current().await?;
        let is_over = principal.expires_at.is_some_and(|at| at <= self.clock.now());
        if is_over { Err(expired()) } else { Ok((principal, version)) }
    }

    /// Runs `act` if the permissions are still those of `version`; they do not change before it returns. `act` must not
    /// block.
    pub(crate) fn while_stands<T>(&self, version: Version, act: impl FnOnce() -> T) -> Option<T> {
        let (standing, rechecks) = (self.standing.borrow(), self.rechecks.borrow());
        (standing.version == version && standing.checked == *rechecks).then(act)
    }

    /// Waits until the permissions are, or may be, other than those of `version`.
    pub(crate) async fn changed_since(&self, version: Version) {
        let (mut standing, mut rechecks) = (self.standing.subscribe(), self.rechecks.clone());
        while self.while_stands(version, || ()).is_some() {
            tokio::select! {
                // The sender is this very pass.
                _ = standing.changed() => {}
                changed = rechecks.changed() => if changed.is_err() {
                    // The gateway is gone: only this client's own refreshes are left.
                    drop(standing.changed().await);
                },
            }
        }
    }

    /// Authenticates the client again with what it last sent.
    async fn recheck(&self) -> Result<(), Failure> {
        let credentials = self.credentials.lock().await;
        let asked = *self.rechecks.borrow();
        if self.standing.borrow().checked == asked {
            return Ok(());
        }
        let fresh = self.authenticate(&credentials).await.map_err(refusal)?;
        self.stand(fresh, asked).map(drop).map_err(|_| {
            Failure::new(Code::Unauthenticated, "Your token now identifies another principal.")
                .with_hint("Connect again.")
        })
    }

    /// Takes a fresh token of the same principal's. Returns when that expires.
    pub(crate) async fn refresh(&self, token: SecretString) -> Result<Option<Timestamp>, Failure> {
        let mut credentials = self.credentials.lock().await;
        let fresh = Credentials { token: Some(token), key: None, address: credentials.address };
        let asked = *self.rechecks.borrow();
        let known = self.authenticate(&fresh).await.map_err(refusal)?;
        let expires_at = known.expires_at;
        self.stand(known, asked).map_err(|_| {
            Failure::new(Code::Forbidden, "The token is somebody else's; this connection stays who it was.")
                .with_hint("Connect anew to be somebody else.")
        })?;
        *credentials = fresh;
        Ok(expires_at)
    }

    async fn authenticate(&self, credentials: &Credentials) -> Result<Principal, AuthError> {
        let known = timeout(self.patience, self.authenticator.authenticate(credentials)).await;
        known.unwrap_or_else(|elapsed| Err(AuthError::Unavailable(elapsed.into())))
    }

    /// Takes over the result of an authentication. Fails if it is another principal.
    fn stand(&self, fresh: Principal, checked: u64) -> Result<(), Other> {
        if fresh.id != self.standing.borrow().principal.id {
            return Err(Other);
        }
        self.standing.send_modify(|standing| {
            let via = Via { token: fresh.via.token.clone(), ..std::mem::take(&mut standing.principal.via) };
            standing.principal = Principal { via, ..fresh };
            standing.version = Version(standing.version.0 + 1);
            standing.checked = checked;
        });
        Ok(())
    }

    /// Waits until the token has been expired for so `long`. Returns since when it is.
    pub(crate) async fn expired_for(&self, long: Duration) -> Timestamp {
        let mut changes = self.standing.subscribe();
        loop {
            let ends = changes.borrow_and_update().principal.expires_at;
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
        let is_good = |standing: &Standing| standing.principal.expires_at.is_none_or(|at| at > self.clock.now());
        // The sender is this very pass.
        let _ = self.standing.subscribe().wait_for(is_good).await;
    }
}

/// The token is another principal's.
struct Other;

/// Why a connection whose token is over does nothing.
pub(crate) fn expired() -> Failure {
    Failure::new(Code::Unauthenticated, "Your token has expired.")
        .with_hint("Send a fresh one with auth:refresh, or connect again with one.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::{Power, PrincipalId};
    use lockkeeper_ports::mocks::MockAuthenticator;
    use lockkeeper_testkit::clock::TokioClock;
    use secrecy::ExposeSecret;
    use std::{collections::BTreeMap, net::IpAddr, sync::RwLock};

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
        let never = (watch::Sender::new(0).subscribe(), 0);
        let (ann, clock) = (principal("ann", ends), Arc::new(clock));
        Pass::new(ann, credentials("ann 10"), never, Arc::new(authenticator), clock, Duration::from_secs(1))
    }

    fn credentials(token: &str) -> Credentials {
        Credentials { token: Some(token.into()), key: None, address: IpAddr::from([192, 0, 2, 1]) }
    }

    /// Tokens that can be taken away, and how often somebody asked.
    type Tokens = Arc<RwLock<BTreeMap<&'static str, Principal>>>;

    fn revocable(tokens: &Tokens, rechecks: &watch::Sender<u64>) -> Pass {
        let (mut authenticator, known) = (MockAuthenticator::new(), Arc::clone(tokens));
        authenticator.expect_authenticate().returning(move |credentials| {
            let token = credentials.token.as_ref().expect("a token").expose_secret();
            let found = known.read().expect("whole").get(token).cloned();
            found.ok_or_else(|| AuthError::Refused("The token is not known.".to_owned()))
        });
        let ann = tokens.read().expect("whole")["of ann"].clone();
        let clock = Arc::new(TokioClock::start());
        let rechecks = (rechecks.subscribe(), 0);
        Pass::new(ann, credentials("of ann"), rechecks, Arc::new(authenticator), clock, Duration::from_secs(1))
    }

    /// Covers: S2-2
    #[tokio::test]
    async fn recheck_applies_new_powers_before_anything_is_sent() {
        let ann = Principal::known(PrincipalId::parse("ann").expect("an id"));
        let tokens = Tokens::new(RwLock::new(BTreeMap::from([("of ann", ann.clone())])));
        let rechecks = watch::Sender::new(0);
        let pass = revocable(&tokens, &rechecks);
        let (before, version) = pass.current().await.expect("good");
        assert!(before.powers.may(Power::Drive));
        assert_eq!(pass.while_stands(version, || 1), Some(1));
        let powers = [Power::Observe].into_iter().collect();
        tokens.write().expect("whole").insert("of ann", Principal { powers, ..ann });
        assert_eq!(pass.while_stands(version, || 1), Some(1), "nobody asked yet");
        rechecks.send_modify(|count| *count += 1);
        assert_eq!(pass.while_stands(version, || 1), None, "what was decided before is not sent any more");
        pass.changed_since(version).await;
        let (after, version) = pass.current().await.expect("good");
        assert!(!after.powers.may(Power::Drive));
        assert_eq!(pass.while_stands(version, || 1), Some(1));
    }

    /// Covers: S2-2
    #[tokio::test]
    async fn recheck_of_a_revoked_token_fails_until_a_good_one_comes() {
        let id = |name: &str| Principal::known(PrincipalId::parse(name).expect("an id"));
        let tokens = Tokens::new(RwLock::new(BTreeMap::from([("of ann", id("ann")), ("new", id("ann"))])));
        let rechecks = watch::Sender::new(0);
        let pass = revocable(&tokens, &rechecks);
        tokens.write().expect("whole").remove("of ann");
        rechecks.send_modify(|count| *count += 1);
        let code = |outcome: Result<(Principal, Version), Failure>| outcome.map_err(|failure| failure.code).err();
        assert_eq!(code(pass.check().await), Some(Code::Unauthenticated));
        pass.refresh("of ann".into()).await.expect_err("it is revoked");
        pass.refresh("new".into()).await.expect("taken");
        pass.check().await.expect("good again");
        // A token that is now somebody else's does not make this connection that somebody.
        tokens.write().expect("whole").insert("new", id("bob"));
        rechecks.send_modify(|count| *count += 1);
        assert_eq!(code(pass.check().await), Some(Code::Unauthenticated));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_ends_with_its_token_and_not_before() {
        let (pass, started) = (pass(), tokio::time::Instant::now());
        pass.check().await.expect("good");
        pass.expired_for(Duration::ZERO).await;
        assert_eq!(started.elapsed().as_secs(), 10);
        assert_eq!(pass.check().await.map_err(|failure| failure.code).err(), Some(Code::Unauthenticated));
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
        pass.check().await.expect_err("still over");
        pass.refresh("ann 30".into()).await.expect("taken");
        pass.check().await.expect("good again");
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
                pass.check().await.expect("good");
            }
        };
        let (since, ()) = tokio::join!(pass.expired_for(Duration::ZERO), renew);
        assert_eq!(started.elapsed().as_secs(), 37);
        assert_eq!(Some(since), pass.principal().expires_at);
    }
}
