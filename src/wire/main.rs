//! The main channel: the session, its channels, the mouse mode and the agent's bytes.
//!
//! The first message is [`Init`]; [`ChannelsList`] only answers [`AttachChannels`]. Mouse modes are 32 bits in INIT
//! and 16 in both MOUSE_MODE messages.

use super::field::{decode_list, message_enum, wire_flags, wire_struct};
use super::link::{ChannelType, LinkCode};
use super::{Decode, Encode, Message, WireError};
use crate::base::{ByteReader, ByteWriter};

wire_flags! {
    /// `SpiceMouseMode`: who draws the pointer.
    MouseModes(u16) {
        /// The server: the client sends relative motion and grabs the pointer.
        SERVER = 0,
        /// The client: it sends positions.
        CLIENT = 1,
    }
}

wire_struct! {
    /// `SPICE_MSG_MAIN_INIT` (103).
    Init = 103 {
        /// What the other channels present as their connection id.
        session_id: u32,
        /// How many displays to expect.
        display_channels_hint: u32,
        /// [`MouseModes`] that may be asked for.
        supported_mouse_modes: u32,
        /// The one [`MouseModes`] bit that holds.
        current_mouse_mode: u32,
        /// 1 if an agent is there.
        agent_connected: u32,
        /// Agent messages that the client may send.
        agent_tokens: u32,
        /// The server's multimedia clock in milliseconds.
        multi_media_time: u32,
        /// Bytes of video memory, from which spice-gtk sizes its GLZ window; 0 gives its smallest.
        ram_hint: u32,
    }
}

wire_struct! {
    /// `ChannelId`: a channel that can be linked.
    ChannelId {
        /// Kind of channel.
        channel_type: ChannelType,
        /// Which one of its kind.
        id: u8,
    }
}

/// `SPICE_MSG_MAIN_CHANNELS_LIST` (104).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelsList {
    /// The client links every one of them.
    pub channels: Vec<ChannelId>,
}

impl Message for ChannelsList {
    const TYPE: u16 = 104;
}

impl Encode for ChannelsList {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u32(u32::try_from(self.channels.len()).unwrap_or(u32::MAX));
        for channel in &self.channels {
            channel.encode(writer);
        }
    }
}

impl<'a> Decode<'a> for ChannelsList {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let count = reader.u32()? as usize;
        Ok(Self {
            channels: decode_list(reader, count)?,
        })
    }
}

wire_struct! {
    /// `SPICE_MSG_MAIN_MOUSE_MODE` (105).
    MouseMode = 105 {
        /// Modes that may be asked for.
        supported: MouseModes,
        /// The one that holds.
        current: MouseModes,
    }
}

wire_struct! {
    /// `SPICE_MSG_MAIN_MULTI_MEDIA_TIME` (106).
    MultiMediaTime = 106 {
        /// The server's multimedia clock in milliseconds.
        time: u32,
    }
}

wire_struct! {
    /// `SPICE_MSG_MAIN_AGENT_CONNECTED` (107).
    AgentConnected = 107 {}
}

wire_struct! {
    /// `SPICE_MSG_MAIN_AGENT_DISCONNECTED` (108).
    AgentDisconnected = 108 {
        /// Why.
        reason: LinkCode,
    }
}

wire_struct! {
    /// `SPICE_MSG_MAIN_AGENT_TOKEN` (110): the client may send that many more agent messages.
    ServerAgentToken = 110 {
        /// Messages.
        count: u32,
    }
}

wire_struct! {
    /// `SPICE_MSG_MAIN_UUID` (114), for clients with `NAME_AND_UUID`.
    Uuid = 114 {
        /// Identifies the desktop.
        uuid: [u8; 16],
    }
}

wire_struct! {
    /// `SPICE_MSG_MAIN_AGENT_CONNECTED_TOKENS` (115), for clients with `AGENT_CONNECTED_TOKENS`.
    AgentConnectedTokens = 115 {
        /// Agent messages that the client may send.
        count: u32,
    }
}

