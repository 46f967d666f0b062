//! What programs ask of a shared folder: their HTTP requests on the way to the client, in one connection after another.
//!
//! Requests pass as they are, but for two things.
//!
//! **Web pages are kept out.** To a browser of the desktop the folder is `http://127.0.0.1:PORT/`, and a page can
//! make it ask there: under a name of its own that suddenly means 127.0.0.1 (then it could even read the answers), or
//! straight, as a foreign page. The page's own name stands in `Host` then, and what a foreign page sends bears `Origin`
//! or `Sec-Fetch-Site`. Such a request ends the connection.
//!
//! **`Expect: 100-continue` is answered here.** The WebDAV server of Debian 12's spice-gtk (phodav 3.0 on libsoup 3.2)
//! makes an empty file of such a PUT and says "201 Created"; curl sends it with every upload. The line is taken out,
//! and who asked is told to go on.

/// Bytes of a request's head. Browsers and servers draw the line here or lower.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a line between the chunks of a body.
const CHUNK_LINE_BYTES_MAX: usize = 4096;

/// What a program that sent `Expect: 100-continue` waits for.
pub const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// The request is a web page's.
    #[error("a web page asked")]
    WebPage,
    /// No end of the head in sight.
    #[error("a request's head of more than {HEAD_BYTES_MAX} bytes")]
    TooLong,
    /// It cannot be told where the request ends.
    #[error("not an HTTP request")]
    Malformed,
}

impl RequestError {
    /// The whole answer to such a request.
    pub const fn answer(self) -> &'static str {
        match self {
            Self::WebPage => {
                "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            }
            Self::TooLong => {
                "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            }
            Self::Malformed => {
                "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            }
        }
    }
}

/// Where in the requests of a connection the next byte lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Head,
    /// In a body or a chunk, with so many bytes to come.
    Body {
        left_bytes: u64,
        is_chunk: bool,
    },
    ChunkLine,
    Trailer,
}

/// The requests of one connection.
#[derive(Debug)]
pub struct Requests {
    /// Whether a browser could come this way.
    is_reachable: bool,
    place: Place,
    /// The head or line that is not complete.
    kept: Vec<u8>,
}

impl Requests {
    /// At the start of a connection; `is_reachable`: over TCP, where browsers can connect.
    pub const fn new(is_reachable: bool) -> Self {
        Self {
            is_reachable,
            place: Place::Head,
            kept: Vec::new(),
        }
    }

    /// Takes in bytes of the program and appends what is to go to the client. Whether the program waits for
    /// [`CONTINUE`] now.
    ///
    /// # Errors
    /// [`RequestError`]: the connection is to end with its answer.
    pub fn push(&mut self, mut bytes: &[u8], out: &mut Vec<u8>) -> Result<bool, RequestError> {
        let mut waits = false;
        while !bytes.is_empty() {
            match self.place {
                Place::Head => waits |= self.head(&mut bytes, out)?,
                Place::Body {
                    left_bytes,
                    is_chunk,
                } => {
                    let here = usize::try_from(left_bytes).unwrap_or(usize::MAX);
                    let (passing, rest) = bytes.split_at(here.min(bytes.len()));
                    out.extend_from_slice(passing);
                    bytes = rest;
                    self.place = match left_bytes - passing.len() as u64 {
                        0 if is_chunk => Place::ChunkLine,
                        0 => Place::Head,
                        left_bytes => Place::Body {
                            left_bytes,
                            is_chunk,
                        },
                    };
                }
                Place::ChunkLine | Place::Trailer => self.line(&mut bytes, out)?,
            }
        }
        Ok(waits)
    }

    fn head(&mut self, bytes: &mut &[u8], out: &mut Vec<u8>) -> Result<bool, RequestError> {
        // The end of the head may lie across two pieces.
        let from = self.kept.len().saturating_sub(3);
        let before = self.kept.len();
        self.kept.extend_from_slice(bytes);
        let fresh = self.kept.get(from..).unwrap_or_default();
        let Some(end) = fresh.windows(4).position(|four| four == b"\r\n\r\n") else {
            *bytes = &[];
            return if self.kept.len() <= HEAD_BYTES_MAX {
                Ok(false)
            } else {
                Err(RequestError::TooLong)
            };
        };
        let length = from + end + 4;
        if HEAD_BYTES_MAX < length {
            return Err(RequestError::TooLong);
        }
        *bytes = bytes.get(length - before..).unwrap_or_default();
        let mut head = std::mem::take(&mut self.kept);
        head.truncate(length - 4);
        self.pass_head(&head, out)
    }

