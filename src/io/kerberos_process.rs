//! The process that judges one client's Kerberos ticket: RFC 4752 between its standard input and output, and the
//! system's library. See [`kerberos`](super::kerberos) for who talks to it, and why it is one.
//!
//! Who may come in is who may act as the user who runs the desktop: `krb5.conf` and the user's `.k5login` say who that
//! is, as with sshd. A client may name another user whom it acts for; that can only be this one, or itself.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};

use super::kerberos::{Answer, SERVICE};
use crate::auth::security_layer;
use crate::base::limits::{KERBEROS_DATA_BYTES_MAX, KERBEROS_REASON_MAX};
use crate::os::gssapi::{Acceptor, Gssapi, GssapiError};

/// Why a client does not come in.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Gssapi(#[from] GssapiError),
    #[error(
        "{name} may not act as {owner}, who owns this desktop: by krb5.conf it is another user, and no line of \
         ~/.k5login"
    )]
    NotAllowed { name: String, owner: String },
    #[error("{name} asks to act as another user: {other:?}")]
    ActsForOther { name: String, other: String },
    #[error("{0} takes a security layer that was not offered")]
    Layer(String),
    #[error("the user who runs this desktop has no name")]
    NoOwner,
    #[error(transparent)]
    Pipe(#[from] io::Error),
}

/// Judges the one client that is on standard input. This is all that the process does.
pub fn judge() -> ExitCode {
    // Should the server be killed, nobody is left to kill a library that hangs.
    if prctl::set_pdeathsig(Signal::SIGKILL).is_err() {
        return ExitCode::FAILURE;
    }
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    match talk(&mut input, &mut output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn talk(input: &mut impl Read, output: &mut impl Write) -> io::Result<()> {
    let gssapi = match Gssapi::load() {
        Ok(gssapi) => gssapi,
        Err(error) => return say_reason(output, Answer::NoKey, &error),
    };
    let mut acceptor = match gssapi.acceptor(SERVICE) {
        Ok(acceptor) => acceptor,
        Err(error) => return say_reason(output, Answer::NoKey, &error),
    };
    say(output, Answer::Continue, &[])?;
    match exchange(&mut acceptor, input, output) {
        Ok(name) => say(output, Answer::Accepted, name.as_bytes()),
        Err(Refusal::Pipe(error)) => Err(error),
        Err(refusal) => say_reason(output, Answer::Denied, &refusal),
    }
}

/// The client's name, who may come in.
fn exchange(
    acceptor: &mut Acceptor<'_>,
    input: &mut impl Read,
    output: &mut impl Write,
) -> Result<String, Refusal> {
    loop {
        let reply = acceptor.accept(&hear(input)?)?;
        if reply.is_complete && reply.token.is_empty() {
            break;
        }
        say(output, Answer::Continue, &reply.token)?;
        if reply.is_complete {
            // To our last token a client has nothing to say, and says that.
            hear(input)?;
            break;
        }
    }
    // Asked before the offer: who may not come in need not go on.
    let (name, owner) = (acceptor.client_name()?, owner()?);
    if !acceptor.may_act_as(&owner)? {
        return Err(Refusal::NotAllowed { name, owner });
    }
    let offer = acceptor.wrap(&security_layer::OFFER)?;
    say(output, Answer::Continue, &offer)?;
    let choice = acceptor.unwrap(&hear(input)?)?;
    match security_layer::acts_for(&choice) {
        Some(user) if is_itself(user, &name) || user == owner => Ok(name),
        Some(other) => Err(Refusal::ActsForOther {
            other: other.to_owned(),
            name,
        }),
        None => Err(Refusal::Layer(name)),
    }
}

/// Viewers send what was typed as the user's name, with the realm or without it.
fn is_itself(user: &str, name: &str) -> bool {
    let short = name.split_once('@').map_or(name, |(short, _)| short);
    user.is_empty() || user == name || user == short
}

fn owner() -> Result<String, Refusal> {
    match User::from_uid(Uid::effective()) {
        Ok(Some(user)) => Ok(user.name),
        _ => Err(Refusal::NoOwner),
    }
}

fn hear(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if KERBEROS_DATA_BYTES_MAX < length {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut data = vec![0; length as usize];
    input.read_exact(&mut data)?;
    Ok(data)
}

fn say(output: &mut impl Write, answer: Answer, data: &[u8]) -> io::Result<()> {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut message = vec![answer as u8];
    message.extend(length.to_le_bytes());
    message.extend(data);
    output.write_all(&message)?;
    output.flush()
}

/// It holds names that a client has chosen, so it is cut.
fn say_reason(output: &mut impl Write, answer: Answer, reason: &impl ToString) -> io::Result<()> {
    let reason = reason.to_string();
    let letters = reason.chars().take(KERBEROS_REASON_MAX);
    let line: String = letters
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    say(output, answer, line.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_act_for_themselves_by_either_name() {
        for (user, is_own) in [
            ("", true),
            ("alice", true),
            ("alice@EXAMPLE.ORG", true),
            ("alice@OTHER.ORG", false),
            ("bob", false),
        ] {
            assert_eq!(is_itself(user, "alice@EXAMPLE.ORG"), is_own, "{user}");
        }
        assert!(!is_itself("alice", "alice/admin@EXAMPLE.ORG"));
    }

    #[test]
    fn messages_are_framed_and_bounded() {
        let mut said = Vec::new();
        say(&mut said, Answer::Denied, b"no").unwrap();
        assert_eq!(said, b"\x02\x02\0\0\0no");
        said.clear();
        let long = "ä\n".repeat(KERBEROS_REASON_MAX);
        say_reason(&mut said, Answer::Denied, &long).unwrap();
        let line = "ä ".repeat(KERBEROS_REASON_MAX / 2);
        assert_eq!(&said[5..], line.as_bytes());
        assert_eq!(hear(&mut &b"\x02\0\0\0ab"[..]).unwrap(), b"ab");
        for wrong in [&b"\x02\0\0\0a"[..], b"\xff\xff\xff\xff", b""] {
            assert!(hear(&mut &*wrong).is_err(), "{wrong:?}");
        }
    }
}