/// A message that is bytes of the agent protocol, or of something else that this channel only carries.
macro_rules! byte_messages {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $name<'a>(
                /// The whole body.
                pub &'a [u8],
            );

            impl Message for $name<'_> {
                const TYPE: u16 = $number;
            }

            impl Encode for $name<'_> {
                fn encode(&self, writer: &mut ByteWriter<'_>) {
                    writer.bytes(self.0);
                }
            }

            impl<'a> Decode<'a> for $name<'a> {
                fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
                    Ok(Self(reader.rest()))
                }
            }
        )*
    };
}

byte_messages! {
    /// `SPICE_MSG_MAIN_AGENT_DATA` (109): at most 2048 bytes of the agent protocol.
    ServerAgentData = 109;
    /// `SPICE_MSGC_MAIN_AGENT_DATA` (107): at most 2048 bytes of the agent protocol.
    ClientAgentData = 107;
    /// `SPICE_MSGC_MAIN_QUALITY_INDICATOR` (112): no client is known to send it.
    QualityIndicator = 112;
}

/// `SPICE_MSG_MAIN_NAME` (113), for clients with `NAME_AND_UUID`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name<'a> {
    /// UTF-8; a NUL that is counted follows it on the wire.
    pub name: &'a [u8],
}

impl Message for Name<'_> {
    const TYPE: u16 = 113;
}

impl Encode for Name<'_> {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u32(u32::try_from(self.name.len().saturating_add(1)).unwrap_or(u32::MAX));
        writer.bytes(self.name);
        writer.u8(0);
    }
}

impl<'a> Decode<'a> for Name<'a> {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let size = reader.u32()?;
        let name = reader.bytes(size as usize)?;
        match name.split_last() {
            Some((0, name)) => Ok(Self { name }),
            _ => Err(WireError::Invalid {
                field: "size of a name without NUL",
                value: size.into(),
            }),
        }
    }
}

