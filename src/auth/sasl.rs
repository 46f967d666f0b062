//! What the server's SASL mechanisms say: SCRAM against stored keys, or PLAIN for a password that the system judges.
//! What Kerberos says is the system's alone.
//!
//! One of the three is offered, never two: clients take the strongest mechanism of a list, whatever the user has.
//! Users act for themselves: an authorization id that is another name is refused (spice-gtk sends the user's own).
//! Names and passwords are taken as they come, without SASLprep: Cyrus' clients do none either.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::scram::{AwaitingProof, ClientFirst, NONCE_BYTES};
use super::stored_keys::{Hash, StoredKeys};
use crate::base::limits::{LOGIN_NAME_BYTES_MAX, LOGIN_PASSWORD_BYTES_MAX};

/// Name of Kerberos' mechanism (RFC 4752).
pub const KERBEROS: &str = "GSSAPI";

/// Who judges passwords, or what stands for them.
#[derive(Clone)]
pub enum Judge {
    /// The keys of a file; what users that are not in it are shown is made of the secret.
    StoredKeys(Arc<StoredKeys>, [u8; 32]),
    /// The system; the caller asks it.
    System,
    /// Kerberos; the caller asks it, whatever is said.
    Kerberos,
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::StoredKeys(..) => "StoredKeys",
            Self::System => "System",
            Self::Kerberos => "Kerberos",
        })
    }
}

impl Judge {
    /// Names of the mechanisms that are offered.
    pub fn mechanisms(&self) -> Vec<&'static str> {
        match self {
            Self::StoredKeys(keys, _) => keys.mechanisms(),
            Self::System => vec!["PLAIN"],
            Self::Kerberos => vec![KERBEROS],
        }
    }
}

/// A user and the password that the system is to judge.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// At most [`LOGIN_NAME_BYTES_MAX`] bytes, none of them NUL.
    pub user: String,
    /// At most [`LOGIN_PASSWORD_BYTES_MAX`] bytes, none of them NUL.
    pub password: Zeroizing<Vec<u8>>,
}

/// Never shows the password.
impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// What comes of a client's message.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// The client is to say more.
    Continue(Vec<u8>),
    /// The client is this user.
    Accepted(String, Option<Vec<u8>>),
    /// It is if the system says so.
    Ask(Credentials),
    /// It is not, or makes no sense.
    Denied(Option<Vec<u8>>),
}

/// What a mechanism says when a proof is wrong; no more than that it is.
const INVALID_PROOF: &[u8] = b"e=invalid-proof";

/// One client's exchange.
#[derive(Debug)]
pub struct Exchange {
    state: State,
    user: Option<String>,
}

#[derive(Debug)]
enum State {
    Plain,
    ScramFirst {
        judge: Judge,
        hash: Hash,
        entropy: [u8; NONCE_BYTES],
    },
    /// With the user's name.
    ScramProof(String, Box<AwaitingProof>),
    Over,
}

impl Exchange {
    /// Begins the mechanism of that name, one of [`Judge::mechanisms`]; of any other name nothing but a denial comes.
    /// `entropy` is random, and new each time.
    pub fn begin(judge: &Judge, mechanism: &str, entropy: [u8; NONCE_BYTES]) -> Self {
        let state = match (judge, Hash::of_mechanism(mechanism)) {
            (Judge::System, _) if mechanism == "PLAIN" => State::Plain,
            (Judge::StoredKeys(..), Some(hash)) => State::ScramFirst {
                judge: judge.clone(),
                hash,
                entropy,
            },
            _ => State::Over,
        };
        Self { state, user: None }
    }

