//! The line to the launcher: JSON objects, one a line, over an inherited stream socket.
//!
//! | from | object | meaning |
//! |---|---|---|
//! | server | `{"event":"ready"}` | attached to the driver, clients are accepted |
//! | launcher | `{"request":"status"}` | asks for the next one |
//! | launcher | `{"request":"ticket","password":"…"}` | the password; with `expires_s`, `once`, `access` |
//! | launcher | `{"request":"message","text":"…"}` | what clients are to be told |
//! | server | `{"event":"spent","access":"full"}` | the password that was good for one client has let that one in |
//! | server | `{"event":"visit","has_come":true,…}` | a client came or went: `id`, `peer`, `user`, `access` |
//! | server | `{"event":"status","clients":[…],…}` | [`Status`] |
//! | server | `{"event":"folders","ports":[…]}` | where on 127.0.0.1 clients share folders now |
//! | server | `{"event":"fatal","message":"…"}` | why it is about to end |
//!
//! When the launcher's end closes, the server ends: nobody would take it down otherwise.

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::host::Host;
use crate::auth::ticket::Ticket;
use crate::base::{Access, Micros};
use crate::session::{Status, Visit};

/// Bytes of one request line.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// The longest time that a password can be good for, in seconds: a hundred years.
const EXPIRY_S_MAX: u64 = 100 * 366 * 24 * 3600;

/// What the launcher asks.
#[derive(Debug, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
enum Request {
    Status,
    Ticket(NewTicket),
    Message { text: String },
}

/// A password that replaces the one before.
#[derive(Deserialize)]
pub struct NewTicket {
    /// What clients are to send.
    pub password: zeroize::Zeroizing<String>,
    /// Seconds from now on for which it is good.
    pub expires_s: Option<u64>,
    /// Whether it lets in a single client.
    #[serde(default)]
    pub once: bool,
    /// What it gives: `full`, `view-only` or `shadow`; all rights if nothing is said.
    pub access: Option<String>,
}

impl std::fmt::Debug for NewTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewTicket")
            .field("expires_s", &self.expires_s)
            .field("once", &self.once)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// What the launcher is told.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Ready,
    Status(&'a Status),
    Spent {
        access: &'static str,
    },
    Visit {
        id: u64,
        has_come: bool,
        peer: &'a str,
        user: Option<&'a str>,
        access: &'static str,
    },
    Folders {
        ports: Vec<u16>,
    },
    Fatal {
        message: &'a str,
    },
}

/// The server's end of the line.
#[derive(Debug)]
pub struct Control {
    stream: BufReader<UnixStream>,
}

impl Control {
    /// Adopts an inherited stream socket. To be called inside a runtime.
    ///
    /// # Errors
    /// When it is not a socket that the runtime can watch.
    pub fn new(socket: OwnedFd) -> std::io::Result<Self> {
        let stream = std::os::unix::net::UnixStream::from(socket);
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream: BufReader::new(UnixStream::from_std(stream)?),
        })
    }

    /// Tells that clients are accepted.
    ///
    /// # Errors
    /// When the launcher is gone.
    pub async fn ready(&mut self) -> std::io::Result<()> {
        self.send(&Event::Ready).await
    }

    /// Tells why the server is about to end.
    ///
    /// # Errors
    /// When the launcher is gone.
    pub async fn fatal(&mut self, message: &str) -> std::io::Result<()> {
        self.send(&Event::Fatal { message }).await
    }

    /// Answers requests until the launcher's end closes, and tells when a password is used up, who comes and goes, and
    /// when the ports of shared folders have changed.
    ///
    /// # Errors
    /// When reading or writing fails, or a line is not a request.
    pub async fn answer(&mut self, host: &Host) -> std::io::Result<()> {
        let mut line = Vec::new();
        loop {
            // What was read of a line stays in it when another branch comes first.
            let read = tokio::select! {
                read = read_line(&mut self.stream, &mut line) => read?,
                spent = host.spent() => {
                    for access in spent {
                        let access = access.word();
                        self.send(&Event::Spent { access }).await?;
                    }
                    continue;
                }
                visits = host.visits() => {
                    for visit in &visits {
                        self.send(&told(visit)).await?;
                    }
                    continue;
                }
                ports = host.folder_ports() => {
                    self.send(&Event::Folders { ports }).await?;
                    continue;
                }
            };
            if !read {
                return Ok(());
            }
            match serde_json::from_slice(&line)? {
                Request::Status => self.send(&Event::Status(&host.status())).await?,
                Request::Ticket(new) => {
                    let (access, ticket) = ticket(host, &new)?;
                    host.set_ticket(access, ticket);
                }
                Request::Message { text } => {
                    let clients = host.with(|session| session.notify_clients(host.now(), &text));
                    tracing::info!(clients, "an administrator's message was passed on");
                }
            }
            zeroize::Zeroize::zeroize(&mut line);
            line.clear();
        }
    }

    async fn send(&mut self, event: &Event<'_>) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.stream.write_all(&line).await
    }
}

/// Reads up to the end of a line. Returns whether there was one. May be cancelled and called again with that `line`.
async fn read_line(
    stream: &mut BufReader<UnixStream>,
    line: &mut Vec<u8>,
) -> std::io::Result<bool> {
    loop {
        let bytes = stream.fill_buf().await?;
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(bytes.len(), |end| end + 1);
        if bytes.is_empty() {
            return Ok(false);
        }
        line.extend_from_slice(bytes.get(..count).unwrap_or_default());
        stream.consume(count);
        if end.is_some() {
            return Ok(true);
        }
        if REQUEST_BYTES_MAX < line.len() {
            return Err(std::io::ErrorKind::InvalidData.into());
        }
    }
}

fn told(visit: &Visit) -> Event<'_> {
    Event::Visit {
        id: visit.id,
        has_come: visit.has_come,
        peer: &visit.peer,
        user: visit.user.as_deref(),
        access: visit.access.word(),
    }
}

fn ticket(host: &Host, new: &NewTicket) -> std::io::Result<(Access, Ticket)> {
    let access = match &new.access {
        None => Access::Full,
        // A word that is not known gives nothing away.
        Some(word) => Access::of_word(word).ok_or(std::io::ErrorKind::InvalidData)?,
    };
    let expires = new
        .expires_s
        .map(|seconds| host.now() + Micros::from_secs(seconds.min(EXPIRY_S_MAX)));
    let ticket = Ticket::new(new.password.as_bytes(), expires).map_err(std::io::Error::other)?;
    Ok((access, if new.once { ticket.once() } else { ticket }))
}
