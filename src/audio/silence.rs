//! Whether anything is to be heard.
//!
//! A program may keep its stream open and play zeros for hours. Nobody is sent those: sound begins with the first
//! frame that is not silent, and ends when it has been silent for a while, so that pauses between words and tracks do
//! not make clients open and close their devices.

use super::{FRAME_MS, Frame};

/// Largest sample of a silent frame: what dithering leaves of digital silence.
pub const SILENT_PEAK: u16 = 2;

/// Milliseconds of silence after which sound has ended.
pub const SILENT_MS_MAX: u32 = 1000;

/// What a frame is to those who listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passage {
    /// Nothing: there is silence.
    Silence,
    /// The first of a sound.
    Begins,
    /// One of a sound, silent or not.
    Sounds,
    /// The sound has ended before this one.
    Ends,
}

/// Tells sound from silence.
#[derive(Debug, Default)]
pub struct SilenceGate {
    sounding: bool,
    silent_ms: u32,
}

impl SilenceGate {
    /// Silence.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a sound has begun and not ended.
    pub const fn is_sounding(&self) -> bool {
        self.sounding
    }

    /// What `frame`, the next one, is.
    pub fn pass(&mut self, frame: &Frame) -> Passage {
        if frame.iter().any(|value| SILENT_PEAK < value.unsigned_abs()) {
            self.silent_ms = 0;
            if std::mem::replace(&mut self.sounding, true) {
                return Passage::Sounds;
            }
            return Passage::Begins;
        }
        if !self.sounding {
            return Passage::Silence;
        }
        self.silent_ms += FRAME_MS;
        if self.silent_ms <= SILENT_MS_MAX {
            return Passage::Sounds;
        }
        self.end();
        Passage::Ends
    }

    /// No frame comes next. Whether a sound ends with that.
    pub const fn end(&mut self) -> bool {
        self.silent_ms = 0;
        std::mem::replace(&mut self.sounding, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::FRAME_VALUES;

    const SILENCE: Frame = [0; FRAME_VALUES];
    const DITHER: Frame = [-2; FRAME_VALUES];

    fn click() -> Frame {
        let mut frame = SILENCE;
        frame[FRAME_VALUES - 1] = i16::MIN;
        frame
    }

    #[test]
    fn sound_begins_at_once_and_ends_after_a_second() {
        let mut gate = SilenceGate::new();
        assert_eq!(gate.pass(&DITHER), Passage::Silence);
        assert_eq!(gate.pass(&click()), Passage::Begins);
        for _ in 0..3 {
            for _ in 0..SILENT_MS_MAX / FRAME_MS {
                assert_eq!(gate.pass(&SILENCE), Passage::Sounds);
            }
            assert_eq!(gate.pass(&click()), Passage::Sounds);
        }
        for _ in 0..SILENT_MS_MAX / FRAME_MS {
            assert_eq!(gate.pass(&DITHER), Passage::Sounds);
        }
        assert_eq!(gate.pass(&SILENCE), Passage::Ends);
        assert_eq!(gate.pass(&SILENCE), Passage::Silence);
        assert!(!gate.end());
        assert_eq!(gate.pass(&click()), Passage::Begins);
        assert!(gate.end() && !gate.is_sounding());
    }
}
