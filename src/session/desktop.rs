//! A desktop and everybody who looks at it.
//!
//! `Session` routes: bytes of a channel to its state machine, input to the driver, frames to every display. What the
//! parts do is theirs. Three drivers call it, in any order:
//!
//! - connections: [`admit`](Session::admit), [`start`](Session::start), then [`receive`](Session::receive) and
//!   [`transmit`](Session::transmit) until [`close`](Session::close). `transmit` is called when the socket can take
//!   bytes and nothing waits for it, again at [`deadline`](Session::deadline), and when [`Event::Wake`] names the
//!   channel;
//! - the driver's attachment: see `session/screen_side.rs`;
//! - whoever does what the agent orders: see `session/agent_side.rs`.
//!
//! After every call [`take_events`](Session::take_events) and [`take_input`](Session::take_input) tell what else is
//! to be done.

use std::collections::{BTreeMap, VecDeque};

use super::agent_side::AgentSide;
use super::channel::{Channel, ChannelError, Origin, Role, message_limit};
use super::display_sender::{DisplaySender, Encoders};
use super::figures::Past;
use super::folders_side::FolderStream;
use super::image_sender::ImageEncoders;
use super::picture::Picture;
use super::presence::Presence;
use super::registry::{AdmitError, ChannelKey, Registry};
use super::rest::Scratch;
use super::sound_side::SoundSide;
use super::video_frames::VideoFrames;
use super::visits::Visit;
use crate::base::{Access, ClientId, Micros, Size};
use crate::base::{Alone, Workers};
use crate::channel::cursor::{CursorChannel, SharedCursor};
use crate::channel::held::Holder;
use crate::channel::inputs::{InputsChannel, Seat, SharedInput, is_deed};
use crate::channel::link::Linked;
use crate::channel::playback::Told;
use crate::channel::pointer::MouseMode;
use crate::channel::webdav::{StreamId, WebdavChannel};
use crate::channel::{Identity, Inbox, MainChannel, MainEvent, Offer, Outbox};
use crate::display::Path;
use crate::image::content::{ContentEncoder, JpegBackends};
use crate::ring::{InputRecord, Leds};
use crate::wire::common::LAST_TYPE;
use crate::wire::link::{ChannelType, LinkMessage};
use crate::wire::main::MouseModes;
use crate::wire::{Message, inputs::KeyDown};

/// Something for the I/O side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The channel has something to send.
    Wake(ChannelKey),
    /// The channel's client is gone: close its connection.
    Close(ChannelKey),
    /// A display could take a frame.
    FrameWanted,
    /// The agent has orders, or another deadline.
    Agent,
    /// A client has begun or ceased to share a folder.
    Folders,
    /// The program at this connection to a shared folder has something to take, may send more, or is to go.
    FolderStream(FolderStream),
    /// A client that listens or has a microphone came or went.
    Sound,
    /// A client has come or gone.
    Visits,
}

/// One desktop.
#[derive(Debug)]
pub struct Session {
    identity: Identity,
    pub(super) registry: Registry,
    pub(super) agent: AgentSide,
    pub(super) channels: BTreeMap<ChannelKey, Channel>,
    /// Channels that were admitted and have not started.
    admitted: BTreeMap<ChannelKey, ClientId>,
    modes: BTreeMap<ClientId, MouseMode>,
    pub(super) picture: Picture,
    pub(super) cursor: SharedCursor,
    pub(super) input: SharedInput,
    pub(super) sound: SoundSide,
    pub(super) presence: Presence,
    pub(super) frames: u64,
    pub(super) framed_at: Micros,
    pub(super) content: ContentEncoder,
    workers: Box<dyn Workers>,
    pub(super) video_frames: VideoFrames,
    pub(super) scratch: Scratch,
    pub(super) records: Vec<InputRecord>,
    pub(super) events: Vec<Event>,
    /// Streams with news, for as long as one call lasts.
    pub(super) folder_news: Vec<StreamId>,
    pub(super) visits: VecDeque<Visit>,
    pub(super) past: Past,
}

