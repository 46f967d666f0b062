//! The handshake of a connection, from its first byte to a linked channel.
//!
//! ```text
//!  AwaitingHello ──message──▶ AwaitingKey ──give_key──▶ AwaitingMechanism ──▶ AwaitingTicket ──128 bytes──┐
//!                                                        (if both announced AUTH_SELECTION)                │
//!                                                           Linked ◀──OK── decide ── AwaitingVerdict ◀─────┘
//! ```
//!
//! Where SASL is offered it takes the place of key and ticket; [`link_sasl`](super::link_sasl) has that branch.
//!
//! Keys and passwords are somebody else's: the machine asks for a key and hands the ticket out. Calls, in this
//! order: [`push`](Link::push) bytes as they come, then [`step`](Link::step) until it wants bytes or something
//! from the caller; what [`take_output`](Link::take_output) gives is sent. After [`Step::Failed`] the connection is
//! closed, once the output (which names the error where the protocol allows it) is sent.
//!
//! A client cannot make it keep more than [`LINK_BYTES_MAX`] bytes, or [`LINK_BYTES_KERBEROS_MAX`].

use zeroize::Zeroize;

use super::link_reply::reply;
use super::link_sasl::{self, SaslAnswer, SaslLink, SaslTurn};
use crate::base::ByteReader;
use crate::base::limits::{
    KERBEROS_DATA_BYTES_MAX, LINK_MESSAGE_MAX, SASL_DATA_BYTES_MAX, SASL_NAME_BYTES_MAX,
};
use crate::wire::caps;
use crate::wire::link::{
    AuthMechanism, ChannelType, EncryptedTicket, KEY_SIZE, LinkCode, LinkHeader, LinkMessage,
    LinkReply, MAGIC, PublicKey, TICKET_SIZE, VERSION_MAJOR,
};
use crate::wire::{Decode, WireError};

/// Bytes of a whole handshake: header, message, mechanism and ticket.
pub const LINK_BYTES_MAX: usize = LinkHeader::SIZE + LINK_MESSAGE_MAX as usize + 4 + TICKET_SIZE;

/// The same where a Kerberos ticket takes the place of the other, with one read of what follows.
pub const LINK_BYTES_KERBEROS_MAX: usize = LINK_BYTES_MAX + KERBEROS_DATA_BYTES_MAX as usize;

const _: () = assert!(
    4 + SASL_NAME_BYTES_MAX as usize + 4 + SASL_DATA_BYTES_MAX as usize <= LINK_BYTES_MAX,
    "any message of SASL fits"
);

/// Why a handshake failed. All but the verdicts are the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The first bytes are not SPICE.
    #[error("not a SPICE client: the first bytes are not REDQ")]
    Magic,
    /// Another major version of the protocol.
    #[error("client speaks SPICE {0}, this server {VERSION_MAJOR}")]
    Version(u32),
    /// A message size that cannot be.
    #[error("link message of {0} bytes")]
    Size(u32),
    /// The link message contradicts itself.
    #[error("link message: {0}")]
    Message(#[from] WireError),
    /// Plain bytes where only TLS is taken.
    #[error("unencrypted, where only TLS is taken")]
    NeedSecured,
    /// A main channel with a connection id: there is no migration.
    #[error("main channel presents connection id {0:#x}, but sessions do not migrate")]
    Migration(u32),
    /// A channel that this desktop does not have.
    #[error("no channel {0:?} {1}")]
    NoSuchChannel(ChannelType, u8),
    /// An authentication that was not offered.
    #[error("authentication mechanism {0:?} was not offered")]
    Mechanism(AuthMechanism),
    /// A client that cannot do SASL, where nothing else is offered.
    #[error("client without SASL, and nothing else is offered")]
    NoSasl,
    /// A SASL mechanism that was not offered.
    #[error("SASL mechanism was not offered")]
    SaslMechanism,
    /// A SASL message that contradicts itself.
    #[error("SASL: {0}")]
    Sasl(WireError),
    /// More SASL messages than any mechanism takes.
    #[error("too many SASL messages")]
    SaslMessages,
    /// Bytes beyond what a handshake takes.
    #[error("more bytes than a handshake takes")]
    TooLong,
    /// The ticket is wrong or has expired, or SASL said no.
    #[error("wrong password")]
    PermissionDenied,
    /// No client has the connection id that was presented.
    #[error("unknown connection id")]
    UnknownConnection,
    /// The server cannot serve another channel now.
    #[error("refused")]
    Refused,
}

