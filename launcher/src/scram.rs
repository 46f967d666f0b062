//! `caraway password --scram USER`: the line of a `--sasl-file` for a password.
//!
//! Whoever has the line can check the password and cannot use it elsewhere; guessing it costs [`ITERATIONS`] hashes a
//! guess. The password comes from the terminal, unseen, or is the one line of standard input.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::num::NonZeroU32;

use aws_lc_rs::{digest, hmac, pbkdf2};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use thiserror::Error;

use crate::terminal::answer;

/// What a client computes for each of its channels: some tenth of a second with spice-gtk.
const ITERATIONS: NonZeroU32 = NonZeroU32::new(65_536).unwrap();

/// Bytes of a salt.
const SALT_BYTES: usize = 16;

/// Bytes of a hash, SHA-256.
const HASH_BYTES: usize = 32;

/// Bytes of a password in stored keys; a server takes no longer ones.
const PASSWORD_BYTES_MAX: usize = 1024;
/// Bytes of a user's name in stored keys.
const NAME_BYTES_MAX: usize = 256;

/// Why there is no line.
#[derive(Debug, Error)]
pub(crate) enum ScramError {
    #[error(
        "a user's name has 1 to {NAME_BYTES_MAX} bytes, no colon, comma or equals sign, and no # first"
    )]
    Name,
    #[error("a password is one line of 1 to {PASSWORD_BYTES_MAX} bytes of text")]
    Password,
    #[error("the two passwords differ")]
    Differ,
    #[error("cannot read the password: {0}")]
    Read(#[from] io::Error),
    #[error("the system gives no random numbers: {0}")]
    Random(String),
}

/// Asks for the password and answers with the line.
pub(crate) fn run(user: &str) -> Result<(), ScramError> {
    let is_strange = |letter: char| letter.is_control() || ":,=".contains(letter);
    let fits = !user.is_empty() && user.len() <= NAME_BYTES_MAX && !user.starts_with('#');
    if !fits || user.contains(is_strange) {
        return Err(ScramError::Name);
    }
    let password = ask(user)?;
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt).map_err(|error| ScramError::Random(error.to_string()))?;
    answer(line(user, &password, &salt, ITERATIONS));
    Ok(())
}

/// RFC 5802, 3, with the hash of RFC 7677.
fn line(user: &str, password: &str, salt: &[u8], iterations: NonZeroU32) -> String {
    let mut salted = [0; HASH_BYTES];
    pbkdf2::derive(
        pbkdf2::PBKDF2_HMAC_SHA256,
        iterations,
        salt,
        password.as_bytes(),
        &mut salted,
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
    let stored = digest::digest(&digest::SHA256, hmac::sign(&key, b"Client Key").as_ref());
    let server = hmac::sign(&key, b"Server Key");
    let [salt, stored, server] =
        [salt, stored.as_ref(), server.as_ref()].map(|bytes| STANDARD.encode(bytes));
    format!("{user}:scram-sha-256:{iterations}:{salt}:{stored}:{server}")
}

fn ask(user: &str) -> Result<String, ScramError> {
    if !io::stdin().is_terminal() {
        return read_line();
    }
    let _unseen = Unseen::begin()?;
    let prompt = |text: &str| {
        let mut out = io::stderr().lock();
        write!(out, "{text}").and_then(|()| out.flush())
    };
    prompt(&format!("Password for {user}: "))?;
    let password = read_line();
    prompt("\nOnce more: ")?;
    let again = read_line();
    prompt("\n")?;
    let (password, again) = (password?, again?);
    if password == again {
        Ok(password)
    } else {
        Err(ScramError::Differ)
    }
}

fn read_line() -> Result<String, ScramError> {
    // Not one byte more than the line is taken from a terminal; a pipe holds nothing else of interest.
    let mut line = Vec::new();
    let limit = PASSWORD_BYTES_MAX as u64 + 3;
    io::stdin()
        .lock()
        .take(limit)
        .read_until(b'\n', &mut line)?;
    let text = String::from_utf8(line).map_err(|_| ScramError::Password)?;
    let text = text
        .strip_suffix('\n')
        .map_or(&*text, |text| text.strip_suffix('\r').unwrap_or(text));
    let fits = (1..=PASSWORD_BYTES_MAX).contains(&text.len()) && !text.contains('\0');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(ScramError::Password)
    }
}

/// A terminal that does not show what is typed, until this is dropped.
struct Unseen {
    before: Termios,
}

impl Unseen {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_flags.remove(LocalFlags::ECHO);
        tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &quiet)?;
        Ok(Self { before })
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), SetArg::TCSAFLUSH, &self.before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, 3: its exchange fits these keys (the server's tests have it).
    #[test]
    fn keys_are_those_of_the_standard() {
        let salt = STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap();
        assert_eq!(
            line("user", "pencil", &salt, NonZeroU32::new(4096).unwrap()),
            "user:scram-sha-256:4096:W22ZaJ0SNY7soEsUEjb6gQ==:\
             WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
             wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        );
    }

    #[test]
    fn names_that_the_file_cannot_hold_are_refused() {
        for name in ["", "a:b", "a,b", "a=b", "#a", "a\nb"] {
            assert!(matches!(run(name), Err(ScramError::Name)), "{name:?}");
        }
    }
}
