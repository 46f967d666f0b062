//! Captured sound, held to the session's clock.
//!
//! A daemon's seconds are not the clock's: a null sink of PulseAudio's rounds each of its pieces down to a microsecond
//! and so gives 22 millionths too much, 80 ms in an hour; PipeWire leaves out what its graph was late for. Clients play
//! all that they get, so that what they hold would grow or run dry, and stamps that count samples would part from
//! those of video. Here the earliest of the pieces of some seconds tell how far sound is ahead of the clock or behind
//! it: what is late now and then comes late because the machine was busy. By as much, samples are left out or put in.
//!
//! One sample at a time: a stretch of at most 10 ms is read a little faster or slower, between samples by a windowed
//! sinc, which is a sample itself where it begins and ends. So there is no click, treble stays as loud as it was, and
//! nothing waits for what comes next.

use std::borrow::Cow;
use std::f32::consts::PI;
use std::ops::Range;

use super::stamps::STAMP_ERROR_MAX;
use super::{CHANNELS, FRAME_SAMPLES, SAMPLE_RATE_HZ};
use crate::base::Micros;

/// Time whose earliest piece is looked for.
pub const DRIFT_WINDOW: Micros = Micros::from_secs(8);

/// How far sound may be from the clock before anything is done about it.
pub const DRIFT_TOLERANCE: Micros = Micros::from_millis(1);

/// What is further from the clock than this is not drift: sound was lost, time has gone on, and so have the stamps.
pub const DRIFT_MAX: Micros = STAMP_ERROR_MAX;

/// Samples between two corrections: half a thousandth, which is five times what clocks of sound cards differ by.
const CORRECTION_SAMPLES: u64 = 2000;

/// Samples that each new one is made of.
const TAPS: usize = 16;

/// Samples of the shortest stretch that is read faster or slower.
const STRETCH_SAMPLES_MIN: usize = 64;

const SAMPLE_BYTES: usize = CHANNELS * size_of::<i16>();

const WINDOW_SAMPLES: u64 = DRIFT_WINDOW.0 * SAMPLE_RATE_HZ as u64 / 1_000_000;

type Sample = [f32; CHANNELS];

/// What is known of a sound's drift.
#[derive(Debug, Default)]
pub struct Drift {
    measured: Option<Measured>,
}

#[derive(Debug)]
struct Measured {
    /// When the first piece came.
    began: Micros,
    /// Samples given on since.
    given: u64,
    /// How late the earliest piece was in the first window: where sound is held. In microseconds.
    held_at: Option<i64>,
    /// How late the earliest piece of this window was.
    earliest: i64,
    window_ends: u64,
    /// Samples to be left out, or put in where it is negative.
    excess: i64,
    next_correction: u64,
    /// Samples between two corrections, so that they are spread over a window.
    spacing: u64,
}

impl Drift {
    /// Nothing known.
    pub const fn new() -> Self {
        Self { measured: None }
    }

    /// No sound comes next: what comes later has nothing to do with what came.
    pub const fn forget(&mut self) {
        self.measured = None;
    }

    /// Takes the next piece, which came at `now`: interleaved 16-bit little-endian samples. Gives it as it is, or with
    /// one sample more or less.
    pub fn pass<'a>(&mut self, now: Micros, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let count = (bytes.len() / SAMPLE_BYTES) as u64;
        let measured = self.measured.get_or_insert_with(|| Measured::new(now));
        let change = measured.correction_due().filter(|_| can_change(bytes));
        let passed = match change {
            Some(change) => Cow::Owned(changed(bytes, change)),
            None => Cow::Borrowed(bytes),
        };
        measured.took(now, count, change);
        passed
    }
}

/// One sample more, or one less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    LeaveOut,
    PutIn,
}

impl Measured {
    const fn new(now: Micros) -> Self {
        Self {
            began: now,
            given: 0,
            held_at: None,
            earliest: i64::MAX,
            window_ends: WINDOW_SAMPLES,
            excess: 0,
            next_correction: 0,
            spacing: CORRECTION_SAMPLES,
        }
    }

