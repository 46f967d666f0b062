//! Sound from a client on its way into the desktop: bridges the line's unevenness and the difference of two clocks.
//!
//! Packets come when the line brings them; the daemon takes samples as its own clock says. Between them lies a store
//! that first fills to what the line needs, and then is held there: when it grows, a sample in a thousand is left out,
//! when it shrinks, one is put in, which no ear notices. Running dry makes the store that is aimed at larger, up to a
//! limit; a calm line makes it smaller again. What a burst brings beyond the limit is dropped, oldest first.

use std::collections::VecDeque;

use super::{CHANNELS, SAMPLE_RATE_HZ};

/// Milliseconds of sound that the store aims at on an even line, where packets are of 10 ms.
pub const STORE_MS_MIN: u32 = 30;

/// The most that it aims at.
pub const STORE_MS_MAX: u32 = 200;

/// Milliseconds of sound that it holds at most.
pub const HELD_MS_MAX: u32 = 2 * STORE_MS_MAX;

/// Milliseconds more to be aimed at when it has run dry.
const DRY_STEP_MS: u32 = 20;

/// Milliseconds without running dry after which a millisecond less is aimed at.
const CALM_MS: u32 = 1000;

/// Samples between two that are left out or put in: five times what clocks of sound cards differ by, and a tone is
/// shifted by a sixtieth of a semitone.
const CORRECTION_SAMPLES: u32 = 1000;

/// How far the store's mean may be from the aim.
const TOLERANCE_SAMPLES: i64 = samples(8) as i64;

/// Weight of the newest of the store's levels in their mean, as a power of two: about the last 64 takes.
const MEAN_SHIFT: u32 = 6;

/// One sample of each channel.
type Sample = [i16; CHANNELS];

const fn samples(ms: u32) -> u32 {
    SAMPLE_RATE_HZ / 1000 * ms
}

/// The store.
#[derive(Debug)]
pub struct Microphone {
    held: VecDeque<Sample>,
    /// It has been filled to the aim since it ran dry.
    flows: bool,
    aim_ms: u32,
    /// Samples taken since it last ran dry or the aim was lowered.
    calm: u32,
    /// Mean of what the store holds before samples are taken, in parts of a sample.
    mean: i64,
    /// Samples until the next correction.
    correction_in: u32,
}

impl Default for Microphone {
    fn default() -> Self {
        Self::new()
    }
}

impl Microphone {
    /// An empty store.
    pub const fn new() -> Self {
        Self {
            held: VecDeque::new(),
            flows: false,
            aim_ms: STORE_MS_MIN,
            calm: 0,
            mean: 0,
            correction_in: CORRECTION_SAMPLES,
        }
    }

    /// Takes what a client sent: interleaved samples.
    pub fn push(&mut self, values: &[i16]) {
        let (pairs, _) = values.as_chunks::<CHANNELS>();
        self.held.extend(pairs);
        let excess = self
            .held
            .len()
            .saturating_sub(samples(HELD_MS_MAX) as usize);
        if 0 < excess {
            // Down to the aim at once: the rest of the burst would only be as late.
            let keep = samples(self.aim_ms) as usize;
            self.held.drain(..self.held.len().saturating_sub(keep));
            self.mean = self.level();
        }
    }

    /// Forgets everything: another client speaks, or nobody.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    /// Fills `out` with interleaved samples, with silence where there are none.
    pub fn take(&mut self, out: &mut [i16]) {
        if !self.flows && samples(self.aim_ms) as usize <= self.held.len() {
            self.flows = true;
            self.mean = self.level();
        }
        if self.flows {
            self.mean += (self.level() - self.mean) >> MEAN_SHIFT;
        }
        let (pairs, _) = out.as_chunks_mut::<CHANNELS>();
        let count = u32::try_from(pairs.len()).unwrap_or(u32::MAX);
        for out in pairs {
            *out = self.next_sample();
        }
        if self.flows {
            self.grow_calm(count);
        }
    }

    fn next_sample(&mut self) -> Sample {
        if !self.flows {
            return [0; CHANNELS];
        }
        self.correction_in = self.correction_in.saturating_sub(1);
        if self.correction_in == 0 {
            self.correction_in = CORRECTION_SAMPLES;
            let aim = i64::from(samples(self.aim_ms)) << MEAN_SHIFT;
            let tolerance = TOLERANCE_SAMPLES << MEAN_SHIFT;
            if aim + tolerance < self.mean {
                // Two samples become their mean.
                if let (Some(one), Some(two)) = (self.held.pop_front(), self.held.front_mut()) {
                    *two = between(one, *two);
                }
            } else if self.mean < aim - tolerance
                && let (Some(one), Some(two)) = (self.held.front(), self.held.get(1))
            {
                let put_in = between(*one, *two);
                if let Some(first) = self.held.pop_front() {
                    self.held.push_front(put_in);
                    return first;
                }
            }
        }
        self.held.pop_front().unwrap_or_else(|| {
            self.flows = false;
            self.calm = 0;
            self.aim_ms = (self.aim_ms + DRY_STEP_MS).min(STORE_MS_MAX);
            [0; CHANNELS]
        })
    }

