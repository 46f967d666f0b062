//! XT scan codes, set 1, to the key codes of Linux.
//!
//! SPICE's keys are what a PC keyboard sends: a byte, with the top bit set when the key goes up; `E0` before the
//! keys that the first PC had not; `E1 1D 45` for Pause. Linux gave its key codes (`KEY_*` of
//! linux/input-event-codes.h) and their scan codes one to one, and spice-gtk sends exactly those scan codes.
//! Windows clients send F13 to F24 by other codes, which Linux has for rarer keys; Linux' meaning holds.
//!
//! Three things are not one byte sequence per key:
//! - A keyboard wraps some `E0` keys in shifts that nobody pressed (`E0 2A`, `E0 36`, and `AA`, `B6` upwards).
//! - Pause holds the bytes of Ctrl and Num Lock; spice-gtk sends it as `E1 1D` and then a message with `45`.
//! - Korean keyboards send `F2` for Hangeul and `F1` for Hanja when they go down, and nothing when they go up. The same
//!   bytes are how other keyboards and clients let these keys go.

/// What happens to a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyAction {
    /// It goes down, or repeats.
    Press,
    /// It goes up.
    Release,
    /// It goes down, and the keyboard will not say when it goes up.
    Tap,
}

/// A key and what happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyEvent {
    /// `KEY_*` of linux/input-event-codes.h, 1 to 247.
    pub code: u16,
    /// What happens.
    pub action: KeyAction,
}

