//! Text as X programs and SPICE have it.
//!
//! The protocol knows one kind, UTF-8. X has several targets (ICCCM 2.6.2 and what toolkits added): UTF8_STRING and
//! text/plain;charset=utf-8 are the same bytes; STRING is Latin-1 with tab and newline; TEXT lets the owner choose, who
//! chooses UTF8_STRING; COMPOUND_TEXT, with its escape sequences, is what no program of this century needs, and is
//! refused. Lines end with LF in the desktop, which is announced (GUEST_LINEEND_LF): clients with other habits convert.

/// Text for the target STRING. What Latin-1 does not have becomes a question mark.
pub fn to_latin1(utf8: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(utf8)
        .chars()
        .map(|character| u8::try_from(u32::from(character)).unwrap_or(b'?'))
        .collect()
}

/// Text of the target STRING as UTF-8.
pub fn from_latin1(latin1: Vec<u8>) -> Vec<u8> {
    if latin1.is_ascii() {
        return latin1;
    }
    let text: String = latin1.into_iter().map(char::from).collect();
    text.into_bytes()
}

/// Text that claims to be UTF-8, made so: GTK refuses a whole text for one wrong byte, so that a replacement character
/// in its place is the lesser loss. Bytes that are right are not touched.
pub fn mended_utf8(claimed: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(claimed) {
        Ok(text) => text.into_bytes(),
        Err(error) => String::from_utf8_lossy(error.as_bytes())
            .into_owned()
            .into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latin1_goes_there_and_back() {
        let text = "für é\t\n";
        let latin1 = to_latin1(text.as_bytes());
        assert_eq!(latin1, b"f\xfcr \xe9\t\n");
        assert_eq!(from_latin1(latin1), text.as_bytes());
        assert_eq!(to_latin1("€ 𝄞".as_bytes()), b"? ?");
        assert_eq!(from_latin1(b"plain".to_vec()), b"plain");
    }

    #[test]
    fn right_text_of_every_plane_is_not_touched_and_wrong_is_mended() {
        let planes: String = (0..=16_u32)
            .filter_map(|plane| char::from_u32(plane << 16 | 0x41))
            .collect();
        assert_eq!(planes.chars().count(), 17);
        assert_eq!(mended_utf8(planes.clone().into_bytes()), planes.as_bytes());
        assert_eq!(mended_utf8(b"a\xffb".to_vec()), "a\u{fffd}b".as_bytes());
    }
}
