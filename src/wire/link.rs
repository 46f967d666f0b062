//! Linking: what is said before a connection is a channel.
//!
//! | who | what | bytes |
//! |---|---|---|
//! | client | header: "REDQ", major u32, minor u32, size u32 | 16 |
//! | client | connection_id u32, type u8, id u8, common caps u32, channel caps u32, caps_offset u32; caps | 18 + 4 n |
//! | server | header; error u32, key (162), common caps u32, channel caps u32, caps_offset u32; caps | 16 + 178 + 4 n |
//! | client | mechanism u32, if both announced AUTH_SELECTION | 4 |
//! | client | ticket: the password and a NUL, encrypted (OAEP) with the key | 128 |
//! | server | result u32 | 4 |

use super::caps::Caps;
use super::field::wire_enum;
use super::{Decode, Encode, WireError};
use crate::base::{ByteReader, ByteWriter, limits};

/// First four bytes of a link message in both directions.
pub const MAGIC: [u8; 4] = *b"REDQ";
/// The protocol that this codec speaks.
pub const VERSION_MAJOR: u32 = 2;
/// Its minor version; told, never compared.
pub const VERSION_MINOR: u32 = 2;
/// Bytes of the server's key: the DER form of an RSA key of 1024 bits.
pub const KEY_SIZE: usize = 162;
/// Bytes of an encrypted ticket.
pub const TICKET_SIZE: usize = 128;

/// The server's public key as the client wants it (`SubjectPublicKeyInfo` in DER).
pub type PublicKey = [u8; KEY_SIZE];
/// A password as the client sends it, encrypted with [`PublicKey`].
pub type EncryptedTicket = [u8; TICKET_SIZE];

wire_enum! {
    /// `SpiceLinkErr`: in the link reply, the link result, DISCONNECTING and AGENT_DISCONNECTED.
    LinkCode(u32) {
        /// All is well.
        OK = 0,
        /// Something failed.
        ERROR = 1,
        /// The first four bytes are not "REDQ".
        INVALID_MAGIC = 2,
        /// A size or an offset does not fit.
        INVALID_DATA = 3,
        /// Another major version.
        VERSION_MISMATCH = 4,
        /// This channel is served over TLS only.
        NEED_SECURED = 5,
        /// This channel is served in the clear only.
        NEED_UNSECURED = 6,
        /// The ticket is wrong.
        PERMISSION_DENIED = 7,
        /// No client has this connection id.
        BAD_CONNECTION_ID = 8,
        /// The server has no such channel.
        CHANNEL_NOT_AVAILABLE = 9,
    }
}

wire_enum! {
    /// `SPICE_CHANNEL_*`: what a channel is for.
    ChannelType(u8) {
        /// Session, mouse mode, agent.
        MAIN = 1,
        /// Pixels.
        DISPLAY = 2,
        /// Keyboard and pointer.
        INPUTS = 3,
        /// The pointer's shape.
        CURSOR = 4,
        /// Sound to the client.
        PLAYBACK = 5,
        /// Sound from the client.
        RECORD = 6,
        /// Obsolete.
        TUNNEL = 7,
        /// Smart cards.
        SMARTCARD = 8,
        /// USB devices.
        USBREDIR = 9,
        /// Named byte streams.
        PORT = 10,
        /// Shared folders.
        WEBDAV = 11,
    }
}

wire_enum! {
    /// How a client wants to authenticate: the number of the capability.
    AuthMechanism(u32) {
        /// By ticket.
        SPICE = 1,
        /// By SASL.
        SASL = 2,
    }
}

/// `SpiceLinkHeader`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkHeader {
    /// Must be [`MAGIC`].
    pub magic: [u8; 4],
    /// Must be [`VERSION_MAJOR`].
    pub major: u32,
    /// Any.
    pub minor: u32,
    /// Bytes that follow.
    pub size: u32,
}

impl LinkHeader {
    /// Bytes on the wire.
    pub const SIZE: usize = 4 + 4 + 4 + 4;

    /// Our header in front of `size` bytes.
    pub const fn new(size: u32) -> Self {
        Self {
            magic: MAGIC,
            major: VERSION_MAJOR,
            minor: VERSION_MINOR,
            size,
        }
    }
}

impl Encode for LinkHeader {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.bytes(&self.magic);
        writer.u32(self.major);
        writer.u32(self.minor);
        writer.u32(self.size);
    }
}

