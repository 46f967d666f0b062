//! What an uploaded file is called in the folder it goes to.
//!
//! A name comes from the client, so it may be anything: a path, an attempt to climb out of the folder, a hidden file
//! that some program obeys, or characters that make it look like something else. What is left here is one visible
//! component of a path, and nothing of it can mean more than a name.

/// Bytes of a file name, as file systems have it (NAME_MAX).
const NAME_BYTES_MAX: usize = 255;

/// Bytes of an extension, with its dot, that stays behind the number of a second file of the same name.
const EXTENSION_BYTES_MAX: usize = 16;

/// A name that is safe in any folder: not empty, not hidden, without `/`, control and direction characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadName {
    stem: String,
    extension: String,
}

/// Nothing that could name a file is left of it; the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("nothing of the name can name a file")]
pub struct UnusableName;

impl UploadName {
    /// The last component of `name`, made harmless. Bytes that are not UTF-8 become replacement characters.
    ///
    /// # Errors
    /// [`UnusableName`] where nothing is left, as of `..`.
    pub fn new(name: &[u8]) -> Result<Self, UnusableName> {
        let text = String::from_utf8_lossy(name);
        let base = text.rsplit('/').next().unwrap_or_default().trim();
        if base.chars().all(|c| c == '.' || !is_harmless(c)) {
            return Err(UnusableName);
        }
        let mut kept: String = base
            .chars()
            .map(|c| if is_harmless(c) { c } else { '_' })
            .collect();
        // A hidden file would not be found by who dropped it, and programs read some of them unasked.
        if kept.starts_with('.') {
            kept.replace_range(..1, "_");
        }
        let (stem, extension) = split(&kept);
        let room = NAME_BYTES_MAX - extension.len();
        Ok(Self {
            stem: front(stem, room).to_owned(),
            extension: extension.to_owned(),
        })
    }

    /// The name of the `number`th file of this name: `report.pdf`, `report (2).pdf`, ...; at most 255 bytes.
    pub fn numbered(&self, number: u32) -> String {
        if number <= 1 {
            return format!("{}{}", self.stem, self.extension);
        }
        let tail = format!(" ({number}){}", self.extension);
        let stem = front(&self.stem, NAME_BYTES_MAX.saturating_sub(tail.len()));
        format!("{stem}{tail}")
    }
}

impl std::fmt::Display for UploadName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}{}", self.stem, self.extension)
    }
}

/// Whether a character is only itself. Backslashes separate folders on other systems; what turns the direction of
/// writing or ends a line lets a name look like another.
const fn is_harmless(c: char) -> bool {
    !matches!(
        c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '/' | '\\'
            | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    )
}

/// Stem and extension; `.tar.gz` and its kin stay together.
fn split(name: &str) -> (&str, &str) {
    let extension_at = |text: &str| {
        let at = text.rfind('.')?;
        let is_one = 0 < at && (2..=EXTENSION_BYTES_MAX).contains(&(text.len() - at));
        (is_one && !text.get(at..)?.contains(' ')).then_some(at)
    };
    let Some(mut at) = extension_at(name) else {
        return (name, "");
    };
    let stem = name.get(..at).unwrap_or_default();
    if stem.ends_with(".tar") && stem.len() != ".tar".len() {
        at -= ".tar".len();
    }
    name.split_at_checked(at).unwrap_or((name, ""))
}

/// As much of the front of `text` as `room` bytes hold.
fn front(text: &str, room: usize) -> &str {
    if text.len() <= room {
        return text;
    }
    let whole = (0..=room).rev().find_map(|end| text.get(..end));
    whole.unwrap_or_default().trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(name: &str) -> String {
        UploadName::new(name.as_bytes()).unwrap().numbered(1)
    }

    #[test]
    fn good_names_stay() {
        for name in [
            "a",
            "report.pdf",
            "Ünïcødé 字.txt",
            "a b (1).tar.gz",
            "-rf",
            "x.",
            "a..b",
            "~",
        ] {
            assert_eq!(named(name), name);
        }
    }

    #[test]
    fn what_could_mean_more_than_a_name_does_not() {
        for (hostile, harmless) in [
            ("../../x", "x"),
            ("/etc/passwd", "passwd"),
            ("..\\..\\x", "_._.._x"),
            (".bashrc", "_bashrc"),
            ("..x", "_.x"),
            ("a\0b\nc\u{7f}", "a_b_c_"),
            ("\u{202e}gpj.exe", "_gpj.exe"),
            ("  spaced  ", "spaced"),
        ] {
            assert_eq!(named(hostile), harmless);
        }
        assert_eq!(
            UploadName::new(b"caf\xe9.txt").unwrap().numbered(1),
            "caf\u{fffd}.txt"
        );
        for nothing in [
            "", ".", "..", "...", "/", "a/", "a/..", " ", "\0", "../", "\\", "..\\..",
        ] {
            assert_eq!(
                UploadName::new(nothing.as_bytes()),
                Err(UnusableName),
                "{nothing:?}"
            );
        }
    }

    #[test]
    fn numbers_come_before_the_extension() {
        let second = |name: &str| UploadName::new(name.as_bytes()).unwrap().numbered(2);
        assert_eq!(second("report.pdf"), "report (2).pdf");
        assert_eq!(second("all.tar.gz"), "all (2).tar.gz");
        assert_eq!(second("_.tar.gz"), "_ (2).tar.gz");
        assert_eq!(second("README"), "README (2)");
        assert_eq!(second("v1. the end"), "v1. the end (2)");
        assert_eq!(second(".tar.gz"), "_tar (2).gz");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_safe_name_or_none(
            bytes in proptest::collection::vec(any::<u8>(), 0..700), number in 1_u32..100_000
        ) {
            if let Ok(name) = UploadName::new(&bytes) {
                check(&name, number);
            }
        }

        #[test]
        fn any_text_is_a_safe_name_or_none(text in "[./a-z\\PC]{0,200}(\\.[a-zé字.]{0,20})?", number in 1_u32..100_000) {
            if let Ok(name) = UploadName::new(text.as_bytes()) {
                check(&name, number);
            }
        }
    }

    fn check(name: &UploadName, number: u32) {
        let text = name.numbered(number);
        assert!(!text.is_empty() && text.len() <= NAME_BYTES_MAX, "{text:?}");
        assert!(
            !text.starts_with('.') && text.chars().all(is_harmless),
            "{text:?}"
        );
        assert_ne!(text, name.numbered(number + 1));
    }
}
