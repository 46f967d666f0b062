//! Ticket keys made ahead.
//!
//! Every link offers an RSA key of its own, used for one decryption, so that timing teaches nothing. Making one
//! takes 10 ms or more, four fifths of a client's connect time if it were made on demand. A thread makes them ahead
//! and sleeps while [`KEYS_READY`] are ready. It steps back for everything else, above all for showing the picture to
//! the client that has just taken four keys.

use tokio::sync::mpsc;

use crate::os::thread_priority::step_back;
use crate::os::ticket_key::TicketKey;

/// Keys that are kept ready: two clients with all their channels.
pub const KEYS_READY: usize = 12;

/// Hands out keys; cheap to clone.
#[derive(Debug)]
pub struct KeyPool {
    ready: mpsc::Receiver<TicketKey>,
}

impl KeyPool {
    /// Starts the thread that makes keys.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start() -> std::io::Result<Self> {
        let (sender, ready) = mpsc::channel(KEYS_READY);
        std::thread::Builder::new().name("ticket-keys".into()).spawn(move || {
            if let Err(error) = step_back() {
                tracing::debug!(%error, "keys are made at ordinary priority");
            }
            loop {
                match TicketKey::generate() {
                    Ok(key) => {
                        if sender.blocking_send(key).is_err() {
                            return;
                        }
                    }
                    Err(error) => {
                        tracing::error!(%error, "cannot make a ticket key, trying again in a second");
                        std::thread::sleep(std::time::Duration::from_secs(1));
                    }
                }
            }
        })?;
        Ok(Self { ready })
    }

    /// The next key, waiting for one to be made if need be. `None` when the thread has ended.
    pub async fn take(&mut self) -> Option<TicketKey> {
        self.ready.recv().await
    }
}
