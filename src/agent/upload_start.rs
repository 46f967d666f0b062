//! The text of VD_AGENT_FILE_XFER_START: which file a client wants to send.
//!
//! It is a key file of one group, as spice-gtk's library writes it:
//!
//! ```text
//! [vdagent-file-xfer]
//! name=report.pdf
//! size=12345
//! ```
//!
//! with a zero byte behind it, values escaped (`\s \t \n \r \\`). spice-html5 sends neither escapes nor the zero. Other
//! keys may come one day and are passed over; whatever else differs is refused.

use super::upload_name::{UnusableName, UploadName};
use crate::base::limits::UPLOAD_START_BYTES_MAX;

const GROUP: &[u8] = b"[vdagent-file-xfer]";

/// What a client wants to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadStart {
    /// What it shall be called here.
    pub name: UploadName,
    /// Bytes that will come.
    pub size_bytes: u64,
}

/// Why a text starts nothing; the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// Too long.
    #[error("a start of {0} bytes where {UPLOAD_START_BYTES_MAX} are allowed")]
    TooLong(usize),
    /// It does not begin with its group.
    #[error("the start has no group vdagent-file-xfer")]
    NoGroup,
    /// A line that is neither a comment nor a key with a value, or a second group.
    #[error("line {0} of the start is no key with a value")]
    Line(usize),
    /// The same key again.
    #[error("the start names a {0} twice")]
    Twice(&'static str),
    /// A key that must be there.
    #[error("the start names no {0}")]
    Missing(&'static str),
    /// Not a number of 64 bits.
    #[error("the size in the start is no number")]
    Size,
    /// It has a name that no file can have.
    #[error(transparent)]
    Name(#[from] UnusableName),
}

impl UploadStart {
    /// Reads the text behind the id of VD_AGENT_FILE_XFER_START.
    ///
    /// # Errors
    /// [`StartError`] for everything that is not as in this module's description.
    pub fn parse(text: &[u8]) -> Result<Self, StartError> {
        if UPLOAD_START_BYTES_MAX < text.len() {
            return Err(StartError::TooLong(text.len()));
        }
        let text = text.strip_suffix(b"\0").unwrap_or(text);
        let mut lines = (1..)
            .zip(text.split(|byte| *byte == b'\n'))
            .map(|(number, line)| (number, line.strip_suffix(b"\r").unwrap_or(line)))
            .filter(|(_, line)| !line.trim_ascii().is_empty() && !line.starts_with(b"#"));
        if lines
            .next()
            .is_none_or(|(_, line)| line.trim_ascii() != GROUP)
        {
            return Err(StartError::NoGroup);
        }
        let (mut name, mut size) = (None, None);
        for (number, line) in lines {
            let equals = line.iter().position(|byte| *byte == b'=');
            let (key, value) = equals
                .and_then(|at| line.split_at_checked(at))
                .ok_or(StartError::Line(number))?;
            let value = value.get(1..).unwrap_or_default().trim_ascii_start();
            match key.trim_ascii() {
                b"" => return Err(StartError::Line(number)),
                b"name" => keep(&mut name, "name", value)?,
                b"size" => keep(&mut size, "size", value)?,
                _ => {}
            }
        }
        let name = name.ok_or(StartError::Missing("name"))?;
        let size_bytes = number(size.ok_or(StartError::Missing("size"))?)?;
        Ok(Self {
            name: UploadName::new(&unescaped(name))?,
            size_bytes,
        })
    }
}

fn keep<'a>(
    kept: &mut Option<&'a [u8]>,
    key: &'static str,
    value: &'a [u8],
) -> Result<(), StartError> {
    match kept.replace(value) {
        None => Ok(()),
        Some(_) => Err(StartError::Twice(key)),
    }
}

/// Digits alone: no sign, no other base.
fn number(text: &[u8]) -> Result<u64, StartError> {
    let text = text.trim_ascii_end();
    if !text.iter().all(u8::is_ascii_digit) {
        return Err(StartError::Size);
    }
    let text = std::str::from_utf8(text).map_err(|_| StartError::Size)?;
    text.parse().map_err(|_| StartError::Size)
}

/// A value without its escapes. A backslash before anything else is itself: spice-html5 escapes nothing.
fn unescaped(value: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(value.len());
    let mut rest = value.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        let escape = rest.peek().filter(|_| byte == b'\\');
        let meant = match escape {
            Some(b's') => b' ',
            Some(b't') => b'\t',
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b'\\') => b'\\',
            _ => {
                plain.push(byte);
                continue;
            }
        };
        plain.push(meant);
        rest.next();
    }
    plain
}

