//! Which key of one display is which of another: by the place on the keyboard that XKB names (`AE01`, `RTRN`), since
//! servers may number keys differently. What a key means is the joined display's affair.

use x11rb::errors::ReplyError;
use x11rb::protocol::xkb::{ConnectionExt as _, NameDetail};
use x11rb::rust_connection::RustConnection;

use super::own::CORE_KEYBOARD;

/// A name of up to four characters, filled with zeros.
type Name = [u8; 4];

/// Names of keys with their codes, in the order of the codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Names(Vec<(Name, u8)>);

impl Names {
    /// Those of a display.
    pub(super) fn of(x: &RustConnection) -> Result<Self, ReplyError> {
        let reply = x
            .xkb_get_names(CORE_KEYBOARD, NameDetail::KEY_NAMES)?
            .reply()?;
        let names = reply.value_list.key_names.unwrap_or_default();
        let named = names
            .iter()
            .map(|key| key.name)
            .zip(reply.first_key..=u8::MAX);
        Ok(Self(named.filter(|(name, _)| *name != [0; 4]).collect()))
    }
}

/// For each key code of one display that of the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyMap([Option<u8>; 256]);

impl KeyMap {
    /// Where one of the displays has no names, codes are the same.
    pub(super) fn between(from: &Names, to: &Names) -> Self {
        let mut codes = [None; 256];
        if from.0.is_empty() || to.0.is_empty() {
            for (code, own) in (0..=u8::MAX).zip(&mut codes) {
                *own = Some(code);
            }
            return Self(codes);
        }
        for (name, code) in &from.0 {
            let same = to.0.iter().find(|(other, _)| other == name);
            codes[usize::from(*code)] = same.map(|(_, code)| *code);
        }
        Self(codes)
    }

    /// The other display's code of a key that it has.
    pub(super) fn get(&self, code: u8) -> Option<u8> {
        self.0[usize::from(code)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_by_their_names() {
        let own = Names(vec![(*b"AE01", 10), (*b"RTRN", 36), (*b"MUTE", 121)]);
        let foreign = Names(vec![(*b"RTRN", 36), (*b"AE01", 17)]);
        let map = KeyMap::between(&own, &foreign);
        assert_eq!(
            [10, 36, 121, 9].map(|code| map.get(code)),
            [Some(17), Some(36), None, None]
        );
        let nameless = KeyMap::between(&own, &Names::default());
        assert_eq!(nameless.get(200), Some(200));
    }
}