impl<'a> Decode<'a> for LinkHeader {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(Self {
            magic: reader.array()?,
            major: reader.u32()?,
            minor: reader.u32()?,
            size: reader.u32()?,
        })
    }
}

/// `SpiceLinkMess` with its capabilities: which channel a client wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkMessage {
    /// 0 for a new session (main channel), else the session id of MAIN_INIT.
    pub connection_id: u32,
    /// Kind of channel.
    pub channel_type: ChannelType,
    /// Which one of its kind.
    pub channel_id: u8,
    /// What the client can do on any channel.
    pub common_caps: Caps,
    /// What it can do on this one.
    pub channel_caps: Caps,
}

impl LinkMessage {
    /// Bytes in front of the capabilities.
    pub const SIZE: usize = 4 + 1 + 1 + 4 + 4 + 4;
}

impl Encode for LinkMessage {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u32(self.connection_id);
        self.channel_type.encode(writer);
        writer.u8(self.channel_id);
        encode_caps(writer, Self::SIZE, &self.common_caps, &self.channel_caps);
    }
}

impl<'a> Decode<'a> for LinkMessage {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let whole = reader.clone();
        let connection_id = reader.u32()?;
        let channel_type = ChannelType::decode(reader)?;
        let channel_id = reader.u8()?;
        let (common_caps, channel_caps) = decode_caps(reader, whole, Self::SIZE)?;
        Ok(Self {
            connection_id,
            channel_type,
            channel_id,
            common_caps,
            channel_caps,
        })
    }
}

/// `SpiceLinkReply` with its capabilities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkReply {
    /// [`LinkCode::OK`], or the end of the connection.
    pub error: LinkCode,
    /// The key for this connection's ticket; zeros with an error.
    pub key: PublicKey,
    /// What the server can do on any channel.
    pub common_caps: Caps,
    /// What it can do on this one.
    pub channel_caps: Caps,
}

impl LinkReply {
    /// Bytes in front of the capabilities.
    pub const SIZE: usize = 4 + KEY_SIZE + 4 + 4 + 4;

    /// A reply that says why not.
    pub fn refusal(error: LinkCode) -> Self {
        let (common_caps, channel_caps) = (Caps::default(), Caps::default());
        Self {
            error,
            key: [0; KEY_SIZE],
            common_caps,
            channel_caps,
        }
    }

    /// Appends the reply with its header.
    pub fn write(&self, out: &mut Vec<u8>) {
        let words = self
            .common_caps
            .word_count()
            .saturating_add(self.channel_caps.word_count());
        let size = words
            .saturating_mul(size_of::<u32>())
            .saturating_add(Self::SIZE);
        let mut writer = ByteWriter::new(out);
        LinkHeader::new(u32::try_from(size).unwrap_or(u32::MAX)).encode(&mut writer);
        self.encode(&mut writer);
    }
}

impl Encode for LinkReply {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        self.error.encode(writer);
        writer.bytes(&self.key);
        encode_caps(writer, Self::SIZE, &self.common_caps, &self.channel_caps);
    }
}

impl<'a> Decode<'a> for LinkReply {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let whole = reader.clone();
        let error = LinkCode::decode(reader)?;
        let key = reader.array()?;
        let (common_caps, channel_caps) = decode_caps(reader, whole, Self::SIZE)?;
        Ok(Self {
            error,
            key,
            common_caps,
            channel_caps,
        })
    }
}

/// Appends the two counts, the offset of the words behind them, and the words.
fn encode_caps(writer: &mut ByteWriter<'_>, offset: usize, common: &Caps, channel: &Caps) {
    for number in [common.word_count(), channel.word_count(), offset] {
        writer.u32(u32::try_from(number).unwrap_or(u32::MAX));
    }
    common.encode(writer);
    channel.encode(writer);
}