impl LinkError {
    /// What the client is told.
    pub const fn code(&self) -> LinkCode {
        match self {
            Self::Magic => LinkCode::INVALID_MAGIC,
            Self::Version(_) => LinkCode::VERSION_MISMATCH,
            Self::Size(_)
            | Self::Message(_)
            | Self::TooLong
            | Self::Sasl(_)
            | Self::SaslMessages => LinkCode::INVALID_DATA,
            Self::NeedSecured => LinkCode::NEED_SECURED,
            Self::Migration(_) | Self::UnknownConnection => LinkCode::BAD_CONNECTION_ID,
            Self::NoSuchChannel(..) => LinkCode::CHANNEL_NOT_AVAILABLE,
            Self::Mechanism(_) | Self::NoSasl | Self::SaslMechanism | Self::PermissionDenied => {
                LinkCode::PERMISSION_DENIED
            }
            Self::Refused => LinkCode::ERROR,
        }
    }
}

/// A client that has been let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Linked {
    /// What the client asked for, capabilities included.
    pub message: LinkMessage,
    /// Both sides use mini headers.
    pub mini_header: bool,
    /// Bytes that came behind the handshake: the channel's first messages.
    pub leftover: Vec<u8>,
}

/// What has to happen next.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// More bytes.
    NeedsBytes,
    /// [`Link::give_key`].
    NeedsKey,
    /// Decrypt and check this ticket, then [`Link::decide`].
    CheckTicket(Box<EncryptedTicket>),
    /// [`Link::answer_sasl`].
    Sasl(SaslTurn),
    /// The channel is linked; the machine is done.
    Linked(Box<Linked>),
    /// Send the output and close.
    Failed(LinkError),
}

#[derive(Debug)]
enum State {
    AwaitingHello,
    AwaitingKey,
    AwaitingMechanism,
    AwaitingTicket,
    AwaitingSasl,
    AwaitingSaslAnswer,
    AwaitingVerdict,
    Decided,
    Failed(LinkError),
}

/// The server's end of one handshake.
#[derive(Debug)]
pub struct Link {
    state: State,
    input: Vec<u8>,
    output: Vec<u8>,
    message: Option<LinkMessage>,
    is_refused_for_plain: bool,
    decodes_opus: bool,
    /// Offered in place of tickets.
    sasl: Option<SaslLink>,
    input_bytes_max: usize,
}

impl Link {
    /// A connection that has just been accepted.
    pub const fn new() -> Self {
        Self {
            state: State::AwaitingHello,
            input: Vec::new(),
            output: Vec::new(),
            message: None,
            is_refused_for_plain: false,
            decodes_opus: false,
            sasl: None,
            input_bytes_max: LINK_BYTES_MAX,
        }
    }

