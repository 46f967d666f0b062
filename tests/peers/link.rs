//! A SPICE connection byte by byte, for saying what no library would say.
//!
//! Layouts after `spice/protocol.h`: SpiceLinkHeader, SpiceLinkMess, SpiceLinkReply; numbers after `spice/enums.h`.
//! Deliberately not built on the product's own codec: a mistake in that would hide itself.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::oaep;

pub(crate) const MAIN: u8 = 1;
pub(crate) const DISPLAY: u8 = 2;
pub(crate) const INPUTS: u8 = 3;
pub(crate) const CURSOR: u8 = 4;
pub(crate) const PLAYBACK: u8 = 5;
pub(crate) const RECORD: u8 = 6;
pub(crate) const WEBDAV: u8 = 11;

pub(crate) const LINK_OK: u32 = 0;
pub(crate) const INVALID_MAGIC: u32 = 2;
pub(crate) const INVALID_DATA: u32 = 3;
pub(crate) const VERSION_MISMATCH: u32 = 4;
pub(crate) const NEED_SECURED: u32 = 5;
pub(crate) const PERMISSION_DENIED: u32 = 7;
pub(crate) const BAD_CONNECTION_ID: u32 = 8;
pub(crate) const CHANNEL_NOT_AVAILABLE: u32 = 9;

const AUTH_SELECTION: u32 = 1 << 0;
const AUTH_SPICE: u32 = 1 << 1;
const MINI_HEADER: u32 = 1 << 3;

/// Bytes of SpiceLinkMess: connection_id, channel_type, channel_id, two counts, caps_offset.
const LINK_MESS_SIZE: u32 = 18;

/// Bytes of SpiceLinkReply's pub_key.
const PUBLIC_KEY_SIZE: usize = 162;

const TICKET_SIZE: usize = oaep::BLOCK_SIZE;

const MSG_MAIN_INIT: u16 = 103;

/// Nothing the server owes takes longer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The bytes that open a connection, each field to be spoilt by a test.
#[derive(Clone, Debug)]
pub(crate) struct LinkMessage {
    pub(crate) magic: [u8; 4],
    pub(crate) major: u32,
    pub(crate) minor: u32,
    /// Said length of what follows the header; `None` for the true one.
    pub(crate) size: Option<u32>,
    pub(crate) connection_id: u32,
    pub(crate) channel_type: u8,
    pub(crate) channel_id: u8,
    /// Said counts; `None` for the true ones.
    pub(crate) common_count: Option<u32>,
    pub(crate) channel_count: Option<u32>,
    pub(crate) caps_offset: u32,
    pub(crate) common_caps: Vec<u32>,
    pub(crate) channel_caps: Vec<u32>,
}

impl LinkMessage {
    /// What a good client sends.
    pub(crate) fn good(channel_type: u8, connection_id: u32) -> Self {
        Self {
            magic: *b"REDQ",
            major: 2,
            minor: 2,
            size: None,
            connection_id,
            channel_type,
            channel_id: 0,
            common_count: None,
            channel_count: None,
            caps_offset: LINK_MESS_SIZE,
            common_caps: vec![AUTH_SELECTION | AUTH_SPICE | MINI_HEADER],
            channel_caps: vec![],
        }
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let count = |caps: &[u32]| u32::try_from(caps.len()).unwrap();
        let mut body = Vec::new();
        body.extend(self.connection_id.to_le_bytes());
        body.extend([self.channel_type, self.channel_id]);
        body.extend(
            self.common_count
                .unwrap_or(count(&self.common_caps))
                .to_le_bytes(),
        );
        body.extend(
            self.channel_count
                .unwrap_or(count(&self.channel_caps))
                .to_le_bytes(),
        );
        body.extend(self.caps_offset.to_le_bytes());
        for caps in self.common_caps.iter().chain(&self.channel_caps) {
            body.extend(caps.to_le_bytes());
        }
        let size = self.size.unwrap_or(u32::try_from(body.len()).unwrap());
        let mut bytes = self.magic.to_vec();
        bytes.extend(self.major.to_le_bytes());
        bytes.extend(self.minor.to_le_bytes());
        bytes.extend(size.to_le_bytes());
        bytes.extend(body);
        bytes
    }
}

