//! What the launcher shows about a desktop.

use serde::Serialize;

/// A snapshot of the desktop and its clients.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Width of the screen in pixels.
    pub width: u32,
    /// Height of the screen in pixels.
    pub height: u32,
    /// Frames read from the screen since the server started.
    pub frames: u64,
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
    /// Where it connects from.
    pub peer: String,
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
}
