//! A model client: links its channels as a real one does, decodes every message strictly, keeps what it shows.
//!
//! It answers as spice-gtk does: ACK_SYNC and PONG at once, ACK after each window. What a real client would stumble
//! over is an assertion here.

use caraway_server::base::{Access, ByteWriter, Micros};
use caraway_server::session::ChannelKey;
use caraway_server::wire::Message;
use caraway_server::wire::agent::AgentMessage;
use caraway_server::wire::caps::{Caps, common, display as display_cap, playback as playback_cap};
use caraway_server::wire::display::{ImageCompression, Init, PreferredCompression};
use caraway_server::wire::link::{ChannelType, LinkMessage};
use caraway_server::wire::main::AttachChannels;

use crate::line::{Line, Pipe, Shared};
use cursor::CursorModel;
use display::DisplayModel;
use folder::FolderModel;
use inputs::InputsModel;
use main_channel::MainModel;
use sound::{PlaybackModel, RecordModel};
use stream::Stream;

pub(crate) mod agent;
pub(crate) mod cursor;
pub(crate) mod display;
pub(crate) mod folder;
pub(crate) mod handshake;
mod images;
pub(crate) mod inputs;
pub(crate) mod main_channel;
pub(crate) mod sound;
pub(crate) mod stream;

/// Which client it is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// spice-gtk: mini headers, LZ4, MONITORS_CONFIG.
    Gtk,
    /// spice-html5: no palettes, no LZ4, no MONITORS_CONFIG.
    Html5,
    /// A client from before capabilities: full headers, and its ticket comes without a mechanism.
    Old,
}

impl Profile {
    fn link_message(self, connection_id: u32, channel_type: ChannelType) -> LinkMessage {
        let common_caps = match self {
            Self::Gtk | Self::Html5 => Caps::of(&[common::AUTH_SELECTION, common::MINI_HEADER]),
            Self::Old => Caps::default(),
        };
        let channel_caps = match (self, channel_type) {
            (Self::Gtk, ChannelType::MAIN) => Caps::of(&[0, 1, 2, 3]),
            (Self::Gtk, ChannelType::DISPLAY) => Caps::of(&[
                display_cap::SIZED_STREAM,
                display_cap::MONITORS_CONFIG,
                display_cap::COMPOSITE,
                display_cap::A8_SURFACE,
                display_cap::STREAM_REPORT,
                display_cap::LZ4_COMPRESSION,
                display_cap::MULTI_CODEC,
                display_cap::CODEC_MJPEG,
            ]),
            (Self::Gtk, ChannelType::PLAYBACK) => Caps::of(&[
                playback_cap::VOLUME,
                playback_cap::LATENCY,
                playback_cap::OPUS,
            ]),
            (Self::Html5, ChannelType::PLAYBACK) => Caps::of(&[playback_cap::OPUS]),
            (Self::Html5, ChannelType::MAIN) => Caps::of(&[2]),
            (Self::Html5, ChannelType::DISPLAY) => {
                Caps::of(&[display_cap::SIZED_STREAM, display_cap::STREAM_REPORT])
            }
            _ => Caps::default(),
        };
        LinkMessage {
            connection_id,
            channel_type,
            channel_id: 0,
            common_caps,
            channel_caps,
        }
    }
}

/// What a client leaves undone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Habits {
    /// Its display channel never says INIT.
    pub(crate) no_init: bool,
    /// It acknowledges nothing and answers no ping.
    pub(crate) no_answers: bool,
    /// The codec that it asks for.
    pub(crate) prefers: Option<ImageCompression>,
}

/// What travels to the server.
#[derive(Debug)]
pub(crate) enum Said {
    Bytes(Vec<u8>),
    /// The client has closed its sending side.
    End,
}

