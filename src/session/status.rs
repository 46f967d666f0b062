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
}

/// One client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClientStatus {
    /// Its number, which no other client of this server has or had.
    pub id: u64,
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
    /// Frames of which something was sent to it.
    pub frames_shown: u64,
    /// Time spent on making what was sent on its display channel, in microseconds.
    pub encode_us: u64,
    /// From its last answered key to the first sending behind it, in microseconds: the server's share of what is felt.
    pub key_to_frame_us: Option<u64>,
}
