use crate::{Config, NewMessage, Others};
use lockkeeper_domain::{Code, Failure, Power, QuestionId, RequestId, SessionId, SessionRecord, WorkspaceId};
use lockkeeper_ports::Principal;

/// The media types that all providers take.
const IMAGES: [&str; 4] = ["image/png", "image/jpeg", "image/gif", "image/webp"];

/// A name for a session that nobody can guess.
pub(super) fn new_session_id() -> Result<SessionId, Failure> {
    random_bits().map(SessionId::from_random_bits)
}

/// A name for a command that no other has.
pub(super) fn new_request_id() -> Result<RequestId, Failure> {
    random_bits().map(RequestId::from_random_bits)
}

/// A name for a question that no other has.
pub(crate) fn new_question_id() -> Result<QuestionId, Failure> {
    random_bits().map(QuestionId::from_random_bits)
}

/// An id for a workspace that starts empty; `None` if the system gives no random numbers.
pub(crate) fn new_workspace_id() -> Option<WorkspaceId> {
    WorkspaceId::parse(format!("{:032x}", random_bits().ok()?)).ok()
}

fn random_bits() -> Result<u128, Failure> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits)
        .map_err(|error| Failure::new(Code::Internal, format!("The system gives no random numbers: {error}")))?;
    Ok(u128::from_le_bytes(bits))
}

/// The same words for a session of somebody else's and for none at all: who asks learns nothing.
pub(super) fn not_yours() -> Failure {
    Failure::new(Code::Forbidden, "This session is not available to you.")
        .with_hint("Connect without a session id, or with another one, to open a session of your own.")
}

/// What somebody wants with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// To see it.
    Look,
    /// To decide its calls.
    Decide,
}

/// Whether the session is this one's, or is open to one with its powers.
pub(super) fn may(wanted: Wanted, record: &SessionRecord, by: &Principal, others: Others) -> Result<(), Failure> {
    let powers = &by.powers;
    if record.owner == by.id {
        return match wanted {
            Wanted::Look => Ok(()),
            Wanted::Decide => has(by, Power::Decide, "decide calls"),
        };
    }
    let (looks, decides) = (
        others >= Others::Observe && (powers.may(Power::Observe) || powers.may(Power::Approve)),
        others >= Others::Approve && powers.may(Power::Approve),
    );
    match wanted {
        Wanted::Look if looks => Ok(()),
        Wanted::Decide if decides => Ok(()),
        Wanted::Decide if looks => {
            Err(Failure::new(Code::Forbidden, "This is somebody else's session: you see it, and decide nothing in it."))
        }
        Wanted::Look | Wanted::Decide => Err(not_yours()),
    }
}

/// Whether somebody has a power over its own sessions.
pub(super) fn has(by: &Principal, power: Power, what: &str) -> Result<(), Failure> {
    if by.powers.may(power) {
        return Ok(());
    }
    Err(Failure::new(Code::Forbidden, format!("You may not {what} here."))
        .with_hint("The operator says what each may do: auth.powers, or the token's claim."))
}

