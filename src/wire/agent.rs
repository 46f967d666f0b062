//! The agent protocol: what client and agent say to each other inside the main channel's AGENT_DATA messages.
//!
//! A message is a header of 20 bytes and a body, cut into chunks of at most 2048 bytes, each an AGENT_DATA of its
//! own. Numbers and layouts are those of `spice/vd_agent.h` (protocol 1): packed, little-endian. Both sides announce
//! what they can; how clipboard messages begin depends on it ([`ClipboardForm`]).
//!
//! What only passes between a server and an agent behind it (mouse state, graphics devices, the last client's end) has
//! no codec here: this server is the agent.

mod clipboard;
mod files;
mod monitors;
#[cfg(test)]
mod tests;

pub use clipboard::{
    ClipboardData, ClipboardForm, ClipboardGrab, ClipboardRelease, ClipboardRequest, ClipboardType,
    MaxClipboard, Selection,
};
pub use files::{FileData, FileDetail, FileResult, FileStart, FileStatus};
pub use monitors::{DisplayConfig, MonitorConfig, MonitorsConfig, MonitorsFlags};

use super::caps::Caps;
use super::field::{decode_list, wire_enum, wire_struct};
use super::{Decode, Encode, WireError};
use crate::base::{ByteReader, ByteWriter, SharedBytes};

/// `VD_AGENT_PROTOCOL`.
pub const PROTOCOL: u32 = 1;

/// `VD_AGENT_MAX_DATA_SIZE`: bytes of one AGENT_DATA message.
pub const CHUNK_BYTES_MAX: usize = 2048;

wire_enum! {
    /// `VD_AGENT_...`: kind of a message.
    AgentType(u32) {
        /// Pointer state from a server to the agent behind it.
        MOUSE_STATE = 1,
        /// Sizes and places of the client's windows.
        MONITORS_CONFIG = 2,
        /// How a request went.
        REPLY = 3,
        /// Content of a selection.
        CLIPBOARD = 4,
        /// Wishes for the desktop's looks.
        DISPLAY_CONFIG = 5,
        /// What the sender can.
        ANNOUNCE_CAPABILITIES = 6,
        /// The sender owns a selection.
        CLIPBOARD_GRAB = 7,
        /// The sender wants content.
        CLIPBOARD_REQUEST = 8,
        /// The sender owns a selection no more.
        CLIPBOARD_RELEASE = 9,
        /// A file is offered.
        FILE_XFER_START = 10,
        /// How a file's transfer goes.
        FILE_XFER_STATUS = 11,
        /// A piece of a file.
        FILE_XFER_DATA = 12,
        /// The last client went, from a server to the agent behind it.
        CLIENT_DISCONNECTED = 13,
        /// Bytes of content that the client takes.
        MAX_CLIPBOARD = 14,
        /// Volume of the client's sound.
        AUDIO_VOLUME_SYNC = 15,
        /// Graphics devices, from a server to the agent behind it.
        GRAPHICS_DEVICE_INFO = 16,
    }
}

/// Capabilities of an agent or of a client towards it (`VD_AGENT_CAP_...`).
pub mod caps {
    /// The agent moves the pointer.
    pub const MOUSE_STATE: u32 = 0;
    /// MONITORS_CONFIG.
    pub const MONITORS_CONFIG: u32 = 1;
    /// REPLY.
    pub const REPLY: u32 = 2;
    /// Clipboards that are sent without being asked for; obsolete.
    pub const CLIPBOARD: u32 = 3;
    /// DISPLAY_CONFIG.
    pub const DISPLAY_CONFIG: u32 = 4;
    /// Clipboards by grab and request.
    pub const CLIPBOARD_BY_DEMAND: u32 = 5;
    /// Clipboard messages name their selection.
    pub const CLIPBOARD_SELECTION: u32 = 6;
    /// MONITORS_CONFIG may have monitors of no size, which are off.
    pub const SPARSE_MONITORS_CONFIG: u32 = 7;
    /// Text inside the desktop has LF at the end of its lines.
    pub const GUEST_LINEEND_LF: u32 = 8;
    /// Text inside the desktop has CR LF at the end of its lines.
    pub const GUEST_LINEEND_CRLF: u32 = 9;
    /// MAX_CLIPBOARD.
    pub const MAX_CLIPBOARD: u32 = 10;
    /// AUDIO_VOLUME_SYNC.
    pub const AUDIO_VOLUME_SYNC: u32 = 11;
    /// Places in MONITORS_CONFIG mean something.
    pub const MONITORS_CONFIG_POSITION: u32 = 12;
    /// No files are taken.
    pub const FILE_XFER_DISABLED: u32 = 13;
    /// FILE_XFER_STATUS may have details.
    pub const FILE_XFER_DETAILED_ERRORS: u32 = 14;
    /// GRAPHICS_DEVICE_INFO.
    pub const GRAPHICS_DEVICE_INFO: u32 = 15;
    /// A grab after a grab needs no release between them.
    pub const CLIPBOARD_NO_RELEASE_ON_REGRAB: u32 = 16;
    /// Grabs carry a number, by which the receiver tells those that crossed its own.
    pub const CLIPBOARD_GRAB_SERIAL: u32 = 17;
}

