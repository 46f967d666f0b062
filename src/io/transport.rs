//! The three ways in which bytes come: plain TCP, TLS over TCP, and the unix socket of this host.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, BufWriter, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::tls::{TLS_FIRST_BYTE, Tls};
use crate::base::limits::LINK_MESSAGE_MAX;
use crate::os::peer_credentials;
use crate::wire::client_address;
use crate::wire::link::LinkHeader;

/// Bytes of records that are gathered for one write: a burst with what encryption adds.
const GATHERED_BYTES: usize = 72 * 1024;

/// The longest link message with its header.
const FIRST_BYTES: usize = LinkHeader::SIZE + LINK_MESSAGE_MAX as usize;

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

    /// The client's address, where the user `gateway` has written the first bytes, and they tell it. Waits for them.
    ///
    /// # Errors
    /// The socket's.
    pub(super) async fn forwarded(&self, gateway: Option<u32>) -> io::Result<Option<SocketAddr>> {
        let (Self::Unix(stream), Some(gateway)) = (self, gateway) else {
            return Ok(None);
        };
        let mut buffer = [0; FIRST_BYTES];
        let look = || peer_credentials::first_writer(stream, &mut buffer);
        let (count, writer) = stream.async_io(Interest::READABLE, look).await?;
        // What is not there whole its writer has not written at once: the rest may be another's.
        let told = client_address::find(buffer.get(..count).unwrap_or_default());
        Ok(told.filter(|_| writer == Some(gateway)))
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

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::base::Access;
    use crate::gateway::replay::Replay;
    use crate::os::PeerCredentials;
    use crate::wire::caps::Caps;
    use crate::wire::link::{ChannelType, LinkMessage};

    /// What the server makes of a link in these pieces, when it believes `gateway`.
    async fn forwarded(pieces: &[&[u8]], gateway: Option<u32>) -> Option<SocketAddr> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listener = UnixListener::bind(&path).unwrap();
        peer_credentials::note_writers(&listener).unwrap();
        let mut client = UnixStream::connect(&path).await.unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let server = Transport::Unix(UnixStream::from_std(stream).unwrap());
        let (first, rest) = pieces.split_first().unwrap();
        client.write_all(first).await.unwrap();
        let found = server.forwarded(gateway).await.unwrap();
        for piece in rest {
            client.write_all(piece).await.unwrap();
        }
        found
    }

    #[tokio::test]
    async fn an_address_is_believed_of_the_gateways_user_alone() {
        let (stream, _other) = UnixStream::pair().unwrap();
        let own = PeerCredentials::of(&stream).unwrap().uid;
        let address = "[2001:db8::7]:5678".parse().unwrap();
        let message = LinkMessage {
            connection_id: 0,
            channel_type: ChannelType::MAIN,
            channel_id: 0,
            common_caps: Caps::of(&[0]),
            channel_caps: Caps::of(&[]),
        };
        let link = Replay::new(&message, 0, Access::Full, address).take_output();
        assert_eq!(forwarded(&[&link], Some(own)).await, Some(address));
        assert_eq!(forwarded(&[&link], Some(own + 1)).await, None, "a forgery");
        assert_eq!(forwarded(&[&link], None).await, None, "nobody is believed");
        let (one, other) = link.split_at(30);
        let in_two = forwarded(&[one, other], Some(own)).await;
        assert_eq!(in_two, None, "the rest may be another's");
    }
}
