//! What gateway and broker say to each other: datagrams on a SOCK_SEQPACKET unix socket, one connection per client.
//!
//! | who | what | bytes |
//! |---|---|---|
//! | gateway | 1: log in | name, password, host: each u16 length, bytes |
//! | gateway | 2: another connection to the same desktop | |
//! | broker | 1: the user is who it says | uid u32, access u8 (0: full, 1: view-only); name |
//! | broker | 2: a connection to the desktop | one descriptor |
//! | broker | 3: wrong name or password | |
//! | broker | 4: let in by the password, and refused | a sentence |
//!
//! The first byte is the kind, numbers are little-endian. The broker's end is served by the user's own process once the
//! user is known, so what comes then is the user's word and no more.

use zeroize::{Zeroize, Zeroizing};

use crate::auth::sasl::Credentials;
use crate::base::limits::{LOGIN_NAME_BYTES_MAX, LOGIN_PASSWORD_BYTES_MAX};
use crate::base::{Access, ByteReader, ByteWriter};

/// Bytes of the text of a client's address.
pub const HOST_BYTES_MAX: usize = 64;

/// Bytes of a sentence.
pub const SENTENCE_BYTES_MAX: usize = 512;

/// Bytes of the longest datagram, either way.
pub const DATAGRAM_BYTES_MAX: usize =
    1 + 3 * 2 + LOGIN_NAME_BYTES_MAX + LOGIN_PASSWORD_BYTES_MAX + HOST_BYTES_MAX;

const LOG_IN: u8 = 1;
const CONNECT: u8 = 2;
const KNOWN: u8 = 1;
const CONNECTED: u8 = 2;
const DENIED: u8 = 3;
const REFUSED: u8 = 4;

/// Why a datagram is none; the fault of whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a message between gateway and broker")]
pub struct NotAMessage;

/// What the gateway wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// The first one: who the client says it is, and its address.
    LogIn(Credentials, String),
    /// Every later one.
    Connect,
}

/// What it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The client is this user; a connection or a refusal follows.
    Known {
        /// The user's number.
        uid: u32,
        /// What the user may do in the desktop.
        access: Access,
        /// The user's name as the system has it.
        user: String,
    },
    /// One descriptor comes with it.
    Connected,
    /// Nothing follows.
    Denied,
    /// Why the user gets no desktop. Nothing follows.
    Refused(String),
}

impl Request {
    /// As a datagram, which may hold a password.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Never moved by growing, so that the password is nowhere else.
        let mut out = Zeroizing::new(Vec::with_capacity(DATAGRAM_BYTES_MAX));
        let mut writer = ByteWriter::new(&mut out);
        match self {
            Self::LogIn(credentials, host) => {
                writer.u8(LOG_IN);
                let fields = [
                    (credentials.user.as_bytes(), LOGIN_NAME_BYTES_MAX),
                    (&credentials.password, LOGIN_PASSWORD_BYTES_MAX),
                    (host.as_bytes(), HOST_BYTES_MAX),
                ];
                for (field, longest) in fields {
                    let field = field.get(..longest).unwrap_or(field);
                    writer.u16(u16::try_from(field.len()).unwrap_or(0));
                    writer.bytes(field);
                }
            }
            Self::Connect => writer.u8(CONNECT),
        }
        out
    }

    /// From a datagram, which is wiped.
    ///
    /// # Errors
    /// [`NotAMessage`].
    pub fn decode(datagram: &mut [u8]) -> Result<Self, NotAMessage> {
        let decoded = Self::read(&mut ByteReader::new(datagram));
        datagram.zeroize();
        decoded.ok_or(NotAMessage)
    }

    fn read(reader: &mut ByteReader<'_>) -> Option<Self> {
        let request = match reader.u8().ok()? {
            LOG_IN => {
                let user = field(reader, LOGIN_NAME_BYTES_MAX)?;
                let password = field(reader, LOGIN_PASSWORD_BYTES_MAX)?;
                let host = field(reader, HOST_BYTES_MAX)?;
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
                let credentials = Credentials {
                    user: text(user)?,
                    password: Zeroizing::new(password.to_vec()),
                };
                Self::LogIn(credentials, text(host)?)
            }
            CONNECT => Self::Connect,
            _ => return None,
        };
        (reader.remaining() == 0).then_some(request)
    }
}

