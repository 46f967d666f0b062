//! How loud a sound is, for clients that cannot be told: they get samples that are softer already.
//!
//! Volumes are those of mixers' sliders, as clients and daemons take them: a sample is multiplied by their third power.

use super::{CHANNELS, Frame};

/// The slider at its end.
const FULL: u64 = u16::MAX as u64;

/// What samples of each channel are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gain {
    /// Parts of [`FULL`].
    parts: [u64; CHANNELS],
}

impl Gain {
    /// What sliders at `volumes` come to, up to 65535 for each channel; nothing where all are at their end. A channel
    /// without one goes by the last.
    pub fn of(volumes: &[u16]) -> Option<Self> {
        let last = volumes.last().copied()?;
        let parts = std::array::from_fn(|channel| {
            let volume = u64::from(volumes.get(channel).copied().unwrap_or(last));
            volume.pow(3) / FULL.pow(2)
        });
        (parts != [FULL; CHANNELS]).then_some(Self { parts })
    }

    /// The frame as loud as that.
    pub fn of_frame(&self, frame: &Frame) -> Frame {
        let mut softer = *frame;
        let (samples, _) = softer.as_chunks_mut::<CHANNELS>();
        for sample in samples {
            for (value, parts) in sample.iter_mut().zip(self.parts) {
                let product = i64::from(*value) * parts.cast_signed() / FULL.cast_signed();
                // Never louder than it was, so it fits.
                *value = i16::try_from(product).unwrap_or(*value);
            }
        }
        softer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::FRAME_VALUES;

    #[test]
    fn a_slider_at_half_is_18_db_less() {
        let gain = Gain::of(&[u16::MAX / 2, u16::MAX]).unwrap();
        let softer = gain.of_frame(&[i16::MIN; FRAME_VALUES]);
        assert_eq!(softer[..4], [-4095, i16::MIN, -4095, i16::MIN]);
        assert_eq!(
            Gain::of(&[0]).unwrap().of_frame(&[999; FRAME_VALUES]),
            [0; FRAME_VALUES]
        );
    }

    #[test]
    fn at_full_volume_there_is_nothing_to_do() {
        assert_eq!(Gain::of(&[u16::MAX; 2]), None);
        assert_eq!(Gain::of(&[u16::MAX]), None);
        assert_eq!(Gain::of(&[]), None);
    }
}
