//! The client's end of a handshake: the gateway links to the desktop's server as the client has linked to it.
//!
//! The server trusts its unix socket, so the ticket is empty. What it announces has to be what the gateway has
//! announced for it: both are of one build unless one of them is being upgraded, and then the client has to come again.

use core::net::SocketAddr;

use crate::base::{Access, ByteReader, ByteWriter};
use crate::wire::caps;
use crate::wire::client_address;
use crate::wire::link::{AuthMechanism, LinkCode, LinkHeader, LinkMessage, LinkReply, TICKET_SIZE};
use crate::wire::{Decode, Encode};

/// Bytes of the longest link reply that is believed.
pub(super) const REPLY_BYTES_MAX: u32 = 4096;

/// Why the desktop's server does not link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// It says no, and why.
    #[error("the desktop's server refuses: {0:?}")]
    Refused(LinkCode),
    /// What it says is no link reply.
    #[error("what answers in the desktop's place is no server")]
    NotAServer,
}

/// How far it has come.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes are needed.
    NeedsBytes,
    /// Linked; these came behind the handshake.
    Linked(Vec<u8>),
}

#[derive(Debug)]
enum State {
    AwaitingReply,
    AwaitingResult,
}

/// One handshake.
#[derive(Debug)]
pub struct Replay {
    state: State,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Replay {
    /// What the client at `address` has asked for, with the connection id that the desktop's server knows it by. One
    /// that may only watch asks for no more. The first output is to be written at once: the server believes the
    /// address of one writer alone.
    pub fn new(
        message: &LinkMessage,
        connection_id: u32,
        access: Access,
        address: SocketAddr,
    ) -> Self {
        let mut body = Vec::new();
        let mut message = LinkMessage {
            connection_id,
            ..message.clone()
        };
        if !access.acts() {
            message.common_caps = message.common_caps.with(caps::common::WATCHES_ONLY);
        }
        message.encode(&mut ByteWriter::new(&mut body));
        client_address::append(address, &mut body);
        let mut output = Vec::new();
        let mut writer = ByteWriter::new(&mut output);
        LinkHeader::new(u32::try_from(body.len()).unwrap_or(u32::MAX)).encode(&mut writer);
        writer.bytes(&body);
        Self {
            state: State::AwaitingReply,
            input: Vec::new(),
            output,
        }
    }

    /// Bytes to be sent.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Bytes that are kept until more have come.
    #[cfg(any(test, fuzzing))]
    pub(super) const fn kept_bytes(&self) -> usize {
        self.input.len()
    }

    /// Takes what the server says.
    ///
    /// # Errors
    /// [`ReplayError`] ends both connections.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Progress, ReplayError> {
        self.input.extend_from_slice(bytes);
        loop {
            match self.state {
                State::AwaitingReply => {
                    let mut reader = ByteReader::new(&self.input);
                    let Ok(header) = LinkHeader::decode(&mut reader) else {
                        return Ok(Progress::NeedsBytes);
                    };
                    let expected = LinkHeader::new(header.size);
                    if header.magic != expected.magic || header.major != expected.major {
                        return Err(ReplayError::NotAServer);
                    }
                    if REPLY_BYTES_MAX < header.size {
                        return Err(ReplayError::NotAServer);
                    }
                    let Ok(body) = reader.bytes(header.size as usize) else {
                        return Ok(Progress::NeedsBytes);
                    };
                    let reply = LinkReply::decode(&mut ByteReader::new(body))
                        .map_err(|_| ReplayError::NotAServer)?;
                    if reply.error != LinkCode::OK {
                        return Err(ReplayError::Refused(reply.error));
                    }
                    let needed = [caps::common::AUTH_SELECTION, caps::common::MINI_HEADER];
                    if !needed.iter().all(|cap| reply.common_caps.has(*cap)) {
                        return Err(ReplayError::NotAServer);
                    }
                    let used = self.input.len() - reader.remaining();
                    self.input.drain(..used);
                    self.output.extend(AuthMechanism::SPICE.0.to_le_bytes());
                    self.output.extend([0; TICKET_SIZE]);
                    self.state = State::AwaitingResult;
                }
                State::AwaitingResult => {
                    let Some(code) = self.input.first_chunk::<4>() else {
                        return Ok(Progress::NeedsBytes);
                    };
                    let code = LinkCode(u32::from_le_bytes(*code));
                    if code != LinkCode::OK {
                        return Err(ReplayError::Refused(code));
                    }
                    return Ok(Progress::Linked(self.input.split_off(4)));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::link::{Link, Step};
    use crate::wire::caps::Caps;
    use crate::wire::link::ChannelType;
    use proptest::prelude::*;

    fn message() -> LinkMessage {
        LinkMessage {
            connection_id: 0x1234,
            channel_type: ChannelType::DISPLAY,
            channel_id: 0,
            common_caps: Caps::of(&[0, 1, 2, 3]),
            channel_caps: Caps::of(&[5]),
        }
    }

    fn address() -> SocketAddr {
        "192.0.2.7:5678".parse().unwrap()
    }

    #[test]
    fn the_first_words_tell_the_clients_address() {
        let mut replay = Replay::new(&message(), 1, Access::Full, address());
        let said = replay.take_output();
        assert_eq!(client_address::find(&said), Some(address()));
    }

    /// Our own server's end takes it, whatever the pieces.
    fn link(
        piece: usize,
        verdict: Result<(), crate::channel::link::LinkError>,
    ) -> (Result<Progress, ReplayError>, Option<LinkMessage>) {
        let (mut replay, mut server) = (
            Replay::new(&message(), 99, Access::Full, address()),
            Link::new(),
        );
        let mut linked = None;
        loop {
            let said = replay.take_output();
            for part in said.chunks(piece) {
                server.push(part);
            }
            loop {
                match server.step() {
                    Step::NeedsKey => server.give_key([5; 162]),
                    Step::CheckTicket(_) => server.decide(verdict),
                    Step::Linked(found) => linked = Some(found.message),
                    Step::NeedsBytes | Step::Sasl(_) | Step::Failed(_) => break,
                }
            }
            let mut answer = server.take_output();
            if linked.is_some() {
                answer.extend(b"more");
            }
            for part in answer.chunks(piece) {
                match replay.push(part) {
                    Ok(Progress::NeedsBytes) => {}
                    other => return (other, linked),
                }
            }
        }
    }

    proptest! {
        #[test]
        fn our_server_is_linked_to(piece in 1_usize..400) {
            let (progress, linked) = link(piece, Ok(()));
            prop_assert_eq!(linked.unwrap().connection_id, 99);
            prop_assert!(matches!(progress, Ok(Progress::Linked(_))));
        }

        #[test]
        fn whatever_answers_it_ends(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut replay = Replay::new(&message(), 1, Access::Full, address());
            let linked = matches!(replay.push(&bytes), Ok(Progress::Linked(_)));
            prop_assert!(!linked);
        }
    }

    #[test]
    fn a_refusal_is_told() {
        let refused = crate::channel::link::LinkError::Refused;
        let (progress, linked) = link(1000, Err(refused));
        assert_eq!(progress, Err(ReplayError::Refused(LinkCode::ERROR)));
        assert_eq!(linked, None);
        let mut replay = Replay::new(&message(), 1, Access::Full, address());
        let mut reply = Vec::new();
        LinkReply::refusal(LinkCode::CHANNEL_NOT_AVAILABLE).write(&mut reply);
        let refused = ReplayError::Refused(LinkCode::CHANNEL_NOT_AVAILABLE);
        assert_eq!(replay.push(&reply), Err(refused));
    }
}