    fn correction_due(&self) -> Option<Change> {
        if self.given < self.next_correction {
            return None;
        }
        match self.excess {
            0 => None,
            1.. => Some(Change::LeaveOut),
            _ => Some(Change::PutIn),
        }
    }

    /// Notes a piece of so many samples, of which one was changed.
    fn took(&mut self, now: Micros, count: u64, change: Option<Change>) {
        let count = match change {
            None => count,
            Some(Change::LeaveOut) => count.saturating_sub(1),
            Some(Change::PutIn) => count + 1,
        };
        self.given += count;
        if let Some(change) = change {
            self.excess -= if change == Change::LeaveOut { 1 } else { -1 };
            self.next_correction = self.given + self.spacing;
        }
        let sound_us = self.given.cast_signed() * 1_000_000 / i64::from(SAMPLE_RATE_HZ);
        let late = now.since(self.began).0.cast_signed() - sound_us;
        self.earliest = self.earliest.min(late);
        if self.window_ends <= self.given {
            self.judge();
            self.window_ends = self.given + WINDOW_SAMPLES;
            self.earliest = i64::MAX;
        }
    }

    /// A window has ended: what is to be done in the next.
    fn judge(&mut self) {
        let held_at = *self.held_at.get_or_insert(self.earliest);
        let late = self.earliest - held_at;
        self.excess = 0;
        if DRIFT_MAX.0 < late.unsigned_abs() {
            self.held_at = Some(self.earliest);
        } else if DRIFT_TOLERANCE.0 < late.unsigned_abs() {
            // Half of it: what is measured may be as old as a window, and all of it would swing.
            let samples = -late * i64::from(SAMPLE_RATE_HZ) / 2_000_000;
            let most = (WINDOW_SAMPLES / CORRECTION_SAMPLES).cast_signed();
            self.excess = samples.clamp(-most, most);
            self.spacing = WINDOW_SAMPLES / self.excess.unsigned_abs().max(1);
            self.next_correction = self.given;
        }
    }
}

/// Whether a piece is long enough.
const fn can_change(bytes: &[u8]) -> bool {
    TAPS + STRETCH_SAMPLES_MIN <= bytes.len() / SAMPLE_BYTES
}

/// The piece with one sample more or less.
fn changed(bytes: &[u8], change: Change) -> Vec<u8> {
    let stretch = stretch_of(bytes.len() / SAMPLE_BYTES);
    let length = stretch.len();
    let new_length = match change {
        Change::LeaveOut => length - 1,
        Change::PutIn => length + 1,
    };
    let bytes_before = stretch.start * SAMPLE_BYTES;
    let bytes_after = stretch.end * SAMPLE_BYTES;
    let around: Vec<Sample> = bytes[bytes_before - TAPS / 2 * SAMPLE_BYTES..]
        .chunks_exact(SAMPLE_BYTES)
        .take(length + TAPS)
        .map(sample)
        .collect();
    let mut changed = Vec::with_capacity(bytes.len() + SAMPLE_BYTES);
    changed.extend_from_slice(&bytes[..bytes_before]);
    for at in 0..new_length {
        let position = at * length;
        let (whole, part) = (position / new_length, position % new_length);
        let value = between(&around[whole..], part as f32 / new_length as f32);
        value
            .iter()
            .for_each(|value| changed.extend((value.round() as i16).to_le_bytes()));
    }
    changed.extend_from_slice(&bytes[bytes_after..]);
    changed
}

/// What of a piece of so many samples is read faster or slower: there are samples around it to read between.
fn stretch_of(count: usize) -> Range<usize> {
    let length = FRAME_SAMPLES.min(count - TAPS);
    TAPS / 2..TAPS / 2 + length
}

fn sample(bytes: &[u8]) -> Sample {
    let (values, _) = bytes.as_chunks::<2>();
    let mut sample = [0.0; CHANNELS];
    for (value, bytes) in sample.iter_mut().zip(values) {
        *value = i16::from_le_bytes(*bytes).into();
    }
    sample
}

