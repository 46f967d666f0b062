//! Messages that lie, on every channel, after an honest link: each ends its own client and no other.

use crate::desktop::Desktop;
use crate::hostile::Bystander;
use crate::link::{CURSOR, DISPLAY, INPUTS, MAIN, Outcome, RawLink, message};

/// Messages that no honest client sends, for each channel: after one of them that connection is over.
fn broken_messages(channel_type: u8) -> Vec<(&'static str, Vec<u8>)> {
    let mut broken = vec![
        ("a message of 4 GB", message(1, u32::MAX, &[])),
        ("a message of 16 MB", message(101, 16 << 20, &[0; 64])),
        ("a type that does not exist", message(60_000, 0, &[])),
        ("an ACK_SYNC without its number", message(1, 0, &[])),
        ("a PONG of three bytes", message(3, 3, &[1, 2, 3])),
    ];
    match channel_type {
        MAIN => broken.push(("half a MOUSE_MODE_REQUEST", message(105, 1, &[1]))),
        DISPLAY => {
            broken.push(("an INIT of one byte", message(101, 1, &[0])));
            broken.push(("PREFERRED_COMPRESSION of nothing", message(103, 0, &[])));
        }
        INPUTS => {
            broken.push(("a KEY_DOWN of two bytes", message(101, 2, &[0x1e, 0])));
            broken.push(("a POSITION of four bytes", message(112, 4, &[0; 4])));
            broken.push(("a KEY_MODIFIERS of nothing", message(103, 0, &[])));
        }
        _ => {}
    }
    broken
}

#[test]
fn broken_messages_end_their_own_client_and_no_other() {
    let _others = crate::beside_others();
    let desktop = Desktop::subject("1024x768");
    let mut bystander = Bystander::of(&desktop);
    for channel_type in [MAIN, DISPLAY, INPUTS, CURSOR] {
        for (what, bytes) in broken_messages(channel_type) {
            let (mut main, session_id) = RawLink::open_main(desktop.port());
            if channel_type == MAIN {
                main.send(&bytes);
                assert_eq!(main.end(), Outcome::Closed, "{what} on the main channel");
            } else {
                let mut link = RawLink::open(desktop.port(), channel_type, session_id);
                link.send(&bytes);
                assert_eq!(
                    link.end(),
                    Outcome::Closed,
                    "{what} on channel {channel_type}"
                );
            }
        }
    }
    bystander.never_noticed(&desktop, "broken messages");
}

#[test]
fn messages_cut_off_in_the_middle_end_their_own_client_and_no_other() {
    let _others = crate::beside_others();
    let desktop = Desktop::subject("1024x768");
    let mut bystander = Bystander::of(&desktop);
    for channel_type in [MAIN, DISPLAY, INPUTS, CURSOR] {
        for length in 1..14 {
            let (mut main, session_id) = RawLink::open_main(desktop.port());
            let whole = message(101, 8, &[0; 8]);
            if channel_type == MAIN {
                main.send(&whole[..length.min(13)]);
                main.finish();
                assert_eq!(
                    main.end(),
                    Outcome::Closed,
                    "{length} bytes on the main channel"
                );
            } else {
                let mut link = RawLink::open(desktop.port(), channel_type, session_id);
                link.send(&whole[..length.min(13)]);
                link.finish();
                assert_eq!(
                    link.end(),
                    Outcome::Closed,
                    "{length} bytes on channel {channel_type}"
                );
            }
        }
    }
    bystander.never_noticed(&desktop, "messages cut off");
}

/// Presses and releases of Caps Lock and A, by their scan codes.
const TOGGLES: [u8; 4] = [0x3a, 0xba, 0x1e, 0x9e];

/// Messages of the flood, 1000 rounds of the toggles each: far more than X takes in the time that sending them needs.
const FLOOD_MESSAGES: usize = 100;

#[test]
fn more_keys_than_x_takes_slow_down_only_who_sends_them() {
    let _alone = crate::alone();
    let desktop = Desktop::subject("1024x768");
    let mut bystander = Bystander::of(&desktop);
    let server = desktop.server_pid();
    let (_main, session_id) = RawLink::open_main(desktop.port());
    let mut link = RawLink::open(desktop.port(), INPUTS, session_id);
    let scancodes = TOGGLES.repeat(1000);
    let size = u32::try_from(scancodes.len()).unwrap();
    for _ in 0..FLOOD_MESSAGES {
        link.send(&message(104, size, &scancodes));
    }
    bystander.never_noticed(&desktop, "a flood of keys");
    assert_eq!(desktop.server_pid(), server, "the server lives on");
}
