//! The programs' side of shared folders: connections of the desktop to what clients share.
//!
//! Whoever serves the local addresses calls [`folder_connect`](Session::folder_connect) for a program's connection,
//! carries bytes with [`folder_give`](Session::folder_give) and [`folder_take`](Session::folder_take), looks again
//! when [`Event::FolderStream`] names it, and says [`folder_end`](Session::folder_end) when it is over.

use super::channel::Role;
use super::desktop::{Event, Session};
use super::registry::ChannelKey;
use super::status::FolderStatus;
use crate::base::Micros;
use crate::channel::webdav::{StreamId, Taken, WebdavChannel};
use crate::wire::link::ChannelType;

/// A program's connection to a client's shared folder; never used again afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FolderStream {
    /// The client's WebDAV channel.
    pub channel: ChannelKey,
    /// The connection.
    pub id: StreamId,
}

impl Session {
    /// Lets clients share folders from now on.
    pub fn serve_folders(&mut self) {
        self.registry.serve(ChannelType::WEBDAV);
    }

    /// The channels of clients that share a folder, oldest first.
    pub fn folders(&self) -> impl Iterator<Item = (ChannelKey, &str)> {
        let folders = self.channels.iter();
        folders
            .filter(|(_, channel)| matches!(channel.role, Role::Webdav(_)))
            .map(|(key, channel)| (*key, channel.origin.peer.as_str()))
    }

    /// Where the folders of these channels' clients are to be had in the desktop: what clients copy of them can be
    /// pasted there.
    pub fn set_folder_addresses(&mut self, addresses: &[(ChannelKey, String)]) {
        let client = |key: &ChannelKey| Some(self.channels.get(key)?.client);
        let of_clients = addresses
            .iter()
            .filter_map(|(key, address)| Some((client(key)?, address.clone())));
        let of_clients = of_clients.collect();
        self.agent.share_folders(of_clients);
        self.deliver_agent();
    }

    /// A program connects to a shared folder; none if that has gone or has as many connections as it may have.
    pub fn folder_connect(&mut self, channel: ChannelKey, now: Micros) -> Option<FolderStream> {
        let id = self.folder_mut(channel)?.connect(now)?;
        Some(FolderStream { channel, id })
    }

    /// Bytes that may be given now; none when the client takes no more.
    pub fn folder_room(&self, stream: FolderStream) -> Option<usize> {
        self.folder(stream.channel)?.room(stream.id)
    }

    /// Bytes for the client, as many as there is [`folder_room`](Self::folder_room) for.
    pub fn folder_give(&mut self, stream: FolderStream, bytes: &[u8]) {
        if let Some(folder) = self.folder_mut(stream.channel) {
            folder.give(stream.id, bytes);
            self.events.push(Event::Wake(stream.channel));
        }
    }

    /// Takes what the client has sent.
    pub fn folder_take(&mut self, stream: FolderStream, now: Micros) -> Taken {
        self.unless_held(stream.channel, |folder| folder.take(stream.id, now))
            .unwrap_or(Taken::Ended)
    }

    /// The program has gone, or was sent away.
    pub fn folder_end(&mut self, stream: FolderStream) {
        if self
            .unless_held(stream.channel, |folder| folder.end(stream.id))
            .is_some()
        {
            self.events.push(Event::Wake(stream.channel));
        }
    }

    /// Whether others wait only because this program takes nothing.
    pub fn folder_blocks_others(&self, stream: FolderStream) -> bool {
        let folder = self.folder(stream.channel);
        folder.is_some_and(|folder| folder.blocks_others(stream.id))
    }

    /// Whether nothing is to be read from the channel's client for now. [`Event::Wake`] tells when that changes.
    pub fn is_held(&self, key: ChannelKey) -> bool {
        self.folder(key).is_some_and(WebdavChannel::is_held)
    }

    /// What people want to know of shared folders; their addresses are not known here.
    pub(super) fn folder_status(&self) -> Vec<FolderStatus> {
        let folders = self.channels.values().filter_map(|channel| {
            let Role::Webdav(folder) = &channel.role else {
                return None;
            };
            let (read_bytes, written_bytes) = folder.moved_bytes();
            Some(FolderStatus {
                peer: channel.origin.peer.clone(),
                connections: folder.streams().count(),
                read_bytes,
                written_bytes,
                ..FolderStatus::default()
            })
        });
        folders.collect()
    }

    /// A client ceased to share: its programs' connections end.
    pub(super) fn folder_closed(&mut self, channel: ChannelKey, folder: &WebdavChannel) {
        let streams = folder.streams().map(|id| FolderStream { channel, id });
        self.events.extend(streams.map(Event::FolderStream));
        self.events.push(Event::Folders);
    }

    /// Calls a folder, and wakes its connection if it may be read again then.
    fn unless_held<R>(
        &mut self,
        key: ChannelKey,
        call: impl FnOnce(&mut WebdavChannel) -> R,
    ) -> Option<R> {
        let folder = self.folder_mut(key)?;
        let was_held = folder.is_held();
        let result = call(folder);
        if was_held && !folder.is_held() {
            self.events.push(Event::Wake(key));
        }
        Some(result)
    }

    fn folder(&self, key: ChannelKey) -> Option<&WebdavChannel> {
        match &self.channels.get(&key)?.role {
            Role::Webdav(folder) => Some(folder),
            _ => None,
        }
    }

    fn folder_mut(&mut self, key: ChannelKey) -> Option<&mut WebdavChannel> {
        match &mut self.channels.get_mut(&key)?.role {
            Role::Webdav(folder) => Some(folder),
            _ => None,
        }
    }

    /// Notes which streams of a shared folder have something new for their programs.
    pub(super) fn tell_folder_news(&mut self, channel: ChannelKey) {
        let news = self.folder_news.drain(..);
        let events = news.map(|id| Event::FolderStream(FolderStream { channel, id }));
        self.events.extend(events);
    }
}