/// Whether a message is within the limits.
pub(super) fn check(message: &NewMessage, config: &Config) -> Result<(), Failure> {
    let too_large = |what: String, limit: String| {
        Err(Failure::new(Code::TooLarge, format!("{what}; at most {limit}.")).with_hint("Send less at once."))
    };
    if message.text.trim().is_empty() && message.attachments.is_empty() {
        return Err(Failure::new(Code::InvalidPayload, "The message is empty."));
    }
    if message.text.len() > config.max_message_bytes {
        let limit = format!("{} are taken", config.max_message_bytes);
        return too_large(format!("The message has {} bytes", message.text.len()), limit);
    }
    if message.attachments.len() > config.max_attachments {
        let limit = format!("{} are taken", config.max_attachments);
        return too_large(format!("The message has {} attachments", message.attachments.len()), limit);
    }
    for attachment in &message.attachments {
        if !IMAGES.contains(&attachment.mime_type.as_str()) {
            let message = format!("Attachments are images: {}.", IMAGES.join(", "));
            return Err(Failure::new(Code::InvalidPayload, message));
        }
        if attachment.data.len() > config.max_attachment_bytes {
            let limit = format!("{} are taken", config.max_attachment_bytes);
            return too_large(format!("An attachment has {} bytes of base64", attachment.data.len()), limit);
        }
        let base64 = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=');
        if attachment.data.is_empty() || !attachment.data.bytes().all(base64) {
            return Err(Failure::new(Code::InvalidPayload, "An attachment's data is base64."));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use lockkeeper_domain::Attachment;

    fn checked(text: &str, attachments: &[(&str, &str)]) -> Option<Code> {
        let attachment = |(mime_type, data): &(&str, &str)| Attachment {
            name: None,
            mime_type: (*mime_type).to_owned(),
            data: (*data).to_owned(),
        };
        let message = NewMessage {
            text: text.to_owned(),
            attachments: attachments.iter().map(attachment).collect(),
            client_message_id: None,
        };
        check(&message, &Config::default()).err().map(|failure| failure.code)
    }

    #[test]
    fn a_message_is_held_to_its_limits() {
        assert_eq!(checked("hi", &[]), None);
        assert_eq!(checked("", &[("image/png", "AAAA")]), None);
        assert_eq!(checked(" \n", &[]), Some(Code::InvalidPayload));
        assert_eq!(checked(&"x".repeat(65_537), &[]), Some(Code::TooLarge));
        assert_eq!(checked("a", &[("text/html", "AAAA")]), Some(Code::InvalidPayload));
        assert_eq!(checked("a", &[("image/png", "<svg>")]), Some(Code::InvalidPayload));
        assert_eq!(checked("a", &[("image/png", &"A".repeat(200_000))]), Some(Code::TooLarge));
        assert_eq!(checked("a", &[("image/png", "AAAA"); 9]), Some(Code::TooLarge));
    }

    #[test]
    fn a_session_is_its_owners_unless_the_operator_opens_it_to_a_power() {
        use Power::{Approve, Decide, Drive, Observe};
        let id = |name: &str| lockkeeper_domain::PrincipalId::parse(name).expect("an id");
        let session = SessionId::parse("s").expect("an id");
        let record = SessionRecord::opened(session, id("ann"), None, lockkeeper_domain::Timestamp::default());
        let (closed, observe, approve) = (Others::Closed, Others::Observe, Others::Approve);
        let allowed = |name: &str, powers: &[Power], others| {
            let by = Principal { powers: powers.iter().copied().collect(), ..Principal::known(id(name)) };
            [Wanted::Look, Wanted::Decide].map(|wanted| may(wanted, &record, &by, others).is_ok())
        };
        for others in [closed, observe, approve] {
            assert_eq!(allowed("ann", &[Drive, Decide], others), [true, true]);
            assert_eq!(allowed("ann", &[Drive], others), [true, false]);
            assert_eq!(
                allowed("ann", &[Drive, Approve], others),
                [true, false],
                "her own calls are for others to decide"
            );
            assert_eq!(allowed("bob", &[Drive, Decide], others), [false, false]);
        }
        for powers in [&[Approve][..], &[Observe], &[Approve, Observe, Drive, Decide]] {
            assert_eq!(allowed("bob", powers, closed), [false, false]);
            assert_eq!(allowed("bob", powers, observe), [true, false]);
        }
        assert_eq!(allowed("bob", &[Approve], approve), [true, true]);
        assert_eq!(allowed("bob", &[Observe], approve), [true, false]);
    }

    #[test]
    fn session_ids_of_the_server_are_long_and_never_the_same() {
        let (one, other) = (new_session_id().expect("random"), new_session_id().expect("random"));
        assert_ne!(one, other);
        assert_eq!(one.as_str().len(), 32);
    }
}
