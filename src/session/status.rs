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