impl Session {
    /// A desktop of this size, before a driver has shown anything.
    pub fn new(identity: Identity, size: Size) -> Self {
        Self {
            identity,
            registry: Registry::new(),
            agent: AgentSide::default(),
            channels: BTreeMap::new(),
            admitted: BTreeMap::new(),
            modes: BTreeMap::new(),
            picture: Picture::new(size),
            cursor: SharedCursor::new(),
            input: SharedInput::new(Leds::default()),
            sound: SoundSide::new(),
            presence: Presence::default(),
            frames: 0,
            framed_at: Micros(0),
            content: ContentEncoder::new(),
            workers: Box::new(Alone),
            video_frames: VideoFrames::new(),
            scratch: Scratch::default(),
            records: Vec::new(),
            events: Vec::new(),
            folder_news: Vec::new(),
            visits: VecDeque::new(),
            past: Past::default(),
        }
    }

    /// Encodes JPEG with encoders of `backends` from now on, in place of the one that is always there.
    pub fn set_jpeg_backends(&mut self, backends: JpegBackends) {
        self.video_frames = VideoFrames::with(backends());
        self.content = ContentEncoder::with_jpeg(backends);
    }

    /// Lets others help with encoding.
    pub fn set_workers(&mut self, workers: Box<dyn Workers>) {
        self.workers = workers;
    }

    /// Makes room for a channel that has authenticated, which gives it `access`; `entropy` is a fresh random number.
    ///
    /// # Errors
    /// [`AdmitError`]: the link is to be refused.
    pub fn admit(
        &mut self,
        message: &LinkMessage,
        access: Access,
        entropy: u32,
    ) -> Result<ChannelKey, AdmitError> {
        let (client, key) = self.registry.admit(
            message.connection_id,
            message.channel_type,
            message.channel_id,
            entropy,
            access,
        )?;
        self.admitted.insert(key, client);
        Ok(key)
    }

    /// What the client of an admitted channel presents with its other channels.
    pub fn connection_id(&self, key: ChannelKey) -> Option<u32> {
        self.registry.connection_id(*self.admitted.get(&key)?)
    }

    /// The link of an admitted channel is complete: its first messages can be taken.
    ///
    /// # Errors
    /// [`ChannelError`] when what came with the link is wrong already; the channel is to be closed.
    pub fn start(
        &mut self,
        key: ChannelKey,
        now: Micros,
        linked: Linked,
        origin: Origin,
    ) -> Result<(), ChannelError> {
        let Some(client) = self.admitted.remove(&key) else {
            return Ok(());
        };
        self.presence.used(now);
        let Linked {
            message,
            mini_header,
            leftover,
        } = linked;
        let mut outbox = Outbox::new(mini_header, now);
        let role = self.role(client, key, now, &message, origin.path, &mut outbox);
        let inbox = Inbox::new(mini_header, message_limit(message.channel_type));
        self.channels.insert(
            key,
            Channel {
                client,
                origin,
                since: now,
                inbox,
                outbox,
                role,
                drained: true,
            },
        );
        if message.channel_type == ChannelType::MAIN {
            self.note_visit(client, true);
        }
        if matches!(
            message.channel_type,
            ChannelType::PLAYBACK | ChannelType::RECORD
        ) {
            self.sound_channels_changed();
        }
        // Whoever is attached to the driver shall know that somebody watches.
        self.events.extend([Event::Wake(key), Event::FrameWanted]);
        self.receive(key, now, &leftover)
    }