    /// A connection that nobody else reads, whose client has to authenticate by one of these SASL mechanisms.
    pub fn offering_sasl(mechanisms: &[&'static str]) -> Self {
        let mut link = Self::new();
        link.sasl = Some(SaslLink::new(mechanisms, SASL_DATA_BYTES_MAX));
        // So that a password is at no place that is not wiped.
        link.input.reserve_exact(LINK_BYTES_MAX);
        link
    }

    /// A connection that nobody else reads, whose client has to come with a Kerberos ticket, by this SASL mechanism.
    pub fn offering_kerberos(mechanism: &'static str) -> Self {
        let mut link = Self::new();
        link.sasl = Some(SaslLink::new(&[mechanism], KERBEROS_DATA_BYTES_MAX));
        link.input_bytes_max = LINK_BYTES_KERBEROS_MAX;
        link
    }

    /// A connection that came unencrypted where that is not allowed: a client that speaks SPICE is told so, and comes
    /// again with TLS.
    pub const fn refusing_plain() -> Self {
        let mut link = Self::new();
        link.is_refused_for_plain = true;
        link
    }

    /// Announces that the client may send its microphone as Opus.
    #[must_use]
    pub const fn decoding_opus(mut self, decodes: bool) -> Self {
        self.decodes_opus = decodes;
        self
    }

    /// Bytes from the client.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.input_bytes_max < self.input.len() + bytes.len() {
            // Whatever follows a ticket follows its verdict: no client has that much to say before.
            self.fail(LinkError::TooLong);
        } else {
            self.input.extend_from_slice(bytes);
        }
    }

    /// Goes on as far as the bytes allow.
    pub fn step(&mut self) -> Step {
        loop {
            let progress = match self.state {
                State::AwaitingHello => self.read_hello(),
                State::AwaitingKey => return Step::NeedsKey,
                State::AwaitingMechanism => self.read_mechanism(),
                State::AwaitingTicket => match self.take::<TICKET_SIZE>() {
                    Some(ticket) => {
                        self.state = State::AwaitingVerdict;
                        return Step::CheckTicket(Box::new(ticket));
                    }
                    None => Ok(false),
                },
                State::AwaitingSasl => match self.read_sasl() {
                    Ok(Some(turn)) => return Step::Sasl(turn),
                    Ok(None) => Ok(false),
                    Err(error) => Err(error),
                },
                State::AwaitingSaslAnswer | State::AwaitingVerdict => return Step::NeedsBytes,
                State::Decided => return self.finish(),
                State::Failed(error) => return Step::Failed(error),
            };
            match progress {
                Ok(true) => {}
                Ok(false) => return Step::NeedsBytes,
                Err(error) => self.fail(error),
            }
        }
    }

    /// The key for this connection's ticket, after [`Step::NeedsKey`]; at any other time it is ignored.
    pub fn give_key(&mut self, key: PublicKey) {
        let (State::AwaitingKey, Some(message)) = (&self.state, self.message.as_ref()) else {
            return;
        };
        let caps = (caps::common::AUTH_SPICE, self.decodes_opus);
        reply(key, caps, message).write(&mut self.output);
        // A client that cannot choose sends its ticket at once.
        self.state = if message.common_caps.has(caps::common::AUTH_SELECTION) {
            State::AwaitingMechanism
        } else {
            State::AwaitingTicket
        };
    }

    /// What the server's mechanism says, after [`Step::Sasl`]; at any other time it is ignored.
    pub fn answer_sasl(&mut self, answer: SaslAnswer) {
        if !matches!(self.state, State::AwaitingSaslAnswer) {
            return;
        }
        self.state = match answer {
            SaslAnswer::Continue(data) => {
                link_sasl::write_continue(data, &mut self.output);
                State::AwaitingSasl
            }
            SaslAnswer::Accepted(data) => {
                link_sasl::write_end(data, LinkCode::OK, &mut self.output);
                State::AwaitingVerdict
            }
            SaslAnswer::Denied(data) => {
                let error = LinkError::PermissionDenied;
                link_sasl::write_end(data, error.code(), &mut self.output);
                self.input.zeroize();
                State::Failed(error)
            }
        };
    }

    /// The verdict on the ticket, after [`Step::CheckTicket`], or on a client that SASL has accepted; at any other time
    /// it is ignored: nothing lets a client in that has failed.
    pub fn decide(&mut self, verdict: Result<(), LinkError>) {
        if !matches!(self.state, State::AwaitingVerdict) {
            return;
        }
        match verdict {
            Ok(()) => {
                self.output.extend_from_slice(&LinkCode::OK.0.to_le_bytes());
                self.state = State::Decided;
            }
            Err(error) => self.fail(error),
        }
    }

    /// What the client asked for, once it is known.
    pub const fn message(&self) -> Option<&LinkMessage> {
        self.message.as_ref()
    }

    /// Bytes that are kept of what the client said.
    pub const fn kept_bytes(&self) -> usize {
        self.input.len()
    }

    /// Bytes to be sent.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    /// Checks in the reference server's order: magic, version, size, capabilities, then what is asked for.
    fn read_hello(&mut self) -> Result<bool, LinkError> {
        let seen = self.input.len().min(MAGIC.len());
        if self.input.get(..seen) != MAGIC.get(..seen) {
            return Err(LinkError::Magic);
        }
        let mut reader = ByteReader::new(&self.input);
        let Ok(header) = LinkHeader::decode(&mut reader) else {
            return Ok(false);
        };
        if header.major != VERSION_MAJOR {
            return Err(LinkError::Version(header.major));
        }
        if LINK_MESSAGE_MAX < header.size || (header.size as usize) < LinkMessage::SIZE {
            return Err(LinkError::Size(header.size));
        }
        let Ok(body) = reader.bytes(header.size as usize) else {
            return Ok(false);
        };
        let message = LinkMessage::decode(&mut ByteReader::new(body))?;
        let used = self.input.len() - reader.remaining();
        if self.is_refused_for_plain {
            return Err(LinkError::NeedSecured);
        }
        if message.channel_type == ChannelType::MAIN && message.connection_id != 0 {
            return Err(LinkError::Migration(message.connection_id));
        }
        // Whether this desktop has sound is said behind the ticket.
        let served = [
            ChannelType::MAIN,
            ChannelType::DISPLAY,
            ChannelType::INPUTS,
            ChannelType::CURSOR,
            // Those that a desktop does not have the session refuses.
            ChannelType::PLAYBACK,
            ChannelType::RECORD,
            ChannelType::WEBDAV,
        ];
        if !served.contains(&message.channel_type) || message.channel_id != 0 {
            return Err(LinkError::NoSuchChannel(
                message.channel_type,
                message.channel_id,
            ));
        }
        self.state = match &self.sasl {
            None => State::AwaitingKey,
            Some(_) => {
                let needed = [caps::common::AUTH_SELECTION, caps::common::AUTH_SASL];
                if !needed.iter().all(|cap| message.common_caps.has(*cap)) {
                    return Err(LinkError::NoSasl);
                }
                // Without tickets there is nothing to encrypt, and no key.
                reply(
                    [0; KEY_SIZE],
                    (caps::common::AUTH_SASL, self.decodes_opus),
                    &message,
                )
                .write(&mut self.output);
                State::AwaitingMechanism
            }
        };
        self.input.drain(..used);
        self.message = Some(message);
        Ok(true)
    }

    fn read_mechanism(&mut self) -> Result<bool, LinkError> {
        let Some(bytes) = self.take::<4>() else {
            return Ok(false);
        };
        match (AuthMechanism(u32::from_le_bytes(bytes)), &self.sasl) {
            (AuthMechanism::SPICE, None) => self.state = State::AwaitingTicket,
            (AuthMechanism::SASL, Some(sasl)) => {
                sasl.offer(&mut self.output);
                self.state = State::AwaitingSasl;
            }
            (other, _) => return Err(LinkError::Mechanism(other)),
        }
        Ok(true)
    }

    fn read_sasl(&mut self) -> Result<Option<SaslTurn>, LinkError> {
        let Some(sasl) = &mut self.sasl else {
            return Ok(None);
        };
        let Some((turn, used)) = sasl.read(&self.input)? else {
            return Ok(None);
        };
        self.state = State::AwaitingSaslAnswer;
        // In place: what was read may have been a password.
        let left = self.input.len() - used;
        self.input.copy_within(used.., 0);
        if let Some(read) = self.input.get_mut(left..) {
            read.zeroize();
        }
        self.input.truncate(left);
        Ok(Some(turn))
    }

    fn finish(&mut self) -> Step {
        match self.message.take() {
            Some(message) => {
                let mini_header = message.common_caps.has(caps::common::MINI_HEADER);
                let leftover = std::mem::take(&mut self.input);
                Step::Linked(Box::new(Linked {
                    message,
                    mini_header,
                    leftover,
                }))
            }
            None => Step::NeedsBytes,
        }
    }

    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let taken = *self.input.first_chunk::<N>()?;
        self.input.drain(..N);
        Some(taken)
    }

    /// Tells the client in the form that it waits for: a link reply, then a link result.
    fn fail(&mut self, error: LinkError) {
        match self.state {
            State::AwaitingHello | State::AwaitingKey => {
                LinkReply::refusal(error.code()).write(&mut self.output);
            }
            State::AwaitingMechanism | State::AwaitingTicket | State::AwaitingVerdict => {
                self.output.extend_from_slice(&error.code().0.to_le_bytes());
            }
            State::AwaitingSasl | State::AwaitingSaslAnswer => {
                link_sasl::write_end(None, error.code(), &mut self.output);
            }
            State::Decided | State::Failed(_) => return,
        }
        self.input.zeroize();
        self.input = Vec::new();
        self.state = State::Failed(error);
    }
}

