//! The agent's side of a session: what clients say to it, and what is to be done to the desktop then.
//!
//! Whoever can touch the desktop calls [`serve_agent`](Session::serve_agent) with what it can do, then
//! [`take_orders`](Session::take_orders) whenever [`Event::Agent`] says so, [`agent_news`](Session::agent_news) with
//! what comes of them, and [`agent_poll`](Session::agent_poll) at [`agent_deadline`](Session::agent_deadline).

use std::collections::BTreeMap;

use super::channel::{Channel, Role};
use super::desktop::{Event, Session};
use super::registry::ChannelKey;
use crate::agent::clipboard::{Clipboard, ClipboardPolicy};
use crate::agent::resize::{Resize, ResizePolicy};
use crate::agent::uploads::Uploads;
use crate::agent::{News, Note, Order, Outbound, Part};
use crate::base::limits::AGENT_UNFINISHED_BYTES_MAX;
use crate::base::{ClientId, Micros};
use crate::channel::{AgentLink, AgentServices, Incoming};
use crate::ring::Head;
use crate::wire::agent::{AgentMessage, AgentType, VolumeSync};

/// The parts of the agent, and what they have to say.
#[derive(Debug, Default)]
pub(super) struct AgentSide {
    services: AgentServices,
    clipboard: Clipboard,
    resize: Resize,
    uploads: Uploads,
    /// Of what is heard, and of the microphone: the newest.
    volumes: [Option<VolumeSync>; 2],
    /// One of them has come, and nobody was told.
    volume_is_new: bool,
    out: Outbound,
    /// Bytes of every client's unfinished message.
    unfinished: BTreeMap<ClientId, usize>,
    /// When the agent's task was last told to come back.
    deadline: Option<Micros>,
}

impl AgentSide {
    pub(super) const fn services(&self) -> AgentServices {
        self.services
    }

    /// Clients share folders at these addresses of the desktop.
    pub(super) fn share_folders(&mut self, addresses: BTreeMap<ClientId, String>) {
        self.clipboard.set_shared_folders(addresses);
        self.clipboard.take_messages(&mut self.out.messages);
    }

    /// A client's chunk has come.
    pub(super) fn receive(&mut self, now: Micros, client: ClientId, link: &mut AgentLink) {
        for incoming in link.take_incoming() {
            self.take(now, client, incoming);
        }
        if link.unfinished() == Some(AgentType::CLIPBOARD) {
            self.clipboard.client_is_sending(client, now);
        }
        self.unfinished.insert(client, link.kept_bytes());
        let others = self.unfinished.iter().filter(|(id, _)| **id != client);
        let taken: usize = others.map(|(_, bytes)| bytes).sum();
        link.set_room(AGENT_UNFINISHED_BYTES_MAX.saturating_sub(taken));
    }

    fn take(&mut self, now: Micros, client: ClientId, incoming: Incoming) {
        let out = &mut self.out;
        match incoming {
            Incoming::Announced(caps) => {
                self.clipboard.joined(now, client, &caps, out);
                self.resize.joined(now, client, &caps, out);
                self.uploads.joined(now, client, &caps, out);
            }
            Incoming::Message(AgentMessage::VolumeSync(volume)) => {
                let place = usize::from(!volume.is_playback);
                if let Some(place) = self.volumes.get_mut(place) {
                    *place = Some(volume);
                    self.volume_is_new = true;
                }
            }
            Incoming::Message(message) => match part_of(message.message_type()) {
                PartName::Clipboard => self.clipboard.message(now, client, message, out),
                PartName::Resize => self.resize.message(now, client, message, out),
                PartName::Uploads => self.uploads.message(now, client, message, out),
                PartName::None => {}
            },
            Incoming::Skipped { message_type, skip } => {
                let why = skip.to_string();
                out.note(client, Note::Skipped { message_type, why });
                match part_of(message_type) {
                    PartName::Clipboard => self.clipboard.skipped(now, client, message_type, out),
                    PartName::Resize => self.resize.skipped(now, client, message_type, out),
                    PartName::Uploads => self.uploads.skipped(now, client, message_type, out),
                    PartName::None => {}
                }
            }
        }
    }

    /// A client is gone, or hears of no agent any more.
    pub(super) fn left(&mut self, client: ClientId) {
        self.unfinished.remove(&client);
        let out = &mut self.out;
        self.clipboard.left(client, out);
        self.resize.left(client, out);
        self.uploads.left(client, out);
    }

    /// A client pressed a key or a button.
    pub(super) fn acted(&mut self, now: Micros, client: ClientId) {
        self.resize.acted(now, client);
    }

    /// The X server shows these outputs.
    pub(super) fn shows(&mut self, heads: &[Head]) {
        self.resize.shows(heads);
    }

    fn news(&mut self, now: Micros, news: News) {
        let out = &mut self.out;
        match news {
            News::Clipboard(news) => self.clipboard.news(now, news, out),
            News::Resize(news) => self.resize.news(now, news, out),
            News::Upload(news) => self.uploads.news(now, news, out),
        }
    }

    fn poll(&mut self, now: Micros) {
        let out = &mut self.out;
        self.clipboard.poll(now, out);
        self.resize.poll(now, out);
        self.uploads.poll(now, out);
    }

