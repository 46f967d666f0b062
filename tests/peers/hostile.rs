//! Clients that lie: each is told the right SPICE error or shown the door, and the others never notice.

use std::time::{Duration, Instant};

use crate::desktop::Desktop;
use crate::link::{
    BAD_CONNECTION_ID, CHANNEL_NOT_AVAILABLE, CURSOR, DISPLAY, INPUTS, INVALID_DATA, INVALID_MAGIC,
    LINK_OK, LinkMessage, MAIN, Outcome, PERMISSION_DENIED, RawLink, VERSION_MISMATCH,
};
use crate::process::anonymous_bytes;
use crate::watcher::Watcher;

/// An honest client of the same desktop, and what must not change for it.
pub(crate) struct Bystander {
    watcher: Watcher,
    server: i32,
    memory: u64,
}

/// A connection that has not authenticated by then is closed.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);

/// A good client gets its main channel within this beside silent ones, also on a busy machine; without them it takes
/// some 10 ms.
const LOGIN_BESIDE_SILENCE: Duration = Duration::from_secs(1);

/// What many refused connections may leave in the server's memory.
const GROWTH_MAX: u64 = 8 * 1024 * 1024;

/// For clients beside which memory is compared: a dictionary grows with what its client is shown.
const NO_DICTIONARY: [(&str, &str); 1] = [("PEER_GLZ_WINDOW_BYTES", "4")];

impl Bystander {
    pub(crate) fn of(desktop: &Desktop) -> Self {
        let drawing = desktop.draw(&["random", "9", "1000", "1"]);
        drawing.event("done", Duration::from_secs(20));
        let mut watcher = Watcher::with_environment(desktop, &NO_DICTIONARY);
        let answer = watcher.open(&desktop.uri, &desktop.password);
        assert_eq!(answer["ok"], true, "{answer}");
        watcher
            .wait_exact(Duration::from_secs(5))
            .unwrap_or_else(|wrong| panic!("{}", wrong.answer));
        let server = desktop.server_pid().expect("the server runs");
        let mut bystander = Self {
            watcher,
            server,
            memory: 0,
        };
        // What the server keeps of what was drawn for this one is no growth.
        bystander.is_still_served(desktop, "nothing yet");
        bystander.memory = anonymous_bytes(server);
        bystander
    }

    /// It is still served, by the same server: panics with `after` otherwise.
    pub(crate) fn is_still_served(&mut self, desktop: &Desktop, after: &str) {
        assert_eq!(
            desktop.server_pid(),
            Some(self.server),
            "the server died: {after}\n{}",
            desktop.log()
        );
        assert_eq!(
            self.watcher.stats()["error"],
            "",
            "the bystander lost its connection: {after}"
        );
        let drawing = desktop.draw(&["random", "10", "300", "0.2"]);
        drawing.event("done", Duration::from_secs(20));
        let exact = self.watcher.wait_exact(Duration::from_secs(5));
        exact.unwrap_or_else(|wrong| panic!("after {after}: {}", wrong.answer));
    }

    /// The same, and the server has not grown.
    pub(crate) fn never_noticed(&mut self, desktop: &Desktop, after: &str) {
        self.is_still_served(desktop, after);
        let growth = anonymous_bytes(self.server).saturating_sub(self.memory);
        assert!(
            growth < GROWTH_MAX,
            "the server grew by {growth} bytes: {after}"
        );
    }
}