impl Default for Link {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ByteWriter;
    use crate::wire::Encode;
    use crate::wire::caps::Caps;

    fn hello(message: &LinkMessage) -> Vec<u8> {
        let mut body = Vec::new();
        message.encode(&mut ByteWriter::new(&mut body));
        let mut out = Vec::new();
        LinkHeader::new(u32::try_from(body.len()).unwrap()).encode(&mut ByteWriter::new(&mut out));
        [out, body].concat()
    }

    fn message(channel_type: ChannelType) -> LinkMessage {
        LinkMessage {
            connection_id: u32::from(channel_type != ChannelType::MAIN),
            channel_type,
            channel_id: 0,
            common_caps: Caps::of(&[0, 1, 3]),
            channel_caps: Caps::of(&[5]),
        }
    }

    /// Everything a good client sends, with two bytes of its first message behind.
    fn good() -> Vec<u8> {
        [
            hello(&message(ChannelType::DISPLAY)),
            vec![1, 0, 0, 0],
            vec![7; 128],
            vec![8, 9],
        ]
        .concat()
    }

    /// Runs bytes through a link in pieces; the key is of fives, tickets of sevens are right.
    fn run(bytes: &[u8], piece: usize) -> (Step, Vec<u8>) {
        let (mut link, mut output) = (Link::new(), Vec::new());
        let mut last = Step::NeedsBytes;
        for part in bytes.chunks(piece) {
            link.push(part);
            loop {
                last = link.step();
                output.extend(link.take_output());
                match &last {
                    Step::NeedsKey => link.give_key([5; 162]),
                    Step::CheckTicket(ticket) => link.decide(if **ticket == [7; 128] {
                        Ok(())
                    } else {
                        Err(LinkError::PermissionDenied)
                    }),
                    _ => break,
                }
            }
            if !matches!(last, Step::NeedsBytes) {
                break;
            }
        }
        (last, output)
    }