/// How a connection ended, as its client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A link reply or link result with this number.
    Link(u32),
    /// The server closed without another word.
    Closed,
    /// The server does nothing: after `ANSWER_TIMEOUT` the connection is still there.
    Open,
}

/// A raw connection.
pub(crate) struct RawLink {
    stream: TcpStream,
    /// DER SubjectPublicKeyInfo of the link reply; empty before that.
    public_key: Vec<u8>,
}

impl RawLink {
    pub(crate) fn connect(port: u16) -> Self {
        Self::connect_to((std::net::Ipv4Addr::LOCALHOST, port).into())
    }

    pub(crate) fn connect_to(address: std::net::SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(ANSWER_TIMEOUT)).unwrap();
        Self {
            stream,
            public_key: Vec::new(),
        }
    }

    /// Sends bytes; a server that has closed already is found out by reading.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// No more bytes will come from this side.
    pub(crate) fn finish(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }

    /// Reads the link reply: its error number.
    pub(crate) fn link_reply(&mut self) -> Outcome {
        let mut header = [0; 16];
        if let Err(outcome) = self.read(&mut header) {
            return outcome;
        }
        assert_eq!(&header[..4], b"REDQ", "not a SPICE reply");
        let size = u32::from_le_bytes(header[12..].try_into().unwrap());
        assert!((4..4096).contains(&size), "a reply of {size} bytes");
        let mut body = vec![0; usize::try_from(size).unwrap()];
        if let Err(outcome) = self.read(&mut body) {
            return outcome;
        }
        self.public_key = body
            .get(4..4 + PUBLIC_KEY_SIZE)
            .unwrap_or_default()
            .to_vec();
        Outcome::Link(u32::from_le_bytes(body[..4].try_into().unwrap()))
    }

    /// An empty password under the key of the link reply.
    pub(crate) fn empty_ticket(&self) -> [u8; TICKET_SIZE] {
        self.ticket_of("")
    }

    /// Any password under that key.
    pub(crate) fn ticket_of(&self, password: &str) -> [u8; TICKET_SIZE] {
        oaep::encrypted(&self.public_key, password.as_bytes())
    }

    /// Selects the ticket, sends one, and reads the link result.
    pub(crate) fn ticket(&mut self, ticket: &[u8; TICKET_SIZE]) -> Outcome {
        self.send(&1_u32.to_le_bytes());
        self.send(ticket);
        self.number()
    }

    /// Reads a link result.
    pub(crate) fn number(&mut self) -> Outcome {
        let mut result = [0; 4];
        match self.read(&mut result) {
            Ok(()) => Outcome::Link(u32::from_le_bytes(result)),
            Err(outcome) => outcome,
        }
    }

    /// Opens a channel of a desktop without tickets to the point where messages flow.
    pub(crate) fn open(port: u16, channel_type: u8, connection_id: u32) -> Self {
        Self::open_with(port, &LinkMessage::good(channel_type, connection_id))
    }

    /// The same with a link message of any capabilities.
    pub(crate) fn open_with(port: u16, hello: &LinkMessage) -> Self {
        let mut link = Self::connect(port);
        link.send(&hello.bytes());
        assert_eq!(link.link_reply(), Outcome::Link(LINK_OK));
        let ticket = link.empty_ticket();
        assert_eq!(link.ticket(&ticket), Outcome::Link(LINK_OK));
        link
    }

    /// Opens a main channel and reads its session id.
    pub(crate) fn open_main(port: u16) -> (Self, u32) {
        let mut link = Self::open(port, MAIN, 0);
        loop {
            let (kind, body) = link.message();
            if kind == MSG_MAIN_INIT {
                return (link, u32::from_le_bytes(body[..4].try_into().unwrap()));
            }
        }
    }

    /// Reads the session id of a main channel with either kind of header.
    pub(crate) fn session_id(&mut self, mini: bool) -> u32 {
        let (skipped, size_at) = if mini { (0, 2) } else { (8, 10) };
        loop {
            let mut header = vec![0; if mini { 6 } else { 18 }];
            self.read(&mut header).unwrap();
            let size = u32::from_le_bytes(header[size_at..size_at + 4].try_into().unwrap());
            let mut body = vec![0; usize::try_from(size).unwrap()];
            self.read(&mut body).unwrap();
            if header[skipped..skipped + 2] == MSG_MAIN_INIT.to_le_bytes() {
                return u32::from_le_bytes(body[..4].try_into().unwrap());
            }
        }
    }

    /// Reads one message with a mini header.
    pub(crate) fn message(&mut self) -> (u16, Vec<u8>) {
        self.try_message()
            .unwrap_or_else(|outcome| panic!("no message: {outcome:?}"))
    }

    /// The same, or how the connection ended.
    pub(crate) fn try_message(&mut self) -> Result<(u16, Vec<u8>), Outcome> {
        let mut header = [0; 6];
        self.read(&mut header)?;
        let size = u32::from_le_bytes(header[2..].try_into().unwrap());
        let mut body = vec![0; usize::try_from(size).unwrap()];
        self.read(&mut body)?;
        Ok((u16::from_le_bytes([header[0], header[1]]), body))
    }

    /// Reads and throws away until the server closes.
    pub(crate) fn end(&mut self) -> Outcome {
        let mut rest = [0; 4096];
        let deadline = std::time::Instant::now() + ANSWER_TIMEOUT;
        while std::time::Instant::now() < deadline {
            match self.stream.read(&mut rest) {
                Ok(0) => return Outcome::Closed,
                Ok(_) => {}
                Err(error) => return outcome_of(error.kind()),
            }
        }
        Outcome::Open
    }

    /// Whether the server has closed already; what it has sent is thrown away.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.stream.set_nonblocking(true).unwrap();
        let mut rest = [0; 4096];
        let ended = loop {
            match self.stream.read(&mut rest) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(error) => break error.kind() != ErrorKind::WouldBlock,
            }
        };
        self.stream.set_nonblocking(false).unwrap();
        ended
    }

    /// Sends zeros until the server takes no more, at most so many bytes; how many it took.
    pub(crate) fn push(&mut self, bytes: usize) -> usize {
        // Else a sender's kernel would hide what the receiver takes.
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_send_buffer_size(64 * 1024).unwrap();
        let zeros = [0; 64 * 1024];
        let mut taken = 0;
        while taken < bytes {
            match self.stream.write(&zeros) {
                Ok(count) => taken += count,
                Err(_) => break,
            }
        }
        taken
    }

    /// Ends the connection with RST in place of FIN.
    pub(crate) fn reset(self) {
        let socket = socket2::Socket::from(self.stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    fn read(&mut self, bytes: &mut [u8]) -> Result<(), Outcome> {
        self.stream
            .read_exact(bytes)
            .map_err(|error| outcome_of(error.kind()))
    }
}

fn outcome_of(error: ErrorKind) -> Outcome {
    match error {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Outcome::Open,
        _ => Outcome::Closed,
    }
}

/// A message with a mini header: type, said size, body.
pub(crate) fn message(kind: u16, size: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = kind.to_le_bytes().to_vec();
    bytes.extend(size.to_le_bytes());
    bytes.extend(body);
    bytes
}

/// A message with a full header: serial, type, said size, no sub-messages, body.
pub(crate) fn full_message(kind: u16, size: u32, body: &[u8]) -> Vec<u8> {
    let mut bytes = 1_u64.to_le_bytes().to_vec();
    bytes.extend(kind.to_le_bytes());
    bytes.extend(size.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(body);
    bytes
}
