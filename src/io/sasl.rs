//! SASL as it is offered now: by the keys of a file, which is read again when it changes, by the system, by Kerberos.
//!
//! The file is looked at whenever a client comes. Keys that cannot be used are said once, and those before them go on
//! serving.

use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::unistd::Uid;

use super::kerberos::{Judged, Kerberos, KerberosExchange};
use super::login::Logins;
use super::tls::{Stamp, stamp};
use crate::auth::sasl::{Exchange, Judge, KERBEROS, Said};
use crate::auth::scram::NONCE_BYTES;
use crate::auth::stored_keys::{StoredKeys, StoredKeysError};
use crate::base::Access;
use crate::base::limits::STORED_KEYS_BYTES_MAX;
use crate::channel::link::Link;
use crate::channel::link_sasl::{SaslAnswer, SaslTurn};

/// Why stored keys cannot be used. The fault is their owner's.
#[derive(Debug, thiserror::Error)]
pub enum SaslFileError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Others could read or change it.
    #[error("{} must be a file of your own that nobody else can read: chmod 600", .0.display())]
    NotPrivate(PathBuf),
    /// It is larger than any such file.
    #[error("{} is larger than {STORED_KEYS_BYTES_MAX} bytes", .0.display())]
    TooLarge(PathBuf),
    /// It is read, and no good.
    #[error("{}: {source}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// Why.
        source: StoredKeysError,
    },
    /// No random numbers.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// Who may come in by SASL.
#[derive(Debug)]
pub struct Sasl {
    by: By,
    /// Names of users who watch, and do not act.
    view_only: Vec<String>,
}

#[derive(Debug)]
enum By {
    System(Logins),
    File(StoredFile),
    Kerberos(Kerberos),
}

#[derive(Debug)]
struct StoredFile {
    path: PathBuf,
    /// What users that are not in the file are shown is made of this.
    secret: [u8; 32],
    now: RefCell<Keys>,
}

#[derive(Debug)]
struct Keys {
    keys: Arc<StoredKeys>,
    /// The file that was last tried, whether it was good or not.
    tried: Stamp,
}

impl Sasl {
    /// Passwords are judged by PAM.
    pub const fn by_system() -> Self {
        Self {
            by: By::System(Logins::new()),
            view_only: Vec::new(),
        }
    }

    /// Tickets are judged in place of passwords.
    pub const fn by_kerberos(kerberos: Kerberos) -> Self {
        Self {
            by: By::Kerberos(kerberos),
            view_only: Vec::new(),
        }
    }

    /// Passwords are judged by the keys in this file.
    ///
    /// # Errors
    /// [`SaslFileError`] when it cannot be used.
    pub fn by_file(path: PathBuf) -> Result<Self, SaslFileError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)?;
        let tried = stamp(&path);
        let keys = Arc::new(read(&path)?);
        let now = RefCell::new(Keys { keys, tried });
        Ok(Self {
            by: By::File(StoredFile { path, secret, now }),
            view_only: Vec::new(),
        })
    }

    /// The same, where these users may only watch.
    #[must_use]
    pub fn with_view_only(self, users: Vec<String>) -> Self {
        Self {
            view_only: users,
            ..self
        }
    }

    /// What an accepted user may do.
    pub(super) fn access(&self, user: Option<&str>) -> Access {
        match user.is_some_and(|user| self.view_only.iter().any(|named| named == user)) {
            true => Access::ViewOnly,
            false => Access::Full,
        }
    }

    /// For one connection.
    pub(super) fn judge(&self) -> Judge {
        let file = match &self.by {
            By::System(_) => return Judge::System,
            By::Kerberos(_) => return Judge::Kerberos,
            By::File(file) => file,
        };
        let stamp = stamp(&file.path);
        let mut now = file.now.borrow_mut();
        if now.tried != stamp {
            now.tried = stamp;
            match read(&file.path) {
                Ok(keys) => {
                    now.keys = Arc::new(keys);
                    tracing::info!(file = %file.path.display(), "stored keys read again");
                }
                Err(error) => {
                    tracing::warn!(%error, "the stored keys changed and are no good; those before stay");
                }
            }
        }
        Judge::StoredKeys(Arc::clone(&now.keys), file.secret)
    }

    /// Answers what a client's mechanism said; with the user's name where it is accepted.
    pub(super) async fn answer(
        &self,
        attempt: &mut Attempt,
        turn: &SaslTurn,
        peer: &str,
    ) -> (SaslAnswer, Option<String>) {
        let data = turn.data().as_deref().map(Vec::as_slice);
        if let By::Kerberos(kerberos) = &self.by {
            // An empty token and none are the same to its mechanism.
            let data = data.unwrap_or_default();
            return match attempt.kerberos.step(kerberos, data, peer).await {
                Judged::Continue(token) => (SaslAnswer::Continue(token), None),
                Judged::Accepted(name) => (SaslAnswer::Accepted(None), Some(name)),
                Judged::Denied => (SaslAnswer::Denied(None), None),
            };
        }
        if let SaslTurn::Start(start) = turn {
            let mut entropy = [0; NONCE_BYTES];
            attempt.exchange = match getrandom::fill(&mut entropy) {
                Ok(()) => Some(Exchange::begin(&attempt.judge, &start.mechanism, entropy)),
                Err(_) => None,
            };
        }
        let said = match &mut attempt.exchange {
            Some(exchange) => exchange.step(data),
            None => Said::Denied(None),
        };
        match (said, &self.by) {
            (Said::Continue(data), _) => (SaslAnswer::Continue(data), None),
            (Said::Accepted(user, data), _) => (SaslAnswer::Accepted(data), Some(user)),
            (Said::Denied(data), _) => (SaslAnswer::Denied(data), None),
            (Said::Ask(credentials), By::System(logins)) => {
                match logins.admits(&credentials, peer).await {
                    true => (SaslAnswer::Accepted(None), Some(credentials.user)),
                    false => (SaslAnswer::Denied(None), None),
                }
            }
            (Said::Ask(_), _) => (SaslAnswer::Denied(None), None),
        }
    }
}