impl Reply {
    /// As a datagram.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = ByteWriter::new(&mut out);
        match self {
            Self::Known { uid, access, user } => {
                writer.u8(KNOWN);
                writer.u32(*uid);
                writer.u8(u8::from(!access.acts()));
                writer.bytes(cut(user, LOGIN_NAME_BYTES_MAX).as_bytes());
            }
            Self::Connected => writer.u8(CONNECTED),
            Self::Denied => writer.u8(DENIED),
            Self::Refused(sentence) => {
                writer.u8(REFUSED);
                writer.bytes(cut(sentence, SENTENCE_BYTES_MAX).as_bytes());
            }
        }
        out
    }

    /// From a datagram.
    ///
    /// # Errors
    /// [`NotAMessage`].
    pub fn decode(datagram: &[u8]) -> Result<Self, NotAMessage> {
        let mut reader = ByteReader::new(datagram);
        let kind = reader.u8().map_err(|_| NotAMessage)?;
        let reply = match kind {
            KNOWN => Self::Known {
                uid: reader.u32().map_err(|_| NotAMessage)?,
                access: match reader.u8() {
                    Ok(0) => Access::Full,
                    Ok(1) => Access::ViewOnly,
                    _ => return Err(NotAMessage),
                },
                user: rest(&mut reader, LOGIN_NAME_BYTES_MAX)?,
            },
            CONNECTED => Self::Connected,
            DENIED => Self::Denied,
            REFUSED => Self::Refused(rest(&mut reader, SENTENCE_BYTES_MAX)?),
            _ => return Err(NotAMessage),
        };
        match reader.remaining() {
            0 => Ok(reply),
            _ => Err(NotAMessage),
        }
    }
}

fn field<'a>(reader: &mut ByteReader<'a>, longest: usize) -> Option<&'a [u8]> {
    let length = usize::from(reader.u16().ok()?);
    let bytes = reader.bytes(length).ok()?;
    (length <= longest && !bytes.contains(&0)).then_some(bytes)
}

fn rest(reader: &mut ByteReader<'_>, longest: usize) -> Result<String, NotAMessage> {
    let text = str::from_utf8(reader.rest()).map_err(|_| NotAMessage)?;
    match text.len() <= longest && !text.contains(char::is_control) {
        true => Ok(text.to_owned()),
        false => Err(NotAMessage),
    }
}

/// One line of at most so many bytes.
fn cut(text: &str, longest: usize) -> String {
    let mut line = text.replace(char::is_control, " ");
    while longest < line.len() {
        line.pop();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log_in(user: &str, password: &[u8], host: &str) -> Request {
        let credentials = Credentials {
            user: user.into(),
            password: Zeroizing::new(password.to_vec()),
        };
        Request::LogIn(credentials, host.into())
    }

    #[test]
    fn a_datagram_that_was_read_is_wiped() {
        let mut datagram = log_in("alice", b"secret", "::1").encode();
        assert!(Request::decode(&mut datagram).is_ok());
        assert!(datagram.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn cut_or_longer_datagrams_are_none() {
        let whole = log_in("alice", b"secret", "::1").encode();
        for length in 0..whole.len() {
            let mut cut = whole[..length].to_vec();
            assert_eq!(Request::decode(&mut cut), Err(NotAMessage), "{length}");
        }
        let mut longer = [&whole[..], b"x"].concat();
        assert_eq!(Request::decode(&mut longer), Err(NotAMessage));
        let mut nul = log_in("al\0ice", b"secret", "::1").encode();
        assert_eq!(Request::decode(&mut nul), Err(NotAMessage));
        assert_eq!(Reply::decode(&[2, 0]), Err(NotAMessage));
        assert_eq!(Reply::decode(&[4, b'\n']), Err(NotAMessage));
    }

    #[test]
    fn sentences_become_one_short_line() {
        let told = Reply::Refused(format!("a\nb{}", "ä".repeat(1000))).encode();
        let Ok(Reply::Refused(sentence)) = Reply::decode(&told) else {
            panic!("{told:?}")
        };
        assert!(sentence.starts_with("a b") && sentence.len() <= SENTENCE_BYTES_MAX);
    }

    proptest! {
        #[test]
        fn what_is_said_is_heard(user in "[a-zä]{0,100}", password in prop::collection::vec(1_u8.., 0..1024),
                                 host in "[0-9a-f:.]{0,64}", uid in any::<u32>(), acts in any::<bool>()) {
            let access = if acts { Access::Full } else { Access::ViewOnly };
            let request = log_in(&user, &password, &host);
            prop_assert_eq!(Request::decode(&mut request.encode()), Ok(request));
            for reply in [Reply::Known { uid, access, user: user.clone() }, Reply::Connected, Reply::Denied,
                          Reply::Refused(user)] {
                prop_assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
            }
        }

        #[test]
        fn no_bytes_are_too_strange(mut bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            let _ = Reply::decode(&bytes);
            let _ = Request::decode(&mut bytes);
        }
    }
}
