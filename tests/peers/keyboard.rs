//! Every key arrives as itself, once, and is let go when its client goes.

use std::time::{Duration, Instant};

use x11rb::protocol::Event;

use crate::desktop::Desktop;
use crate::process::wait_until;
use crate::watcher::Watcher;
use crate::x_client::XClient;

/// Nothing that a key does takes longer.
const KEY_TIMEOUT: Duration = Duration::from_secs(2);

/// X key codes are evdev's plus this.
const X_OFFSET: u8 = 8;

/// XT scan codes (set 1; 0x100 added for those behind an E0) and Linux key codes, as `linux/input-event-codes.h` and
/// the kernel's AT keyboard driver pair them. Below 0x59 plain codes are equal, which is where Linux has its from.
const KEYS: &[(u32, u8)] = &[
    (0x70, 93),   // Katakana/Hiragana
    (0x73, 89),   // Ro
    (0x79, 92),   // Henkan
    (0x7b, 94),   // Muhenkan
    (0x7d, 124),  // Yen
    (0x7e, 121),  // keypad comma
    (0x110, 165), // previous song
    (0x119, 163), // next song
    (0x11c, 96),  // keypad Enter
    (0x11d, 97),  // right Control
    (0x120, 113), // mute
    (0x121, 140), // calculator
    (0x122, 164), // play/pause
    (0x124, 166), // stop
    (0x12e, 114), // volume down
    (0x130, 115), // volume up
    (0x132, 172), // home page
    (0x135, 98),  // keypad divide
    (0x137, 99),  // Print
    (0x138, 100), // right Alt
    (0x147, 102), // Home
    (0x148, 103), // Up
    (0x149, 104), // Page Up
    (0x14b, 105), // Left
    (0x14d, 106), // Right
    (0x14f, 107), // End
    (0x150, 108), // Down
    (0x151, 109), // Page Down
    (0x152, 110), // Insert
    (0x153, 111), // Delete
    (0x15b, 125), // left Super
    (0x15c, 126), // right Super
    (0x15d, 127), // Menu
    (0x15e, 116), // Power
    (0x15f, 142), // Sleep
    (0x163, 143), // Wake
    (0x165, 217), // search
    (0x166, 156), // bookmarks
    (0x167, 173), // refresh
    (0x168, 128), // stop loading
    (0x169, 159), // forward
    (0x16a, 158), // back
    (0x16b, 157), // computer
    (0x16c, 155), // mail
    (0x16d, 226), // media
];

/// Plain codes that are no key of a PC keyboard: 0x54 is SysRq in disguise, 0x55 was never one.
const NO_KEYS: [u32; 2] = [0x54, 0x55];

fn all_keys() -> impl Iterator<Item = (u32, u8)> {
    let plain = (1..=0x58)
        .filter(|code| !NO_KEYS.contains(code))
        .map(|code| (code, u8::try_from(code).unwrap()));
    plain.chain(KEYS.iter().copied())
}

/// The next key event: pressed, X key code.
fn next_key(x: &XClient, timeout: Duration) -> Option<(bool, u8)> {
    x.wait_for(timeout, |event| match event {
        Event::KeyPress(key) => Some((true, key.detail)),
        Event::KeyRelease(key) => Some((false, key.detail)),
        _ => None,
    })
}

struct Typing {
    desktop: Desktop,
    watcher: Watcher,
    x: XClient,
}

impl Typing {
    fn start() -> Self {
        let desktop = Desktop::subject("1024x768");
        let x = XClient::connect(&desktop);
        x.cover_screen();
        let mut watcher = Watcher::connect(&desktop);
        watcher.idle(Duration::from_millis(300));
        x.forget_events();
        Self {
            desktop,
            watcher,
            x,
        }
    }
}

