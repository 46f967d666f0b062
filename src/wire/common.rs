//! Messages that every channel has: acknowledgements, pings, notices and the end.
//!
//! Server to client 1 to 8, client to server 1 to 6. Migration numbers are known so that they can be refused by
//! name; there is no migration.

use super::field::{message_enum, wire_enum, wire_struct};
use super::link::LinkCode;
use super::{Decode, Encode, Message, WireError};
use crate::base::{ByteReader, ByteWriter};

/// Numbers up to this one mean the same on every channel.
pub const LAST_TYPE: u16 = 100;

wire_struct! {
    /// `SPICE_MSG_SET_ACK` (3): acknowledge every `window` messages from the next one on.
    SetAck = 3 {
        /// Comes back in [`AckSync`].
        generation: u32,
        /// Messages for one [`Ack`]; 0 means none at all.
        window: u32,
    }
}

/// `SPICE_MSG_PING` (4): the client answers with [`Pong`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping<'a> {
    /// Comes back.
    pub id: u32,
    /// Comes back.
    pub timestamp: u64,
    /// Ballast, which does not come back.
    pub data: &'a [u8],
}

impl Message for Ping<'_> {
    const TYPE: u16 = 4;
}

impl Encode for Ping<'_> {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u32(self.id);
        writer.u64(self.timestamp);
        writer.bytes(self.data);
    }
}

impl<'a> Decode<'a> for Ping<'a> {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(Self {
            id: reader.u32()?,
            timestamp: reader.u64()?,
            data: reader.rest(),
        })
    }
}

wire_struct! {
    /// `SPICE_MSG_DISCONNECTING` and `SPICE_MSGC_DISCONNECTING` (6 both ways): the sender is about to close.
    Disconnecting = 6 {
        /// The sender's clock.
        timestamp: u64,
        /// Why.
        reason: LinkCode,
    }
}

wire_enum! {
    /// `SpiceNotifySeverity`.
    NotifySeverity(u32) {
        /// Good to know.
        INFO = 0,
        /// Something is odd.
        WARN = 1,
        /// Something failed.
        ERROR = 2,
    }
}

wire_enum! {
    /// `SpiceNotifyVisibility`: how hard the client should try to show it.
    NotifyVisibility(u32) {
        /// A log will do.
        LOW = 0,
        /// Between both.
        MEDIUM = 1,
        /// The user should see it.
        HIGH = 2,
    }
}

/// `SPICE_MSG_NOTIFY` (7): a sentence for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Notify<'a> {
    /// The sender's clock.
    pub timestamp: u64,
    /// How bad it is.
    pub severity: NotifySeverity,
    /// How hard to show it.
    pub visibility: NotifyVisibility,
    /// A code of the severity's own; 0 is general.
    pub what: u32,
    /// UTF-8; a NUL that is not counted follows it.
    pub message: &'a [u8],
}

impl Message for Notify<'_> {
    const TYPE: u16 = 7;
}

impl Encode for Notify<'_> {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u64(self.timestamp);
        self.severity.encode(writer);
        self.visibility.encode(writer);
        writer.u32(self.what);
        writer.u32(u32::try_from(self.message.len()).unwrap_or(u32::MAX));
        writer.bytes(self.message);
        writer.u8(0);
    }
}

impl<'a> Decode<'a> for Notify<'a> {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let timestamp = reader.u64()?;
        let severity = NotifySeverity::decode(reader)?;
        let visibility = NotifyVisibility::decode(reader)?;
        let what = reader.u32()?;
        let size = reader.u32()? as usize;
        let message = reader.bytes(size)?;
        reader.u8()?;
        Ok(Self {
            timestamp,
            severity,
            visibility,
            what,
            message,
        })
    }
}

message_enum! {
    /// What a server says on any channel.
    ServerMessage<'a> {
        SetAck(SetAck),
        Ping(Ping<'a>),
        Disconnecting(Disconnecting),
        Notify(Notify<'a>),
    }
}

wire_struct! {
    /// `SPICE_MSGC_ACK_SYNC` (1): the answer to [`SetAck`].
    AckSync = 1 {
        /// Of the SET_ACK.
        generation: u32,
    }
}

wire_struct! {
    /// `SPICE_MSGC_ACK` (2): another window of messages has arrived.
    Ack = 2 {}
}

wire_struct! {
    /// `SPICE_MSGC_PONG` (3): the answer to [`Ping`].
    Pong = 3 {
        /// Of the ping.
        id: u32,
        /// Of the ping.
        timestamp: u64,
    }
}

wire_struct! {
    /// `SPICE_MSGC_MIGRATE_FLUSH_MARK` (4).
    MigrateFlushMark = 4 {}
}

/// `SPICE_MSGC_MIGRATE_DATA` (5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MigrateData<'a>(
    /// The channel's state, in a form of its own.
    pub &'a [u8],
);

impl Message for MigrateData<'_> {
    const TYPE: u16 = 5;
}

impl Encode for MigrateData<'_> {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.bytes(self.0);
    }
}

impl<'a> Decode<'a> for MigrateData<'a> {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(Self(reader.rest()))
    }
}

message_enum! {
    /// What a client says on any channel.
    ClientMessage<'a> {
        AckSync(AckSync),
        Ack(Ack),
        Pong(Pong),
        MigrateFlushMark(MigrateFlushMark),
        MigrateData(MigrateData<'a>),
        Disconnecting(Disconnecting),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message_tests;

    message_tests! {
        set_ack: SetAck = 3, SetAck { generation: 1, window: 20 }, [[1, 0, 0, 0], [20, 0, 0, 0]];
        ping: Ping<'_> = 4, Ping { id: 2, timestamp: 3, data: &[] }, [[2, 0, 0, 0], [3, 0, 0, 0], [0; 4]];
        disconnecting: Disconnecting = 6,
            Disconnecting { timestamp: 5, reason: LinkCode::PERMISSION_DENIED },
            [[5, 0, 0, 0, 0, 0, 0, 0], [7, 0, 0, 0]];
        notify: Notify<'_> = 7,
            Notify {
                timestamp: 1,
                severity: NotifySeverity::WARN,
                visibility: NotifyVisibility::HIGH,
                what: 0,
                message: b"hi",
            },
            [[1, 0, 0, 0], [0; 4], [1, 0, 0, 0], [2, 0, 0, 0], [0; 4], [2, 0, 0, 0], *b"hi\0"];
        ack_sync: AckSync = 1, AckSync { generation: 0x0102_0304 }, [[4, 3, 2, 1]];
        ack: Ack = 2, Ack {}, [];
        pong: Pong = 3, Pong { id: 1, timestamp: 2 }, [[1, 0, 0, 0], [2, 0, 0, 0], [0; 4]];
        migrate_flush_mark: MigrateFlushMark = 4, MigrateFlushMark {}, [];
        migrate_data: MigrateData<'_> = 5, MigrateData(&[]), [];
    }

    #[test]
    fn enums_dispatch_by_number() {
        assert_eq!(
            ClientMessage::decode(2, &[]),
            Ok(ClientMessage::Ack(Ack {}))
        );
        assert_eq!(
            ClientMessage::decode(7, &[]),
            Err(WireError::UnknownType(7))
        );
        let ping = ServerMessage::decode(4, &[0; 14]);
        assert_eq!(
            ping,
            Ok(ServerMessage::Ping(Ping {
                id: 0,
                timestamp: 0,
                data: &[0, 0]
            }))
        );
    }
}
