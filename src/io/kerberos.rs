//! Clients who come with a Kerberos ticket: each exchange is a process of its own, this program once more with one
//! hidden argument ([`kerberos_process`](super::kerberos_process)).
//!
//! The library that judges tickets parses strangers' ASN.1 and asks name servers as it likes. There it has none of the
//! server's memory, holds up nobody, and is killed when it takes too long, when its connection ends, and when the
//! server does. Connections that have not authenticated are counted at the door, and so these processes are, too.
//!
//! | who | what | bytes |
//! |---|---|---|
//! | process | it has a key: ready, or why there is none | 5 + n |
//! | server | length u32, what the client says | 4 + n |
//! | process | kind u8, length u32, what is said to the client, or its name, or why not | 5 + n |

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::login::Group;
use crate::base::limits::{KERBEROS_DATA_BYTES_MAX, LOGIN_DEADLINE};

/// The argument that makes this program judge one client's ticket and end.
pub const ARGUMENT: &str = "__kerberos";

/// Name of the service that clients ask for: it is in the names of the server's keys, `spice/HOST@REALM`.
pub(super) const SERVICE: &str = "spice";

/// The variable that tells the library which key table to take.
const KEY_TABLE: &str = "KRB5_KTNAME";

/// This program, also when its file has been replaced since.
const OURSELVES: &str = "/proc/self/exe";

/// Why tickets cannot be judged here. The fault is the owner's, or the system's.
#[derive(Debug, thiserror::Error)]
pub enum KerberosError {
    /// The build option is off.
    #[error("this caraway-server was built without Kerberos (Cargo's feature `kerberos`)")]
    NotBuilt,
    /// There is no key of the service; the library's words.
    #[error(
        "no key of the service {SERVICE}: {reason}; `kadmin -q 'ktadd -k FILE {SERVICE}/HOST'` writes one, and \
         --keytab FILE, or {KEY_TABLE}, names it: a file that you can read and nobody else"
    )]
    NoKey {
        /// Why.
        reason: String,
    },
    /// The process does not start, or does not answer.
    #[error("the process that judges tickets: {0}")]
    Process(#[from] std::io::Error),
    /// It takes too long.
    #[error("the process that judges tickets did not answer within {} s", LOGIN_DEADLINE.as_millis() / 1000)]
    TooLate,
}

/// What the process says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Answer {
    /// It has a key, or this is for the client, who is to say more.
    Continue = 0,
    /// This is the client's name.
    Accepted = 1,
    /// This is why the client is nobody who may come in.
    Denied = 2,
    /// This is why nobody can be judged.
    NoKey = 3,
}

impl Answer {
    const ALL: [Self; 4] = [Self::Continue, Self::Accepted, Self::Denied, Self::NoKey];

    fn of_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == number)
    }
}

/// Judges tickets for the service of this host.
#[derive(Debug)]
pub struct Kerberos {
    keytab: Option<PathBuf>,
}

impl Kerberos {
    /// With the keys of that file, or else with those that the library finds. Makes sure that there is one.
    ///
    /// # Errors
    /// [`KerberosError`] says what to do.
    pub async fn start(keytab: Option<&Path>) -> Result<Self, KerberosError> {
        if cfg!(not(feature = "kerberos")) {
            return Err(KerberosError::NotBuilt);
        }
        let kerberos = Self {
            keytab: keytab.map(Path::to_owned),
        };
        let mut first = kerberos.begin()?;
        within_deadline(first.ready()).await?;
        Ok(kerberos)
    }

    fn begin(&self) -> Result<TicketProcess, KerberosError> {
        let mut command = Command::new(OURSELVES);
        command.arg0("caraway-server").arg(ARGUMENT);
        if let Some(file) = &self.keytab {
            // It says what kind it is, or a colon in its name would.
            let mut name = std::ffi::OsString::from("FILE:");
            name.push(file);
            command.env(KEY_TABLE, name);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let group = Group::of(&child);
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe).into());
        };
        Ok(TicketProcess {
            input,
            output,
            _group: group,
            _child: child,
        })
    }
}