    fn next_deadline(&self) -> Option<Micros> {
        let parts = [
            self.clipboard.deadline(),
            self.resize.deadline(),
            self.uploads.deadline(),
        ];
        parts.into_iter().flatten().min()
    }
}

enum PartName {
    Clipboard,
    Resize,
    Uploads,
    /// Nobody minds.
    None,
}

const fn part_of(message_type: AgentType) -> PartName {
    match message_type {
        AgentType::CLIPBOARD
        | AgentType::CLIPBOARD_GRAB
        | AgentType::CLIPBOARD_REQUEST
        | AgentType::CLIPBOARD_RELEASE
        | AgentType::MAX_CLIPBOARD => PartName::Clipboard,
        AgentType::MONITORS_CONFIG | AgentType::DISPLAY_CONFIG => PartName::Resize,
        AgentType::FILE_XFER_START | AgentType::FILE_XFER_STATUS | AgentType::FILE_XFER_DATA => {
            PartName::Uploads
        }
        _ => PartName::None,
    }
}

impl Session {
    /// This is what the desktop can do for clients from now on. Those that are connected are told.
    pub fn serve_agent(&mut self, services: AgentServices) {
        self.agent.services = services;
        self.agent.uploads.serve(services.uploads);
        let Self {
            channels,
            events,
            agent,
            registry,
            ..
        } = self;
        for (key, channel) in channels {
            if let Channel {
                role: Role::Main(main),
                outbox,
                client,
                ..
            } = channel
                && registry.access(*client).acts()
            {
                if main.agent.serve(services, outbox) {
                    agent.left(*client);
                }
                events.push(Event::Wake(*key));
            }
        }
        self.deliver_agent();
    }

    /// What may pass through the clipboard; to be set before anybody connects.
    pub fn set_clipboard_policy(&mut self, policy: ClipboardPolicy) {
        self.agent.clipboard = Clipboard::new(policy);
    }

    /// How clients' windows change the desktop from now on.
    pub const fn set_resize_policy(&mut self, policy: ResizePolicy) {
        self.agent.resize.set_policy(policy);
    }

    /// What is to be done to the desktop, in order; empties the list.
    pub fn take_orders(&mut self, orders: &mut Vec<Order>) {
        orders.append(&mut self.agent.out.orders);
    }

    /// Whether a channel's client is sending a file on it.
    pub fn is_receiving_file(&self, key: ChannelKey) -> bool {
        let channel = self.channels.get(&key);
        channel.is_some_and(|channel| {
            matches!(channel.role, Role::Main(_)) && self.agent.uploads.is_receiving(channel.client)
        })
    }

    /// What came of an order, or happened on the desktop.
    pub fn agent_news(&mut self, now: Micros, news: News) {
        self.agent.news(now, news);
        self.deliver_agent();
    }

    /// When [`agent_poll`](Self::agent_poll) is to be called even if nothing happens.
    pub fn agent_deadline(&self) -> Option<Micros> {
        self.agent.next_deadline()
    }

    /// Time has passed.
    pub fn agent_poll(&mut self, now: Micros) {
        self.agent.poll(now);
        self.deliver_agent();
    }

    /// The newest volume that a client has told since this was last asked: of what it plays, or of its microphone.
    /// Nothing while there are several clients: who joins does not change what the others hear. Nothing of a client
    /// that tells no volume at all: spice-gtk says so, and that it is muted, where it cannot know.
    pub fn take_volume_sync(&mut self, is_playback: bool) -> Option<VolumeSync> {
        let place = self.agent.volumes.get_mut(usize::from(!is_playback));
        let volume = place.and_then(Option::take);
        volume
            .filter(|volume| volume.volumes.iter().any(|volume| *volume != 0))
            .filter(|_| self.registry.clients().count() == 1)
    }

    /// Hands what the parts have said to the clients' links, and rings for what they want done.
    pub(super) fn deliver_agent(&mut self) {
        for (client, held) in std::mem::take(&mut self.agent.out.holds) {
            if let Some(key) = self.registry.main(client)
                && let Some(channel) = self.channels.get_mut(&key)
                && let Role::Main(main) = &mut channel.role
            {
                main.agent.hold(held, &mut channel.outbox);
                self.events.push(Event::Wake(key));
            }
        }
        for (client, message) in std::mem::take(&mut self.agent.out.messages) {
            let Some(key) = self.registry.main(client) else {
                continue;
            };
            let channel = self.channels.get_mut(&key);
            if let Some(Role::Main(main)) = channel.map(|channel| &mut channel.role)
                && main.agent.send(&message)
            {
                self.events.push(Event::Wake(key));
                if main.agent.is_full() {
                    self.agent.out.note(client, Note::NotTaking);
                    self.events.push(Event::Close(key));
                }
            }
        }
        let deadline = self.agent.next_deadline();
        if std::mem::take(&mut self.agent.volume_is_new) {
            self.events.push(Event::Sound);
        }
        if !self.agent.out.orders.is_empty() || deadline != self.agent.deadline {
            self.agent.deadline = deadline;
            self.events.push(Event::Agent);
        }
    }
}
