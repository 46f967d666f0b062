//! What a channel has given to be sent and the socket has not taken yet.
//!
//! Over TLS each message is a record of its own, or several; none holds the beginning of the next message. spice-gtk
//! decrypts a record whole, but waits on the socket before each message: what it had already decrypted would lie there
//! until something else comes (spice-channel.c, `spice_channel_iterate_read`). The records of a burst are gathered, so
//! that they leave in one write all the same.

use std::io;

use tokio::io::{AsyncWrite, AsyncWriteExt, WriteHalf};

use super::transport::Transport;
use crate::wire::header::message_bytes;

/// Bytes of memory that a channel keeps for what it will send: most frames of most desktops take less.
const KEPT_BYTES: usize = 16 * 1024;

/// Output on its way.
#[derive(Debug)]
pub(super) struct Unsent {
    bytes: Vec<u8>,
    /// What was taken of it.
    written: usize,
    /// The end of the message that is being written.
    message_end: usize,
    framing: Framing,
}

/// How the stream treats what it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    /// As bytes, at once.
    Bytes,
    /// As records, kept until they are flushed.
    Records { mini_header: bool, unflushed: bool },
}

impl Unsent {
    /// Nothing yet, for a stream of this kind.
    pub(super) const fn new(stream: &Transport, mini_header: bool) -> Self {
        Self::of(stream.is_tls(), mini_header)
    }

    const fn of(records: bool, mini_header: bool) -> Self {
        let framing = if records {
            Framing::Records {
                mini_header,
                unflushed: false,
            }
        } else {
            Framing::Bytes
        };
        Self {
            bytes: Vec::new(),
            written: 0,
            message_end: 0,
            framing,
        }
    }

    /// Whether the socket has taken everything.
    pub(super) const fn is_empty(&self) -> bool {
        let unflushed = matches!(
            self.framing,
            Framing::Records {
                unflushed: true,
                ..
            }
        );
        self.written == self.bytes.len() && !unflushed
    }

    /// The place for more, whole messages, once it is empty.
    pub(super) fn refill(&mut self) -> &mut Vec<u8> {
        self.bytes.clear();
        self.written = 0;
        self.message_end = 0;
        &mut self.bytes
    }

    /// Nothing is to be sent now: what a large image took goes.
    pub(super) fn give_up_scratch(&mut self) {
        if KEPT_BYTES < self.bytes.capacity() {
            self.bytes = Vec::new();
            self.written = 0;
        }
    }

    /// Hands on as much as the stream takes. Returns whether it takes any more. May be cancelled and called again.
    ///
    /// # Errors
    /// The socket's.
    pub(super) async fn push(&mut self, writer: &mut WriteHalf<Transport>) -> io::Result<bool> {
        self.push_to(writer).await
    }

    async fn push_to(&mut self, writer: &mut (impl AsyncWrite + Unpin)) -> io::Result<bool> {
        loop {
            let end = self.piece_end();
            let piece = self.bytes.get(self.written..end).unwrap_or_default();
            if piece.is_empty() {
                break;
            }
            let count = writer.write(piece).await?;
            if count == 0 {
                return Ok(false);
            }
            self.written += count;
            match &mut self.framing {
                Framing::Bytes => return Ok(true),
                Framing::Records { unflushed, .. } => *unflushed = true,
            }
        }
        writer.flush().await?;
        if let Framing::Records { unflushed, .. } = &mut self.framing {
            *unflushed = false;
        }
        Ok(true)
    }

    /// Where the next write ends: with its message, where that matters.
    fn piece_end(&mut self) -> usize {
        let Framing::Records { mini_header, .. } = self.framing else {
            return self.bytes.len();
        };
        if self.message_end <= self.written {
            let rest = self.bytes.get(self.written..).unwrap_or_default();
            let size = message_bytes(mini_header, rest).unwrap_or(rest.len());
            self.message_end = self.written.saturating_add(size).min(self.bytes.len());
        }
        self.message_end
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use super::*;
    use crate::wire::header::write_message;

    /// Takes at most `room` bytes at once and remembers where each write began.
    struct Stream {
        room: usize,
        writes: Vec<Vec<u8>>,
        flushes: usize,
    }

    impl AsyncWrite for Stream {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let count = bytes.len().min(self.room);
            self.writes.push(bytes[..count].to_vec());
            Poll::Ready(Ok(count))
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.flushes += 1;
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn messages(mini: bool, sizes: &[usize]) -> Vec<Vec<u8>> {
        let one = |size: &usize| {
            let mut bytes = Vec::new();
            write_message(&mut bytes, mini, 1, 7, |body| body.bytes(&vec![9; *size]));
            bytes
        };
        sizes.iter().map(one).collect()
    }

    fn pushed(records: bool, mini: bool, room: usize, messages: &[Vec<u8>]) -> Stream {
        let mut unsent = Unsent::of(records, mini);
        unsent.refill().extend(messages.concat());
        let mut stream = Stream {
            room,
            writes: Vec::new(),
            flushes: 0,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(async {
            while !unsent.is_empty() {
                assert!(unsent.push_to(&mut stream).await.unwrap());
            }
        });
        assert_eq!(stream.writes.concat(), messages.concat());
        stream
    }

    #[test]
    fn no_record_holds_the_beginning_of_the_next_message() {
        for mini in [true, false] {
            let messages = messages(mini, &[4, 0, 100, 70_000, 1]);
            let stream = pushed(true, mini, usize::MAX, &messages);
            assert_eq!(stream.writes, messages);
            assert_eq!(stream.flushes, 1, "one write to the socket for all");
            let mut ends: Vec<usize> = Vec::new();
            let mut at = 0;
            for message in &messages {
                at += message.len();
                ends.push(at);
            }
            let (mut at, mut seen) = (0, 0);
            for write in pushed(true, mini, 11, &messages).writes {
                at += write.len();
                assert!(at <= ends[seen], "a write goes over the end of a message");
                seen += usize::from(at == ends[seen]);
            }
        }
    }

    #[test]
    fn without_records_all_is_written_at_once() {
        let messages = messages(true, &[4, 5, 6]);
        assert_eq!(pushed(false, true, usize::MAX, &messages).writes.len(), 1);
    }
}
