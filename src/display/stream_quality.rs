//! How good the frames of a video are: as good as the line carries at the video's own rate.
//!
//! No rate is set for it. A frame that was overtaken by the next one before it could be sent is the sign that
//! frames are too large, and so is one that queues, or that the client dropped. Many of those in a window of frames
//! lower the quality, some windows without any raise it again, and each failed attempt makes the next one wait longer.

/// JPEG qualities, worst first. The best is what video gets on a LAN.
const QUALITIES: [u8; 7] = [22, 32, 42, 52, 62, 72, 80];

/// Frames of a window.
const WINDOW: u32 = 10;

/// Windows without a missed frame before better frames are tried, at first and at most.
const PATIENCE: (u32, u32) = (3, 96);

/// The quality of one client's video.
#[derive(Debug)]
pub struct StreamQuality {
    step: usize,
    sent: u32,
    missed: u32,
    good_windows: u32,
    patience: u32,
    /// The last change was one to the better.
    trying: bool,
}

impl StreamQuality {
    /// The best, until frames are missed.
    pub const fn new() -> Self {
        Self {
            step: QUALITIES.len() - 1,
            sent: 0,
            missed: 0,
            good_windows: 0,
            patience: PATIENCE.0,
            trying: false,
        }
    }

    /// JPEG quality of the next frame, 1 to 100.
    pub fn quality(&self) -> u8 {
        QUALITIES.get(self.step).copied().unwrap_or(QUALITIES[0])
    }

    /// A frame was sent.
    pub fn sent(&mut self) {
        self.sent += 1;
        self.judge();
    }

    /// So many frames were not sent in time, or dropped by the client.
    pub fn missed(&mut self, frames: u32) {
        self.missed = self.missed.saturating_add(frames.min(WINDOW));
        self.judge();
    }

    fn judge(&mut self) {
        let frames = self.sent + self.missed;
        if frames < WINDOW {
            return;
        }
        // One in ten is an accident.
        if WINDOW / 5 <= self.missed {
            let steps = if frames < 2 * self.missed { 2 } else { 1 };
            self.step = self.step.saturating_sub(steps);
            if self.trying {
                self.patience = (self.patience * 2).min(PATIENCE.1);
            }
            (self.trying, self.good_windows) = (false, 0);
        } else if 0 == self.missed {
            self.good_windows += 1;
            if self.patience <= self.good_windows && self.step + 1 < QUALITIES.len() {
                self.step += 1;
                (self.trying, self.good_windows) = (true, 0);
            }
        }
        (self.sent, self.missed) = (0, 0);
    }
}

impl Default for StreamQuality {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds of 30 frames over a line that carries `rate` qualities' worth of bytes a second.
    fn play(quality: &mut StreamQuality, rate: u32, seconds: u32) -> u32 {
        let (mut credit, mut missed) = (0, 0);
        for _ in 0..seconds * 30 {
            credit = (credit + rate / 30).min(rate / 6);
            let cost = u32::from(quality.quality());
            if cost <= credit {
                credit -= cost;
                quality.sent();
            } else {
                missed += 1;
                quality.missed(1);
            }
        }
        missed
    }

    #[test]
    fn quality_follows_the_line_down_and_up() {
        let mut quality = StreamQuality::new();
        assert_eq!(play(&mut quality, 3000, 10), 0);
        assert_eq!(quality.quality(), 80, "the line carries the best");
        play(&mut quality, 1300, 5);
        assert!((32..=52).contains(&quality.quality()), "{quality:?}");
        let missed = play(&mut quality, 1300, 60);
        assert!(
            missed < 60 * 30 / 10,
            "{missed} frames missed at the right quality"
        );
        play(&mut quality, 6000, 120);
        assert_eq!(quality.quality(), 80, "{quality:?}");
    }

    #[test]
    fn nothing_overflows() {
        let mut quality = StreamQuality::new();
        for _ in 0..100 {
            quality.missed(u32::MAX);
        }
        assert_eq!(quality.quality(), QUALITIES[0]);
    }
}