/// Reads the bytes of one keyboard. Its state outlives messages: a key may be cut anywhere.
#[derive(Clone, Debug, Default)]
pub struct Scancodes {
    prefix: Prefix,
    hangeul_down: bool,
    hanja_down: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Prefix {
    #[default]
    None,
    /// `E0`.
    Extended,
    /// `E1`.
    Pause,
    /// `E1 1D` or `E1 9D`.
    PauseControl,
}

const BREAK: u8 = 0x80;
const KEY_PAUSE: u16 = 119;
const HANJA: u8 = 0x71;
const HANGEUL: u8 = 0x72;

impl Scancodes {
    /// A keyboard with nothing pressed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next byte. `None` while a key is not complete, and for what is no key.
    pub fn push(&mut self, byte: u8) -> Option<KeyEvent> {
        let prefix = std::mem::take(&mut self.prefix);
        match (byte, byte & !BREAK) {
            (0xe0, _) => self.prefix = Prefix::Extended,
            (0xe1, _) => self.prefix = Prefix::Pause,
            (_, 0x1d) if prefix == Prefix::Pause => self.prefix = Prefix::PauseControl,
            (_, 0x45) if prefix == Prefix::PauseControl => return Some(event(KEY_PAUSE, byte)),
            (_, low) if prefix == Prefix::Extended => return key(&EXTENDED, low, byte),
            (_, HANGEUL) => return korean(&mut self.hangeul_down, byte),
            (_, HANJA) => return korean(&mut self.hanja_down, byte),
            (_, low) => return key(&PLAIN, low, byte),
        }
        None
    }
}

fn event(code: u16, byte: u8) -> KeyEvent {
    let action = if byte & BREAK == 0 {
        KeyAction::Press
    } else {
        KeyAction::Release
    };
    KeyEvent { code, action }
}

fn key(table: &[u8; 128], low: u8, byte: u8) -> Option<KeyEvent> {
    match table.get(usize::from(low)) {
        None | Some(0) => None,
        Some(code) => Some(event(u16::from(*code), byte)),
    }
}

/// A key whose release is the press of keyboards that send no release.
fn korean(down: &mut bool, byte: u8) -> Option<KeyEvent> {
    let mut event = key(&PLAIN, byte & !BREAK, byte)?;
    if event.action == KeyAction::Release && !*down {
        event.action = KeyAction::Tap;
    }
    *down = event.action == KeyAction::Press;
    Some(event)
}

/// Codes by their byte; 0 is no key.
#[rustfmt::skip]
const PLAIN: [u8; 128] = [
    // 00: - Esc 1 2 3 4 5 6 7 8 9 0 Minus Equal Backspace Tab
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    // 10: Q W E R T Y U I O P Leftbrace Rightbrace Enter Leftctrl A S
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31,
    // 20: D F G H J K L Semicolon Apostrophe Grave Leftshift Backslash Z X C V
    32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47,
    // 30: B N M Comma Dot Slash Rightshift Kpasterisk Leftalt Space Capslock F1 F2 F3 F4 F5
    48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63,
    // 40: F6 F7 F8 F9 F10 Numlock Scrolllock Kp7 Kp8 Kp9 Kpminus Kp4 Kp5 Kp6 Kpplus Kp1
    64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79,
    // 50: Kp2 Kp3 Kp0 Kpdot Sysrq F16 102nd F11 F12 Kpequal F20 Linefeed Kpjpcomma F13 F14 F15
    80, 81, 82, 83, 99, 186, 86, 87, 88, 117, 190, 101, 95, 183, 184, 185,
    // 60: - - - Phone Open Paste Setup File Sendfile Deletefile Msdos Direction Ejectcd F23 - F24
    0, 0, 0, 169, 134, 135, 141, 144, 145, 146, 151, 153, 161, 193, 0, 194,
    // 70: Katakanahiragana Hanja Hangeul Ro F21 Scrollup Zenkakuhankaku Hiragana Katakana Henkan
    //     - Muhenkan - Yen Kpcomma -
    93, 123, 122, 89, 191, 177, 85, 91, 90, 92, 0, 94, 0, 124, 121, 0,
];

/// Codes by the byte behind `E0`. Without `E0 36`, which Linux has for Bass Boost: it is a shift that nobody pressed.
#[rustfmt::skip]
const EXTENDED: [u8; 128] = [
    // 00: - Config Www F17 F19 Again Props Undo Edit New Redo Scale Front - Forwardmail
    //     Scrolldown
    0, 171, 150, 187, 189, 129, 130, 131, 176, 181, 182, 120, 132, 0, 233, 178,
    // 10: Previoussong - Screenlock Xfer Alterase - - Prog2 Rewind Nextsong - - Kpenter Rightctrl
    //     Menu Prog1
    165, 0, 152, 147, 222, 0, 0, 149, 168, 163, 0, 0, 96, 97, 139, 148,
    // 20: Mute Calc Playpause Closecd Stopcd Suspend Cyclewindows - Playcd Pausecd - Prog3 Prog4
    //     Dashboard Volumedown Close
    113, 140, 164, 160, 166, 205, 154, 0, 200, 201, 0, 202, 203, 204, 114, 206,
    // 30: Volumeup Record Homepage Play Fastforward Kpslash - Sysrq Rightalt Print Hp Camera Cut
    //     Sound Question Email
    115, 167, 172, 207, 208, 98, 0, 99, 100, 210, 211, 212, 137, 213, 214, 215,
    // 40: Chat Find Connect Finance Sport Shop Pause Home Up Pageup Cancel Left Brightnessdown
    //     Right Kpplusminus End
    216, 136, 218, 219, 220, 221, 119, 102, 103, 104, 223, 105, 224, 106, 118, 107,
    // 50: Down Pagedown Insert Delete Brightnessup Save Switchvideomode Kbdillumtoggle
    //     Kbdillumdown Kbdillumup Send Leftmeta Rightmeta Compose Power Sleep
    108, 109, 110, 111, 225, 234, 227, 228, 229, 230, 231, 125, 126, 127, 116, 142,
    // 60: - - - Wakeup Reply Search Bookmarks Refresh Stop Forward Back Computer Mail Media -
    //     Macro
    0, 0, 0, 143, 232, 217, 156, 173, 128, 159, 158, 157, 155, 226, 0, 112,
    // 70: Documents Battery Bluetooth Wlan Uwb Help Kpleftparen F18 Copy F22 - Kprightparen -
    //     Ejectclosecd - -
    235, 236, 237, 238, 239, 138, 179, 188, 133, 192, 0, 180, 0, 162, 0, 0,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, BTreeSet};