    fn pass_head(&mut self, head: &[u8], out: &mut Vec<u8>) -> Result<bool, RequestError> {
        let mut about = About::default();
        for (index, line) in lines(head).enumerate() {
            if index == 0 || about.keeps(line)? {
                out.extend_from_slice(line);
                out.extend_from_slice(b"\r\n");
            }
        }
        out.extend_from_slice(b"\r\n");
        if self.is_reachable && (about.is_foreign || about.hosts != 1) {
            return Err(RequestError::WebPage);
        }
        self.place = match about {
            About {
                is_chunked: true, ..
            } => Place::ChunkLine,
            About {
                body_bytes: 1.., ..
            } => Place::Body {
                left_bytes: about.body_bytes,
                is_chunk: false,
            },
            _ => Place::Head,
        };
        Ok(about.waits)
    }

    /// A line before a chunk, or behind the last one.
    fn line(&mut self, bytes: &mut &[u8], out: &mut Vec<u8>) -> Result<(), RequestError> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let (line, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        *bytes = rest;
        out.extend_from_slice(line);
        self.kept.extend_from_slice(line);
        if CHUNK_LINE_BYTES_MAX < self.kept.len() {
            return Err(RequestError::Malformed);
        }
        if end.is_some() {
            let line = std::mem::take(&mut self.kept);
            let line = line.trim_ascii();
            self.place = match self.place {
                Place::Trailer if line.is_empty() => Place::Head,
                Place::Trailer => Place::Trailer,
                _ => match chunk_bytes(line).ok_or(RequestError::Malformed)? {
                    0 => Place::Trailer,
                    // The end of the line behind the chunk goes with it.
                    chunk => Place::Body {
                        left_bytes: chunk.saturating_add(2),
                        is_chunk: true,
                    },
                },
            };
        }
        Ok(())
    }
}

/// What the lines of a head say.
#[derive(Debug, Default)]
struct About {
    hosts: usize,
    is_foreign: bool,
    waits: bool,
    is_chunked: bool,
    body_bytes: u64,
}

impl About {
    /// Reads one line; whether it is to go on.
    fn keeps(&mut self, line: &[u8]) -> Result<bool, RequestError> {
        let colon = line.iter().position(|byte| *byte == b':');
        let (name, value) = line.split_at(colon.ok_or(RequestError::Malformed)?);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        match name.to_ascii_lowercase().as_slice() {
            b"host" => {
                self.hosts += 1;
                self.is_foreign |= !is_local(value);
            }
            b"origin" => self.is_foreign = true,
            b"sec-fetch-site" => self.is_foreign |= value != b"none" && value != b"same-origin",
            b"transfer-encoding" => self.is_chunked = true,
            b"content-length" => {
                self.body_bytes = number(value, 10).ok_or(RequestError::Malformed)?;
            }
            b"expect" if value.eq_ignore_ascii_case(b"100-continue") => {
                self.waits = true;
                return Ok(false);
            }
            _ => {}
        }
        Ok(true)
    }
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = head.split(|byte| *byte == b'\n');
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn chunk_bytes(line: &[u8]) -> Option<u64> {
    let size = line.split(|byte| *byte == b';').next()?;
    number(size.trim_ascii(), 16)
}

/// Digits and nothing else.
fn number(text: &[u8], radix: u32) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.chars().all(|digit| digit.is_digit(radix));
    u64::from_str_radix(text, radix).ok().filter(|_| digits)
}

/// Whether a `Host` names this machine by what no page can be called.
fn is_local(host: &[u8]) -> bool {
    let host = host.to_ascii_lowercase();
    let locals = [&b"localhost"[..], b"127.0.0.1", b"[::1]"];
    locals.iter().any(|local| match host.strip_prefix(*local) {
        Some([]) => true,
        Some([b':', port @ ..]) => port.iter().all(u8::is_ascii_digit),
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of a connection, whatever the cutting.
    fn pass(text: &str) -> Result<(String, bool), RequestError> {
        let text = text.replace('\n', "\r\n");
        let mut results = (1..=text.len()).map(|size| {
            let (mut requests, mut out, mut waits) = (Requests::new(true), Vec::new(), false);
            for piece in text.as_bytes().chunks(size) {
                waits |= requests.push(piece, &mut out)?;
            }
            let out = String::from_utf8(out).unwrap().replace("\r\n", "\n");
            Ok((out, waits))
        });
        let first = results.next().unwrap();
        results.for_each(|other| assert_eq!(other, first, "cutting makes no difference"));
        first
    }

    #[test]
    fn programs_pass() {
        for text in [
            "PROPFIND / HTTP/1.1\nHost: localhost:4711\nDepth: 1\n\n",
            "GET /a%20b HTTP/1.1\nUser-Agent: gvfs\nhost:127.0.0.1\n\nGET / HTTP/1.1\nHost: localhost\n\n",
            "GET / HTTP/1.1\nHOST: [::1]:9\nSec-Fetch-Site: none\n\n",
            "PUT /x HTTP/1.1\nHost: localhost\nContent-Length: 10\n\n12345\n78901GET / HTTP/1.1\nHost: localhost\n\n",
            "PUT /x HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked\n\n5;a=b\n12345\n0\nA: b\n\n\
             GET / HTTP/1.1\nHost: localhost\n\n",
        ] {
            // 10 bytes with a line end of two.
            let text = text.replace("78901", "8901");
            assert_eq!(pass(&text), Ok((text.clone(), false)), "{text}");
        }
    }

    #[test]
    fn who_waits_is_told_and_the_client_never_hears_of_it() {
        let head =
            "PUT /x HTTP/1.1\nHost: localhost\nEXPECT: 100-Continue\nContent-Length: 3\n\nabc";
        let passed = "PUT /x HTTP/1.1\nHost: localhost\nContent-Length: 3\n\nabc";
        assert_eq!(pass(head), Ok((passed.into(), true)));
        let twice = (passed.to_owned() + passed, true);
        assert_eq!(pass(&(passed.to_owned() + head)), Ok(twice));
    }

    #[test]
    fn pages_do_not_pass() {
        let good = "GET / HTTP/1.1\nHost: localhost\n\n";
        for head in [
            "GET / HTTP/1.1\nHost: evil.example:4711",
            "GET / HTTP/1.1\nHost: localhost.evil.example",
            "GET / HTTP/1.1\nHost: 127.0.0.1:80.evil.example",
            "GET / HTTP/1.1",
            "GET / HTTP/1.1\nHost: localhost\nHost: evil.example",
            "GET / HTTP/1.1\nHost: localhost\nHost: localhost",
            "POST / HTTP/1.1\nHost: localhost\nOrigin: http://evil.example",
            "GET / HTTP/1.1\nHost: localhost\nsec-fetch-site: cross-site",
            "GET / HTTP/1.1\nHost : localhost",
        ] {
            let alone = format!("{head}\n\n");
            assert_eq!(pass(&alone), Err(RequestError::WebPage), "{head}");
            let behind = format!("{good}{alone}");
            assert_eq!(pass(&behind), Err(RequestError::WebPage), "{head}");
        }
        let mut out = Vec::new();
        let page = b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n";
        assert_eq!(Requests::new(false).push(page, &mut out), Ok(false));
        assert_eq!(out, page, "a unix socket is no way for a page");
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let mut requests = Requests::new(true);
        let mut out = Vec::new();
        let results = (0..17).map(|_| requests.push(&[b'a'; 1000], &mut out));
        assert_eq!(results.last(), Some(Err(RequestError::TooLong)));
        assert!(out.is_empty(), "nothing of it has passed");
        for text in [
            "PUT / HTTP/1.1\nHost: localhost\nContent-Length: -1\n\n",
            "PUT / HTTP/1.1\nHost: localhost\nContent-Length: 99999999999999999999\n\n",
            "PUT / HTTP/1.1\nHost: localhost\nTransfer-Encoding: chunked\n\n+5\n",
            "GET / HTTP/1.1\nHost: localhost\n folded\n\n",
        ] {
            assert_eq!(pass(text), Err(RequestError::Malformed), "{text}");
        }
    }
}