/// One channel's connection, with the server's end of it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) key: ChannelKey,
    pub(crate) kind: ChannelType,
    pub(crate) to_server: Pipe<Said>,
    pub(crate) to_client: Pipe<Vec<u8>>,
    /// Bytes in `to_client`.
    pub(crate) unread: usize,
    pub(crate) stream: Stream,
    /// What the session gave, and how much of it is written.
    pub(crate) output: Vec<u8>,
    pub(crate) written: usize,
    /// The session has more to send right now.
    pub(crate) more: bool,
    /// The task has not taken its first turn.
    pub(crate) fresh: bool,
    /// Bytes that the session gave since it was linked.
    pub(crate) given_bytes: u64,
    /// Keys and buttons that the server heard being pressed here and not released.
    pub(crate) heard: inputs::HeldSet,
}

impl Connection {
    /// What the session gave and the client has not read.
    pub(crate) const fn behind_bytes(&self) -> usize {
        self.output.len() - self.written + self.unread
    }
}

/// One client with its channels.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) profile: Profile,
    pub(crate) habits: Habits,
    /// What the password that it knows gives.
    pub(crate) access: Access,
    pub(crate) shared: Shared,
    /// It reads what comes.
    pub(crate) reads: bool,
    pub(crate) connections: Vec<Connection>,
    /// Channels that it wants to link.
    pub(crate) wanted: Vec<ChannelType>,
    pub(crate) main: MainModel,
    pub(crate) display: DisplayModel,
    pub(crate) cursor: CursorModel,
    pub(crate) folder: FolderModel,
    pub(crate) inputs: InputsModel,
    pub(crate) playback: PlaybackModel,
    pub(crate) record: RecordModel,
}

impl Client {
    pub(crate) fn new(profile: Profile, line: Line, habits: Habits) -> Self {
        Self {
            profile,
            habits,
            access: Access::Full,
            shared: Shared::new(line),
            reads: true,
            connections: Vec::new(),
            wanted: vec![ChannelType::MAIN],
            main: MainModel::new(profile),
            display: DisplayModel::new(profile),
            cursor: CursorModel::default(),
            folder: FolderModel::default(),
            inputs: InputsModel::default(),
            playback: PlaybackModel::default(),
            record: RecordModel::default(),
        }
    }

    /// It starts over, with what it has learnt forgotten.
    pub(crate) fn come_back(&mut self) {
        let (own_lights, line) = (self.inputs.own_lights, self.shared.line);
        let access = self.access;
        *self = Self::new(self.profile, line, self.habits);
        self.access = access;
        self.inputs.own_lights = own_lights;
    }

    pub(crate) fn link_message(&self, kind: ChannelType) -> LinkMessage {
        let id = if kind == ChannelType::MAIN {
            0
        } else {
            self.main.session_id.expect("MAIN_INIT came first")
        };
        self.profile.link_message(id, kind)
    }

    /// A channel is linked: says what a client says first.
    pub(crate) fn linked(&mut self, now: Micros, key: ChannelKey, kind: ChannelType) {
        self.connections.push(Connection {
            key,
            kind,
            to_server: Pipe::new(),
            to_client: Pipe::new(),
            unread: 0,
            stream: Stream::new(self.profile != Profile::Old, !self.habits.no_answers),
            output: Vec::new(),
            written: 0,
            more: false,
            fresh: true,
            given_bytes: 0,
            heard: inputs::HeldSet::default(),
        });
        match kind {
            ChannelType::MAIN => self.say(now, kind, &AttachChannels {}),
            ChannelType::DISPLAY => {
                self.display = DisplayModel::new(self.profile);
                let init = Init {
                    pixmap_cache_id: 1,
                    pixmap_cache_size: display::CACHE_PIXELS as i64,
                    glz_dictionary_id: 1,
                    glz_dictionary_window_size: images::window_pixels(self.profile),
                };
                if !self.habits.no_init {
                    self.say(now, kind, &init);
                }
                if let Some(image_compression) = self.habits.prefers {
                    self.say(now, kind, &PreferredCompression { image_compression });
                }
            }
            ChannelType::CURSOR => self.cursor = CursorModel::default(),
            ChannelType::WEBDAV => self.folder = FolderModel::default(),
            ChannelType::PLAYBACK => self.playback.relinked(),
            ChannelType::RECORD => self.record = RecordModel::default(),
            _ => self.inputs.relinked(),
        }
    }

