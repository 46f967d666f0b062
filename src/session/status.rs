//! What the launcher shows about a desktop.

use serde::Serialize;

use super::channel::Role;
use super::desktop::Session;
use crate::base::{ClientId, Micros};

/// A snapshot of the desktop and its clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Width of the screen in pixels.
    pub width: u32,
    /// Height of the screen in pixels.
    pub height: u32,
    /// Frames read from the screen since the server started.
    pub frames: u64,
    /// Whole seconds since a client was connected; since the server's start if none was.
    pub without_clients_s: u64,
    /// Whole seconds since a client came, or a key or button of one went down.
    pub idle_s: u64,
    /// Everybody who is connected, oldest first.
    pub clients: Vec<ClientStatus>,
    /// Folders that clients share, with their local addresses.
    pub shared_folders: Vec<FolderStatus>,
}

/// One client's shared folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FolderStatus {
    /// Where the client connects from.
    pub peer: String,
    /// Where programs of the desktop find it: `dav://127.0.0.1:PORT/`. Empty for a moment after it has come.
    pub uri: String,
    /// The same as a unix socket that speaks HTTP, where there is a directory for it.
    pub socket: Option<String>,
    /// Connections of programs.
    pub connections: usize,
    /// Bytes that came from the client.
    pub read_bytes: u64,
    /// Bytes that went to the client.
    pub written_bytes: u64,
}

/// One client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClientStatus {
    /// Its number, which no other client of this server has or had.
    pub id: u64,
    /// Where it connects from.
    pub peer: String,
    /// As whom it has authenticated, if it said.
    pub user: Option<String>,
    /// What it may do: `full`, `view-only` or `shadow`.
    pub access: &'static str,
    /// Seconds since it connected.
    pub connected_s: u64,
    /// Channels that are connected.
    pub channels: Vec<&'static str>,
    /// Bytes sent on its display channel.
    pub display_bytes: u64,
    /// Shortest round trip on the display channel lately, the client's own work included, in microseconds.
    pub rtt_us: Option<u64>,
    /// Bytes a second that the client takes, once its line has been full.
    pub rate_bytes_per_s: Option<u64>,
    /// Bytes of the display channel that the client has not been seen to handle.
    pub in_flight_bytes: u64,
    /// Frames of which something was sent to it.
    pub frames_shown: u64,
    /// Time spent on making what was sent on its display channel, in microseconds.
    pub encode_us: u64,
    /// From its last answered key to the first sending behind it, in microseconds: the server's share of what is felt.
    pub key_to_frame_us: Option<u64>,
}

impl Session {
    /// A snapshot for people.
    pub fn status(&self, now: Micros) -> Status {
        let clients = self
            .registry
            .clients()
            .map(|client| self.client_status(client, now));
        Status {
            width: self.picture.size().width,
            height: self.picture.size().height,
            frames: self.frames,
            without_clients_s: self.without_clients_s(now),
            idle_s: self.presence.idle_s(now),
            clients: clients.collect(),
            shared_folders: self.folder_status(),
        }
    }

    fn client_status(&self, client: ClientId, now: Micros) -> ClientStatus {
        let mut status = ClientStatus {
            id: client.number(),
            access: self.registry.access(client).word(),
            ..ClientStatus::default()
        };
        for channel in self
            .channels
            .values()
            .filter(|channel| channel.client == client)
        {
            status.channels.push(channel.role.name());
            match &channel.role {
                Role::Main(_) => {
                    status.peer.clone_from(&channel.origin.peer);
                    status.user.clone_from(&channel.origin.user);
                    status.connected_s = now.since(channel.since).0 / 1_000_000;
                }
                Role::Display(display) => {
                    status.display_bytes = channel.outbox.written_bytes();
                    status.rtt_us = display.rtt_us();
                    status.rate_bytes_per_s = display.rate_bytes_per_s();
                    status.in_flight_bytes = display.in_flight_bytes();
                    status.frames_shown = display.tally.frames_shown;
                    status.encode_us = display.tally.encode_us;
                    status.key_to_frame_us = display.tally.key_to_frame_us;
                }
                _ => {}
            }
        }
        status
    }
}