/// Reads what [`encode_caps`] writes. `whole` stands at the first byte of the message, whose fixed part takes
/// `fixed` bytes: the words may not overlap it.
fn decode_caps(
    reader: &mut ByteReader<'_>,
    mut whole: ByteReader<'_>,
    fixed: usize,
) -> Result<(Caps, Caps), WireError> {
    let (common, channel, offset) = (reader.u32()?, reader.u32()?, reader.u32()?);
    // In 64 bits: CVE-2016-9578 was counts that sum to 0 in 32.
    let words = u64::from(common).saturating_add(u64::from(channel));
    if words > u64::from(limits::LINK_CAPS_MAX) {
        return Err(WireError::Invalid {
            field: "count of capability words",
            value: words,
        });
    }
    if words == 0 {
        return Ok((Caps::default(), Caps::default()));
    }
    let offset = offset as usize;
    if offset < fixed {
        return Err(WireError::Invalid {
            field: "capabilities offset",
            value: offset as u64,
        });
    }
    whole.bytes(offset)?;
    let common_caps = Caps::decode(&mut whole, common as usize)?;
    let channel_caps = Caps::decode(&mut whole, channel as usize)?;
    Ok((common_caps, channel_caps))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::assert_truncations;

    fn encoded(value: &impl Encode) -> Vec<u8> {
        let mut out = Vec::new();
        value.encode(&mut ByteWriter::new(&mut out));
        out
    }

    #[test]
    fn header_round_trip() {
        let header = LinkHeader::new(18);
        let bytes = encoded(&header);
        assert_eq!(bytes, *b"REDQ\x02\0\0\0\x02\0\0\0\x12\0\0\0");
        assert_eq!(LinkHeader::decode(&mut ByteReader::new(&bytes)), Ok(header));
        assert_truncations::<LinkHeader>(&bytes);
    }

    #[test]
    fn message_round_trip() {
        let message = LinkMessage {
            connection_id: 0x0403_0201,
            channel_type: ChannelType::INPUTS,
            channel_id: 5,
            common_caps: Caps::of(&[0, 1, 3]),
            channel_caps: Caps::of(&[0]),
        };
        let bytes = encoded(&message);
        let expected = [
            1, 2, 3, 4, 3, 5, 1, 0, 0, 0, 1, 0, 0, 0, 18, 0, 0, 0, 0b1011, 0, 0, 0, 1, 0, 0, 0,
        ];
        assert_eq!(bytes, expected);
        assert_eq!(
            LinkMessage::decode(&mut ByteReader::new(&bytes)),
            Ok(message)
        );
        assert_truncations::<LinkMessage>(&bytes);
    }

    #[test]
    fn capabilities_may_lie_behind_a_gap() {
        let mut bytes = vec![0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 20, 0, 0, 0];
        bytes.extend([0xaa, 0xaa, 8, 0, 0, 0]);
        let message = LinkMessage::decode(&mut ByteReader::new(&bytes)).unwrap();
        assert!(message.common_caps.has(caps_mini()));
    }

    const fn caps_mini() -> u32 {
        crate::wire::caps::common::MINI_HEADER
    }

    #[test]
    fn counts_and_offsets_are_bounded() {
        let with = |common: u32, channel: u32, offset: u32| {
            let mut bytes = vec![0, 0, 0, 0, 1, 0];
            for number in [common, channel, offset] {
                bytes.extend(number.to_le_bytes());
            }
            bytes.extend([0xff; 8]);
            LinkMessage::decode(&mut ByteReader::new(&bytes))
        };
        assert!(with(1, 1, 18).is_ok());
        assert!(
            with(0, 0, u32::MAX).is_ok(),
            "without words the offset means nothing"
        );
        assert!(with(2, 1, 18).is_err());
        assert!(with(1, 1, 19).is_err());
        assert!(with(1, 1, 17).is_err());
        assert!(with(1, 0, u32::MAX).is_err());
        assert!(with(0x8000_0000, 0x8000_0000, 18).is_err(), "sum wraps");
        assert!(with(u32::MAX, 1, 18).is_err(), "sum wraps");
        assert!(with(0x4000_0000, 0, 18).is_err(), "product wraps");
    }

    #[test]
    fn reply_round_trip() {
        let reply = LinkReply {
            error: LinkCode::OK,
            key: [7; KEY_SIZE],
            common_caps: Caps::of(&[0, 1, 3]),
            channel_caps: Caps::of(&[1]),
        };
        let bytes = encoded(&reply);
        assert_eq!(bytes.len(), 178 + 8);
        assert_eq!(
            bytes[4 + 162..][..12],
            [1, 0, 0, 0, 1, 0, 0, 0, 178, 0, 0, 0]
        );
        assert_eq!(LinkReply::decode(&mut ByteReader::new(&bytes)), Ok(reply));
        assert_truncations::<LinkReply>(&bytes);
    }

    #[test]
    fn a_refusal_is_a_whole_reply() {
        let mut out = Vec::new();
        LinkReply::refusal(LinkCode::INVALID_DATA).write(&mut out);
        assert_eq!(out.len(), 16 + 178);
        assert_eq!(out[12..20], [178, 0, 0, 0, 3, 0, 0, 0]);
    }
}
