//! Port channels (`PORT` and `WEBDAV`): a byte stream with a name, after spicevmc.
//!
//! The WebDAV port (`org.spice-space.webdav.0`) carries many connections in its one stream: the "mux" of
//! spice-webdavd, a [`MuxHeader`] and as many bytes as it says. A frame without bytes closes its connection.

use super::field::{message_enum, wire_enum, wire_struct};
use super::{Decode, Encode, Message, WireError};
use crate::base::{ByteReader, ByteWriter};

/// Bytes in front of the name in [`Init`]: size, pointer, opened.
const INIT_FIXED_BYTES: u32 = 4 + 4 + 1;

/// Name of the port by which clients know shared folders.
pub const WEBDAV_PORT: &[u8] = b"org.spice-space.webdav.0";

/// `SPICE_MSG_PORT_INIT` (201): the first message of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Init<'a> {
    /// The port's name; a NUL that is counted follows it on the wire.
    pub name: &'a [u8],
    /// Somebody listens on the server's side: 0 or 1.
    pub opened: u8,
}

impl Message for Init<'_> {
    const TYPE: u16 = 201;
}

impl Encode for Init<'_> {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u32(u32::try_from(self.name.len().saturating_add(1)).unwrap_or(u32::MAX));
        writer.u32(INIT_FIXED_BYTES);
        writer.u8(self.opened);
        writer.bytes(self.name);
        writer.u8(0);
    }
}

impl<'a> Decode<'a> for Init<'a> {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let (size, pointer) = (reader.u32()?, reader.u32()?);
        let opened = reader.u8()?;
        if pointer != INIT_FIXED_BYTES {
            return Err(WireError::Unsupported {
                field: "pointer of a port's name",
                value: pointer.into(),
            });
        }
        match reader.bytes(size as usize)?.split_last() {
            Some((0, name)) => Ok(Self { name, opened }),
            _ => Err(WireError::Invalid {
                field: "size of a port's name without NUL",
                value: size.into(),
            }),
        }
    }
}

wire_enum! {
    /// `SpicePortEvent`.
    PortEventCode(u8) {
        /// Somebody listens.
        OPENED = 0,
        /// Nobody does any more.
        CLOSED = 1,
        /// A break, as of a serial line.
        BREAK = 2,
    }
}

wire_struct! {
    /// `SPICE_MSG_PORT_EVENT` (202): what became of the server's side.
    ServerEvent = 202 {
        /// What happened.
        event: PortEventCode,
    }
}

wire_struct! {
    /// `SPICE_MSGC_PORT_EVENT` (201): what became of the client's side.
    ClientEvent = 201 {
        /// What happened.
        event: PortEventCode,
    }
}

/// `SPICE_MSG_SPICEVMC_DATA` and `SPICE_MSGC_SPICEVMC_DATA` (101 both ways): a piece of the stream, cut anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a>(
    /// Bytes of the stream.
    pub &'a [u8],
);

impl Message for Data<'_> {
    const TYPE: u16 = 101;
}

impl Encode for Data<'_> {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.bytes(self.0);
    }
}

impl<'a> Decode<'a> for Data<'a> {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(Self(reader.rest()))
    }
}

message_enum! {
    /// What a server says on a port. COMPRESSED_DATA (102) is for those who announce LZ4; this server does not.
    ServerMessage<'a> {
        Data(Data<'a>),
        Init(Init<'a>),
        Event(ServerEvent),
    }
}

message_enum! {
    /// What a client says on a port.
    ClientMessage<'a> {
        Data(Data<'a>),
        Event(ClientEvent),
    }
}

wire_struct! {
    /// What stands before each frame of the mux.
    MuxHeader {
        /// Connection, numbered by the server's side.
        id: i64,
        /// Bytes that follow; 0 closes the connection.
        size: u16,
    }
}

impl MuxHeader {
    /// Bytes on the wire.
    pub const SIZE: usize = 8 + 2;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message_tests;

    message_tests! {
        init: Init<'_> = 201, Init { name: b"ab", opened: 1 }, [[3, 0, 0, 0], [9, 0, 0, 0], [1], *b"ab\0"];
        server_event: ServerEvent = 202, ServerEvent { event: PortEventCode::CLOSED }, [[1]];
        client_event: ClientEvent = 201, ClientEvent { event: PortEventCode::BREAK }, [[2]];
        no_data: Data<'_> = 101, Data(&[]), [];
    }

    #[test]
    fn data_is_the_whole_body() {
        let decoded = ClientMessage::decode(101, &[1, 2, 3]);
        assert_eq!(decoded, Ok(ClientMessage::Data(Data(&[1, 2, 3]))));
        assert_eq!(
            ClientMessage::decode(102, &[0; 9]),
            Err(WireError::UnknownType(102)),
            "compressed data was not announced"
        );
    }

    #[test]
    fn a_mux_header_is_ten_bytes() {
        let mut out = Vec::new();
        MuxHeader { id: -2, size: 513 }.encode(&mut ByteWriter::new(&mut out));
        assert_eq!(out.len(), MuxHeader::SIZE);
        assert_eq!(out, [0xfe, 255, 255, 255, 255, 255, 255, 255, 1, 2]);
    }
}