/// One connection's exchange, with the judge whose mechanisms it was offered.
#[derive(Debug)]
pub(super) struct Attempt {
    judge: Judge,
    exchange: Option<Exchange>,
    kerberos: KerberosExchange,
}

impl Attempt {
    pub(super) fn new(judge: Judge) -> Self {
        Self {
            judge,
            exchange: None,
            kerberos: KerberosExchange::default(),
        }
    }

    /// Who the client has said to be, where its mechanism is one of passwords.
    pub(super) fn user(&self) -> Option<&str> {
        self.exchange.as_ref()?.user()
    }

    /// The connection, which offers the judge's mechanisms.
    pub(super) fn link(&self) -> Link {
        match &self.judge {
            Judge::Kerberos => Link::offering_kerberos(KERBEROS),
            judge => Link::offering_sasl(&judge.mechanisms()),
        }
    }
}

fn read(path: &Path) -> Result<StoredKeys, SaslFileError> {
    let failed = |source| SaslFileError::Read {
        path: path.into(),
        source,
    };
    // A pipe in its place would wait for a writer for ever.
    let mut options = OpenOptions::new();
    let options = options.read(true).custom_flags(libc::O_NONBLOCK);
    let file = options.open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    let is_own = about.uid() == Uid::effective().as_raw();
    if !about.is_file() || !is_own || about.mode() & 0o077 != 0 {
        return Err(SaslFileError::NotPrivate(path.into()));
    }
    let mut text = zeroize::Zeroizing::new(String::new());
    let mut limited = file.take(STORED_KEYS_BYTES_MAX + 1);
    limited.read_to_string(&mut text).map_err(failed)?;
    if STORED_KEYS_BYTES_MAX < text.len() as u64 {
        return Err(SaslFileError::TooLarge(path.into()));
    }
    StoredKeys::parse(&text).map_err(|source| SaslFileError::Content {
        path: path.into(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// RFC 7677's example.
    const LINE: &str = "user:scram-sha-256:4096:W22ZaJ0SNY7soEsUEjb6gQ==:\
        WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn files_that_others_can_read_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        for (mode, is_good) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            let _ = fs::remove_file(&path);
            write(&path, LINE, mode);
            let result = Sasl::by_file(path.clone());
            let is_refused = matches!(result, Err(SaslFileError::NotPrivate(_)));
            assert_eq!(
                (result.is_ok(), is_refused),
                (is_good, !is_good),
                "{mode:o}"
            );
        }
        let folder_itself = Sasl::by_file(folder.path().into());
        assert!(matches!(folder_itself, Err(SaslFileError::NotPrivate(_))));
        let missing = Sasl::by_file(folder.path().join("missing"));
        assert!(matches!(missing, Err(SaslFileError::Read { .. })));
        let _ = fs::remove_file(&path);
        write(&path, &"#".repeat(300_000), 0o600);
        let large = Sasl::by_file(path);
        assert!(matches!(large, Err(SaslFileError::TooLarge(_))));
    }

    #[test]
    fn new_keys_hold_for_the_next_client_and_bad_ones_never() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        write(&path, LINE, 0o600);
        let sasl = Sasl::by_file(path.clone()).unwrap();
        let keys = |sasl: &Sasl| match sasl.judge() {
            Judge::StoredKeys(keys, _) => keys,
            Judge::System | Judge::Kerberos => panic!("keys"),
        };
        let first = keys(&sasl);
        write(&path, "nonsense", 0o600);
        assert_eq!(keys(&sasl), first);
        write(&path, &LINE.replace("user:", "other:"), 0o600);
        let second = keys(&sasl);
        assert_ne!(second, first);
        fs::remove_file(&path).unwrap();
        assert_eq!(keys(&sasl), second);
    }
}