/// Spoilt link messages and the error that each deserves.
fn spoilt_links() -> Vec<(&'static str, LinkMessage, u32)> {
    let spoil = |change: fn(&mut LinkMessage)| {
        let mut link = LinkMessage::good(MAIN, 0);
        change(&mut link);
        link
    };
    vec![
        ("wrong magic", spoil(|l| l.magic = *b"QDER"), INVALID_MAGIC),
        (
            "wrong major version",
            spoil(|l| l.major = 3),
            VERSION_MISMATCH,
        ),
        (
            "an ancient version",
            spoil(|l| l.major = 0),
            VERSION_MISMATCH,
        ),
        (
            "a link message of no bytes",
            spoil(|l| l.size = Some(0)),
            INVALID_DATA,
        ),
        (
            "a link message one byte short",
            spoil(|l| l.size = Some(17)),
            INVALID_DATA,
        ),
        (
            "a huge link message",
            spoil(|l| l.size = Some(u32::MAX)),
            INVALID_DATA,
        ),
        (
            "a link message over the limit",
            spoil(|l| l.size = Some(4097)),
            INVALID_DATA,
        ),
        (
            "more caps than sent",
            spoil(|l| l.common_count = Some(1000)),
            INVALID_DATA,
        ),
        (
            "caps that overflow",
            spoil(|l| l.common_count = Some(u32::MAX)),
            INVALID_DATA,
        ),
        (
            "sums that overflow",
            spoil(|l| l.channel_count = Some(0x4000_0000)),
            INVALID_DATA,
        ),
        (
            "caps far behind the end",
            spoil(|l| l.caps_offset = u32::MAX - 3),
            INVALID_DATA,
        ),
        (
            "caps one byte behind the end",
            spoil(|l| l.caps_offset = 19),
            INVALID_DATA,
        ),
    ]
}

/// The raw client proved on the reference: where that answers at all, it answers what is expected of ours.
#[test]
fn the_reference_gives_the_same_errors() {
    let _others = crate::beside_others();
    let desktop = Desktop::xspice("1024x768");
    let mut answered = 0;
    for (what, link_message, error) in spoilt_links() {
        let mut link = RawLink::connect(desktop.port());
        link.send(&link_message.bytes());
        match link.link_reply() {
            Outcome::Link(told) => {
                assert_eq!(told, error, "{what}");
                answered += 1;
            }
            outcome => eprintln!("{what}: the reference says nothing: {outcome:?}"),
        }
    }
    assert!(3 <= answered, "the reference answered {answered} times");
    RawLink::open_main(desktop.port());
}

#[test]
fn spoilt_links_get_the_right_error_and_nobody_else_notices() {
    let _others = crate::beside_others();
    let desktop = Desktop::subject("1024x768");
    let mut bystander = Bystander::of(&desktop);
    for (what, link_message, error) in spoilt_links() {
        let mut link = RawLink::connect(desktop.port());
        link.send(&link_message.bytes());
        assert_eq!(link.link_reply(), Outcome::Link(error), "{what}");
        assert_eq!(link.end(), Outcome::Closed, "{what}");
    }
    bystander.never_noticed(&desktop, "spoilt links");
}

#[test]
fn a_link_cut_off_at_any_byte_ends_quietly() {
    let _others = crate::beside_others();
    let desktop = Desktop::subject("1024x768");
    let mut bystander = Bystander::of(&desktop);
    let mut whole = LinkMessage::good(MAIN, 0).bytes();
    let link_length = whole.len();
    whole.extend(1_u32.to_le_bytes());
    whole.extend([0x5a; 128]);
    for length in 0..whole.len() {
        let mut link = RawLink::connect(desktop.port());
        let (hello, rest) = whole[..length].split_at(length.min(link_length));
        link.send(hello);
        if length >= link_length {
            // Who hangs up before that is answered by nobody.
            assert_eq!(
                link.link_reply(),
                Outcome::Link(LINK_OK),
                "cut off after {length} bytes"
            );
        }
        link.send(rest);
        link.finish();
        assert_eq!(link.end(), Outcome::Closed, "cut off after {length} bytes");
    }
    bystander.never_noticed(&desktop, "links cut off");
}

#[test]
fn channels_that_do_not_exist_or_belong_to_nobody_are_refused() {
    let _others = crate::beside_others();
    let desktop = Desktop::subject("1024x768");
    let mut bystander = Bystander::of(&desktop);
    let (_main, session_id) = RawLink::open_main(desktop.port());
    let refused = |channel_type: u8, channel_id: u8, connection_id: u32| {
        let mut link = RawLink::connect(desktop.port());
        let good = LinkMessage::good(channel_type, connection_id);
        link.send(&LinkMessage { channel_id, ..good }.bytes());
        // The reply or, where the ticket comes first, the result tells.
        match link.link_reply() {
            Outcome::Link(LINK_OK) => link.ticket(&link.empty_ticket()),
            outcome => outcome,
        }
    };
    for (channel_type, channel_id) in [(0, 0), (7, 0), (99, 0), (255, 255), (DISPLAY, 200)] {
        let outcome = refused(channel_type, channel_id, session_id);
        assert_eq!(
            outcome,
            Outcome::Link(CHANNEL_NOT_AVAILABLE),
            "channel {channel_type}:{channel_id}"
        );
    }
    for channel_type in [DISPLAY, INPUTS, CURSOR] {
        for connection_id in [0, session_id ^ 1, u32::MAX] {
            let outcome = refused(channel_type, 0, connection_id);
            assert_eq!(
                outcome,
                Outcome::Link(BAD_CONNECTION_ID),
                "{channel_type} of {connection_id}"
            );
        }
    }
    let outcome = refused(MAIN, 0, session_id ^ 1);
    assert_eq!(
        outcome,
        Outcome::Link(BAD_CONNECTION_ID),
        "a main channel of another session"
    );
    bystander.never_noticed(&desktop, "channels of nobody");
}

