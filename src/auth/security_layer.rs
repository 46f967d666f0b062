//! What is said behind a Kerberos context (RFC 4752, 3.1 and 3.2): the server offers security layers, the client takes
//! one and says for whom it acts. Both messages are wrapped in the context.
//!
//! None is offered: all of it is inside of TLS, where spice-gtk takes no other.

use crate::base::limits::LOGIN_NAME_BYTES_MAX;

/// No layer, in one byte, and no bytes that a message of a layer could have, in three.
pub const OFFER: [u8; 4] = [NO_LAYER, 0, 0, 0];

const NO_LAYER: u8 = 1;

/// For whom the client acts who takes what was offered: empty for itself. None if it takes anything else.
pub fn acts_for(choice: &[u8]) -> Option<&str> {
    // The size counts with a layer alone (RFC 4752, 3.1).
    let (NO_LAYER, rest) = choice.split_first().map(|(layer, rest)| (*layer, rest))? else {
        return None;
    };
    let name = rest.get(3..)?;
    str::from_utf8(name)
        .ok()
        .filter(|name| name.len() <= LOGIN_NAME_BYTES_MAX && !name.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layer_that_was_offered_is_taken_and_no_other() {
        assert_eq!(acts_for(&OFFER), Some(""));
        assert_eq!(acts_for(b"\x01\0\0\0alice"), Some("alice"));
        // Cyrus' client says how much it could take, whatever the layer.
        assert_eq!(acts_for(b"\x01\x01\x86\xa0"), Some(""));
        for wrong in [
            &b""[..],
            b"\x01",
            b"\x01\0\0",
            b"\x02\0\0\0",
            b"\x05\0\0\0alice",
            b"\x04\0\xff\xffalice",
            b"\0\0\0\0",
            b"\x01\0\0\0\xff",
            b"\x01\0\0\0ali\0ce",
            &[&OFFER[..], &[b'a'; LOGIN_NAME_BYTES_MAX + 1]].concat(),
        ] {
            assert_eq!(acts_for(wrong), None, "{wrong:?}");
        }
    }
}