    fn grow_calm(&mut self, taken: u32) {
        self.calm = self.calm.saturating_add(taken);
        if samples(CALM_MS) <= self.calm {
            self.calm = 0;
            self.aim_ms = (self.aim_ms - 1).max(STORE_MS_MIN);
        }
    }

    fn level(&self) -> i64 {
        i64::try_from(self.held.len()).unwrap_or(i64::MAX >> MEAN_SHIFT) << MEAN_SHIFT
    }
}

fn between(one: Sample, two: Sample) -> Sample {
    std::array::from_fn(|channel| one[channel].midpoint(two[channel]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{FRAME_SAMPLES, FRAME_VALUES};

    /// A tone, so that a jump shows.
    fn tone(from: usize, count: usize) -> Vec<i16> {
        let phase = |at: usize| (at as f64 / 48.0 * std::f64::consts::TAU).sin() * 20_000.0;
        (from..from + count)
            .flat_map(|at| [phase(at) as i16; 2])
            .collect()
    }

    #[test]
    fn an_even_line_loses_nothing() {
        let mut microphone = Microphone::new();
        let mut heard = Vec::new();
        let mut out = [0; FRAME_VALUES];
        for frame in 0..100 {
            microphone.push(&tone(frame * FRAME_SAMPLES, FRAME_SAMPLES));
            microphone.take(&mut out);
            heard.extend_from_slice(&out);
        }
        let begin = heard.iter().position(|value| *value != 0).unwrap() / 2 - 1;
        assert_eq!(begin, 2 * FRAME_SAMPLES, "30 ms are stored first");
        let length = 100 * FRAME_SAMPLES - begin;
        assert_eq!(heard[2 * begin..], tone(0, length));
    }

    #[test]
    fn clocks_that_differ_do_not_meet_the_ends_of_the_store() {
        // A client that sends 500 ppm too much or too little, for ten minutes.
        for extra in [1_i64, -1] {
            let mut microphone = Microphone::new();
            let (mut sent, mut dry) = (0, 0);
            let mut out = [0; FRAME_VALUES];
            for frame in 0..60_000_usize {
                let count = if frame % 4 != 0 {
                    FRAME_SAMPLES
                } else {
                    FRAME_SAMPLES.strict_add_signed(extra as isize)
                };
                microphone.push(&tone(sent, count));
                sent += count;
                microphone.take(&mut out);
                dry += usize::from(300 < frame && !microphone.flows);
                let held = microphone.held.len();
                assert!(held < samples(60) as usize, "{held} after {frame} frames");
                // Neighbours of this tone differ by 2618, and by half as much more where one was left out.
                let (pairs, _) = out.as_chunks::<2>();
                let jump = pairs.windows(2).map(|two| two[0][0].abs_diff(two[1][0]));
                assert!(frame < 10 || jump.max().unwrap() < 4000, "frame {frame}");
            }
            assert_eq!(dry, 0);
        }
    }

    #[test]
    fn an_uneven_line_is_given_more_time_and_gets_it_back() {
        let mut microphone = Microphone::new();
        let (mut out, mut dry_late) = ([0; FRAME_VALUES], 0);
        for frame in 0..3000_usize {
            // Ten frames in one go, every 100 ms.
            if frame % 10 == 0 {
                microphone.push(&tone(frame * FRAME_SAMPLES, 10 * FRAME_SAMPLES));
            }
            microphone.take(&mut out);
            dry_late += usize::from(1000 < frame && !microphone.flows);
        }
        assert_eq!(dry_late, 0, "aim {} ms", microphone.aim_ms);
        let aim = microphone.aim_ms;
        for frame in 0..20_000_usize {
            microphone.push(&tone(frame * FRAME_SAMPLES, FRAME_SAMPLES));
            microphone.take(&mut out);
        }
        assert!(microphone.aim_ms < aim && microphone.held.len() < samples(60) as usize);
    }

    #[test]
    fn a_burst_is_cut_to_what_is_newest() {
        let mut microphone = Microphone::new();
        for burst in 0..1000_usize {
            microphone.push(&tone(burst, 4800));
            assert!(microphone.held.len() <= samples(HELD_MS_MAX) as usize);
        }
        let mut out = [0; FRAME_VALUES];
        for _ in 0..samples(HELD_MS_MAX) as usize / FRAME_SAMPLES + 1 {
            microphone.take(&mut out);
        }
        assert_eq!(out, [0; FRAME_VALUES], "silence when there is no more");
        microphone.push(&[1, 2, 3]);
        microphone.clear();
        assert!(microphone.held.is_empty());
    }
}