    /// Who the client has said to be, whether that was true or not.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Takes what the client says.
    pub fn step(&mut self, data: Option<&[u8]>) -> Said {
        // Who has been denied once is denied for ever.
        let state = std::mem::replace(&mut self.state, State::Over);
        let Some(data) = data else {
            return Said::Denied(None);
        };
        match state {
            State::Plain => match plain(data) {
                Some(credentials) => {
                    self.user = Some(credentials.user.clone());
                    Said::Ask(credentials)
                }
                None => Said::Denied(None),
            },
            State::ScramFirst {
                judge: Judge::StoredKeys(keys, secret),
                hash,
                entropy,
            } => {
                let message = str::from_utf8(data).ok().and_then(ClientFirst::parse);
                let Some(first) = message.filter(|first| {
                    first.user.len() <= LOGIN_NAME_BYTES_MAX
                        && is_for_oneself(&first.user, first.acts_for.as_deref())
                }) else {
                    return Said::Denied(None);
                };
                let key = keys.of_user(&first.user, hash, &secret);
                let (awaiting, said) = AwaitingProof::begin(hash, key, &first, entropy);
                self.user = Some(first.user.clone());
                self.state = State::ScramProof(first.user, Box::new(awaiting));
                Said::Continue(said)
            }
            State::ScramProof(user, awaiting) => {
                match str::from_utf8(data).ok().map(|text| awaiting.finish(text)) {
                    Some(Some(said)) => Said::Accepted(user, Some(said)),
                    Some(None) => Said::Denied(Some(INVALID_PROOF.to_vec())),
                    None => Said::Denied(None),
                }
            }
            State::ScramFirst { .. } | State::Over => Said::Denied(None),
        }
    }
}

fn is_for_oneself(user: &str, acts_for: Option<&str>) -> bool {
    acts_for.is_none_or(|other| other.is_empty() || other == user)
}