    /// Every key: its bytes when it goes down, and its name in linux/input-event-codes.h.
    const KEYS: &str = "\
        01 ESC, 02 1, 03 2, 04 3, 05 4, 06 5, 07 6, 08 7, 09 8, 0A 9, 0B 0, 0C MINUS,\
        0D EQUAL, 0E BACKSPACE, 0F TAB, 10 Q, 11 W, 12 E, 13 R, 14 T, 15 Y, 16 U, 17 I, 18 O,\
        19 P, 1A LEFTBRACE, 1B RIGHTBRACE, 1C ENTER, 1D LEFTCTRL, 1E A, 1F S, 20 D, 21 F,\
        22 G, 23 H, 24 J, 25 K, 26 L, 27 SEMICOLON, 28 APOSTROPHE, 29 GRAVE, 2A LEFTSHIFT,\
        2B BACKSLASH, 2C Z, 2D X, 2E C, 2F V, 30 B, 31 N, 32 M, 33 COMMA, 34 DOT, 35 SLASH,\
        36 RIGHTSHIFT, 37 KPASTERISK, 38 LEFTALT, 39 SPACE, 3A CAPSLOCK, 3B F1, 3C F2, 3D F3,\
        3E F4, 3F F5, 40 F6, 41 F7, 42 F8, 43 F9, 44 F10, 45 NUMLOCK, 46 SCROLLLOCK, 47 KP7,\
        48 KP8, 49 KP9, 4A KPMINUS, 4B KP4, 4C KP5, 4D KP6, 4E KPPLUS, 4F KP1, 50 KP2,\
        51 KP3, 52 KP0, 53 KPDOT, 54 SYSRQ, 55 F16, 56 102ND, 57 F11, 58 F12, 59 KPEQUAL,\
        5A F20, 5B LINEFEED, 5C KPJPCOMMA, 5D F13, 5E F14, 5F F15, 63 PHONE, 64 OPEN,\
        65 PASTE, 66 SETUP, 67 FILE, 68 SENDFILE, 69 DELETEFILE, 6A MSDOS, 6B DIRECTION,\
        6C EJECTCD, 6D F23, 6F F24, 70 KATAKANAHIRAGANA, 71 HANJA, 72 HANGEUL, 73 RO, 74 F21,\
        75 SCROLLUP, 76 ZENKAKUHANKAKU, 77 HIRAGANA, 78 KATAKANA, 79 HENKAN, 7B MUHENKAN,\
        7D YEN, 7E KPCOMMA, E0 01 CONFIG, E0 02 WWW, E0 03 F17, E0 04 F19, E0 05 AGAIN,\
        E0 06 PROPS, E0 07 UNDO, E0 08 EDIT, E0 09 NEW, E0 0A REDO, E0 0B SCALE, E0 0C FRONT,\
        E0 0E FORWARDMAIL, E0 0F SCROLLDOWN, E0 10 PREVIOUSSONG, E0 12 SCREENLOCK,\
        E0 13 XFER, E0 14 ALTERASE, E0 17 PROG2, E0 18 REWIND, E0 19 NEXTSONG, E0 1C KPENTER,\
        E0 1D RIGHTCTRL, E0 1E MENU, E0 1F PROG1, E0 20 MUTE, E0 21 CALC, E0 22 PLAYPAUSE,\
        E0 23 CLOSECD, E0 24 STOPCD, E0 25 SUSPEND, E0 26 CYCLEWINDOWS, E0 28 PLAYCD,\
        E0 29 PAUSECD, E0 2B PROG3, E0 2C PROG4, E0 2D DASHBOARD, E0 2E VOLUMEDOWN,\
        E0 2F CLOSE, E0 30 VOLUMEUP, E0 31 RECORD, E0 32 HOMEPAGE, E0 33 PLAY,\
        E0 34 FASTFORWARD, E0 35 KPSLASH, E0 37 SYSRQ, E0 38 RIGHTALT, E0 39 PRINT, E0 3A HP,\
        E0 3B CAMERA, E0 3C CUT, E0 3D SOUND, E0 3E QUESTION, E0 3F EMAIL, E0 40 CHAT,\
        E0 41 FIND, E0 42 CONNECT, E0 43 FINANCE, E0 44 SPORT, E0 45 SHOP, E0 46 PAUSE,\
        E0 47 HOME, E0 48 UP, E0 49 PAGEUP, E0 4A CANCEL, E0 4B LEFT, E0 4C BRIGHTNESSDOWN,\
        E0 4D RIGHT, E0 4E KPPLUSMINUS, E0 4F END, E0 50 DOWN, E0 51 PAGEDOWN, E0 52 INSERT,\
        E0 53 DELETE, E0 54 BRIGHTNESSUP, E0 55 SAVE, E0 56 SWITCHVIDEOMODE,\
        E0 57 KBDILLUMTOGGLE, E0 58 KBDILLUMDOWN, E0 59 KBDILLUMUP, E0 5A SEND,\
        E0 5B LEFTMETA, E0 5C RIGHTMETA, E0 5D COMPOSE, E0 5E POWER, E0 5F SLEEP,\
        E0 63 WAKEUP, E0 64 REPLY, E0 65 SEARCH, E0 66 BOOKMARKS, E0 67 REFRESH, E0 68 STOP,\
        E0 69 FORWARD, E0 6A BACK, E0 6B COMPUTER, E0 6C MAIL, E0 6D MEDIA, E0 6F MACRO,\
        E0 70 DOCUMENTS, E0 71 BATTERY, E0 72 BLUETOOTH, E0 73 WLAN, E0 74 UWB, E0 75 HELP,\
        E0 76 KPLEFTPAREN, E0 77 F18, E0 78 COPY, E0 79 F22, E0 7B KPRIGHTPAREN,\
        E0 7D EJECTCLOSECD,\
        E1 1D 45 PAUSE";

