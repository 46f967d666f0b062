//! The ticket: the password that a client gives, made anew for each desktop unless the user has one.
//!
//! It goes to the server through a pipe and to `caraway view` through the control socket, never
//! through an argument, the environment or a log.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use thiserror::Error;

/// Bytes of a password: what fits the RSA-1024 OAEP block of a SPICE ticket.
pub(crate) const PASSWORD_BYTES_MAX: usize = 60;

/// Characters of a password made here: 32 signs of 5 bits each, 60 bits.
const MADE_CHARACTERS: usize = 12;

/// No 0, 1, l or o, so that it can be read out and typed; 32 signs, so that no sign is likelier.
const SIGNS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A password; its debug form hides it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Password(String);

/// Why there is no password.
#[derive(Debug, Error)]
pub(crate) enum PasswordError {
    #[error("cannot read the password file {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "the password file {} must hold one line of 1 to {PASSWORD_BYTES_MAX} bytes of text",
        path.display()
    )]
    Content { path: PathBuf },
    #[error("a password is one line of 1 to {PASSWORD_BYTES_MAX} bytes of text")]
    Text,
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

impl Password {
    /// Makes a random one.
    pub(crate) fn random() -> Result<Self, PasswordError> {
        let mut bytes = [0u8; MADE_CHARACTERS];
        getrandom::fill(&mut bytes).map_err(|error| PasswordError::Random(error.to_string()))?;
        let sign = |byte: &u8| char::from(SIGNS[usize::from(byte % 32)]);
        Ok(Self(bytes.iter().map(sign).collect()))
    }

    /// Takes one that came over a line of ours.
    pub(crate) fn from_text(text: String) -> Result<Self, PasswordError> {
        let fits = !text.is_empty() && text.len() <= PASSWORD_BYTES_MAX;
        if fits && !text.contains(['\n', '\r', '\0']) {
            Ok(Self(text))
        } else {
            Err(PasswordError::Text)
        }
    }

    /// Takes the one line of the file at `path`; its line end does not count.
    pub(crate) fn from_file(path: &Path) -> Result<Self, PasswordError> {
        let read = |source| PasswordError::Read {
            path: path.into(),
            source,
        };
        let mut text = Vec::new();
        let limit = PASSWORD_BYTES_MAX as u64 + 3;
        File::open(path)
            .map_err(read)?
            .take(limit)
            .read_to_end(&mut text)
            .map_err(read)?;
        Self::from_content(text, path)
    }

    /// Takes the one line of what the file at `path` holds.
    pub(crate) fn from_content(content: Vec<u8>, path: &Path) -> Result<Self, PasswordError> {
        let wrong = || PasswordError::Content { path: path.into() };
        let text = String::from_utf8(content).map_err(|_| wrong())?;
        let line = text
            .strip_suffix('\n')
            .map_or(&*text, |t| t.strip_suffix('\r').unwrap_or(t));
        Self::from_text(line.into()).map_err(|_| wrong())
    }

    /// The password itself, for the user's own eyes.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// The reading end of a pipe that holds the password and then ends.
    pub(crate) fn to_pipe(&self) -> io::Result<OwnedFd> {
        let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC)?;
        // At most 60 bytes: they fit any pipe, so this cannot wait for a reader.
        File::from(writer).write_all(self.0.as_bytes())?;
        Ok(reader)
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8]) -> Result<Password, PasswordError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        std::fs::write(&path, content).unwrap();
        Password::from_file(&path)
    }

    #[test]
    fn a_random_password_is_new_and_easily_typed() {
        let (a, b) = (Password::random().unwrap(), Password::random().unwrap());
        assert_ne!(a, b);
        assert_eq!(a.reveal().len(), MADE_CHARACTERS);
        assert!(a.reveal().bytes().all(|sign| SIGNS.contains(&sign)));
        assert_eq!(format!("{a:?}"), "Password(..)");
    }

    #[test]
    fn a_file_holds_one_line() {
        for (content, password) in [
            (&b"pass word"[..], "pass word"),
            (b"x\n", "x"),
            (b"x\r\n", "x"),
        ] {
            assert_eq!(read(content).unwrap().reveal(), password);
        }
        assert_eq!(read(&[b'a'; 60]).unwrap().reveal().len(), 60);
        for bad in [&b""[..], b"\n", b"a\nb\n", b"a\0b", b"\xff", &[b'a'; 61]] {
            assert!(
                matches!(read(bad), Err(PasswordError::Content { .. })),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn the_pipe_holds_the_password_and_ends() {
        let mut text = String::new();
        let password = Password("secret".into());
        File::from(password.to_pipe().unwrap())
            .read_to_string(&mut text)
            .unwrap();
        assert_eq!(text, "secret");
    }
}