wire_struct! {
    /// `VDAgentMessage`: what is in front of every body.
    AgentHeader {
        /// [`PROTOCOL`].
        protocol: u32,
        /// Kind of message.
        message_type: AgentType,
        /// The sender's own; 0.
        opaque: u64,
        /// Bytes of the body.
        size: u32,
    }
}

impl AgentHeader {
    /// Bytes of a header.
    pub const SIZE: usize = 20;
}

/// `VD_AGENT_ANNOUNCE_CAPABILITIES` (6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// The receiver is to announce its own.
    pub request: bool,
    /// Bits of [`caps`].
    pub caps: Caps,
}

impl Encode for Announce {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u32(self.request.into());
        self.caps.encode(writer);
    }
}

impl<'a> Decode<'a> for Announce {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let request = reader.u32()? != 0;
        let count = reader
            .remaining()
            .checked_div(size_of::<u32>())
            .unwrap_or(0);
        let caps = Caps::decode(reader, count)?;
        Ok(Self { request, caps })
    }
}

wire_enum! {
    /// How a request went.
    ReplyCode(u32) {
        /// `VD_AGENT_SUCCESS`.
        SUCCESS = 1,
        /// `VD_AGENT_ERROR`.
        ERROR = 2,
    }
}

wire_struct! {
    /// `VD_AGENT_REPLY` (3): the answer to MONITORS_CONFIG.
    Reply {
        /// Kind of the message that is answered.
        message_type: AgentType,
        /// How it went.
        code: ReplyCode,
    }
}

/// `VD_AGENT_AUDIO_VOLUME_SYNC` (15): the volume at the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSync {
    /// Of what is heard; otherwise of the microphone.
    pub is_playback: bool,
    /// It is muted.
    pub mute: bool,
    /// One for each channel, up to 65535.
    pub volumes: Vec<u16>,
}

impl Encode for VolumeSync {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        let volumes = super::field::countable(&self.volumes, u8::MAX.into());
        writer.u8(self.is_playback.into());
        writer.u8(self.mute.into());
        writer.u8(u8::try_from(volumes.len()).unwrap_or(u8::MAX));
        volumes.iter().for_each(|volume| writer.u16(*volume));
    }
}

impl<'a> Decode<'a> for VolumeSync {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let (is_playback, mute) = (reader.u8()? != 0, reader.u8()? != 0);
        let count = reader.u8()?;
        Ok(Self {
            is_playback,
            mute,
            volumes: decode_list(reader, count.into())?,
        })
    }
}

/// A message of either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgentMessage {
    /// What the sender can.
    Announce(Announce),
    /// Client to agent: its windows.
    MonitorsConfig(MonitorsConfig),
    /// Agent to client: how a request went.
    Reply(Reply),
    /// Client to agent: the desktop's looks.
    DisplayConfig(DisplayConfig),
    /// The sender owns a selection.
    ClipboardGrab(ClipboardGrab),
    /// The sender wants content.
    ClipboardRequest(ClipboardRequest),
    /// Content.
    ClipboardData(ClipboardData),
    /// The sender owns a selection no more.
    ClipboardRelease(ClipboardRelease),
    /// Client to agent: bytes of content that it takes.
    MaxClipboard(MaxClipboard),
    /// Client to agent: a file.
    FileStart(FileStart),
    /// How the transfer goes, both ways.
    FileStatus(FileStatus),
    /// Client to agent: a piece of a file.
    FileData(FileData),
    /// Client to agent: its volume.
    VolumeSync(VolumeSync),
}

/// A message as it goes over the wire: one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Header and fields.
    pub head: Vec<u8>,
    /// The content behind them.
    pub bulk: SharedBytes,
}

