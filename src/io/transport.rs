//! The three ways in which bytes come: plain TCP, TLS over TCP, and the unix socket of this host.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, BufWriter, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::tls::{TLS_FIRST_BYTE, Tls};

/// Bytes of records that are gathered for one write: a burst with what encryption adds.
const GATHERED_BYTES: usize = 72 * 1024;

/// Between two looks at a connection whose bytes nobody reads yet.
const CLOSED_LOOK: Duration = Duration::from_millis(500);

/// An open connection.
#[derive(Debug)]
pub(super) enum Transport {
    Tcp(TcpStream),
    /// Records are gathered, for otherwise each would be a write of its own.
    Tls(Box<TlsStream<BufWriter<TcpStream>>>),
    Unix(UnixStream),
}

impl Transport {
    /// Looks at the first byte of a connection and does the TLS handshake where the client begins one.
    ///
    /// # Errors
    /// The socket's, and those of the handshake.
    pub(super) async fn open(self, tls: Option<&Tls>) -> io::Result<Self> {
        match (self, tls) {
            (Self::Tcp(stream), Some(tls)) => {
                let mut first = [0];
                stream.peek(&mut first).await?;
                if first != [TLS_FIRST_BYTE] {
                    return Ok(Self::Tcp(stream));
                }
                let gathering = BufWriter::with_capacity(GATHERED_BYTES, stream);
                let stream = tls.acceptor().accept(gathering).await?;
                Ok(Self::Tls(Box::new(stream)))
            }
            (other, _) => Ok(other),
        }
    }

    /// Whether nobody between client and server can read or change what passes.
    pub(super) const fn is_secure(&self) -> bool {
        !matches!(self, Self::Tcp(_))
    }

    /// Ends when the other side has closed its connection, whatever it said before.
    pub(super) async fn closed(&self) {
        let gone = Interest::READABLE | Interest::ERROR;
        let closed = async {
            loop {
                let ready = match self {
                    Self::Tcp(stream) => stream.ready(gone).await?,
                    Self::Tls(stream) => stream.get_ref().0.get_ref().ready(gone).await?,
                    Self::Unix(stream) => stream.ready(gone).await?,
                };
                if ready.is_read_closed() || ready.is_error() {
                    return io::Result::Ok(());
                }
                // It has said something early: it is there, and is heard later.
                tokio::time::sleep(CLOSED_LOOK).await;
            }
        };
        // A socket that cannot be asked shows that when it is read.
        let _ = closed.await;
    }

    /// Whether bytes become records, which wait here until they are flushed.
    pub(super) const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Unix(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
            Self::Unix(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