#[test]
fn every_key_of_a_pc_keyboard_arrives_as_itself() {
    let _others = crate::beside_others();
    let Typing {
        desktop: _desktop,
        mut watcher,
        x,
    } = Typing::start();
    let mut wrong = Vec::new();
    for (code, linux_code) in all_keys() {
        let expected = linux_code + X_OFFSET;
        watcher.order(&format!("key {code:#x} down"));
        let pressed = next_key(&x, KEY_TIMEOUT);
        watcher.order(&format!("key {code:#x} up"));
        let released = next_key(&x, KEY_TIMEOUT);
        if pressed != Some((true, expected)) || released != Some((false, expected)) {
            wrong.push(format!(
                "{code:#x}: expected {expected}, got {pressed:?} and {released:?}"
            ));
            x.forget_events();
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Pause is E1 1D 45, and remote-viewer sends it as two keys.
#[test]
fn pause_is_one_key_and_not_num_lock() {
    let _others = crate::beside_others();
    let Typing {
        desktop: _desktop,
        mut watcher,
        x,
    } = Typing::start();
    let locks = x.locks();
    for command in [
        "key 0x21d down",
        "key 0x45 down",
        "key 0x21d up",
        "key 0x45 up",
    ] {
        watcher.order(command);
    }
    let pause = 119 + X_OFFSET;
    assert_eq!(next_key(&x, KEY_TIMEOUT), Some((true, pause)));
    assert_eq!(next_key(&x, KEY_TIMEOUT), Some((false, pause)));
    assert_eq!(
        next_key(&x, Duration::from_millis(300)),
        None,
        "one key only"
    );
    assert_eq!(x.locks(), locks);
}

#[test]
fn autorepeat_is_not_doubled() {
    let _others = crate::beside_others();
    let Typing {
        desktop: _desktop,
        mut watcher,
        x,
    } = Typing::start();
    let code = 0x1e;
    let started = Instant::now();
    watcher.order(&format!("key {code:#x} down"));
    watcher.idle(Duration::from_millis(500));
    // As the client's own X repeats it: 30 a second.
    while started.elapsed() < Duration::from_secs(3) {
        watcher.order(&format!("key {code:#x} down"));
        watcher.idle(Duration::from_millis(33));
    }
    watcher.order(&format!("key {code:#x} up"));
    let (mut presses, mut released) = (0, false);
    while let Some((down, key)) = next_key(&x, Duration::from_millis(500)) {
        assert_eq!(key, 30 + X_OFFSET);
        assert!(!released, "a key after its release");
        presses += i32::from(down);
        released = !down;
    }
    assert!(released, "never released");
    // 75 from the client alone, 60 from X alone, 135 together.
    assert!(
        (20..=95).contains(&presses),
        "{presses} presses in three seconds"
    );
}

#[test]
fn keys_held_by_a_client_that_goes_are_released() {
    let _others = crate::beside_others();
    let Typing {
        desktop,
        mut watcher,
        x,
    } = Typing::start();
    for code in [0x2a, 0x1d, 0x1e] {
        watcher.order(&format!("key {code:#x} down"));
        assert!(
            matches!(next_key(&x, KEY_TIMEOUT), Some((true, _))),
            "{code:#x} did not arrive"
        );
    }
    // Not a friendly end: the process is killed.
    drop(watcher);
    let mut released: Vec<u8> = Vec::new();
    while let Some((down, key)) = next_key(&x, KEY_TIMEOUT) {
        // The one pressed last repeats until it is released.
        if !down {
            released.push(key);
        }
        if released.len() == 3 {
            break;
        }
    }
    released.sort_unstable();
    assert_eq!(
        released,
        [0x1d + X_OFFSET, 0x1e + X_OFFSET, 0x2a + X_OFFSET]
    );
    assert!(desktop.server_pid().is_some());
}

#[test]
fn one_client_going_releases_only_its_own_keys() {
    let _others = crate::beside_others();
    let Typing {
        desktop,
        mut watcher,
        x,
    } = Typing::start();
    let mut other = Watcher::connect(&desktop);
    other.idle(Duration::from_millis(300));
    watcher.order("key 0x2a down");
    assert_eq!(next_key(&x, KEY_TIMEOUT), Some((true, 0x2a + X_OFFSET)));
    other.order("key 0x1d down");
    assert_eq!(next_key(&x, KEY_TIMEOUT), Some((true, 0x1d + X_OFFSET)));
    drop(other);
    let released = x.wait_for(KEY_TIMEOUT, |event| match event {
        Event::KeyRelease(key) => Some(key.detail),
        _ => None,
    });
    assert_eq!(released, Some(0x1d + X_OFFSET));
    let also = x.wait_for(Duration::from_millis(500), |event| match event {
        Event::KeyRelease(key) => Some(key.detail),
        _ => None,
    });
    assert_eq!(also, None, "a key of the client that stayed");
}

#[test]
fn lock_lights_follow_both_ways() {
    let _others = crate::beside_others();
    let Typing {
        desktop: _desktop,
        mut watcher,
        x,
    } = Typing::start();
    for locks in [4, 2, 6, 0] {
        watcher.order(&format!("locks {locks}"));
        assert!(
            wait_until(KEY_TIMEOUT, || x.locks() & 6 == locks),
            "client said {locks}, X has {}",
            x.locks()
        );
    }
    for (locked, expected) in [(true, 4), (false, 0)] {
        x.lock_caps(locked);
        let told = wait_until(KEY_TIMEOUT, || {
            watcher.stats()["locks"].as_u64().unwrap() & 4 == expected
        });
        assert!(
            told,
            "X has Caps Lock {locked}, the client was not told: {}",
            watcher.stats()
        );
    }
}