/// For whom, NUL, who, NUL, password (RFC 4616).
fn plain(data: &[u8]) -> Option<Credentials> {
    let mut parts = data.split(|byte| *byte == 0);
    let (acts_for, user) = (parts.next()?, parts.next()?);
    let password = parts.next()?;
    let (acts_for, user) = (str::from_utf8(acts_for).ok()?, str::from_utf8(user).ok()?);
    let fits = (1..=LOGIN_NAME_BYTES_MAX).contains(&user.len())
        && (1..=LOGIN_PASSWORD_BYTES_MAX).contains(&password.len())
        && parts.next().is_none();
    (fits && is_for_oneself(user, Some(acts_for))).then(|| Credentials {
        user: user.to_owned(),
        password: Zeroizing::new(password.to_vec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rsasl::prelude::{Mechname, SASLClient, SASLConfig};

    fn begin(judge: &Judge, mechanism: &str) -> Exchange {
        Exchange::begin(judge, mechanism, [5; NONCE_BYTES])
    }

    /// RFC 7677's example: user `user`, password `pencil`, 4096 iterations.
    const LINE: &str = "user:scram-sha-256:4096:W22ZaJ0SNY7soEsUEjb6gQ==:\
        WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    fn stored() -> Judge {
        Judge::StoredKeys(Arc::new(StoredKeys::parse(LINE).unwrap()), [7; 32])
    }

    /// Another implementation's client, with the password of `user`.
    fn scram(judge: &Judge, user: &str, password: &str, acts_for: Option<&str>) -> Said {
        let config = SASLConfig::with_credentials(
            acts_for.map(str::to_owned),
            user.to_owned(),
            password.to_owned(),
        );
        let client = SASLClient::new(config.unwrap());
        let name = Mechname::parse(b"SCRAM-SHA-256").unwrap();
        let mut client = client.start_suggested(&[name]).unwrap();
        let mut server = begin(judge, "SCRAM-SHA-256");
        let mut from_server: Option<Vec<u8>> = None;
        loop {
            let mut output = Vec::new();
            client.step(from_server.as_deref(), &mut output).unwrap();
            match server.step(Some(&output)) {
                Said::Continue(data) => from_server = Some(data),
                said => return said,
            }
        }
    }

    fn plain(data: &[u8]) -> Said {
        begin(&Judge::System, "PLAIN").step(Some(data))
    }

    #[test]
    fn scram_lets_in_who_knows_the_password() {
        let said = scram(&stored(), "user", "pencil", None);
        assert!(
            matches!(&said, Said::Accepted(user, Some(proof)) if user == "user" && proof.starts_with(b"v=")),
            "{said:?}"
        );
        // As spice-gtk does it.
        let said = scram(&stored(), "user", "pencil", Some("user"));
        assert!(matches!(said, Said::Accepted(..)), "{said:?}");
    }

    #[test]
    fn scram_tells_wrong_passwords_and_unknown_users_the_same() {
        let judge = stored();
        let wrong = scram(&judge, "user", "pencils", None);
        assert_eq!(wrong, Said::Denied(Some(b"e=invalid-proof".to_vec())));
        assert_eq!(scram(&judge, "nobody", "pencil", None), wrong);
        let foreign = scram(&judge, "user", "pencil", Some("other"));
        assert!(matches!(foreign, Said::Denied(_)), "{foreign:?}");
    }

    #[test]
    fn plain_hands_the_password_on() {
        let asked = |user: &str, password: &[u8]| {
            Said::Ask(Credentials {
                user: user.into(),
                password: Zeroizing::new(password.to_vec()),
            })
        };
        assert_eq!(plain(b"\0alice\0secret"), asked("alice", b"secret"));
        assert_eq!(plain(b"alice\0alice\0pw"), asked("alice", b"pw"));
        let longest = [b"\0a\0".to_vec(), vec![b'x'; LOGIN_PASSWORD_BYTES_MAX]].concat();
        assert!(matches!(plain(&longest), Said::Ask(_)));
        for wrong in [
            &b""[..],
            b"\0\0secret",
            b"\0alice\0",
            b"root\0alice\0secret",
            b"\0alice\0secret\0more",
            b"alice",
            b"\0\xff\xff\0secret",
            &[longest, vec![b'x']].concat(),
        ] {
            assert!(matches!(plain(wrong), Said::Denied(None)), "{wrong:?}");
        }
    }

    #[test]
    fn an_exchange_that_has_ended_lets_nobody_in() {
        let mut exchange = begin(&Judge::System, "PLAIN");
        assert!(matches!(exchange.step(Some(b"\0a\0b")), Said::Ask(_)));
        assert_eq!(exchange.step(Some(b"\0a\0b")), Said::Denied(None));
        let mut exchange = begin(&stored(), "SCRAM-SHA-256");
        assert_eq!(exchange.step(None), Said::Denied(None));
        assert_eq!(exchange.step(Some(b"n,,n=user,r=x")), Said::Denied(None));
    }

    #[test]
    fn mechanisms_of_the_other_kind_are_not_there() {
        for (judge, name) in [
            (stored(), "PLAIN"),
            (stored(), "ANONYMOUS"),
            (stored(), "scram"),
            (Judge::System, "SCRAM-SHA-256"),
        ] {
            let said = begin(&judge, name).step(Some(b"\0alice\0secret"));
            assert_eq!(said, Said::Denied(None), "{name}");
        }
    }

    #[test]
    fn debug_output_keeps_the_secret() {
        let shown = format!("{:?} {:?}", plain(b"\0alice\0geheim"), stored());
        assert!(
            !shown.contains("geheim") && !shown.contains("103"),
            "{shown}"
        );
    }

    proptest! {
        /// Whatever a client says to whatever: no panic, and nobody is let in.
        #[test]
        fn nobody_gets_in_by_chance(first in prop::collection::vec(any::<u8>(), 0..100),
                                    text in "(n,,n=user,r=|n,a=user,n=user,r=|y,,n=,r=)[ -~]{0,40}",
                                    last in "(c=biws,r=)[ -~]{0,40}(,p=)[ -~]{0,60}") {
            for messages in [[&first[..], &first], [text.as_bytes(), last.as_bytes()]] {
                let mut exchange = begin(&stored(), "SCRAM-SHA-256");
                for message in messages {
                    let said = exchange.step(Some(message));
                    prop_assert!(!matches!(said, Said::Accepted(..)));
                }
            }
            drop(plain(&first));
        }
    }
}