/// Reads any bytes as a start, and writes what was read again.
///
/// # Panics
/// Where a start that was taken does not hold its promises; that is what tests and fuzzers look for.
#[cfg(any(test, fuzzing))]
pub fn check(text: &[u8]) {
    let Ok(start) = UploadStart::parse(text) else {
        return;
    };
    assert!(text.len() <= UPLOAD_START_BYTES_MAX);
    let name = start.name.numbered(1);
    assert!(!name.is_empty() && name.len() <= 255, "{name:?}");
    assert!(!name.starts_with('.') && !name.contains('/'), "{name:?}");
    assert!(!name.chars().any(char::is_control), "{name:?}");
    let again = format!(
        "[vdagent-file-xfer]\nname={name}\nsize={}\n\0",
        start.size_bytes
    );
    // A name is its own: reading it again changes nothing.
    let again = UploadStart::parse(again.as_bytes()).map(|start| start.name.numbered(1));
    assert_eq!(again, Ok(name));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::corpus::{plant_seeds, replay_regressions};
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<(String, u64), StartError> {
        UploadStart::parse(text.as_bytes()).map(|start| (start.name.numbered(1), start.size_bytes))
    }

    #[test]
    fn what_clients_send_is_read() {
        let gtk = "[vdagent-file-xfer]\nname=a\\sb.txt\nsize=2147483648\n\0";
        assert_eq!(parse(gtk), Ok(("a b.txt".into(), 2_147_483_648)));
        let html5 = "[vdagent-file-xfer]\nname=C\\data.txt\nsize=0\n";
        assert_eq!(parse(html5), Ok(("C_data.txt".into(), 0)));
        let later = "# said\n\n[vdagent-file-xfer]\r\nmtime=1\r\nname = x = y\r\nsize = 7 \r\n";
        assert_eq!(parse(later), Ok(("x = y".into(), 7)));
    }

    #[test]
    fn escapes_are_read_before_a_name_is_judged() {
        let hidden = "[vdagent-file-xfer]\nname=\\n\\\\\\r\\t.x\nsize=1\n";
        assert_eq!(parse(hidden), Ok(("___.x".into(), 1)));
        let up = "[vdagent-file-xfer]\nname=\\s..\\s\nsize=1\n";
        assert_eq!(parse(up), Err(StartError::Name(UnusableName)));
    }

    #[test]
    fn everything_else_is_refused() {
        for (text, error) in [
            ("", StartError::NoGroup),
            ("name=x\nsize=1\n", StartError::NoGroup),
            ("[other]\nname=x\nsize=1\n", StartError::NoGroup),
            ("[vdagent-file-xfer]\nname=x\n", StartError::Missing("size")),
            ("[vdagent-file-xfer]\nsize=1\n", StartError::Missing("name")),
            (
                "[vdagent-file-xfer]\nname=x\nname=y\nsize=1",
                StartError::Twice("name"),
            ),
            (
                "[vdagent-file-xfer]\nname=x\nsize=1\nsize=1",
                StartError::Twice("size"),
            ),
            ("[vdagent-file-xfer]\nname=x\nsize=-1", StartError::Size),
            ("[vdagent-file-xfer]\nname=x\nsize=+1", StartError::Size),
            ("[vdagent-file-xfer]\nname=x\nsize=0x1", StartError::Size),
            ("[vdagent-file-xfer]\nname=x\nsize=", StartError::Size),
            (
                "[vdagent-file-xfer]\nname=x\nsize=18446744073709551616",
                StartError::Size,
            ),
            (
                "[vdagent-file-xfer]\nname=x\nsize=1\n[more]\n",
                StartError::Line(4),
            ),
            ("[vdagent-file-xfer]\n=x\n", StartError::Line(2)),
            (
                "[vdagent-file-xfer]\nname=..\nsize=1",
                StartError::Name(UnusableName),
            ),
        ] {
            assert_eq!(parse(text), Err(error), "{text:?}");
        }
        let long = vec![b'#'; UPLOAD_START_BYTES_MAX + 1];
        assert_eq!(
            UploadStart::parse(&long),
            Err(StartError::TooLong(long.len()))
        );
    }

    #[test]
    fn seeds_and_texts_from_the_fuzzer_break_no_promise() {
        let seeds = [
            "[vdagent-file-xfer]\nname=a\\sb.txt\nsize=2147483648\n\0",
            "# said\n\n[vdagent-file-xfer]\r\nmtime=1\r\nname = x = y\r\nsize = 7 \r\n",
            "[vdagent-file-xfer]\nname=\\n\\\\\\r\\t.x\nsize=1\n",
        ];
        let seeds = seeds.map(|text| text.as_bytes().to_vec());
        plant_seeds("upload_start", &seeds, check);
        assert!(0 < replay_regressions("upload_start", check));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_start_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            check(&bytes);
        }

        #[test]
        fn anything_like_a_start_is_one_or_an_error(
            name in "[a-z./\\\\ \\PC]{0,60}", size in "[0-9]{0,22}", end in "[\n\0=\\[\\]a-z]{0,6}"
        ) {
            check(format!("[vdagent-file-xfer]\nname={name}\nsize={size}\n{end}").as_bytes());
        }
    }
}
