//! The line to the launcher: JSON objects, one a line, over an inherited stream socket.
//!
//! | from | object | meaning |
//! |---|---|---|
//! | server | `{"event":"ready"}` | attached to the driver, clients are accepted |
//! | launcher | `{"request":"status"}` | asks for the next one |
//! | server | `{"event":"status","clients":[…],…}` | [`Status`] |
//! | server | `{"event":"fatal","message":"…"}` | why it is about to end |
//!
//! When the launcher's end closes, the server ends: nobody would take it down otherwise.

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use crate::session::Status;

/// Bytes of one request line.
pub const REQUEST_BYTES_MAX: u64 = 4096;

/// What the launcher asks.
#[derive(Debug, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
enum Request {
    Status,
}

/// What the launcher is told.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'a> {
    Ready,
    Status(&'a Status),
    Fatal { message: &'a str },
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

    /// Answers requests until the launcher's end closes.
    ///
    /// # Errors
    /// When reading or writing fails, or a line is not a request.
    pub async fn answer(&mut self, status: impl Fn() -> Status) -> std::io::Result<()> {
        let mut line = String::new();
        loop {
            line.clear();
            let read = (&mut self.stream)
                .take(REQUEST_BYTES_MAX)
                .read_line(&mut line)
                .await?;
            if read == 0 {
                return Ok(());
            }
            match serde_json::from_str(&line)? {
                Request::Status => self.send(&Event::Status(&status())).await?,
            }
        }
    }

    async fn send(&mut self, event: &Event<'_>) -> std::io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.stream.write_all(&line).await
    }
}
