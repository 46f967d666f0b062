//! Bytes that play a peer: fuzzers and tests give them, an oracle takes its decisions from them.

/// Reads decisions; zeros behind the end, so that every script is a whole one.
#[derive(Clone, Debug)]
pub struct Script<'a> {
    rest: &'a [u8],
}

impl<'a> Script<'a> {
    /// At the first byte.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next byte.
    pub fn u8(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else {
            return 0;
        };
        self.rest = rest;
        *first
    }

    /// The next two bytes.
    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.u8(), self.u8()])
    }

    /// The next four bytes.
    pub fn u32(&mut self) -> u32 {
        u32::from(self.u16()) | u32::from(self.u16()) << 16
    }

    /// One byte or five: mostly a small number, else any.
    pub fn number(&mut self) -> u32 {
        match self.u8() {
            255 => self.u32(),
            small => u32::from(small),
        }
    }

    /// One of `list`, which is not empty.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[usize::from(self.u8()) % list.len()]
    }

    /// At most `count` bytes; fewer at the end.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// Everything that is left.
    pub fn rest(&mut self) -> &'a [u8] {
        self.bytes(usize::MAX)
    }
}

/// Cuts bytes into pieces whose sizes follow from `seed`, as a network does: 1 to 300 bytes, or all of it for 0.
pub fn pieces(bytes: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let (mut rest, mut state) = (bytes, u32::from(seed));
    std::iter::from_fn(move || {
        state = state
            .wrapping_mul(0x0019_660d)
            .wrapping_add(u32::from(state != 0) * 0x3c6e_f35f);
        let size = if state == 0 {
            usize::MAX
        } else {
            1 + (state >> 16) as usize % 300
        };
        let (piece, behind) = rest.split_at(size.min(rest.len()));
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_goes_on_with_zeros() {
        let mut script = Script::new(&[1, 2, 0, 255]);
        assert_eq!((script.u16(), script.u8()), (0x0201, 0));
        assert_eq!(
            (script.number(), script.u32(), script.is_empty()),
            (0, 0, true)
        );
        assert_eq!(Script::new(&[255, 9, 0, 0, 1, 7]).number(), 0x0100_0009);
    }

    #[test]
    fn pieces_are_the_whole() {
        let bytes: Vec<u8> = (0..5000).map(|n| n as u8).collect();
        for seed in 0..=255 {
            assert_eq!(
                pieces(&bytes, seed).flatten().copied().collect::<Vec<_>>(),
                bytes
            );
        }
        assert_eq!(pieces(&bytes, 0).count(), 1);
    }
}
