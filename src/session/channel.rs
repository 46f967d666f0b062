//! One connected channel: its message stream and the state machine of its kind.

use super::display_sender::DisplaySender;
use crate::base::limits::{CLIENT_MESSAGE_MAX, MAIN_MESSAGE_MAX, WEBDAV_MESSAGE_MAX};
use crate::base::{ClientId, Micros};
use crate::channel::cursor::CursorChannel;
use crate::channel::inputs::{InputsChannel, InputsError};
use crate::channel::playback::PlaybackChannel;
use crate::channel::record::{RecordChannel, RecordError};
use crate::channel::webdav::WebdavChannel;
use crate::channel::{Answer, CommonError, FramingError, Inbox, MainChannel, MainError, Outbox};
use crate::display::Path;
use crate::wire::WireError;
use crate::wire::link::ChannelType;

/// Where a connection comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Address of the client, for people.
    pub peer: String,
    /// As whom it has authenticated, if it said.
    pub user: Option<String>,
    /// How it comes to this machine.
    pub path: Path,
}

/// Why a channel ends. All of it is the client's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// Its bytes are no messages.
    #[error(transparent)]
    Framing(#[from] FramingError),
    /// A message that every channel has is wrong.
    #[error(transparent)]
    Common(#[from] CommonError),
    /// A message of the main channel is wrong.
    #[error(transparent)]
    Main(#[from] MainError),
    /// A message of the inputs channel is wrong.
    #[error(transparent)]
    Inputs(#[from] InputsError),
    /// A message of the record channel is wrong.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A message of another channel is wrong.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// A message on a channel where clients say nothing.
    #[error("message {0} on a channel where clients have none")]
    Unexpected(u16),
    /// It asks and does not read the answers.
    #[error(
        "{} bytes of answers wait that the client does not read",
        crate::base::limits::OUTPUT_BYTES_MAX
    )]
    NotReading,
    /// The client said good-bye.
    #[error("the client is leaving")]
    Leaving,
}

/// What kind of channel it is, with its state.
#[derive(Debug)]
pub(super) enum Role {
    Main(Box<MainChannel>),
    Display(Box<DisplaySender>),
    Inputs(Box<InputsChannel>),
    Cursor(Box<CursorChannel>),
    Webdav(Box<WebdavChannel>),
    Playback(Box<PlaybackChannel>),
    Record(Box<RecordChannel>),
}

impl Role {
    /// Takes in what a message meant that every channel has.
    ///
    /// # Errors
    /// When the client has said good-bye.
    pub(super) fn answered(&mut self, now: Micros, answer: Answer) -> Result<(), ChannelError> {
        match (answer, self) {
            (Answer::Pong { id, .. }, Self::Display(display)) => display.answered(now, id),
            (Answer::Pong { id, rtt }, Self::Main(main)) => main.agent.answered(id, rtt),
            (Answer::Pong { rtt, .. }, Self::Playback(playback)) => playback.answered(rtt),
            (Answer::Leaving, _) => return Err(ChannelError::Leaving),
            _ => {}
        }
        Ok(())
    }

    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Main(_) => "main",
            Self::Display(_) => "display",
            Self::Inputs(_) => "inputs",
            Self::Cursor(_) => "cursor",
            Self::Webdav(_) => "webdav",
            Self::Playback(_) => "playback",
            Self::Record(_) => "record",
        }
    }
}

/// A channel between its link and its end.
#[derive(Debug)]
pub(super) struct Channel {
    pub(super) client: ClientId,
    pub(super) origin: Origin,
    pub(super) since: Micros,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    pub(super) role: Role,
    /// Whoever writes to the socket has nothing left of what `transmit` gave.
    pub(super) drained: bool,
}

impl Channel {
    /// Whether this is a display that could take a frame now.
    pub(super) fn wants_frame(&self) -> bool {
        match &self.role {
            Role::Display(display) => self.drained && display.is_ready(&self.outbox),
            _ => false,
        }
    }
}

/// Bytes of one message that a client may send on a channel of this kind.
pub(super) fn message_limit(channel_type: ChannelType) -> u32 {
    match channel_type {
        ChannelType::MAIN => MAIN_MESSAGE_MAX,
        ChannelType::WEBDAV => WEBDAV_MESSAGE_MAX,
        _ => CLIENT_MESSAGE_MAX,
    }
}