/// What comes of what a client says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Judged {
    /// The client is to say more.
    Continue(Vec<u8>),
    /// The client has this name, and may come in.
    Accepted(String),
    /// It may not.
    Denied,
}

/// One client's exchange.
#[derive(Debug, Default)]
pub(super) struct KerberosExchange {
    process: Option<TicketProcess>,
    is_over: bool,
}

impl KerberosExchange {
    /// Judges what the client says next. Why not is for the log: the client learns nothing. May be dropped at any
    /// time, which ends the process.
    pub(super) async fn step(&mut self, kerberos: &Kerberos, data: &[u8], peer: &str) -> Judged {
        if self.is_over {
            return Judged::Denied;
        }
        let answer = within_deadline(self.ask(kerberos, data)).await;
        // Who has been judged once has been judged for ever.
        self.is_over = !matches!(answer, Ok((Answer::Continue, _)));
        if self.is_over {
            self.process = None;
        }
        match answer {
            Ok((Answer::Continue, token)) => Judged::Continue(token),
            Ok((Answer::Accepted, name)) => match String::from_utf8(name) {
                Ok(name) => Judged::Accepted(name),
                Err(_) => Judged::Denied,
            },
            Ok((Answer::Denied, reason)) => {
                let reason = String::from_utf8_lossy(&reason);
                tracing::info!(peer, %reason, "that ticket does not let in");
                Judged::Denied
            }
            Ok((Answer::NoKey, reason)) => {
                let reason = String::from_utf8_lossy(&reason).into_owned();
                let error = KerberosError::NoKey { reason };
                tracing::error!(peer, %error, "tickets cannot be judged");
                Judged::Denied
            }
            Err(error) => {
                tracing::error!(peer, %error, "tickets cannot be judged");
                Judged::Denied
            }
        }
    }

    async fn ask(
        &mut self,
        kerberos: &Kerberos,
        data: &[u8],
    ) -> Result<(Answer, Vec<u8>), KerberosError> {
        let process = match &mut self.process {
            Some(process) => process,
            None => {
                let mut process = kerberos.begin()?;
                process.ready().await?;
                self.process.insert(process)
            }
        };
        let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
        process.input.write_all(&length.to_le_bytes()).await?;
        process.input.write_all(data).await?;
        process.answer().await
    }
}

/// The process, which ends with this.
#[derive(Debug)]
struct TicketProcess {
    input: ChildStdin,
    output: ChildStdout,
    // Killed before tokio waits for it, so that it is not a zombie for long.
    _group: Group,
    _child: Child,
}

impl TicketProcess {
    async fn ready(&mut self) -> Result<(), KerberosError> {
        match self.answer().await? {
            (Answer::Continue, _) => Ok(()),
            (_, reason) => Err(KerberosError::NoKey {
                reason: String::from_utf8_lossy(&reason).into_owned(),
            }),
        }
    }

    async fn answer(&mut self) -> Result<(Answer, Vec<u8>), KerberosError> {
        let kind = self.output.read_u8().await?;
        let length = self.output.read_u32_le().await?;
        let invalid = || std::io::Error::from(std::io::ErrorKind::InvalidData);
        let kind = Answer::of_number(kind).ok_or_else(invalid)?;
        if KERBEROS_DATA_BYTES_MAX < length {
            return Err(invalid().into());
        }
        let mut data = vec![0; length as usize];
        self.output.read_exact(&mut data).await?;
        Ok((kind, data))
    }
}

async fn within_deadline<R>(
    answer: impl Future<Output = Result<R, KerberosError>>,
) -> Result<R, KerberosError> {
    let deadline = Duration::from_micros(LOGIN_DEADLINE.0);
    let answer = tokio::time::timeout(deadline, answer).await;
    answer.unwrap_or(Err(KerberosError::TooLate))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_survive_their_numbers() {
        for answer in Answer::ALL {
            assert_eq!(Answer::of_number(answer as u8), Some(answer));
        }
        assert_eq!(Answer::of_number(4), None);
    }
}