    fn reply_code(output: &[u8]) -> LinkCode {
        let mut reader = ByteReader::new(output);
        let header = LinkHeader::decode(&mut reader).unwrap();
        assert_eq!(header.size as usize, reader.remaining());
        LinkReply::decode(&mut reader).unwrap().error
    }

    #[test]
    fn a_good_client_is_linked_however_its_bytes_are_cut() {
        for piece in [1, 3, 16, 100, 1000] {
            let (step, output) = run(&good(), piece);
            let Step::Linked(linked) = step else {
                panic!("{step:?} in pieces of {piece}");
            };
            assert!(linked.mini_header && linked.message == message(ChannelType::DISPLAY));
            assert!(piece < 1000 || linked.leftover == [8, 9]);
            assert_eq!(reply_code(&output[..output.len() - 4]), LinkCode::OK);
            assert_eq!(output[output.len() - 4..], [0; 4]);
        }
    }

    #[test]
    fn every_cut_waits_for_more() {
        let bytes = good();
        for length in 0..bytes.len() - 2 {
            assert_eq!(
                run(&bytes[..length], 1000).0,
                Step::NeedsBytes,
                "cut at {length}"
            );
        }
    }

    #[test]
    fn malformed_hellos_get_the_error_of_their_kind() {
        let good = hello(&message(ChannelType::MAIN));
        let change = |at: usize, bytes: &[u8]| {
            let mut changed = good.clone();
            changed[at..at + bytes.len()].copy_from_slice(bytes);
            changed
        };
        let cases = [
            (change(0, b"R"), LinkCode::OK),
            (change(0, b"GET "), LinkCode::INVALID_MAGIC),
            (change(3, b"q"), LinkCode::INVALID_MAGIC),
            (change(4, &[3]), LinkCode::VERSION_MISMATCH),
            (change(4, &[1]), LinkCode::VERSION_MISMATCH),
            (change(8, &[9]), LinkCode::OK),
            (change(12, &17u32.to_le_bytes()), LinkCode::INVALID_DATA),
            (change(12, &4097u32.to_le_bytes()), LinkCode::INVALID_DATA),
            (change(12, &u32::MAX.to_le_bytes()), LinkCode::INVALID_DATA),
            // Counts that sum to 0 in 32 bits (CVE-2016-9578).
            (
                change(22, &[0, 0, 0, 0x80, 0, 0, 0, 0x80]),
                LinkCode::INVALID_DATA,
            ),
            (
                change(22, &[0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0]),
                LinkCode::INVALID_DATA,
            ),
            (change(22, &[3, 0, 0, 0]), LinkCode::INVALID_DATA),
            (change(30, &[17, 0, 0, 0]), LinkCode::INVALID_DATA),
            (change(30, &[0xff; 4]), LinkCode::INVALID_DATA),
            (change(16, &[1, 0, 0, 0]), LinkCode::BAD_CONNECTION_ID),
            (change(20, &[7]), LinkCode::CHANNEL_NOT_AVAILABLE),
            (change(20, &[255]), LinkCode::CHANNEL_NOT_AVAILABLE),
            (change(21, &[1]), LinkCode::CHANNEL_NOT_AVAILABLE),
        ];
        for (bytes, code) in cases {
            let (step, output) = run(&bytes, 1000);
            assert_eq!(reply_code(&output), code, "{bytes:?}");
            assert_eq!(
                matches!(step, Step::Failed(_)),
                code != LinkCode::OK,
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn plain_bytes_where_only_tls_is_taken_are_told_so_if_they_are_spice() {
        let refused = |bytes: &[u8]| {
            let mut link = Link::refusing_plain();
            link.push(bytes);
            (link.step(), reply_code(&link.take_output()))
        };
        assert_eq!(
            refused(&good()),
            (Step::Failed(LinkError::NeedSecured), LinkCode::NEED_SECURED)
        );
        let (step, code) = refused(b"GET / HTTP/1.1\r\n\r\n");
        assert_eq!(
            (step, code),
            (Step::Failed(LinkError::Magic), LinkCode::INVALID_MAGIC)
        );
    }

    #[test]
    fn wrong_tickets_and_foreign_mechanisms_are_denied() {
        let start = hello(&message(ChannelType::MAIN));
        let denied = LinkCode::PERMISSION_DENIED.0.to_le_bytes();
        for tail in [
            [vec![1, 0, 0, 0], vec![6; 128]].concat(),
            vec![2, 0, 0, 0],
            vec![255; 4],
        ] {
            let (step, output) = run(&[start.clone(), tail].concat(), 1000);
            assert!(matches!(step, Step::Failed(_)), "{step:?}");
            assert_eq!(output[output.len() - 4..], denied);
        }
    }

    #[test]
    fn a_client_without_auth_selection_sends_its_ticket_at_once() {
        let old = LinkMessage {
            common_caps: Caps::default(),
            ..message(ChannelType::MAIN)
        };
        let (step, _) = run(&[hello(&old), vec![7; 128]].concat(), 1000);
        let Step::Linked(linked) = step else {
            panic!("{step:?}")
        };
        assert!(!linked.mini_header);
    }

    #[test]
    fn nothing_is_kept_beyond_a_handshake() {
        let mut link = Link::new();
        link.push(&hello(&message(ChannelType::MAIN)));
        assert_eq!(link.step(), Step::NeedsKey);
        for _ in 0..100 {
            link.push(&[0; 1000]);
            link.step();
            assert!(link.input.capacity() <= 2 * LINK_BYTES_MAX);
        }
        assert_eq!(link.step(), Step::Failed(LinkError::TooLong));
        assert_eq!(reply_code(&link.take_output()), LinkCode::INVALID_DATA);
    }
}