impl AgentMessage {
    /// The message of this kind with the body `body`, whose content is not copied.
    ///
    /// # Errors
    /// [`WireError`]: the body is not such a message, or clients and agents have none of this kind.
    pub fn decode(
        message_type: AgentType,
        body: SharedBytes,
        form: ClipboardForm,
    ) -> Result<Self, WireError> {
        let reader = &mut ByteReader::new(&body);
        Ok(match message_type {
            AgentType::ANNOUNCE_CAPABILITIES => Self::Announce(Announce::decode(reader)?),
            AgentType::MONITORS_CONFIG => Self::MonitorsConfig(MonitorsConfig::decode(reader)?),
            AgentType::REPLY => Self::Reply(Reply::decode(reader)?),
            AgentType::DISPLAY_CONFIG => Self::DisplayConfig(DisplayConfig::decode(reader)?),
            AgentType::CLIPBOARD_GRAB => Self::ClipboardGrab(ClipboardGrab::decode(reader, form)?),
            AgentType::CLIPBOARD_REQUEST => {
                Self::ClipboardRequest(ClipboardRequest::decode(reader, form)?)
            }
            AgentType::CLIPBOARD_RELEASE => {
                Self::ClipboardRelease(ClipboardRelease::decode(reader, form)?)
            }
            AgentType::CLIPBOARD => Self::ClipboardData(ClipboardData::decode(&body, form)?),
            AgentType::MAX_CLIPBOARD => Self::MaxClipboard(MaxClipboard::decode(reader)?),
            AgentType::FILE_XFER_START => Self::FileStart(FileStart::decode(&body)?),
            AgentType::FILE_XFER_STATUS => Self::FileStatus(FileStatus::decode(reader)?),
            AgentType::FILE_XFER_DATA => Self::FileData(FileData::decode(&body)?),
            AgentType::AUDIO_VOLUME_SYNC => Self::VolumeSync(VolumeSync::decode(reader)?),
            other => {
                return Err(WireError::Unsupported {
                    field: "agent message",
                    value: other.0.into(),
                });
            }
        })
    }

    /// The message with its header.
    pub fn encode(&self, form: ClipboardForm) -> Encoded {
        let mut head = Vec::new();
        let mut writer = ByteWriter::new(&mut head);
        AgentHeader {
            protocol: PROTOCOL,
            message_type: self.message_type(),
            opaque: 0,
            size: 0,
        }
        .encode(&mut writer);
        let bulk = self.encode_body(form, &mut writer);
        let size = writer
            .written()
            .saturating_sub(AgentHeader::SIZE)
            .saturating_add(bulk.len());
        writer.patch_u32(SIZE_OFFSET, u32::try_from(size).unwrap_or(u32::MAX));
        Encoded { head, bulk }
    }

    /// Writes the fields and returns the content behind them.
    fn encode_body(&self, form: ClipboardForm, writer: &mut ByteWriter<'_>) -> SharedBytes {
        match self {
            Self::Announce(message) => message.encode(writer),
            Self::MonitorsConfig(message) => message.encode(writer),
            Self::Reply(message) => message.encode(writer),
            Self::DisplayConfig(message) => message.encode(writer),
            Self::ClipboardGrab(message) => message.encode(form, writer),
            Self::ClipboardRequest(message) => message.encode(form, writer),
            Self::ClipboardRelease(message) => message.encode(form, writer),
            Self::MaxClipboard(message) => message.encode(writer),
            Self::FileStatus(message) => message.encode(writer),
            Self::VolumeSync(message) => message.encode(writer),
            Self::ClipboardData(message) => return message.encode(form, writer),
            Self::FileStart(message) => return message.encode(writer),
            Self::FileData(message) => return message.encode(writer),
        }
        SharedBytes::default()
    }

    /// Its kind.
    pub const fn message_type(&self) -> AgentType {
        match self {
            Self::Announce(_) => AgentType::ANNOUNCE_CAPABILITIES,
            Self::MonitorsConfig(_) => AgentType::MONITORS_CONFIG,
            Self::Reply(_) => AgentType::REPLY,
            Self::DisplayConfig(_) => AgentType::DISPLAY_CONFIG,
            Self::ClipboardGrab(_) => AgentType::CLIPBOARD_GRAB,
            Self::ClipboardRequest(_) => AgentType::CLIPBOARD_REQUEST,
            Self::ClipboardData(_) => AgentType::CLIPBOARD,
            Self::ClipboardRelease(_) => AgentType::CLIPBOARD_RELEASE,
            Self::MaxClipboard(_) => AgentType::MAX_CLIPBOARD,
            Self::FileStart(_) => AgentType::FILE_XFER_START,
            Self::FileStatus(_) => AgentType::FILE_XFER_STATUS,
            Self::FileData(_) => AgentType::FILE_XFER_DATA,
            Self::VolumeSync(_) => AgentType::AUDIO_VOLUME_SYNC,
        }
    }

    /// The selection that a clipboard message is about.
    pub const fn selection(&self) -> Option<Selection> {
        match self {
            Self::ClipboardGrab(message) => Some(message.selection),
            Self::ClipboardRequest(message) => Some(message.selection),
            Self::ClipboardData(message) => Some(message.selection),
            Self::ClipboardRelease(message) => Some(message.selection),
            _ => None,
        }
    }
}

/// Where a header has its size.
const SIZE_OFFSET: usize = 16;