/// The value at `part` of the way from the sample in the middle of the first [`TAPS`] to the next one.
fn between(around: &[Sample], part: f32) -> Sample {
    if part == 0.0 {
        return around[TAPS / 2];
    }
    let (mut sum, mut weights) = ([0.0; CHANNELS], 0.0);
    // sin(π (x - n)) differs from sin(π x) in its sign alone.
    let sine = (PI * part).sin();
    for (tap, sample) in around[1..=TAPS].iter().enumerate() {
        let distance = part + (TAPS / 2 - 1) as f32 - tap as f32;
        let window = (PI * distance / TAPS as f32).cos();
        let sign = if tap % 2 == TAPS / 2 % 2 { -1.0 } else { 1.0 };
        let weight = sign * sine / (PI * distance) * window * window;
        weights += weight;
        for (sum, value) in sum.iter_mut().zip(sample) {
            *sum += weight * value;
        }
    }
    sum.map(|sum| (sum / weights).clamp(i16::MIN.into(), i16::MAX.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{FRAME_BYTES, Stamps};
    use std::f64::consts::TAU;

    const HOUR_S: u64 = 3600;

    /// What a daemon gives whose clock differs, on a machine that is late, and what became of it.
    struct Daemon {
        ppm: i64,
        given: u64,
        seed: u32,
        held_until_us: u64,
        drift: Drift,
        passed: u64,
    }

    impl Daemon {
        fn new(ppm: i64) -> Self {
            Self {
                ppm,
                given: 0,
                seed: 1,
                held_until_us: 0,
                drift: Drift::new(),
                passed: 0,
            }
        }

        /// The next piece: when it came, and how many samples were given on.
        fn piece(&mut self, bytes: &[u8]) -> (Micros, usize) {
            self.given += (bytes.len() / SAMPLE_BYTES) as u64;
            let made_us = self.given * 1_000_000 / 48_000;
            let made_us =
                made_us.strict_add_signed(-self.ppm * (made_us / 1000).cast_signed() / 1000);
            self.seed = self
                .seed
                .wrapping_mul(1_664_525)
                .wrapping_add(1_013_904_223);
            let late_us = u64::from(self.seed >> 8) % 30_000;
            let second = made_us / 1_000_000;
            if second % 97 == 96 {
                // All of half a second at once.
                self.held_until_us = second * 1_000_000 + 500_000;
            }
            let at = Micros(5_000_000 + (made_us + late_us).max(self.held_until_us));
            let passed = self.drift.pass(at, bytes).len() / SAMPLE_BYTES;
            self.passed += passed as u64;
            (at, passed)
        }

        /// How far the sound that was given on is ahead of the clock's.
        fn ahead_us(&self) -> i64 {
            let made_us = self.given * 1_000_000 / 48_000;
            let slower = self.ppm * (made_us / 1000).cast_signed() / 1000;
            let passed_us = self.passed * 1_000_000 / 48_000;
            passed_us.cast_signed() - made_us.cast_signed() + slower
        }
    }

    #[test]
    fn an_hour_of_sound_is_an_hour_by_the_clock() {
        let bytes = vec![0; 2 * FRAME_BYTES];
        for ppm in [-100, 22, 100] {
            let mut daemon = Daemon::new(ppm);
            let mut stamps = Stamps::new();
            let (mut last, mut rest) = (None, 0);
            let mut worst = 0;
            while daemon.passed < HOUR_S * 48_000 {
                let count = 480 + (daemon.given % 7) as usize;
                let (at, passed) = daemon.piece(&bytes[..count * SAMPLE_BYTES]);
                worst = worst.max(daemon.ahead_us().abs());
                rest += passed;
                while FRAME_SAMPLES <= rest {
                    rest -= FRAME_SAMPLES;
                    let stamp = stamps.stamp(at, last.is_none());
                    assert!(last.is_none_or(|last| last + 10 == stamp), "{ppm}: {stamp}");
                    last = Some(stamp);
                }
            }
            assert!(worst < 5000, "{ppm}: {worst} us from the clock");
            // The stamps have counted on by 10 ms for each frame all the time, and so are as near to it.
            let stamped = u64::from(last.unwrap()) * 1000;
            let heard = 5_000_000 + daemon.passed * 1_000_000 / 48_000;
            assert!(
                stamped.abs_diff(heard) < 60_000,
                "{ppm}: {stamped} and {heard}"
            );
        }
    }

    #[test]
    fn a_daemon_that_keeps_to_the_clock_is_given_on_as_it_is() {
        let (mut drift, bytes) = (Drift::new(), vec![0; FRAME_BYTES]);
        for piece in 0..100_000_u64 {
            let late = [0, 900, 20_000, 500_000][piece as usize % 4];
            let passed = drift.pass(Micros(piece * 10_000 + late), &bytes);
            assert!(matches!(passed, Cow::Borrowed(_)), "piece {piece}");
        }
    }

    #[test]
    fn what_was_lost_is_made_up_for_slowly_and_only_when_it_is_little() {
        let given_more = |lost_ms: u64| {
            let (mut drift, mut more) = (Drift::new(), 0);
            let bytes = vec![0; 4 * FRAME_BYTES];
            for piece in 0..10_000_u64 {
                let lost = if 1000 < piece { lost_ms } else { 0 };
                let passed = drift.pass(Micros::from_millis(piece * 40 + lost), &bytes);
                more += (passed.len() - bytes.len()) / SAMPLE_BYTES;
            }
            more
        };
        // To within the tolerance.
        assert!((43 * 48 - 2 * 48..=43 * 48).contains(&given_more(43)));
        assert_eq!(given_more(300), 0);
    }

    fn tone(frequency_hz: f64, count: usize) -> Vec<u8> {
        let value = |at: usize| (TAU * frequency_hz * at as f64 / 48_000.0).sin() * 20_000.0;
        let values = (0..count).flat_map(|at| [value(at); 2]);
        values
            .flat_map(|value| (value.round() as i16).to_le_bytes())
            .collect()
    }

    /// The left channel.
    fn values(bytes: &[u8]) -> Vec<f64> {
        bytes
            .chunks_exact(4)
            .map(|bytes| f64::from(i16::from_le_bytes([bytes[0], bytes[1]])))
            .collect()
    }

    #[test]
    fn a_sample_less_or_more_is_not_heard() {
        for frequency in [100.0, 1012.5, 6000.0, 12_000.0, 16_000.0] {
            let before = tone(frequency, 2048);
            for (change, length) in [(Change::LeaveOut, 2047), (Change::PutIn, 2049)] {
                let after = values(&changed(&before, change));
                assert_eq!(after.len(), length);
                // Each sample is that of the same tone at the place that it stands for.
                let error = |at: usize, value: f64| {
                    let stretch = 480.0;
                    let new = stretch + length as f64 - 2048.0;
                    let inside = (at as f64 - 8.0).clamp(0.0, new);
                    let place = at as f64 + inside * (stretch / new - 1.0);
                    (value - 20_000.0 * (TAU * frequency * place / 48_000.0).sin()).abs()
                };
                let errors = after
                    .iter()
                    .enumerate()
                    .map(|(at, value)| error(at, *value));
                let worst = errors.fold(0.0, f64::max);
                assert!(
                    worst < 200.0,
                    "{frequency} Hz, {change:?}: {worst} of 20000"
                );
            }
        }
    }

    #[test]
    fn pieces_of_any_length_pass() {
        for length in 0..4 * (TAPS + STRETCH_SAMPLES_MIN + 2) {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 37) as u8).collect();
            let mut drift = Drift::new();
            let measured = drift.measured.insert(Measured::new(Micros(0)));
            measured.excess = 1;
            let passed = drift.pass(Micros(9), &bytes);
            let less = if can_change(&bytes) { 4 } else { 0 };
            assert_eq!(passed.len() + less, length);
        }
    }
}