    /// Names and numbers. The header comes with libc6-dev, as does all that the driver
    /// needs to be built.
    fn linux_codes() -> BTreeMap<String, u16> {
        let header = std::fs::read_to_string("/usr/include/linux/input-event-codes.h")
            .expect("package linux-libc-dev is installed");
        let mut codes: BTreeMap<String, u16> = BTreeMap::new();
        for line in header.lines() {
            let mut words = line.split_whitespace();
            if words.next() != Some("#define") {
                continue;
            }
            let (Some(name), Some(value)) = (words.next(), words.next()) else {
                continue;
            };
            // The second name of a key stands for the first.
            let number = value.parse().ok().or_else(|| codes.get(value).copied());
            codes.extend(number.map(|number| (name.to_owned(), number)));
        }
        codes
    }

    fn keys() -> Vec<(Vec<u8>, &'static str)> {
        let parse = |entry: &'static str| {
            let (bytes, name) = entry.trim().rsplit_once(' ').unwrap();
            let bytes = bytes
                .split(' ')
                .map(|byte| u8::from_str_radix(byte, 16).unwrap());
            (bytes.collect(), name)
        };
        KEYS.split(',').map(parse).collect()
    }

    fn push_all(scancodes: &mut Scancodes, bytes: &[u8]) -> Vec<KeyEvent> {
        bytes
            .iter()
            .filter_map(|byte| scancodes.push(*byte))
            .collect()
    }

    fn event(code: u16, action: KeyAction) -> KeyEvent {
        KeyEvent { code, action }
    }

    #[test]
    fn every_key_has_the_code_that_linux_gave_it() {
        let linux = linux_codes();
        let mut scancodes = Scancodes::new();
        for (make, name) in keys() {
            let code = linux.get(&format!("KEY_{name}")).copied();
            let code = code.unwrap_or_else(|| panic!("KEY_{name} is in the header"));
            let pressed = push_all(&mut scancodes, &make);
            assert_eq!(pressed, [event(code, KeyAction::Press)], "{name}");
            // Each byte but the prefix goes up by its top bit.
            let release: Vec<u8> = make.iter().map(|byte| byte | BREAK).collect();
            let released = push_all(&mut scancodes, &release);
            assert_eq!(released, [event(code, KeyAction::Release)], "{name}");
        }
    }

    #[test]
    fn no_byte_is_a_key_that_is_not_listed() {
        let listed: BTreeSet<Vec<u8>> = keys().into_iter().map(|(make, _)| make).collect();
        for low in 0..BREAK {
            for make in [vec![low], vec![0xe0, low]] {
                let events = push_all(&mut Scancodes::new(), &make);
                assert_eq!(!events.is_empty(), listed.contains(&make), "{make:x?}");
            }
        }
    }

    #[test]
    fn print_is_one_key_however_it_is_sent() {
        let print = |action| event(99, action);
        let mut scancodes = Scancodes::new();
        let make = push_all(&mut scancodes, &[0xe0, 0x2a, 0xe0, 0x37]);
        assert_eq!(make, [print(KeyAction::Press)]);
        let release = push_all(&mut scancodes, &[0xe0, 0xb7, 0xe0, 0xaa]);
        assert_eq!(release, [print(KeyAction::Release)]);
        let with_alt = push_all(&mut scancodes, &[0x38, 0x54, 0xd4]);
        assert_eq!(
            with_alt[1..],
            [print(KeyAction::Press), print(KeyAction::Release)]
        );
        assert_eq!(push_all(&mut scancodes, &[0xe0, 0x36, 0xe0, 0xb6]), []);
    }

    #[test]
    fn pause_is_neither_ctrl_nor_num_lock() {
        let mut scancodes = Scancodes::new();
        let typed = push_all(&mut scancodes, &[0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5]);
        let pause = [event(119, KeyAction::Press), event(119, KeyAction::Release)];
        assert_eq!(typed, pause);
        let both = push_all(&mut scancodes, &[0x1d, 0x45, 0xc5, 0x9d]);
        let codes: Vec<u16> = both.iter().map(|event| event.code).collect();
        assert_eq!(codes, [29, 69, 69, 29]);
        // With Ctrl it is Break: E0 46.
        assert_eq!(push_all(&mut scancodes, &[0xe0, 0x46, 0xe0, 0xc6]), pause);
    }

    #[test]
    fn what_a_prefix_does_not_belong_to_is_read_by_itself() {
        let mut scancodes = Scancodes::new();
        let typed = push_all(&mut scancodes, &[0xe1, 0x1d, 0x1e, 0x45]);
        assert_eq!(
            typed,
            [event(30, KeyAction::Press), event(69, KeyAction::Press)]
        );
        let typed = push_all(&mut scancodes, &[0xe1, 0x1e, 0xe0, 0xe0, 0x47, 0x47]);
        let codes: Vec<u16> = typed.iter().map(|event| event.code).collect();
        assert_eq!(codes, [30, 102, 71]);
    }

    #[test]
    fn korean_keys_that_only_go_down_are_taps() {
        let mut scancodes = Scancodes::new();
        for (byte, code) in [(0xf2, 122), (0xf1, 123)] {
            let taps = push_all(&mut scancodes, &[byte, byte]);
            assert_eq!(taps, [event(code, KeyAction::Tap); 2]);
            let typed = push_all(&mut scancodes, &[byte & !BREAK, byte]);
            let expected = [
                event(code, KeyAction::Press),
                event(code, KeyAction::Release),
            ];
            assert_eq!(typed, expected);
        }
    }
}
