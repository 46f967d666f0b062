//! Ticket keys made ahead.
//!
//! Every link offers an RSA key of its own, used for one decryption, so that timing teaches nothing. Making one
//! takes 10 ms or more, four fifths of a client's connect time if it were made on demand. A thread makes them ahead
//! and sleeps while [`KEYS_READY`] are ready. It steps back for everything else, above all for showing the picture to
//! the client that has just taken four keys.
//!
//! A key that went out with a link reply and had no ticket to open comes back, for nothing was learnt by it: who
//! links and leaves costs no key, and a flood of such connections does not use up what others wait for.

use std::cell::RefCell;
use std::rc::Rc;

use tokio::sync::{Mutex, mpsc};
use zeroize::Zeroizing;

use crate::os::thread_priority::step_back;
use crate::os::ticket_key::{CIPHERTEXT_BYTES, PUBLIC_KEY_BYTES, TicketKey};

/// Keys that are kept ready: two clients with all their channels.
pub const KEYS_READY: usize = 12;

/// Lends keys to those who link.
#[derive(Debug)]
pub struct KeyPool {
    ready: Mutex<mpsc::Receiver<TicketKey>>,
    /// Those that came back; never more than there were connections at a time.
    unused: Rc<RefCell<Vec<TicketKey>>>,
}

/// A key that goes back to its pool unless a ticket was opened by it.
#[derive(Debug)]
pub(super) struct LentKey {
    key: Option<TicketKey>,
    pool: Rc<RefCell<Vec<TicketKey>>>,
}

impl LentKey {
    /// The public key for the link reply, as SubjectPublicKeyInfo.
    pub(super) fn public_key_der(&self) -> [u8; PUBLIC_KEY_BYTES] {
        let key = self.key.as_ref();
        key.map_or([0; PUBLIC_KEY_BYTES], TicketKey::public_key_der)
    }

    /// Opens the one ticket that the key is for.
    pub(super) fn decrypt(mut self, ticket: &[u8; CIPHERTEXT_BYTES]) -> Option<Zeroizing<Vec<u8>>> {
        self.key.take()?.decrypt(ticket)
    }
}

impl Drop for LentKey {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.pool.borrow_mut().push(key);
        }
    }
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
        Ok(Self {
            ready: Mutex::new(ready),
            unused: Rc::default(),
        })
    }

    /// The next key, waiting for one to be made if need be. `None` when the thread has ended.
    pub(super) async fn lend(&self) -> Option<LentKey> {
        let unused = self.unused.borrow_mut().pop();
        let key = match unused {
            Some(key) => key,
            None => self.ready.lock().await.recv().await?,
        };
        let pool = Rc::clone(&self.unused);
        Some(LentKey {
            key: Some(key),
            pool,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_without_a_ticket_comes_back_and_one_with_a_ticket_does_not() {
        let pool = KeyPool::start().unwrap();
        let first = pool.lend().await.unwrap();
        let known = first.public_key_der();
        drop(first);
        let again = pool.lend().await.unwrap();
        assert_eq!(again.public_key_der(), known);
        assert_eq!(again.decrypt(&[0x5a; CIPHERTEXT_BYTES]), None);
        assert!(pool.unused.borrow().is_empty());
        let other = pool.lend().await.unwrap();
        assert_ne!(other.public_key_der(), known);
    }
}
