//! Connecting to an X server with a cookie file that is named, not found through the environment, which other threads
//! read.

use std::os::unix::net::UnixStream;
use std::path::Path;

use x11rb::errors::ConnectError;
use x11rb::reexports::x11rb_protocol::parse_display::parse_display;
use x11rb::rust_connection::{DefaultStream, RustConnection};

/// Method of the cookie (`man Xsecurity`).
const COOKIE: &[u8] = b"MIT-MAGIC-COOKIE-1";

/// Bytes of a cookie file that are looked at.
const AUTHORITY_BYTES_MAX: u64 = 64 * 1024;

/// Where the kernel tells the host's name, by which cookies of local displays are known.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum DisplayError {
    /// Not a name of a display.
    #[error("{0:?} is no X display")]
    Name(String),
    /// The cookie file cannot be read.
    #[error("reading the X cookie: {0}")]
    Cookie(std::io::Error),
    /// The server cannot be reached.
    #[error("reaching the X server: {0}")]
    Reach(std::io::Error),
    /// It has no screen of that number.
    #[error("the X server has no such screen")]
    NoScreen,
    /// It does not let us in.
    #[error("connecting to the X server: {0}")]
    Connect(#[from] ConnectError),
}

/// Connects to the display of this name (`:7`) with the cookie in the file `authority`, or without one. Returns the
/// connection and the number of the screen.
pub(super) fn connect(
    name: &str,
    authority: Option<&Path>,
) -> Result<(RustConnection, usize), DisplayError> {
    let display = parse_display(Some(name)).map_err(|_| DisplayError::Name(name.to_owned()))?;
    let cookie = match authority {
        Some(path) => read_cookie(path, display.display).map_err(DisplayError::Cookie)?,
        None => Vec::new(),
    };
    let method = if cookie.is_empty() { &[][..] } else { COOKIE };
    let mut failure = std::io::Error::from(std::io::ErrorKind::NotFound);
    for address in display.connect_instruction() {
        match DefaultStream::connect(&address) {
            Ok((stream, _)) => {
                let screen = usize::from(display.screen);
                let connection = RustConnection::connect_to_stream_with_auth_info(
                    stream,
                    screen,
                    method.to_vec(),
                    cookie,
                )?;
                return Ok((connection, screen));
            }
            Err(error) => failure = error,
        }
    }
    Err(DisplayError::Reach(failure))
}

/// Connects to the first screen of display number `display` of this host, whose server is behind `socket`, with the
/// cookie in the file `authority`, or without one.
///
/// # Errors
/// [`DisplayError`].
pub fn connect_through(
    socket: UnixStream,
    display: u16,
    authority: Option<&Path>,
) -> Result<RustConnection, DisplayError> {
    let cookie = match authority {
        Some(path) => read_cookie(path, display).map_err(DisplayError::Cookie)?,
        None => Vec::new(),
    };
    let method = if cookie.is_empty() { &[][..] } else { COOKIE };
    let (stream, _) = DefaultStream::from_unix_stream(socket).map_err(DisplayError::Reach)?;
    let method = method.to_vec();
    Ok(RustConnection::connect_to_stream_with_auth_info(
        stream, 0, method, cookie,
    )?)
}

fn read_cookie(path: &Path, display: u16) -> Result<Vec<u8>, std::io::Error> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(AUTHORITY_BYTES_MAX).read_to_end(&mut bytes)?;
    let host = std::fs::read_to_string(HOST_NAME).unwrap_or_default();
    let cookie = find_cookie(&bytes, display, Some(host.trim().as_bytes()))
        .or_else(|| find_cookie(&bytes, display, None));
    Ok(cookie.unwrap_or_default().to_vec())
}

/// The cookie for this display number in the bytes of an Xauthority file, of this host if one is named: a user's file
/// has those of other hosts as well, a desktop's own has none. Each entry is `family u16, address, number, method,
/// data`, big-endian, the last four with their length (u16) in front.
fn find_cookie<'a>(mut bytes: &'a [u8], display: u16, host: Option<&[u8]>) -> Option<&'a [u8]> {
    let wanted = display.to_string();
    loop {
        bytes = bytes.get(2..)?;
        let mut fields = [&[][..]; 4];
        for field in &mut fields {
            let (length, rest) = bytes.split_first_chunk::<2>()?;
            (*field, bytes) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        }
        let [address, number, method, data] = fields;
        let is_hosts = host.is_none_or(|host| host == address);
        if method == COOKIE && is_hosts && (number.is_empty() || number == wanted.as_bytes()) {
            return Some(data);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: &[u8], method: &[u8], data: &[u8]) -> Vec<u8> {
        entry_of(b"host", number, method, data)
    }

    fn entry_of(host: &[u8], number: &[u8], method: &[u8], data: &[u8]) -> Vec<u8> {
        let mut bytes = vec![1, 0];
        for field in [host, number, method, data] {
            bytes.extend(u16::try_from(field.len()).unwrap().to_be_bytes());
            bytes.extend(field);
        }
        bytes
    }

    #[test]
    fn the_cookie_of_the_display_is_found() {
        let mut file = entry(b"7", b"XDM-AUTHORIZATION-1", b"no");
        file.extend(entry(b"8", COOKIE, b"other"));
        file.extend(entry(b"7", COOKIE, b"right"));
        assert_eq!(find_cookie(&file, 7, None), Some(&b"right"[..]));
        assert_eq!(find_cookie(&file, 9, None), None);
        for length in 0..file.len() {
            assert_eq!(find_cookie(&file[..length], 7, None), None);
        }
        assert_eq!(
            find_cookie(&entry(b"", COOKIE, b"any"), 3, None),
            Some(&b"any"[..])
        );
        let mut of_hosts = entry_of(b"other", b"0", COOKIE, b"no");
        of_hosts.extend(entry_of(b"own", b"0", COOKIE, b"right"));
        let found = find_cookie(&of_hosts, 0, Some(b"own"));
        assert_eq!(found, Some(&b"right"[..]));
        assert_eq!(find_cookie(&of_hosts, 0, Some(b"third")), None);
    }
}
