//! The line to the launcher: JSON objects, one a line, over an inherited stream socket.
//!
//! | from | object | meaning |
//! |---|---|---|
//! | server | `{"event":"ready"}` | attached to the driver, clients are accepted |
//! | launcher | `{"request":"status"}` | asks for the next one |
//! | server | `{"event":"status","clients":[…],…}` | [`Status`] |
//! | server | `{"event":"folders","ports":[…]}` | where on 127.0.0.1 clients share folders now |
//! | server | `{"event":"fatal","message":"…"}` | why it is about to end |
//!
//! When the launcher's end closes, the server ends: nobody would take it down otherwise.

use std::os::fd::OwnedFd;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
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
    Folders { ports: Vec<u16> },
    Fatal { message: &'a str },
}

/// The server's end of the line.
#[derive(Debug)]
pub struct Control {
    stream: UnixStream,
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
            stream: UnixStream::from_std(stream)?,
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

    /// Answers requests until the launcher's end closes. `folders` gives the ports of shared folders each time that
    /// they have changed.
    ///
    /// # Errors
    /// When reading or writing fails, or a line is not a request.
    pub async fn answer(
        &mut self,
        status: impl Fn() -> Status,
        folders: impl AsyncFn() -> Vec<u16>,
    ) -> std::io::Result<()> {
        let (reader, mut writer) = self.stream.split();
        let (ask, mut asked) = tokio::sync::mpsc::channel(1);
        let read = async {
            let mut reader = BufReader::new(reader);
            let mut line = String::new();
            loop {
                line.clear();
                let read = (&mut reader)
                    .take(REQUEST_BYTES_MAX)
                    .read_line(&mut line)
                    .await?;
                if read == 0 {
                    return Ok(());
                }
                let request: Request = serde_json::from_str(&line)?;
                let told = ask.send(request).await;
                told.map_err(|_| std::io::ErrorKind::BrokenPipe)?;
            }
        };
        let write = async {
            loop {
                tokio::select! {
                    Some(Request::Status) = asked.recv() => {
                        send(&mut writer, &Event::Status(&status())).await?;
                    }
                    ports = folders() => send(&mut writer, &Event::Folders { ports }).await?,
                }
            }
        };
        tokio::select! {
            ended = read => ended,
            failed = write => failed,
        }
    }

    async fn send(&mut self, event: &Event<'_>) -> std::io::Result<()> {
        send(&mut self.stream, event).await
    }
}

async fn send<W: AsyncWrite + Unpin>(writer: &mut W, event: &Event<'_>) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    writer.write_all(&line).await
}
