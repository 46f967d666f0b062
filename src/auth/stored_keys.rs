//! Users and what SCRAM keeps of their passwords: enough to check one, not enough to use it elsewhere.
//!
//! One line per user and hash: `name:scram-sha-256:iterations:salt:stored_key:server_key`, the last three in base64
//! (RFC 5802, 3). Empty lines and those that begin with `#` say nothing.
//!
//! Who asks for a user that is not there gets keys all the same: the same ones each time, like those of others, so that
//! nothing tells who is a user. No password fits them.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::base::limits::LOGIN_NAME_BYTES_MAX;

/// Fewer make guessing from a stolen file cheap (RFC 7677: 4096), more keep clients busy for long.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4096..=10_000_000;

/// Bytes of a salt.
const SALT_BYTES: std::ops::RangeInclusive<usize> = 8..=64;

/// Which hash a line's keys are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hash {
    /// 64 bytes.
    Sha512,
    /// 32 bytes.
    Sha256,
}

impl Hash {
    const ALL: [Self; 2] = [Self::Sha512, Self::Sha256];

    /// Name of the mechanism.
    pub const fn mechanism(self) -> &'static str {
        match self {
            Self::Sha512 => "SCRAM-SHA-512",
            Self::Sha256 => "SCRAM-SHA-256",
        }
    }

    const fn bytes(self) -> usize {
        match self {
            Self::Sha512 => 64,
            Self::Sha256 => 32,
        }
    }

    /// The hash of a mechanism.
    pub fn of_mechanism(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.mechanism() == name)
    }
}

/// What is kept of one password.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredKey {
    /// Rounds of PBKDF2.
    pub iterations: u32,
    /// Its salt.
    pub salt: Vec<u8>,
    /// `H(HMAC(salted password, "Client Key"))`.
    pub stored_key: Vec<u8>,
    /// `HMAC(salted password, "Server Key")`.
    pub server_key: Vec<u8>,
}

/// Never shows keys.
impl std::fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredKey")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// Why a file is no good. The fault is its writer's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoredKeysError {
    /// There is nobody in it.
    #[error("it names no user")]
    Empty,
    /// A line that says nothing that can be used. Its text stays out of messages.
    #[error(
        "line {0} is not name:scram-sha-256:iterations:salt:stored_key:server_key (or scram-sha-512)"
    )]
    Line(usize),
    /// A user has two lines with the same hash.
    #[error("line {0} names a user again")]
    Twice(usize),
    /// No hash is there for all: clients take the strongest that is offered, whoever they are.
    #[error("some users have only scram-sha-256 and some only scram-sha-512")]
    Mixed,
}

/// The users of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKeys {
    keys: BTreeMap<(String, Hash), StoredKey>,
    offered: Vec<Hash>,
}

impl StoredKeys {
    /// Reads a file's text.
    ///
    /// # Errors
    /// [`StoredKeysError`] with the first line that is wrong.
    pub fn parse(text: &str) -> Result<Self, StoredKeysError> {
        let mut keys = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim_end_matches('\r');
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, hash, key) = parse_line(line).ok_or(StoredKeysError::Line(at + 1))?;
            if keys.insert((name, hash), key).is_some() {
                return Err(StoredKeysError::Twice(at + 1));
            }
        }
        let users: BTreeSet<&String> = keys.keys().map(|(name, _)| name).collect();
        if users.is_empty() {
            return Err(StoredKeysError::Empty);
        }
        let has = |hash: Hash| keys.keys().filter(|(_, of)| *of == hash).count() == users.len();
        let offered: Vec<Hash> = Hash::ALL.into_iter().filter(|hash| has(*hash)).collect();
        if offered.is_empty() {
            return Err(StoredKeysError::Mixed);
        }
        Ok(Self { keys, offered })
    }

    /// Names of the mechanisms that every user can use, the strongest first.
    pub fn mechanisms(&self) -> Vec<&'static str> {
        self.offered.iter().map(|hash| hash.mechanism()).collect()
    }

    /// The keys of a user; made of `secret` for one that is not there.
    pub fn of_user(&self, name: &str, hash: Hash, secret: &[u8; 32]) -> StoredKey {
        let known = self.keys.get(&(name.to_owned(), hash));
        // Made for both, so that it takes the same time.
        let made = self.made_up(name, hash, secret);
        known.cloned().unwrap_or(made)
    }

    fn made_up(&self, name: &str, hash: Hash, secret: &[u8; 32]) -> StoredKey {
        let mut hasher = blake3::Hasher::new_keyed(secret);
        hasher.update(hash.mechanism().as_bytes());
        hasher.update(name.as_bytes());
        let mut stream = hasher.finalize_xof();
        let mut take = |count: usize| {
            let mut bytes = vec![0; count];
            stream.fill(&mut bytes);
            bytes
        };
        // As somebody else's are: which one's depends on the name, for users may differ.
        let like: Vec<&StoredKey> = self
            .keys
            .iter()
            .filter(|((_, of), _)| *of == hash)
            .map(|(_, key)| key)
            .collect();
        let pick = take(8).iter().fold(0_usize, |number, byte| {
            number.wrapping_mul(256).wrapping_add(usize::from(*byte))
        });
        let like = pick
            .checked_rem(like.len())
            .and_then(|index| like.get(index));
        StoredKey {
            iterations: like.map_or(*ITERATIONS.start(), |key| key.iterations),
            salt: take(like.map_or(16, |key| key.salt.len())),
            stored_key: take(hash.bytes()),
            server_key: take(hash.bytes()),
        }
    }
}

