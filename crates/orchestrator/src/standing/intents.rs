//! Rules whose approvals are about to be recorded.
//!
//! An approval for always is in the session's log and its rule in another place, and nothing writes both at once. So an intent is
//! stored first, which lets nothing run; then the approval is recorded; then the rule takes the intent's place. An intent that is
//! left over is settled by the session's log: by the actor that left it, by the session's next owner, or by whoever judges a call.

use crate::{manager::Ports, sandbox::backoff};
use lockkeeper_domain::{Decision, EventBody, PrincipalId, RuleIntent, Seq, Session, StoredRule};
use lockkeeper_ports::StoreError;
use tokio_util::sync::CancellationToken;

/// What became of an approval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Approval {
    Recorded,
    /// It never will be.
    Void,
    /// Its call waits still.
    Open,
}

/// Gives an intent its end. Nothing happens where it is not there any more: its rule was revoked, or somebody else was faster.
pub(crate) async fn settle(
    ports: &Ports,
    owner: &PrincipalId,
    intent: &StoredRule,
    approval: Approval,
) -> Result<(), StoreError> {
    let rules = &ports.rules;
    if approval == Approval::Open || !rules.rules(owner).await?.iter().any(|stored| stored.id == intent.id) {
        return Ok(());
    }
    if approval == Approval::Recorded {
        rules.put_rule(owner, &intent.recorded()).await?;
    }
    rules.remove_rule(owner, &intent.id).await
}

/// The same, for as long as the store does not answer.
pub(crate) async fn settle_in_time(
    ports: Ports,
    owner: PrincipalId,
    intent: StoredRule,
    approval: Approval,
    over: CancellationToken,
) {
    let mut attempt = 0;
    while let Err(error) = settle(&ports, &owner, &intent, approval).await {
        tracing::warn!(%error, attempt, rule.id = %intent.id, "a rule could not be settled; trying again");
        tokio::select! {
            () = over.cancelled() => return,
            () = tokio::time::sleep(backoff(attempt)) => attempt += 1,
        }
    }
}

/// Settles what intents of an owner's are left over, and returns the rules that stand.
pub(crate) async fn settle_all(
    ports: &Ports,
    owner: &PrincipalId,
    stored: Vec<StoredRule>,
) -> Result<Vec<StoredRule>, StoreError> {
    let (intents, mut standing): (Vec<_>, Vec<_>) = stored.into_iter().partition(|stored| stored.intent.is_some());
    for stored in intents {
        let Some(intent) = &stored.intent else { continue };
        let approval = approval_of(ports, intent, &stored).await?;
        settle(ports, owner, &stored, approval).await?;
        let rule = stored.recorded();
        if approval == Approval::Recorded && !standing.iter().any(|known| known.id == rule.id) {
            standing.push(rule);
        }
    }
    Ok(standing)
}

/// What the session's log says of the approval.
async fn approval_of(ports: &Ports, intent: &RuleIntent, stored: &StoredRule) -> Result<Approval, StoreError> {
    const BATCH: usize = 512;
    let Some(record) = ports.store.get(&intent.session).await? else { return Ok(Approval::Void) };
    let rule = stored.recorded().id;
    let (mut after, mut recent) = (Seq::default(), Vec::new());
    loop {
        let batch = match ports.store.read(&intent.session, after, BATCH).await {
            Ok(batch) => batch,
            Err(StoreError::Trimmed(through)) if through > after => {
                after = through;
                continue;
            }
            Err(error) => return Err(error),
        };
        let Some(last) = batch.last() else { break };
        after = last.id.seq;
        let is_it = |body: &EventBody| match body {
            EventBody::ApprovalResolved(resolved) => {
                resolved.call == intent.call
                    && resolved.decision == Decision::Approved
                    && resolved.rule.as_ref() == Some(&rule)
            }
            _ => false,
        };
        if batch.iter().any(|event| is_it(&event.body)) {
            return Ok(Approval::Recorded);
        }
        recent.extend(batch.into_iter().filter(|event| event.id.seq > record.checkpoint));
    }
    let session = Session::fold(record.state, Vec::new(), &recent);
    let waits = session.open_calls().iter().any(|open| open.call.id == intent.call && open.waiting);
    Ok(if waits { Approval::Open } else { Approval::Void })
}
