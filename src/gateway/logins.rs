//! Which channels belong together, and whose they are.
//!
//! A login begins with a main channel whose password the broker has found right. The client learns a connection id,
//! drawn at random here, and its other channels present that id *with the same name and password*: a proof that is
//! compared in constant time with what the main channel said. So an id that somebody has seen, or guessed, opens
//! nothing to anybody else, the broker is asked once per client, and a one-time password serves all of its channels.
//! The id that the desktop's own server has given to the client's main channel stays behind the gateway: no desktop
//! can choose an id, and none learns another's.

use std::collections::BTreeMap;

use subtle::ConstantTimeEq;

/// Clients that are logged in at a time.
pub const LOGINS_MAX: usize = 1024;

/// Channels that one client may have at a time, its main channel included: one of each kind that there is.
pub const CHANNELS_PER_LOGIN_MAX: usize = 16;

/// What a name and a password come to, under a key that only this process knows.
pub type Proof = [u8; 32];

/// One client's login; the number is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoginKey(u64);

/// Why a channel is let in nowhere. The client learns no more than that it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoginError {
    /// More clients than there may be.
    #[error("{LOGINS_MAX} clients are logged in already")]
    TooMany,
    /// No client has this connection id, or its main channel has not been told it yet.
    #[error("connection id belongs to no client")]
    Unknown,
    /// Somebody else has it.
    #[error("connection id belongs to another login")]
    NotTheirs,
    /// The client has as many channels as it may have.
    #[error("{CHANNELS_PER_LOGIN_MAX} channels are open already")]
    TooManyChannels,
}

#[derive(Debug)]
struct Login {
    connection_id: u32,
    proof: Proof,
    /// What the desktop's server calls the client; none until it has said so.
    desktop_id: Option<u32>,
    channels: usize,
}

/// All clients that are logged in.
#[derive(Debug, Default)]
pub struct Logins {
    logins: BTreeMap<LoginKey, Login>,
    next: u64,
}

impl Logins {
    /// Nobody.
    pub fn new() -> Self {
        Self::default()
    }

    /// A main channel has authenticated. `entropy` is a fresh random number, of which the connection id is made.
    ///
    /// # Errors
    /// [`LoginError::TooMany`].
    pub fn begin(&mut self, proof: Proof, entropy: u32) -> Result<LoginKey, LoginError> {
        if LOGINS_MAX <= self.logins.len() {
            return Err(LoginError::TooMany);
        }
        let taken = |id: u32| self.logins.values().any(|login| login.connection_id == id);
        // 0 means "no client yet" on the wire. There are at most LOGINS_MAX neighbours to step over.
        let mut connection_id = entropy.max(1);
        while taken(connection_id) {
            connection_id = connection_id.wrapping_add(1).max(1);
        }
        let key = LoginKey(self.next);
        self.next += 1;
        let login = Login {
            connection_id,
            proof,
            desktop_id: None,
            channels: 1,
        };
        self.logins.insert(key, login);
        Ok(key)
    }

    /// The desktop's server calls the client this; gives what the client is told instead.
    pub fn learn(&mut self, key: LoginKey, desktop_id: u32) -> Option<u32> {
        let login = self.logins.get_mut(&key)?;
        login.desktop_id = Some(desktop_id);
        Some(login.connection_id)
    }

    /// Another channel of the client with this connection id, if it is the same user with the same password. Gives the
    /// login and what the desktop's server calls the client.
    ///
    /// # Errors
    /// [`LoginError`]; nothing has changed then.
    pub fn join(
        &mut self,
        connection_id: u32,
        proof: &Proof,
    ) -> Result<(LoginKey, u32), LoginError> {
        let found = self
            .logins
            .iter_mut()
            .find(|(_, login)| login.connection_id == connection_id);
        let (key, login) = found.ok_or(LoginError::Unknown)?;
        if !bool::from(login.proof.ct_eq(proof)) {
            return Err(LoginError::NotTheirs);
        }
        let desktop_id = login.desktop_id.ok_or(LoginError::Unknown)?;
        if CHANNELS_PER_LOGIN_MAX <= login.channels {
            return Err(LoginError::TooManyChannels);
        }
        login.channels += 1;
        Ok((*key, desktop_id))
    }

    /// A channel that had joined has ended.
    pub fn leave(&mut self, key: LoginKey) {
        if let Some(login) = self.logins.get_mut(&key) {
            login.channels = login.channels.saturating_sub(1);
        }
    }

    /// The main channel has ended: the connection id is nobody's.
    pub fn end(&mut self, key: LoginKey) {
        self.logins.remove(&key);
    }

