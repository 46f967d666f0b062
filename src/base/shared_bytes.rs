//! Bytes that several hold at once and nobody copies: a clipboard of 100 MB lies in memory once.

use std::ops::Deref;
use std::sync::Arc;

/// Immutable bytes; a clone is another reference to the same ones.
#[derive(Clone, Default)]
pub struct SharedBytes {
    held: Arc<Vec<u8>>,
    start: usize,
    length: usize,
}

impl SharedBytes {
    /// Bytes of memory that it keeps from being freed, whatever part of them it is.
    pub fn held_bytes(&self) -> usize {
        self.held.capacity()
    }

    /// The same without its first `count` bytes; nothing if it has no more.
    #[must_use]
    pub fn skip(mut self, count: usize) -> Self {
        let skipped = count.min(self.length);
        self.start += skipped;
        self.length -= skipped;
        self
    }

    /// Its first `count` bytes, or all if it has no more.
    #[must_use]
    pub fn first(mut self, count: usize) -> Self {
        self.length = self.length.min(count);
        self
    }
}

impl From<Vec<u8>> for SharedBytes {
    fn from(bytes: Vec<u8>) -> Self {
        let length = bytes.len();
        Self {
            held: Arc::new(bytes),
            start: 0,
            length,
        }
    }
}

impl Deref for SharedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let rest = self.held.get(self.start..).unwrap_or_default();
        rest.get(..self.length).unwrap_or_default()
    }
}

impl PartialEq for SharedBytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for SharedBytes {}

impl std::fmt::Debug for SharedBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_cut_within_what_is_there() {
        let bytes = SharedBytes::from(vec![1, 2, 3, 4, 5]);
        assert_eq!(*bytes.clone().skip(2), [3, 4, 5]);
        assert_eq!(*bytes.clone().skip(1).first(2).skip(1), [3]);
        assert_eq!(*bytes.clone().first(2).skip(9), [0_u8; 0]);
        assert_eq!(bytes.clone().first(99), bytes);
        assert!(Arc::ptr_eq(&bytes.held, &bytes.clone().skip(3).held));
        assert!(5 <= bytes.clone().first(1).held_bytes());
    }
}
