//! Every limit of the server, by name. Exceeding one is a named error of the module that checks it.

use super::Micros;

/// Largest width and height of a screen in pixels: what Xorg and the driver set, and spice-gtk still shows.
pub const SCREEN_SIDE_MAX: u32 = 8192;

/// Monitors of one desktop (RandR outputs of the driver, heads of MONITORS_CONFIG).
pub const MONITORS_MAX: usize = 4;

/// Side of the largest cursor in pixels; the driver crops larger ones.
pub const CURSOR_SIDE_MAX: u32 = 256;

/// Bytes of a frame buffer: the largest screen with any padding of its rows.
pub const FRAME_BUFFER_BYTES_MAX: u64 = 512 * 1024 * 1024;

/// Input records that wait for a driver that does not read; beyond them the attachment ends.
pub const INPUT_QUEUE_MAX: usize = 1024;

/// Input records that wait for the driver before inputs channels are not read any more. One read of each adds to it.
pub const INPUT_WAITING_MAX: usize = 1024;

/// The driver's hello has arrived by then, or there is no attachment.
pub const DRIVER_ATTACH_DEADLINE: Micros = Micros::from_secs(5);

/// Wake-ups and messages of the driver that nobody asked for, in one second; beyond them the attachment ends.
pub const DRIVER_UNASKED_MAX: u32 = 1000;

/// Bytes of the client's link message behind its header (reference server: 4096).
pub const LINK_MESSAGE_MAX: u32 = 4096;

/// Capability words that a client may announce, common and channel together.
pub const LINK_CAPS_MAX: u32 = 1024;

/// Bytes of one message from a client on the main channel (agent data comes in chunks of 2048).
pub const MAIN_MESSAGE_MAX: u32 = 64 * 1024;

/// AGENT_DATA messages of 2048 bytes that a client may send ahead (reference server: 10): 4 MB, what a line of
/// 400 Mbit/s and 80 ms holds.
pub const AGENT_TOKENS: u32 = 2048;

/// Tokens are given back this many at a time.
pub const AGENT_TOKENS_BATCH: u32 = 128;

/// Bytes of one agent message, except those that carry content.
pub const AGENT_MESSAGE_MAX: u32 = 8 * 1024;

/// Bytes of a selection's content, either way.
pub const CLIPBOARD_BYTES_MAX: u32 = 100 * 1024 * 1024;

/// Bytes of a clipboard message in front of its content.
pub const CLIPBOARD_FIELDS_BYTES: u32 = 8;

/// Bytes of one piece of a file from a client, with its fields (spice-gtk: 64 KB).
pub const FILE_DATA_BYTES_MAX: u32 = 1024 * 1024;

/// Bytes of agent messages of all clients that have begun and not ended.
pub const AGENT_UNFINISHED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Agent messages that wait for one client.
pub const AGENT_WAITING_MAX: usize = 1024;

/// Bytes of agent messages that wait for one client; their content is shared with whoever has it.
pub const AGENT_WAITING_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Agent data is put into a main channel's output while fewer bytes wait there.
pub const AGENT_OUTBOX_BYTES: usize = 32 * 1024;

/// Bytes of one message from a client on any other channel of a display session.
pub const CLIENT_MESSAGE_MAX: u32 = 4096;

/// A connection that has not authenticated by then is closed.
pub const HANDSHAKE_DEADLINE: Micros = Micros::from_secs(10);

/// Connections that have not authenticated yet, all together.
pub const UNAUTHENTICATED_MAX: usize = 64;

/// Connections of one remote address that have not authenticated yet: more than the channels of a client.
pub const UNAUTHENTICATED_PER_SOURCE_MAX: usize = 16;

/// Connections that one remote address may open at once: several clients, each with all its channels.
pub const CONNECTIONS_BURST: u32 = 64;

/// Connections a second that one remote address may open for long.
pub const CONNECTIONS_PER_S: u32 = 10;

/// Bytes of the name of a SASL mechanism (spice-server: 100; RFC 4422: 20).
pub const SASL_NAME_BYTES_MAX: u32 = 100;

/// Bytes of SASL data in one message of a client, its NUL included: a name, a password and what SCRAM adds.
pub const SASL_DATA_BYTES_MAX: u32 = 2048;

/// Messages that a client's SASL mechanism may send; SCRAM takes two.
pub const SASL_MESSAGES_MAX: u32 = 4;

/// Bytes of a user's name and of a password of the system's.
pub const LOGIN_NAME_BYTES_MAX: usize = 256;
/// See [`LOGIN_NAME_BYTES_MAX`].
pub const LOGIN_PASSWORD_BYTES_MAX: usize = 1024;