#[test]
fn wrong_tickets_are_refused_in_the_protocols_words() {
    let _others = crate::beside_others();
    let desktop = Desktop::caraway_with(&["--auth", "ticket", "-g", "1024x768"], |_| ());
    assert!(
        8 <= desktop.password.len(),
        "a short one-time password: {:?}",
        desktop.password.len()
    );
    let mut bystander = Bystander::of(&desktop);
    let mut stranger = Watcher::with_environment(&desktop, &NO_DICTIONARY);
    for password in [
        "",
        "x",
        &desktop.password[1..],
        &format!("{}x", desktop.password),
    ] {
        let answer = stranger.open(&desktop.uri, password);
        assert_eq!(answer["error"], "auth", "a wrong password: {answer}");
    }
    // Not even an encrypted password: a block of noise, of zeros, of ones.
    for byte in [0x00, 0x5a, 0xff] {
        let mut link = RawLink::connect(desktop.port());
        link.send(&LinkMessage::good(MAIN, 0).bytes());
        assert_eq!(link.link_reply(), Outcome::Link(LINK_OK));
        assert_eq!(
            link.ticket(&[byte; 128]),
            Outcome::Link(PERMISSION_DENIED),
            "a ticket of {byte:#x}"
        );
        assert_eq!(link.end(), Outcome::Closed);
    }
    // An authentication that nobody offered.
    let mut link = RawLink::connect(desktop.port());
    link.send(&LinkMessage::good(MAIN, 0).bytes());
    assert_eq!(link.link_reply(), Outcome::Link(LINK_OK));
    link.send(&77_u32.to_le_bytes());
    link.send(&[0x5a; 128]);
    assert!(
        matches!(link.end(), Outcome::Closed),
        "an unknown mechanism"
    );
    // The right one still opens.
    let answer = stranger.open(&desktop.uri, &desktop.password.clone());
    assert_eq!(answer["ok"], true, "{answer}");
    bystander.never_noticed(&desktop, "wrong tickets");
}

/// A5: connections that say nothing, or a byte now and then, cost the others nothing, and are closed in time.
#[test]
fn silent_connections_are_closed_and_hinder_nobody() {
    let _others = crate::beside_others();
    let desktop = Desktop::subject("1024x768");
    let mut bystander = Bystander::of(&desktop);
    let mut silent: Vec<RawLink> = (0..500).map(|_| RawLink::connect(desktop.port())).collect();
    let start = Instant::now();
    let (main, _) = RawLink::open_main(desktop.port());
    let login = start.elapsed();
    eprintln!("A5: a good client is in after {login:?}, beside 500 half-open ones");
    assert!(login <= LOGIN_BESIDE_SILENCE, "{login:?}");
    drop(main);
    let mut dribbling: Vec<RawLink> = (0..20).map(|_| RawLink::connect(desktop.port())).collect();
    let start = Instant::now();
    let hello = LinkMessage::good(MAIN, 0).bytes();
    bystander.never_noticed(&desktop, "500 silent connections");
    for byte in hello.iter().cycle() {
        dribbling.iter_mut().for_each(|link| link.send(&[*byte]));
        if HANDSHAKE_DEADLINE + Duration::from_secs(1) < start.elapsed() {
            break;
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    for (number, link) in silent.iter_mut().chain(&mut dribbling).enumerate() {
        assert!(link.has_ended(), "connection {number} is still there");
    }
    Watcher::connect(&desktop);
}