    /// Sends a message if the channel is connected.
    pub(crate) fn say<M: Message>(&mut self, now: Micros, kind: ChannelType, message: &M) {
        let delay = self.shared.line.delay;
        if let Some(connection) = self.connection_mut(kind) {
            let bytes = connection.stream.message(message);
            connection.to_server.put(now + delay, Said::Bytes(bytes));
        }
    }

    /// Says something to the agent, as tokens allow.
    pub(crate) fn say_agent(&mut self, now: Micros, message: &AgentMessage) {
        self.main.agent.say(message);
        self.send_agent(now);
    }

    fn send_agent(&mut self, now: Micros) {
        for (number, body) in self.main.agent.take_said() {
            self.say_raw(now, ChannelType::MAIN, number, &body);
        }
    }

    /// Sends a message of any number.
    pub(crate) fn say_raw(&mut self, now: Micros, kind: ChannelType, number: u16, body: &[u8]) {
        let delay = self.shared.line.delay;
        if let Some(connection) = self.connection_mut(kind) {
            let write = |writer: &mut ByteWriter<'_>| writer.bytes(body);
            let bytes = connection.stream.raw(number, write);
            connection.to_server.put(now + delay, Said::Bytes(bytes));
        }
    }

    /// Closes the sending side of a channel.
    pub(crate) fn finish(&mut self, now: Micros, kind: ChannelType) {
        let delay = self.shared.line.delay;
        if let Some(connection) = self.connection_mut(kind) {
            connection.to_server.put(now + delay, Said::End);
        }
    }

    pub(crate) fn connection(&self, kind: ChannelType) -> Option<&Connection> {
        self.connections.iter().find(|one| one.kind == kind)
    }

    fn connection_mut(&mut self, kind: ChannelType) -> Option<&mut Connection> {
        self.connections.iter_mut().find(|one| one.kind == kind)
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.connection(ChannelType::MAIN).is_some()
    }

    /// The next moment at which something arrives that it will read.
    pub(crate) fn next_at(&self) -> Option<Micros> {
        let arrivals = self.connections.iter().map(|one| one.to_client.next_at());
        arrivals.flatten().min().filter(|_| self.reads)
    }

    /// Reads what has arrived. Whether there was anything.
    pub(crate) fn read(&mut self, now: Micros) -> bool {
        if !self.reads {
            return false;
        }
        let mut any = false;
        for index in 0..self.connections.len() {
            while let Some(bytes) = self.connections[index].to_client.take(now) {
                any = true;
                let connection = &mut self.connections[index];
                connection.unread -= bytes.len();
                connection.stream.push(&bytes);
                while let Some((number, body)) = self.connections[index].stream.next() {
                    self.hear(now, index, number, &body);
                }
            }
        }
        any
    }

    fn hear(&mut self, now: Micros, index: usize, number: u16, body: &[u8]) {
        let delay = self.shared.line.delay;
        let connection = &mut self.connections[index];
        let kind = connection.kind;
        for answer in connection.stream.answers(number, body) {
            connection.to_server.put(now + delay, Said::Bytes(answer));
        }
        if number <= caraway_server::wire::common::LAST_TYPE {
            return;
        }
        match kind {
            ChannelType::MAIN => {
                let listed = self.main.hear(now, number, body);
                self.wanted.extend(listed);
                self.send_agent(now);
            }
            ChannelType::DISPLAY => self.display.hear(number, body),
            ChannelType::PLAYBACK => self.playback.hear(now, number, body),
            ChannelType::RECORD => self.record.hear(number, body),
            ChannelType::CURSOR => self.cursor.hear(number, body, self.main.mode),
            ChannelType::INPUTS => {
                if let Some(own) = self.inputs.hear(number, body) {
                    self.say(now, kind, &own);
                }
            }
            ChannelType::WEBDAV => {
                for body in self.folder.hear(number, body) {
                    self.say_raw(now, kind, 101, &body);
                }
            }
            other => unreachable!("nobody links {other:?}"),
        }
    }
}
