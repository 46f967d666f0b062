//! Bytes in whatever pieces a daemon gives them, to frames of 10 ms.

use super::{FRAME_BYTES, FRAME_VALUES, Frame};

/// Collects samples until they make a frame.
#[derive(Debug, Default)]
pub struct FrameAssembler {
    /// Less than a frame.
    rest: Vec<u8>,
}

impl FrameAssembler {
    /// Nothing collected.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes of interleaved 16-bit little-endian samples, and hands every frame that is whole to `whole`.
    pub fn push(&mut self, mut bytes: &[u8], mut whole: impl FnMut(&Frame)) {
        if !self.rest.is_empty() {
            let (first, others) = bytes.split_at(bytes.len().min(FRAME_BYTES - self.rest.len()));
            self.rest.extend_from_slice(first);
            bytes = others;
            if self.rest.len() < FRAME_BYTES {
                return;
            }
            whole(&frame(&self.rest));
            self.rest.clear();
        }
        let frames = bytes.chunks_exact(FRAME_BYTES);
        self.rest.extend_from_slice(frames.remainder());
        frames.for_each(|bytes| whole(&frame(bytes)));
    }

    /// Forgets what has been collected.
    pub fn clear(&mut self) {
        self.rest.clear();
    }
}

fn frame(bytes: &[u8]) -> Frame {
    let mut frame = [0; FRAME_VALUES];
    for (value, bytes) in frame.iter_mut().zip(bytes.chunks_exact(2)) {
        *value = i16::from_le_bytes([bytes[0], bytes[1]]);
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_sample_is_lost_however_the_bytes_are_cut() {
        let values: Vec<i16> = (0..FRAME_VALUES as i16 * 7 / 2).collect();
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        for piece in [1, 3, 4, 1000, FRAME_BYTES, FRAME_BYTES + 1, bytes.len()] {
            let (mut assembler, mut seen) = (FrameAssembler::new(), Vec::new());
            for part in bytes.chunks(piece) {
                assembler.push(part, |frame| seen.extend_from_slice(frame));
            }
            assert_eq!(seen, values[..3 * FRAME_VALUES], "pieces of {piece}");
            assembler.clear();
            assembler.push(&[1, 0], |_| unreachable!("the half frame is forgotten"));
        }
    }
}
