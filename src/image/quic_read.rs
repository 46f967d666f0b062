//! The pixels of a row of QUIC, from its bits.

use super::DecodeError;
use super::quic_code::BitReader;
use super::quic_model::Model;
use super::quic_predict::{byte, mean};

/// Reads rows.
pub(super) struct RowReader<'a> {
    bits: BitReader<'a>,
    model: Model,
    /// The last residual of each column.
    residuals: Vec<u32>,
}

impl<'a> RowReader<'a> {
    /// At the first row of an image of this width, 1 or more.
    pub(super) fn new(words: &'a [[u8; 4]], width: usize) -> Self {
        Self {
            bits: BitReader::new(words),
            model: Model::new(),
            residuals: vec![0; width],
        }
    }

    /// Words that bits were taken from.
    pub(super) const fn words_taken(&self) -> usize {
        self.bits.words_taken()
    }

    /// Appends a row to `pixels`, which holds the rows above it.
    pub(super) fn row(&mut self, pixels: &mut Vec<u32>) -> Result<(), DecodeError> {
        let width = self.residuals.len();
        let above = pixels.len().checked_sub(width);
        let row = pixels.len();
        pixels.resize(row + width, 0);
        let (above, row) = match above {
            Some(above) => {
                let (rows, row) = pixels.split_at_mut(row);
                (&rows[above..], row)
            }
            None => (&[][..], &mut pixels[..]),
        };
        let mut start = 0;
        while start < width {
            let end = self.model.pace.piece_end(start, width);
            self.piece(above, &mut row[..end], start)?;
            self.model.pace.pass(end - start);
            start = end;
        }
        self.model.left = self.residuals[0];
        Ok(())
    }

    /// Reads the pixels from `at` on.
    fn piece(&mut self, above: &[u32], row: &mut [u32], mut at: usize) -> Result<(), DecodeError> {
        let mut no_run_at = None;
        while at < row.len() {
            let repeats = 3 <= at
                && row[at - 1] == row[at - 2]
                && above
                    .get(at - 1..=at)
                    .is_some_and(|above| above[0] == above[1]);
            if repeats && no_run_at != Some(at) {
                let room = row.len() - at;
                let len = self.model.runs.read(&mut self.bits, room)?;
                if room < len {
                    return Err(DecodeError::Run { len, room });
                }
                no_run_at = (len == 0).then_some(at);
                let color = row[at - 1];
                row[at..at + len].fill(color);
                at += len;
                self.model.left = self.residuals[at - 1];
                continue;
            }
            row[at] = self.pixel(at, above.get(at).copied(), &row[..at])?;
            at += 1;
        }
        Ok(())
    }

    /// The pixel in column `at` below `above`; counts it when it is time to.
    fn pixel(&mut self, at: usize, above: Option<u32>, row: &[u32]) -> Result<u32, DecodeError> {
        let expected = match (row.last(), above) {
            (None, above) => above.unwrap_or(0),
            (Some(left), None) => *left,
            (Some(left), Some(above)) => mean(*left, above),
        };
        let left = self.model.left.to_le_bytes();
        let (mut residual, mut color) = ([0; 4], [0; 4]);
        for channel in [2, 1, 0] {
            let code = self.model.channels[channel].codes[usize::from(left[channel])];
            residual[channel] = self.bits.byte((code >> 8) as u8)?;
            color[channel] = byte(residual[channel], expected.to_le_bytes()[channel]);
        }
        self.residuals[at] = u32::from_le_bytes(residual);
        match self.model.pace.wait.checked_sub(1) {
            Some(wait) => self.model.pace.wait = wait,
            None => {
                self.model.learn(self.model.left, self.residuals[at]);
                self.model.pace.wait = self.model.pace.next_wait();
            }
        }
        self.model.left = self.residuals[at];
        Ok(u32::from_le_bytes(color))
    }
}