    /// Bytes from a channel's client.
    ///
    /// # Errors
    /// [`ChannelError`]: the channel is to be closed.
    pub fn receive(
        &mut self,
        key: ChannelKey,
        now: Micros,
        bytes: &[u8],
    ) -> Result<(), ChannelError> {
        let Some(channel) = self.channels.get_mut(&key) else {
            return Ok(());
        };
        let Channel {
            client,
            inbox,
            outbox,
            role,
            ..
        } = channel;
        let mode = self.modes.get(client).copied().unwrap_or(MouseMode::Client);
        let acts = self.registry.access(*client).acts();
        let mut is_key = false;
        inbox.push(bytes);
        while let Some((number, body)) = inbox.next_message()? {
            if number <= LAST_TYPE {
                role.answered(now, outbox.handle(now, number, body)?)?;
                continue;
            }
            match role {
                Role::Main(main) => match main.handle(number, body, outbox)? {
                    MainEvent::None => {}
                    MainEvent::MouseMode(mode) => {
                        self.modes.insert(*client, mouse_mode(mode));
                        let channels = self.registry.channels(*client);
                        self.events.extend(channels.map(Event::Wake));
                    }
                    MainEvent::Agent => self.agent.receive(now, *client, &mut main.agent),
                },
                Role::Display(display) => display.handle(number, body)?,
                Role::Inputs(inputs) if !acts => inputs.pass_over(number, body, outbox)?,
                Role::Inputs(inputs) => {
                    is_key |= number == KeyDown::TYPE;
                    let seat = &mut Seat {
                        shared: &mut self.input,
                        mode,
                        screen: self.picture.pointer_screen(),
                        records: &mut self.records,
                    };
                    inputs.handle(now, number, body, outbox, seat)?;
                    if is_deed(number) {
                        self.agent.acted(now, *client);
                        self.presence.used(now);
                    }
                }
                Role::Webdav(folder) => {
                    folder.handle(now, number, body, &mut self.folder_news)?;
                }
                Role::Record(record) => {
                    let mut samples = Vec::new();
                    record.handle(number, body, &mut samples)?;
                    self.sound.heard(&samples);
                }
                Role::Cursor(_) | Role::Playback(_) => {
                    return Err(ChannelError::Unexpected(number));
                }
            }
        }
        if outbox.is_full() && !matches!(role, Role::Display(_)) {
            return Err(ChannelError::NotReading);
        }
        if is_key {
            let client = *client;
            self.key_pressed(client, now);
        }
        self.tell_readiness(key);
        self.deliver_agent();
        self.tell_folder_news(key);
        Ok(())
    }

    /// Appends what a channel has to send to `out`, at most about one image. Returns whether there is more right now.
    pub fn transmit(&mut self, key: ChannelKey, now: Micros, out: &mut Vec<u8>) -> bool {
        let Some(Channel {
            client,
            outbox,
            role,
            drained,
            ..
        }) = self.channels.get_mut(&key)
        else {
            return false;
        };
        let mut stopped = false;
        let more = match role {
            Role::Display(display) => {
                let mut encoders = Encoders {
                    images: ImageEncoders {
                        content: &mut self.content,
                        workers: &*self.workers,
                    },
                    video: &mut self.video_frames,
                };
                let before = outbox.written_bytes();
                let sent = display.transmit(now, &self.picture, &mut encoders, outbox);
                self.scratch.used(now, outbox.written_bytes() - before);
                sent
            }
            Role::Cursor(cursor) => {
                let mode = self.modes.get(client).copied().unwrap_or(MouseMode::Client);
                cursor.transmit(&self.cursor, mode, outbox)
            }
            Role::Inputs(inputs) => inputs.transmit(outbox),
            Role::Main(main) => main.agent.transmit(now, outbox),
            Role::Webdav(folder) => folder.transmit(now, outbox, &mut self.folder_news),
            Role::Playback(playback) => {
                stopped = playback.transmit(now, outbox) == Told::Stop;
                false
            }
            Role::Record(record) => {
                record.transmit(outbox);
                false
            }
        };
        outbox.poll_ping(now);
        outbox.take_into(out);
        *drained = out.is_empty();
        if stopped {
            let client = *client;
            self.tell_time(client, now);
        }
        self.tell_readiness(key);
        self.tell_folder_news(key);
        more
    }

    /// What the kernel knew of a display's shortest round trip when it was linked.
    pub fn kernel_rtt(&mut self, key: ChannelKey, rtt: Micros) {
        if let Some(Role::Display(display)) = self.channels.get_mut(&key).map(|one| &mut one.role) {
            display.kernel_rtt(rtt);
        }
    }

    /// Bytes that may be in flight on a display channel.
    pub fn in_flight_max(&self, key: ChannelKey) -> Option<u64> {
        match &self.channels.get(&key)?.role {
            Role::Display(display) => Some(display.in_flight_max()),
            _ => None,
        }
    }

