//! A connection to a sound daemon: PulseAudio, or PipeWire in its place. They speak one protocol.
//!
//! The `pulseaudio` crate has the protocol's messages; its client has no way to load modules or to hear of events, runs
//! a thread of its own and clears a megabyte for each read, so the connection is our own: a socket of the server's one
//! thread, read into one buffer.
//!
//! Requests are written and then waited for, one after the other; what else arrives meanwhile is kept in order. The
//! daemon is the user's, and may be anything: what it says is bounded, and waited for no longer than
//! [`ANSWER_DEADLINE`].

use std::collections::VecDeque;
use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use pulseaudio::protocol::{
    AuthParams, AuthReply, Command, CommandReply, DESCRIPTOR_SIZE, Descriptor, DescriptorFlags,
    MAX_VERSION, Prop, Props, ProtocolError, PulseError, SetClientNameReply, TagStructReader,
    encode_descriptor, read_descriptor, write_command_message,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Time in which a daemon answers, and takes what is written to it.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);

/// Bytes of the largest message that is taken in: a list of a hundred streams, or a second of sound.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// Messages that may wait while an answer is waited for.
const KEPT_MAX: usize = 1024;

/// Channel of messages that are no sound.
const COMMAND_CHANNEL: u32 = u32::MAX;

/// A cookie for daemons that ask for one and take any; an empty one they take for a mistake.
const NO_COOKIE: [u8; 256] = [0; 256];

