//! Every limit of the server, by name. Exceeding one is a named error of the module that checks it.

use super::Micros;

/// Largest width and height of a screen in pixels: what Xorg and the driver set, and spice-gtk still shows.
pub const SCREEN_SIDE_MAX: u32 = 8192;

/// Monitors of one desktop (RandR outputs of the driver, heads of MONITORS_CONFIG).
pub const MONITORS_MAX: usize = 4;

/// Columns of the smallest monitor that a client gets: below, panels and dialogs of desktops fail.
pub const MONITOR_WIDTH_MIN: u32 = 320;

/// Rows of the smallest monitor that a client gets.
pub const MONITOR_HEIGHT_MIN: u32 = 200;

/// Largest side of a monitor that a client may ask for; beyond [`SCREEN_SIDE_MAX`] it is cut. No window of X is larger.
pub const ASKED_SIDE_MAX: u32 = 32767;

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

/// Bytes of one message from a client on the WebDAV channel: a whole frame of the mux, and twice that for clients that
/// put frames together (spice-gtk sends 65545 at most).
pub const WEBDAV_MESSAGE_MAX: u32 = 128 * 1024;

/// Connections of programs to one client's shared folder; more wait until one ends.
pub const FOLDER_STREAMS_MAX: usize = 64;

/// Bytes from a client that wait for one program before the client is not read any more.
pub const FOLDER_STREAM_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The same for all programs of one client's folder together.
pub const FOLDER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// A program that takes nothing for so long, while others wait because of it, is sent away.
pub const FOLDER_STALL_MAX: Micros = Micros::from_secs(20);

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

/// The same where Kerberos is asked for: a ticket of Active Directory names all groups of its user (Windows: 48,000).
pub const KERBEROS_DATA_BYTES_MAX: u32 = 48 * 1024;

/// Characters of a line that says why a Kerberos ticket does not let in.
pub const KERBEROS_REASON_MAX: usize = 300;

/// Messages that a client's SASL mechanism may send; SCRAM takes two, Kerberos three.
pub const SASL_MESSAGES_MAX: u32 = 4;

/// Bytes of a user's name and of a password of the system's.
pub const LOGIN_NAME_BYTES_MAX: usize = 256;
/// See [`LOGIN_NAME_BYTES_MAX`].
pub const LOGIN_PASSWORD_BYTES_MAX: usize = 1024;

/// The system (PAM, Kerberos) has judged a client by then, or it is nobody. Less than [`HANDSHAKE_DEADLINE`].
pub const LOGIN_DEADLINE: Micros = Micros::from_secs(8);

/// Passwords that the system is asked about at a time, each by a process of its own; others wait.
pub const LOGINS_MAX: usize = 16;

/// Bytes of a file of stored keys.
pub const STORED_KEYS_BYTES_MAX: u64 = 256 * 1024;

/// A wrong password is answered after this long, however fast it was found to be wrong.
pub const FAILURE_ANSWERED_AFTER: Micros = Micros::from_millis(600);

/// An address has one line in the log for its wrong passwords in this time: less than [`FAILURE_ANSWERED_AFTER`], so
/// that guesses made one after the other have one each.
pub const LOGIN_LINE_INTERVAL: Micros = Micros::from_millis(500);

/// Addresses that have such a line at a time. There are never more: all places taken, and each given away once.
pub const LOGIN_LINES_MAX: usize = 2 * UNAUTHENTICATED_MAX;

/// Wrong passwords after which a remote address is shut out; a right one makes good those for the same name.
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

/// Of these, clients that only watch: who acts finds a place however many watch.
pub const WATCHERS_MAX: usize = 24;

/// News of clients that came or went and that the launcher has not taken.
pub const VISITS_WAITING_MAX: usize = 256;

/// Characters of a message from an administrator to clients.
pub const NOTICE_BYTES_MAX: usize = 1024;

/// Characters of a ticket: what fits the client's RSA-1024 OAEP block.
pub const PASSWORD_MAX: usize = 60;

/// Every channel is pinged this often, so that proxies with idle time-outs of 60 s keep it.
pub const PING_INTERVAL: Micros = Micros::from_secs(15);

/// Bytes that may wait in one channel's output beside the socket. A client that reads slower gets newer pixels
/// later, not more of them.
pub const OUTPUT_BYTES_MAX: usize = 1024 * 1024;

/// Milliseconds that sound waits for one client; older frames go when newer ones come.
pub const SOUND_WAITING_MS_MAX: u32 = 100;

/// Milliseconds of sound that wait for one client when all of it came in one go: the most that it is asked to hold.
pub const SOUND_BURST_MS_MAX: u32 = 500;

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

/// Bytes of the text that names a file to be uploaded; a name of 255 characters takes a quarter of it.
pub const UPLOAD_START_BYTES_MAX: usize = 4096;

/// Files that one client sends at a time; each is an open file. More wait for their turn.
pub const UPLOADS_AT_ONCE_MAX: usize = 4;

/// Files of one client that wait for their turn: what is dropped on a window at once.
pub const UPLOADS_WAITING_MAX: usize = 1024;

/// Files that the disk has been asked to open and has not, of all clients together; more wait.
pub const UPLOADS_OPENING_MAX: usize = 64;

/// Bytes of one client's files that wait for the disk before it is held back. What it may send then comes on top.
pub const UPLOAD_QUEUE_BYTES_MAX: u64 = 4 << 20;

/// Bytes that wait for the disk, of all clients together and of those that have gone, before all are held back.
pub const UPLOADS_QUEUE_BYTES_MAX: u64 = 32 << 20;

/// A file of which nothing comes for so long, though it might, is given up.
pub const UPLOAD_STALLED_AFTER: Micros = Micros::from_secs(300);

/// Names that are tried for a file: `name`, `name (2)`, ... up to this number.
pub const UPLOAD_NAMES_MAX: u32 = 10_000;

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
const _: () = assert!(LOGIN_LINE_INTERVAL.0 < FAILURE_ANSWERED_AFTER.0);