    /// When [`transmit`](Self::transmit) is to be called even if nothing happens.
    pub fn deadline(&self, key: ChannelKey) -> Option<Micros> {
        let channel = self.channels.get(&key)?;
        let ping_due = channel.outbox.ping_due();
        match &channel.role {
            Role::Display(display) => display.deadline().into_iter().chain([ping_due]).min(),
            _ => Some(ping_due),
        }
    }

    /// A connection has ended.
    pub fn close(&mut self, key: ChannelKey) {
        self.admitted.remove(&key);
        if let Some(channel) = self.channels.get(&key) {
            self.past.ended(channel);
            if matches!(channel.role, Role::Main(_)) {
                self.note_visit(channel.client, false);
            }
        }
        match self.channels.remove(&key) {
            Some(Channel {
                client,
                role: Role::Main(_),
                ..
            }) => {
                self.modes.remove(&client);
                self.agent.left(client);
                self.deliver_agent();
            }
            Some(Channel {
                role: Role::Webdav(folder),
                ..
            }) => self.folder_closed(key, &folder),
            Some(Channel {
                role: Role::Playback(_) | Role::Record(_),
                ..
            }) => self.sound_channels_changed(),
            _ => {}
        }
        let is_display = |channel: &Channel| matches!(channel.role, Role::Display(_));
        if !self.channels.values().any(is_display) {
            self.picture.screen.unwatched();
            // Whoever is attached to the driver shall know that nobody does.
            self.events.push(Event::FrameWanted);
        }
        self.input.release_all(holder(key), &mut self.records);
        for other in self.registry.remove(key) {
            self.admitted.remove(&other);
            self.events.push(Event::Close(other));
        }
    }

    /// What is to be done besides; empties the list.
    pub fn take_events(&mut self, events: &mut Vec<Event>) {
        events.append(&mut self.events);
    }

    /// Input for the driver, in order; empties the list.
    pub fn take_input(&mut self) -> Vec<InputRecord> {
        std::mem::take(&mut self.records)
    }

    fn role(
        &mut self,
        client: ClientId,
        key: ChannelKey,
        now: Micros,
        message: &LinkMessage,
        path: Path,
        outbox: &mut Outbox,
    ) -> Role {
        let caps = &message.channel_caps;
        match message.channel_type {
            ChannelType::DISPLAY => {
                Role::Display(Box::new(DisplaySender::new(caps, path, &self.picture)))
            }
            ChannelType::INPUTS => Role::Inputs(Box::new(InputsChannel::new(
                holder(key),
                self.input.keyboard.leds(),
                outbox,
            ))),
            ChannelType::CURSOR => {
                // Nothing on this channel tells spice-html5, which cannot cache cursors, from other clients.
                Role::Cursor(Box::new(CursorChannel::new(false)))
            }
            ChannelType::WEBDAV => {
                self.events.push(Event::Folders);
                Role::Webdav(Box::new(WebdavChannel::start(outbox)))
            }
            ChannelType::PLAYBACK => Role::Playback(Box::new(self.sound.playback(caps))),
            ChannelType::RECORD => Role::Record(Box::new(self.sound.record(caps))),
            _ => {
                let connection_id = self.registry.connection_id(client).unwrap_or_default();
                let access = self.registry.access(client);
                let offer = Offer {
                    acts: access.acts(),
                    services: self.agent.services(),
                    served: self.registry.served(access),
                };
                if !access.acts() {
                    self.modes.insert(client, MouseMode::Server);
                }
                Role::Main(Box::new(MainChannel::start(
                    connection_id,
                    &self.identity,
                    offer,
                    caps,
                    now,
                    outbox,
                )))
            }
        }
    }

    /// Notes that a display can take a frame.
    fn tell_readiness(&mut self, key: ChannelKey) {
        if self.channels.get(&key).is_some_and(Channel::wants_frame) {
            self.events.push(Event::FrameWanted);
        }
    }
}

const fn mouse_mode(modes: MouseModes) -> MouseMode {
    if modes.contains(MouseModes::CLIENT) {
        MouseMode::Client
    } else {
        MouseMode::Server
    }
}

/// Held keys and buttons belong to the channel that pressed them.
const fn holder(key: ChannelKey) -> Holder {
    Holder(key.number())
}