message_enum! {
    /// What a server says on the main channel.
    ServerMessage<'a> {
        Init(Init),
        ChannelsList(ChannelsList),
        MouseMode(MouseMode),
        MultiMediaTime(MultiMediaTime),
        AgentConnected(AgentConnected),
        AgentDisconnected(AgentDisconnected),
        AgentData(ServerAgentData<'a>),
        AgentToken(ServerAgentToken),
        Name(Name<'a>),
        Uuid(Uuid),
        AgentConnectedTokens(AgentConnectedTokens),
    }
}

wire_struct! {
    /// `SPICE_MSGC_MAIN_CLIENT_INFO` (101): obsolete.
    ClientInfo = 101 {
        /// Size of the client's image cache.
        cache_size: u64,
    }
}

wire_struct! {
    /// `SPICE_MSGC_MAIN_MIGRATE_CONNECTED` (102).
    MigrateConnected = 102 {}
}

wire_struct! {
    /// `SPICE_MSGC_MAIN_MIGRATE_CONNECT_ERROR` (103).
    MigrateConnectError = 103 {}
}

wire_struct! {
    /// `SPICE_MSGC_MAIN_ATTACH_CHANNELS` (104): send the list of channels.
    AttachChannels = 104 {}
}

wire_struct! {
    /// `SPICE_MSGC_MAIN_MOUSE_MODE_REQUEST` (105).
    MouseModeRequest = 105 {
        /// One mode.
        mode: MouseModes,
    }
}

wire_struct! {
    /// `SPICE_MSGC_MAIN_AGENT_START` (106).
    AgentStart = 106 {
        /// Agent messages that the server may send.
        count: u32,
    }
}

wire_struct! {
    /// `SPICE_MSGC_MAIN_AGENT_TOKEN` (108): the server may send that many more agent messages.
    ClientAgentToken = 108 {
        /// Messages.
        count: u32,
    }
}

wire_struct! {
    /// `SPICE_MSGC_MAIN_MIGRATE_END` (109).
    MigrateEnd = 109 {}
}

wire_struct! {
    /// `SPICE_MSGC_MAIN_MIGRATE_DST_DO_SEAMLESS` (110).
    MigrateDstDoSeamless = 110 {
        /// Version of the source's migration protocol.
        src_version: u32,
    }
}

wire_struct! {
    /// `SPICE_MSGC_MAIN_MIGRATE_CONNECTED_SEAMLESS` (111).
    MigrateConnectedSeamless = 111 {}
}

message_enum! {
    /// What a client says on the main channel.
    ClientMessage<'a> {
        ClientInfo(ClientInfo),
        MigrateConnected(MigrateConnected),
        MigrateConnectError(MigrateConnectError),
        AttachChannels(AttachChannels),
        MouseModeRequest(MouseModeRequest),
        AgentStart(AgentStart),
        AgentData(ClientAgentData<'a>),
        AgentToken(ClientAgentToken),
        MigrateEnd(MigrateEnd),
        MigrateDstDoSeamless(MigrateDstDoSeamless),
        MigrateConnectedSeamless(MigrateConnectedSeamless),
        QualityIndicator(QualityIndicator<'a>),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message_tests;

    const fn le(number: u32) -> [u8; 4] {
        number.to_le_bytes()
    }

    message_tests! {
        init: Init = 103,
            Init {
                session_id: 1,
                display_channels_hint: 2,
                supported_mouse_modes: 3,
                current_mouse_mode: 4,
                agent_connected: 5,
                agent_tokens: 6,
                multi_media_time: 7,
                ram_hint: 8,
            },
            [le(1), le(2), le(3), le(4), le(5), le(6), le(7), le(8)];
        channels_list: ChannelsList = 104,
            ChannelsList {
                channels: vec![
                    ChannelId { channel_type: ChannelType::DISPLAY, id: 0 },
                    ChannelId { channel_type: ChannelType::INPUTS, id: 1 },
                ],
            },
            [le(2), [2, 0, 3, 1]];
        mouse_mode: MouseMode = 105,
            MouseMode {
                supported: MouseModes::SERVER.with(MouseModes::CLIENT),
                current: MouseModes::CLIENT,
            },
            [[3, 0], [2, 0]];
        multi_media_time: MultiMediaTime = 106, MultiMediaTime { time: 9 }, [le(9)];
        agent_connected: AgentConnected = 107, AgentConnected {}, [];
        agent_disconnected: AgentDisconnected = 108,
            AgentDisconnected { reason: LinkCode::ERROR }, [le(1)];
        agent_data: ServerAgentData<'_> = 109, ServerAgentData(&[]), [];
        agent_token: ServerAgentToken = 110, ServerAgentToken { count: 4 }, [le(4)];
        name: Name<'_> = 113, Name { name: b"desk" }, [le(5), *b"desk", [0]];
        uuid: Uuid = 114, Uuid { uuid: [3; 16] }, [[3; 16]];
        agent_connected_tokens: AgentConnectedTokens = 115,
            AgentConnectedTokens { count: 10 }, [le(10)];
        client_info: ClientInfo = 101, ClientInfo { cache_size: 1 }, [le(1), le(0)];
        migrate_connected: MigrateConnected = 102, MigrateConnected {}, [];
        migrate_connect_error: MigrateConnectError = 103, MigrateConnectError {}, [];
        attach_channels: AttachChannels = 104, AttachChannels {}, [];
        mouse_mode_request: MouseModeRequest = 105,
            MouseModeRequest { mode: MouseModes::CLIENT }, [[2, 0]];
        agent_start: AgentStart = 106, AgentStart { count: u32::MAX }, [le(u32::MAX)];
        client_agent_data: ClientAgentData<'_> = 107, ClientAgentData(&[]), [];
        client_agent_token: ClientAgentToken = 108, ClientAgentToken { count: 1 }, [le(1)];
        migrate_end: MigrateEnd = 109, MigrateEnd {}, [];
        migrate_do_seamless: MigrateDstDoSeamless = 110,
            MigrateDstDoSeamless { src_version: 1 }, [le(1)];
        migrate_connected_seamless: MigrateConnectedSeamless = 111, MigrateConnectedSeamless {}, [];
        quality_indicator: QualityIndicator<'_> = 112, QualityIndicator(&[]), [];
    }

    #[test]
    fn bodies_of_bytes_are_whole() {
        let data = ClientMessage::decode(107, &[1, 2, 3]);
        assert_eq!(
            data,
            Ok(ClientMessage::AgentData(ClientAgentData(&[1, 2, 3])))
        );
    }

    #[test]
    fn a_name_needs_its_nul() {
        assert!(matches!(
            ServerMessage::decode(113, &[2, 0, 0, 0, b'a', b'b']),
            Err(WireError::Invalid { .. })
        ));
    }
}
