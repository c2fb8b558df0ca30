//! How the contract lists its events. To declare one here is to describe it: what follows from the lists is the code that
//! names and takes events, and, in tests, the documents of the contract (see `crate::contract`).

/// Declares the events from the server: the doc comment, which the documents show; the variant and its payload; the event's
/// name; and whether it is in the session's log: `Always`, `Never`, or `Sometimes`.
macro_rules! server_events {
    ($($(#[doc = $doc:literal])+ $variant:ident $(($payload:ty))? = $name:literal, logged: $logged:ident;)+) => {
        /// An event from the server. It serialises as its payload; [`ServerEvent::name`] is what it is called.
        #[derive(Clone, Debug, PartialEq, Serialize)]
        #[serde(untagged)]
        pub enum ServerEvent {
            $(
                #[doc = concat!("`", $name, "`.")]
                $(#[doc = $doc])+
                $variant $(($payload))?,
            )+
        }

        impl ServerEvent {
            /// The event's name.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $name,)+
                }
            }
        }

        #[cfg(test)]
        pub(crate) const SERVER_EVENTS: &[crate::contract::ServerEntry] = &[$(
            crate::contract::ServerEntry {
                name: $name,
                logged: crate::contract::Logged::$logged,
                description: concat!($($doc),+),
                payload: |schemas| schemas.subschema_for::<$crate::wire::catalogue::payload!($($payload)?)>(),
            },
        )+];
    };
}

/// The type of a payload: `()` where there is none.
#[cfg(test)]
macro_rules! payload {
    () => {
        ()
    };
    ($payload:ty) => {
        $payload
    };
}

/// Declares the commands that a client may send: the doc comment, which the documents show; the variant; the event's name;
/// its payload, `()` for none, and an `Option` where it may be left out; what acknowledges it beside `ok: true`; and who may
/// send it: `Driver`, `Approver`, or `Anyone`.
macro_rules! commands {
    ($($(#[doc = $doc:literal])+ $variant:ident($payload:ty) = $name:literal, answer: $answer:ty, by: $by:ident;)+) => {
        /// What a client may ask for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Command {
            $(
                #[doc = concat!("`", $name, "`.")]
                $(#[doc = $doc])+
                $variant,
            )+
        }

        impl Command {
            /// The command that the event of this name is.
            pub(crate) fn named(event: &str) -> Option<Self> {
                match event {
                    $($name => Some(Self::$variant),)+
                    _ => None,
                }
            }

            /// Who may send it.
            pub(crate) fn by(self) -> By {
                match self {
                    $(Self::$variant => By::$by,)+
                }
            }
        }

        #[cfg(test)]
        pub(crate) const COMMANDS: &[crate::contract::CommandEntry] = &[$(
            crate::contract::CommandEntry {
                name: $name,
                by: By::$by,
                description: concat!($($doc),+),
                payload: |schemas| schemas.subschema_for::<$payload>(),
                answer: |schemas| schemas.subschema_for::<$answer>(),
            },
        )+];
    };
}

#[cfg(test)]
pub(super) use payload;
pub(super) use {commands, server_events};
