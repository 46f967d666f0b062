//! Bytes cut into lines of limited length.

/// Bytes of a line; a longer one is cut.
const LINE_BYTES_MAX: usize = 4096;

/// The beginning of a line whose end has not come.
#[derive(Debug, Default)]
pub(super) struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Hands what `bytes` completes to `each`, without the line ends.
    pub(super) fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            for chunk in text.chunks(LINE_BYTES_MAX) {
                if LINE_BYTES_MAX < self.begun.len() + chunk.len() {
                    self.end(&mut each);
                }
                self.begun.extend_from_slice(chunk);
            }
            if ends {
                each(self.begun.strip_suffix(b"\r").unwrap_or(&self.begun));
                self.begun.clear();
            }
        }
    }

    /// Nothing comes any more.
    pub(super) fn end(&mut self, mut each: impl FnMut(&[u8])) {
        if !self.begun.is_empty() {
            each(&self.begun);
            self.begun.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut all) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece, |line| all.push(line.to_vec()));
        }
        lines.end(|line| all.push(line.to_vec()));
        all
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let wanted: [&[u8]; 4] = [b"a", b"", b"bc", b"d"];
        assert_eq!(cut(&[b"a\n\r\nbc\r\nd"]), wanted);
        assert_eq!(cut(&[b"a", b"\n", b"\n", b"b", b"c\n", b"", b"d"]), wanted);
        assert!(cut(&[b""]).is_empty());
    }

    #[test]
    fn no_line_is_endless_and_nothing_of_it_is_lost() {
        let long = vec![b'x'; 3 * LINE_BYTES_MAX + 5];
        for pieces in [vec![&long[..]], long.chunks(100).collect()] {
            let lines = cut(&pieces);
            assert!(lines.iter().all(|line| line.len() <= LINE_BYTES_MAX));
            assert_eq!(lines.concat(), long);
        }
    }
}