/// The system (PAM) has judged a password by then, or it is wrong. Less than [`HANDSHAKE_DEADLINE`].
pub const LOGIN_DEADLINE: Micros = Micros::from_secs(8);

/// Passwords that the system is asked about at a time, each by a process of its own; others wait.
pub const LOGINS_MAX: usize = 16;

/// Bytes of a file of stored keys.
pub const STORED_KEYS_BYTES_MAX: u64 = 256 * 1024;

/// A wrong password is answered after this long, however fast it was found to be wrong.
pub const FAILURE_ANSWERED_AFTER: Micros = Micros::from_millis(600);

/// Wrong passwords in a row after which a remote address is shut out.
pub const FAILURES_BEFORE_SHUT: u32 = 5;

/// For how long it is shut out at first; twice as long each time that it goes on.
pub const SHUT_AT_FIRST: Micros = Micros::from_secs(60);

/// The longest time for which it is shut out.
pub const SHUT_AT_MOST: Micros = Micros::from_secs(3600);

/// Wrong passwords are forgotten when none has come for so long.
pub const FAILURES_FORGOTTEN_AFTER: Micros = Micros::from_secs(2 * 3600);

/// Remote addresses that are remembered, at some 60 bytes each.
pub const SOURCES_MAX: usize = 4096;

/// Bytes of a file with certificates or a key.
pub const TLS_FILE_BYTES_MAX: u64 = 256 * 1024;

/// Clients (main channels) of one desktop.
pub const CLIENTS_MAX: usize = 32;

/// Characters of a ticket: what fits the client's RSA-1024 OAEP block.
pub const PASSWORD_MAX: usize = 60;

/// Every channel is pinged this often, so that proxies with idle time-outs of 60 s keep it.
pub const PING_INTERVAL: Micros = Micros::from_secs(15);

/// Bytes that may wait in one channel's output beside the socket. A client that reads slower gets newer pixels
/// later, not more of them.
pub const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// Pixels of one encoded image: bounds the time between two looks at input (about 0.3 ms of LZ4).
pub const IMAGE_PIXELS_MAX: u32 = 128 * 1024;

/// Screens full of remembered content (save-unders), of whatever is smaller than this.
pub const SAVED_SCREENS_MAX: u64 = 4;

/// Pixels of remembered content: 64 MB in the server for all clients together, and as much in each client.
pub const SAVED_PIXELS_MAX: u64 = 16 << 20;

/// Pieces of remembered content, each a surface of every client.
pub const SAVED_SLOTS_MAX: usize = 48;

/// Pixels of images that a client is asked to keep, or fewer if it announced less: 16 MB there, none in the server.
pub const CACHED_PIXELS_MAX: u64 = 4 << 20;

/// Images that a client is asked to keep: some 200 bytes each in the server.
pub const CACHED_IMAGES_MAX: usize = 2048;
/// Rectangles of a screen that are sent as video at a time; others go as images.
pub const VIDEOS_MAX: usize = 4;

/// Pixels of earlier images that the server keeps for a client to refer to (GLZ), at 4 bytes each: one and a half
/// screens of 1920x1080, and what spice-gtk offers at least.
pub const GLZ_WINDOW_PIXELS_MAX: u32 = 3 * 1024 * 1024;

/// A client that keeps fewer pixels than this gets no GLZ: not even two images would fit.
pub const GLZ_WINDOW_PIXELS_MIN: u32 = 2 * IMAGE_PIXELS_MAX;

/// Images that the server keeps for a client to refer to; each costs the client some hundred bytes beside its pixels.
pub const GLZ_WINDOW_IMAGES_MAX: usize = 4096;

const _: () = assert!(GLZ_WINDOW_PIXELS_MIN <= GLZ_WINDOW_PIXELS_MAX);
const _: () =
    assert!(SCREEN_SIDE_MAX as u64 * (SCREEN_SIDE_MAX as u64 + 64) * 4 <= FRAME_BUFFER_BYTES_MAX);
const _: () = assert!(AGENT_TOKENS_BATCH <= AGENT_TOKENS);
const _: () = assert!(AGENT_OUTBOX_BYTES < OUTPUT_BYTES_MAX);
const _: () = assert!(CLIENT_MESSAGE_MAX <= MAIN_MESSAGE_MAX);
const _: () = assert!(
    IMAGE_PIXELS_MAX >= SCREEN_SIDE_MAX,
    "an image holds at least one row"
);
const _: () = assert!(
    PASSWORD_MAX < 128 - 2 - 2 * 20,
    "OAEP-SHA1 block of RSA-1024"
);
const _: () = assert!(LOGIN_DEADLINE.0 < HANDSHAKE_DEADLINE.0);