/// Why a connection to a daemon ended, or did not begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum DaemonError {
    /// It cannot be reached, or is gone.
    #[error("the sound daemon is not there: {0}")]
    Socket(#[from] std::io::Error),
    /// It does not answer.
    #[error("the sound daemon does not answer within {} s", ANSWER_DEADLINE.as_secs())]
    Deadline,
    /// It refuses something.
    #[error("the sound daemon refuses: {0:?}")]
    Refused(PulseError),
    /// It says what it should not.
    #[error("the sound daemon does not keep to the protocol: {0}")]
    Protocol(#[from] ProtocolError),
    /// It says too much.
    #[error("the sound daemon says too much")]
    TooMuch,
    /// It has taken away one of our streams, or a device under it.
    #[error("the sound daemon has ended a stream")]
    StreamEnded,
}

/// What a daemon says.
#[derive(Debug)]
pub(super) enum Said {
    /// Sound of a stream that we record.
    Sound {
        /// The stream's.
        channel: u32,
        /// Samples.
        bytes: Vec<u8>,
    },
    /// Something else that nobody asked for.
    Command(Box<Command>),
}

/// A daemon's message, taken apart.
enum Message {
    Said(Said),
    /// To the request of this number; what it holds is the reply's.
    Answer(u32, Result<Vec<u8>, PulseError>),
    /// Of no use.
    Other,
}

/// An open connection.
#[derive(Debug)]
pub(super) struct Daemon {
    stream: UnixStream,
    version: u16,
    next_request: u32,
    input: Vec<u8>,
    kept: VecDeque<Said>,
}

impl Daemon {
    /// Connects to the daemon at `socket` and tells it who we are.
    pub(super) async fn connect(
        socket: &Path,
        cookie: Option<Vec<u8>>,
    ) -> Result<Self, DaemonError> {
        let stream = within(async { Ok(UnixStream::connect(socket).await?) }).await?;
        let mut daemon = Self {
            stream,
            version: MAX_VERSION,
            next_request: 0,
            input: Vec::new(),
            kept: VecDeque::new(),
        };
        let auth = AuthParams {
            version: MAX_VERSION,
            supports_shm: false,
            supports_memfd: false,
            cookie: cookie.unwrap_or_else(|| NO_COOKIE.to_vec()),
        };
        let reply: AuthReply = daemon.ask(&Command::Auth(auth)).await?;
        daemon.version = MAX_VERSION.min(reply.version);
        let mut props = Props::new();
        props.set(Prop::ApplicationName, c"Caraway");
        let _: SetClientNameReply = daemon.ask(&Command::SetClientName(props)).await?;
        Ok(daemon)
    }

    /// One request with its reply.
    pub(super) async fn ask<R: CommandReply>(
        &mut self,
        command: &Command,
    ) -> Result<R, DaemonError> {
        let reply = within(self.answer(command)).await?;
        Ok(TagStructReader::new(&mut Cursor::new(reply), self.version).read()?)
    }

    /// One request whose reply says no more than that it was done.
    pub(super) async fn order(&mut self, command: &Command) -> Result<(), DaemonError> {
        within(self.answer(command)).await.map(|_| ())
    }

    /// What it says next. Nothing is lost when this is given up in between.
    pub(super) async fn next(&mut self) -> Result<Said, DaemonError> {
        loop {
            if let Some(said) = self.kept.pop_front() {
                return Ok(said);
            }
            if let Message::Said(said) = self.message().await? {
                return Ok(said);
            }
        }
    }

    /// Sound of a stream that we play.
    pub(super) async fn play(&mut self, channel: u32, bytes: &[u8]) -> Result<(), DaemonError> {
        let mut head = [0; DESCRIPTOR_SIZE];
        let length = u32::try_from(bytes.len()).map_err(|_| DaemonError::TooMuch)?;
        let descriptor = Descriptor {
            length,
            channel,
            offset: 0,
            flags: DescriptorFlags::empty(),
        };
        encode_descriptor(&mut head, &descriptor);
        let message = [&head[..], bytes].concat();
        within(async { Ok(self.stream.write_all(&message).await?) }).await
    }

    async fn answer(&mut self, command: &Command) -> Result<Vec<u8>, DaemonError> {
        let request = self.next_request;
        self.next_request = self.next_request.wrapping_add(1);
        let mut bytes = Vec::new();
        write_command_message(&mut bytes, request, command, self.version)?;
        self.stream.write_all(&bytes).await?;
        loop {
            match self.message().await? {
                Message::Answer(of, answer) if of == request => {
                    return answer.map_err(DaemonError::Refused);
                }
                Message::Said(said) if self.kept.len() < KEPT_MAX => self.kept.push_back(said),
                Message::Said(_) => return Err(DaemonError::TooMuch),
                Message::Answer(..) | Message::Other => {}
            }
        }
    }

    async fn message(&mut self) -> Result<Message, DaemonError> {
        loop {
            if let Some(message) = self.whole_message()? {
                return Ok(message);
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    fn whole_message(&mut self) -> Result<Option<Message>, DaemonError> {
        let Some((mut head, rest)) = self.input.split_at_checked(DESCRIPTOR_SIZE) else {
            return Ok(None);
        };
        let descriptor = read_descriptor(&mut head)?;
        let length = descriptor.length as usize;
        if MESSAGE_BYTES_MAX < length {
            return Err(DaemonError::TooMuch);
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let message = if descriptor.channel == COMMAND_CHANNEL {
            taken_apart(body, self.version)
        } else {
            Message::Said(Said::Sound {
                channel: descriptor.channel,
                bytes: body.to_vec(),
            })
        };
        self.input.drain(..DESCRIPTOR_SIZE + length);
        Ok(Some(message))
    }
}

/// A message that is no sound. What the crate does not know is of no use to us either.
fn taken_apart(body: &[u8], version: u16) -> Message {
    let mut cursor = Cursor::new(body);
    match Command::read_tag_prefixed(&mut cursor, version) {
        Ok((request, Command::Reply)) => {
            let at = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
            let rest = body.get(at..).unwrap_or_default();
            Message::Answer(request, Ok(rest.to_vec()))
        }
        Ok((request, Command::Error(error))) => Message::Answer(request, Err(error)),
        Ok((_, command)) => Message::Said(Said::Command(Box::new(command))),
        Err(_) => Message::Other,
    }
}

async fn within<T>(step: impl Future<Output = Result<T, DaemonError>>) -> Result<T, DaemonError> {
    timeout(ANSWER_DEADLINE, step)
        .await
        .unwrap_or(Err(DaemonError::Deadline))
}
