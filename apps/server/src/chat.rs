//! The terminal client: `lockkeeper chat`.

mod address;
mod approval;
mod conversation;
mod exact;
mod input;
mod packet;
mod socket;
mod visible;

pub(crate) use address::{Address, is_session_id};
pub(crate) use socket::Target;
pub(crate) use visible::line as one_line;

use anyhow::Result;
use conversation::{Act, Conversation, Ending, Manner};
use futures::{StreamExt as _, stream::FuturesUnordered};
use socket::Socket;
use std::{io::IsTerminal as _, process::ExitCode};
use tokio::signal::unix::{SignalKind, signal};

/// What `lockkeeper chat` was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// The server.
    pub(crate) target: Target,
    /// Approve everything.
    pub(crate) yes: bool,
    /// The one message; none for a conversation.
    pub(crate) text: Option<String>,
}

/// Holds a conversation until it ends, and tells how it ended: 0 when the turns were completed, 1 when one failed or was cut
/// off, 3 when all were completed and a call was denied, 69 when there is no server.
pub(crate) async fn run(wish: Wish) -> Result<ExitCode> {
    let manner =
        Manner { yes: wish.yes, once: wish.text, interactive: std::io::stdin().is_terminal(), run: random_name()? };
    let mut conversation = Conversation::new(manner);
    let mut socket = Socket::connect(wish.target);
    let mut input = input::Lines::start()?;
    let mut replies = FuturesUnordered::new();
    let mut interrupts = signal(SignalKind::interrupt())?;
    loop {
        let acts = tokio::select! {
            news = socket.next() => match news {
                Some(news) => conversation.news(news),
                None => vec![Act::Quit(Ending::Unreachable)],
            },
            line = input.next(), if conversation.wants_input() => match line {
                Some(line) => conversation.line(&line),
                None => conversation.end_of_input(),
            },
            Some((event, payload, reply)) = replies.next() => conversation.reply(event, payload, reply),
            _ = interrupts.recv() => {
                if conversation.is_busy() { conversation.line("/cancel") } else { conversation.line("/quit") }
            }
        };
        for act in acts {
            match act {
                Act::Answer(text) => write(&mut std::io::stdout(), &text)?,
                Act::Say(text) => write(&mut std::io::stderr(), &text)?,
                Act::Send { event, payload } => {
                    let asker = socket.asker();
                    replies.push(async move {
                        let reply = asker.ask(event, payload.clone()).await;
                        (event, payload, reply)
                    });
                }
                Act::Quit(ending) => return Ok(exit_code(ending)),
            }
        }
    }
}

fn exit_code(ending: Ending) -> ExitCode {
    match ending {
        Ending::Done => ExitCode::SUCCESS,
        Ending::Failed => ExitCode::FAILURE,
        Ending::Denied => ExitCode::from(crate::exit::CALL_DENIED),
        Ending::Unreachable => ExitCode::from(crate::exit::UNAVAILABLE),
    }
}

fn write(to: &mut impl std::io::Write, text: &str) -> std::io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// A name that no other run has.
fn random_name() -> Result<String> {
    Ok(format!("chat-{}", crate::random::hex::<8>()?))
}
