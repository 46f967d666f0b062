//! One program's connection to a shared folder: bytes between its socket and a stream of the client's mux.
//!
//! The connection is read only when the stream has room, and the stream is taken from only when the program has
//! taken what it was given. A program that closes its sending side has gone: HTTP clients wait for their answers
//! with both sides open, and there is no word in the mux for half a connection.

use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::host::Host;
use crate::base::limits::FOLDER_STALL_MAX;
use crate::channel::webdav::Taken;
use crate::channel::webdav_requests::{CONTINUE, RequestError, Requests};
use crate::session::FolderStream;

/// Bytes that are read at once from a program.
const READ_BYTES: usize = 64 * 1024;

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Either side closed it.
    Closed,
    /// The program took nothing while others waited because of that.
    Stalled,
    /// It asked for what it does not get.
    Refused(RequestError),
}

/// A stream of the mux; it ends when this is dropped.
pub(super) struct OpenStream {
    host: Rc<Host>,
    stream: FolderStream,
    bell: Rc<Notify>,
}

impl OpenStream {
    /// Takes over a stream that the session has just opened.
    pub(super) fn new(host: &Rc<Host>, stream: FolderStream) -> Self {
        Self {
            host: Rc::clone(host),
            stream,
            bell: host.hang_folder_bell(stream),
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.host.take_folder_bell(self.stream);
        self.host.with(|session| session.folder_end(self.stream));
    }
}

/// Carries bytes until either side ends.
///
/// # Errors
/// When the program's socket fails; mostly it was closed in the middle.
pub(super) async fn carry<S>(
    open: &OpenStream,
    socket: S,
    mut requests: Requests,
) -> std::io::Result<Ended>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let OpenStream { host, stream, bell } = open;
    let stall = std::time::Duration::from_micros(FOLDER_STALL_MAX.0);
    let (mut reader, mut writer) = tokio::io::split(socket);
    let mut input = vec![0; READ_BYTES];
    let (mut output, mut written) = (Vec::new(), 0);
    let mut stalled_at = Instant::now() + stall;
    loop {
        if written == output.len() {
            match host.with(|session| session.folder_take(*stream, host.now())) {
                Taken::Bytes(bytes) => {
                    (output, written) = (bytes, 0);
                    stalled_at = Instant::now() + stall;
                }
                Taken::Nothing => {}
                Taken::Ended => {
                    writer.shutdown().await?;
                    return Ok(Ended::Closed);
                }
            }
        }
        let rest = output.get(written..).unwrap_or_default();
        let room = host.with(|session| session.folder_room(*stream));
        let space = input.get_mut(..room.unwrap_or(0).min(READ_BYTES));
        let space = space.unwrap_or_default();
        tokio::select! {
            count = reader.read(space), if !space.is_empty() => {
                let bytes = input.get(..count?).unwrap_or_default();
                if bytes.is_empty() {
                    return Ok(Ended::Closed);
                }
                let mut passing = Vec::new();
                match requests.push(bytes, &mut passing) {
                    // Who is still being answered goes on unasked after a while, as the protocol has it.
                    Ok(waits) if waits && rest.is_empty() => {
                        (output, written) = (CONTINUE.into(), 0);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        writer.write_all(error.answer().as_bytes()).await?;
                        writer.shutdown().await?;
                        return Ok(Ended::Refused(error));
                    }
                }
                host.with(|session| session.folder_give(*stream, &passing));
            }
            count = writer.write(rest), if !rest.is_empty() => {
                written += count?;
                stalled_at = Instant::now() + stall;
            }
            () = bell.notified() => {}
            () = tokio::time::sleep_until(stalled_at), if !rest.is_empty() => {
                if host.with(|session| session.folder_blocks_others(*stream)) {
                    return Ok(Ended::Stalled);
                }
                stalled_at += stall;
            }
        }
    }
}