/// Names that SCRAM sends as they are: neither commas nor equals signs, which it would escape.
fn is_name(name: &str) -> bool {
    let fits = !name.is_empty() && name.len() <= LOGIN_NAME_BYTES_MAX;
    fits && !name.contains(|letter: char| letter.is_control() || letter == ',' || letter == '=')
}

fn parse_line(line: &str) -> Option<(String, Hash, StoredKey)> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| is_name(name))?;
    let hash = match fields.next()? {
        "scram-sha-256" => Hash::Sha256,
        "scram-sha-512" => Hash::Sha512,
        _ => return None,
    };
    let iterations = fields.next()?.parse().ok()?;
    let mut bytes = || STANDARD.decode(fields.next()?).ok();
    let key = StoredKey {
        iterations,
        salt: bytes()?,
        stored_key: bytes()?,
        server_key: bytes()?,
    };
    let fits = ITERATIONS.contains(&key.iterations)
        && SALT_BYTES.contains(&key.salt.len())
        && key.stored_key.len() == hash.bytes()
        && key.server_key.len() == hash.bytes();
    (fits && fields.next().is_none()).then(|| (name.to_owned(), hash, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line whose keys are of the right size and fit no password.
    fn line(name: &str, bits: usize) -> String {
        let text = |byte: u8, count: usize| STANDARD.encode(vec![byte; count]);
        let size = bits / 8;
        let (salt, stored, server) = (text(1, 16), text(2, size), text(3, size));
        format!("{name}:scram-sha-{bits}:4096:{salt}:{stored}:{server}")
    }

    fn parse(lines: &[String]) -> Result<StoredKeys, StoredKeysError> {
        StoredKeys::parse(&lines.join("\n"))
    }

    #[test]
    fn what_all_users_have_is_offered() {
        let both = [line("a", 256), line("a", 512), line("b", 256)];
        let keys = parse(&both).unwrap();
        assert_eq!(keys.mechanisms(), ["SCRAM-SHA-256"]);
        let all = parse(&[&both[..], &[line("b", 512)]].concat()).unwrap();
        assert_eq!(all.mechanisms(), ["SCRAM-SHA-512", "SCRAM-SHA-256"]);
        let mixed = [line("a", 256), line("b", 512)];
        assert_eq!(parse(&mixed), Err(StoredKeysError::Mixed));
    }

    #[test]
    fn lines_that_cannot_be_are_named_and_not_shown() {
        let good = line("a", 256);
        assert!(parse(&["# comment".into(), String::new(), good.clone()]).is_ok());
        assert_eq!(parse(&[]), Err(StoredKeysError::Empty));
        assert_eq!(
            parse(&[good.clone(), good.clone()]),
            Err(StoredKeysError::Twice(2))
        );
        for bad in [
            "a".to_owned(),
            line("", 256),
            line("a,b", 256),
            line("a=b", 256),
            good.replace(":4096:", ":4095:"),
            good.replace(":4096:", ":99999999:"),
            good.replace("256", "512"),
            good.replace("scram-sha-256", "scram-sha-1"),
            good.replace("AQEB", "A*EB"),
            format!("{good}:x"),
        ] {
            let error = parse(&[good.clone(), bad.clone()]).unwrap_err();
            assert_eq!(error, StoredKeysError::Line(2), "{bad}");
            assert!(!error.to_string().contains("AQEB"));
        }
    }

    #[test]
    fn those_who_are_not_there_have_lasting_keys_of_the_same_form() {
        let keys = parse(&[line("a", 256)]).unwrap();
        let of = |name: &str, secret: u8| keys.of_user(name, Hash::Sha256, &[secret; 32]);
        assert_eq!(of("a", 1).stored_key, [2; 32]);
        let (made, again) = (of("x", 1), of("x", 1));
        assert_eq!(made, again);
        assert_ne!(made.salt, of("y", 1).salt);
        assert_ne!(made.salt, of("x", 2).salt);
        let form = |key: &StoredKey| (key.iterations, key.salt.len(), key.stored_key.len());
        assert_eq!(form(&made), form(&of("a", 1)));
    }

    #[test]
    fn debug_output_keeps_the_keys() {
        let shown = format!("{:?}", parse(&[line("a", 256)]).unwrap());
        assert!(!shown.contains("2, 2") && shown.contains("4096"), "{shown}");
    }
}
