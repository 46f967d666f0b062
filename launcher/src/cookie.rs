//! The X cookie: 128 random bits that only the desktop's user can read.
//!
//! It is written before Xorg starts, when the display's number is not known yet; so the record is of
//! family "wild" with an empty number, which Xorg and libXau both take for every display.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const FAMILY_WILD: u16 = 0xffff;
const PROTOCOL: &[u8] = b"MIT-MAGIC-COOKIE-1";

/// Writes a new random cookie to `path`, which must not exist, with mode 0600.
pub(crate) fn write_new(path: &Path) -> io::Result<()> {
    let mut cookie = [0u8; 16];
    getrandom::fill(&mut cookie).map_err(|error| io::Error::other(error.to_string()))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(&record(&cookie))
}

/// One record of an Xauthority file (Xauth(7)): family, then counted address, number, name and data,
/// all numbers 16 bits big-endian.
fn record(cookie: &[u8; 16]) -> Vec<u8> {
    let mut bytes = FAMILY_WILD.to_be_bytes().to_vec();
    for field in [&[][..], &[][..], PROTOCOL, &cookie[..]] {
        let length = u16::try_from(field.len()).unwrap_or(u16::MAX);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(field);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn the_record_has_the_form_of_xauth() {
        let bytes = record(&[7; 16]);
        assert_eq!(bytes[..8], [0xff, 0xff, 0, 0, 0, 0, 0, 18]);
        assert_eq!(&bytes[8..26], PROTOCOL);
        assert_eq!(bytes[26..], [&[0, 16][..], &[7; 16]].concat());
    }

    #[test]
    fn the_file_is_private_new_and_random() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        write_new(&a).unwrap();
        write_new(&b).unwrap();
        assert_eq!(a.metadata().unwrap().mode() & 0o777, 0o600);
        assert_ne!(std::fs::read(&a).unwrap(), std::fs::read(&b).unwrap());
        assert_eq!(
            write_new(&a).unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
    }
}