    /// Clients that are logged in.
    pub fn count(&self) -> usize {
        self.logins.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALICE: Proof = [1; 32];
    const BOB: Proof = [2; 32];

    #[test]
    fn a_stolen_connection_id_opens_nothing() {
        let mut logins = Logins::new();
        let alice = logins.begin(ALICE, 77).unwrap();
        assert_eq!(
            logins.join(77, &ALICE),
            Err(LoginError::Unknown),
            "too early"
        );
        assert_eq!(logins.learn(alice, 5), Some(77));
        assert_eq!(logins.join(77, &BOB), Err(LoginError::NotTheirs));
        assert_eq!(
            logins.join(5, &ALICE),
            Err(LoginError::Unknown),
            "the desktop's id"
        );
        assert_eq!(logins.join(0, &ALICE), Err(LoginError::Unknown));
        assert_eq!(logins.join(77, &ALICE), Ok((alice, 5)));
        logins.end(alice);
        assert_eq!(
            logins.join(77, &ALICE),
            Err(LoginError::Unknown),
            "it has ended"
        );
    }

    #[test]
    fn ids_are_never_shared_and_never_zero() {
        let mut logins = Logins::new();
        for entropy in [0, 1, u32::MAX, u32::MAX] {
            let key = logins.begin(ALICE, entropy).unwrap();
            assert_ne!(logins.learn(key, 9), Some(0));
        }
        let ids: std::collections::BTreeSet<u32> = logins
            .logins
            .values()
            .map(|login| login.connection_id)
            .collect();
        assert_eq!(ids.len(), 4);
    }

    #[test]
    fn there_is_an_end_of_clients_and_channels() {
        let mut logins = Logins::new();
        let key = logins.begin(ALICE, 1).unwrap();
        logins.learn(key, 2);
        for _ in 1..CHANNELS_PER_LOGIN_MAX {
            logins.join(1, &ALICE).unwrap();
        }
        assert_eq!(logins.join(1, &ALICE), Err(LoginError::TooManyChannels));
        logins.leave(key);
        assert!(logins.join(1, &ALICE).is_ok());
        for at in 1..LOGINS_MAX {
            logins.begin(BOB, u32::try_from(at).unwrap()).unwrap();
        }
        assert_eq!(logins.begin(BOB, 1), Err(LoginError::TooMany));
    }

    #[derive(Clone, Debug)]
    enum Op {
        Begin { user: u8, entropy: u32 },
        Learn { at: usize, desktop_id: u32 },
        Join { id: u32, user: u8 },
        End { at: usize },
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            (0_u8..3, 0_u32..6).prop_map(|(user, entropy)| Op::Begin { user, entropy }),
            (0_usize..8, 0_u32..6).prop_map(|(at, desktop_id)| Op::Learn { at, desktop_id }),
            (0_u32..8, 0_u8..3).prop_map(|(id, user)| Op::Join { id, user }),
            (0_usize..8).prop_map(|at| Op::End { at }),
        ]
    }

    proptest! {
        /// Whatever comes in whatever order: who joins is the user whose login it is, and reaches that login's desktop.
        #[test]
        fn everybody_reaches_their_own(ops in prop::collection::vec(op(), 0..60)) {
            let mut logins = Logins::new();
            let mut model: Vec<(LoginKey, u8, Option<u32>, Option<u32>)> = Vec::new();
            for op in ops {
                match op {
                    Op::Begin { user, entropy } => {
                        let key = logins.begin([user; 32], entropy).unwrap();
                        model.push((key, user, None, None));
                    }
                    Op::Learn { at, desktop_id } => {
                        if let Some(login) = model.get_mut(at) {
                            login.2 = Some(desktop_id);
                            login.3 = logins.learn(login.0, desktop_id);
                        }
                    }
                    Op::Join { id, user } => {
                        let expected = model.iter().find(|login| login.3 == Some(id) && login.1 == user);
                        match (logins.join(id, &[user; 32]), expected) {
                            (Ok(found), Some(login)) => prop_assert_eq!(found, (login.0, login.2.unwrap())),
                            (Err(LoginError::TooManyChannels), Some(_)) | (Err(_), None) => {}
                            (found, expected) => prop_assert!(false, "{found:?} {expected:?}"),
                        }
                    }
                    Op::End { at } => {
                        if at < model.len() {
                            logins.end(model.remove(at).0);
                        }
                    }
                }
                prop_assert_eq!(logins.count(), model.len());
            }
        }
    }
}
