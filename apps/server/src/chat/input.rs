//! The user's lines.

use std::io::{self, BufRead as _};
use tokio::sync::mpsc;

/// Lines of standard input, read by a thread of their own: a read of a terminal cannot be cancelled, and must not keep
/// the program from ending.
pub(super) struct Lines(mpsc::Receiver<String>);

impl Lines {
    /// Starts to read. No more than one line is read ahead.
    pub(super) fn start() -> io::Result<Self> {
        let (sender, lines) = mpsc::channel(1);
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
            for line in io::stdin().lock().lines() {
                let Ok(line) = line else { return };
                if sender.blocking_send(line).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self(lines))
    }

    /// The next line; none at the end.
    pub(super) async fn next(&mut self) -> Option<String> {
        self.0.recv().await
    }
}
