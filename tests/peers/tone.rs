//! Tones to play, and what became of them.

use std::f64::consts::TAU;
use std::path::Path;

pub(crate) const RATE_HZ: usize = 48_000;

/// The tone of 1 kHz. Of exactly 1000 Hz a frame of 10 ms has ten whole periods, and nothing would show where one is
/// missing; of this, the phase jumps by an eighth.
pub(crate) const TONE_HZ: f64 = 1012.5;

/// Peak of the tones here: a quarter of what is possible.
pub(crate) const PEAK: f64 = 8192.0;

/// Samples of a block whose level is looked at: 50 ms.
const BLOCK_SAMPLES: usize = RATE_HZ / 20;

/// Samples of the shortest gap that counts, 5 ms: an ear hears less, but not much less.
const GAP_SAMPLES: usize = RATE_HZ / 200;

/// How far its frequency may be: a microphone's store that is too full or too empty is mended by a sample in a
/// thousand.
const PITCH_HZ: f64 = 1.5;

/// Samples at both ends of a sound that are not judged: players fade in and out.
const ENDS_SAMPLES: usize = RATE_HZ / 5;

/// Writes a sound file (WAV, stereo) with a tone.
pub(crate) fn write(path: &Path, frequency_hz: f64, seconds: f64) {
    let count = (seconds * RATE_HZ as f64) as usize;
    let data_bytes = u32::try_from(count * 4).unwrap();
    let rate = u32::try_from(RATE_HZ).unwrap();
    let mut file = Vec::new();
    file.extend(b"RIFF");
    file.extend((36 + data_bytes).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend([1, 0, 2, 0]);
    file.extend(rate.to_le_bytes());
    file.extend((rate * 4).to_le_bytes());
    file.extend([4, 0, 16, 0]);
    file.extend(b"data");
    file.extend(data_bytes.to_le_bytes());
    for at in 0..count {
        let value = (PEAK * (TAU * frequency_hz * at as f64 / RATE_HZ as f64).sin()) as i16;
        file.extend(value.to_le_bytes().repeat(2));
    }
    std::fs::write(path, file).unwrap();
}

/// The left channel of raw stereo samples.
pub(crate) fn left_of(bytes: &[u8]) -> Vec<f64> {
    let (samples, _) = bytes.as_chunks::<4>();
    let left = samples
        .iter()
        .map(|sample| i16::from_le_bytes([sample[0], sample[1]]));
    left.map(f64::from).collect()
}

/// What is heard of a tone.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Seconds from the first to the last of it.
    pub(crate) seconds: f64,
    /// Furthest that the level of a block is from `PEAK`, in dB.
    pub(crate) level_error_db: f64,
    /// Of the blocks' energy, the least part that is at the frequency.
    pub(crate) purity: f64,
    /// Seconds of gaps.
    pub(crate) gaps: f64,
    /// How far its frequency is from the one that was looked for: what half of the blocks are below.
    pub(crate) frequency_error_hz: f64,
}

impl Heard {
    /// Looks for a tone in samples.
    pub(crate) fn of(samples: &[f64], frequency_hz: f64) -> Self {
        let sounds = |value: &f64| PEAK / 20.0 < value.abs();
        let first = samples.iter().position(sounds).unwrap_or(samples.len());
        let last = samples.iter().rposition(sounds).map_or(first, |at| at + 1);
        let sound = &samples[first..last];
        let inside = ENDS_SAMPLES..sound.len().saturating_sub(ENDS_SAMPLES);
        let inside = sound.get(inside).unwrap_or_default();
        let (mut level_error_db, mut purity) = (0_f64, 1_f64);
        for block in inside.chunks_exact(BLOCK_SAMPLES) {
            let amplitude = goertzel(block, frequency_hz);
            let energy = block.iter().map(|value| value * value).sum::<f64>() / block.len() as f64;
            level_error_db = level_error_db.max((20.0 * (amplitude / PEAK).log10()).abs());
            purity = purity.min(amplitude * amplitude / 2.0 / energy.max(1e-9));
        }
        let silent = inside
            .chunks_exact(GAP_SAMPLES)
            .filter(|part| part.iter().all(|value| !sounds(value)));
        Self {
            seconds: sound.len() as f64 / RATE_HZ as f64,
            level_error_db,
            purity,
            gaps: (silent.count() * GAP_SAMPLES) as f64 / RATE_HZ as f64,
            frequency_error_hz: frequency_error_hz(inside, frequency_hz),
        }
    }

    /// Whether it is the tone that was played for that long.
    pub(crate) fn is_true(&self, seconds: f64) -> bool {
        let lasts = (self.seconds - seconds).abs() < 0.1;
        let is_pitched = self.frequency_error_hz.abs() < PITCH_HZ;
        lasts && is_pitched && self.level_error_db <= 0.5 && 0.98 < self.purity && self.gaps == 0.0
    }

    /// Whether it is as whole as what a recorder inside the desktop has heard at the same time.
    pub(crate) fn is_as_whole_as(&self, inside: &Self) -> bool {
        self.purity + 0.01 > inside.purity && self.gaps <= inside.gaps + 0.005
    }

    /// Panics where it is not the tone that was played for that long.
    pub(crate) fn expect(&self, seconds: f64, what: &str) {
        eprintln!("{what}: {self:?}");
        assert!(self.is_true(seconds), "{what}: {self:?}");
    }
}

/// How far a tone is from a frequency, by how much its phase is ahead from block to block.
fn frequency_error_hz(samples: &[f64], frequency_hz: f64) -> f64 {
    let step = TAU * frequency_hz / RATE_HZ as f64;
    let phases: Vec<f64> = samples
        .chunks_exact(BLOCK_SAMPLES)
        .enumerate()
        .map(|(block, samples)| {
            let (mut real, mut imaginary) = (0.0, 0.0);
            for (at, sample) in samples.iter().enumerate() {
                let (sine, cosine) = (step * (block * BLOCK_SAMPLES + at) as f64).sin_cos();
                (real, imaginary) = (real + sample * cosine, imaginary - sample * sine);
            }
            f64::atan2(imaginary, real)
        })
        .collect();
    let turned = |two: &[f64]| (two[1] - two[0] + TAU / 2.0).rem_euclid(TAU) - TAU / 2.0;
    let mut turned: Vec<f64> = phases.windows(2).map(turned).collect();
    turned.sort_by(f64::total_cmp);
    let median = turned.get(turned.len() / 2).copied().unwrap_or_default();
    median / TAU / (BLOCK_SAMPLES as f64 / RATE_HZ as f64)
}

/// Amplitude of one frequency.
fn goertzel(samples: &[f64], frequency_hz: f64) -> f64 {
    let step = TAU * frequency_hz / RATE_HZ as f64;
    let (mut one, mut two) = (0.0, 0.0);
    for sample in samples {
        (one, two) = (sample + 2.0 * step.cos() * one - two, one);
    }
    let power = one * one + two * two - 2.0 * step.cos() * one * two;
    2.0 * power.max(0.0).sqrt() / samples.len() as f64
}

/// Where `pattern` is found in `samples` between two places: the sample at which both go together best.
pub(crate) fn find(samples: &[f64], pattern: &[f64], from: usize, to: usize) -> usize {
    let likeness = |at: usize| -> f64 {
        let pairs = pattern.iter().zip(samples.get(at..).unwrap_or_default());
        pairs.map(|(one, two)| one * two).sum()
    };
    let places = (from..to.min(samples.len())).map(|at| (likeness(at), at));
    places
        .max_by(|one, two| one.0.total_cmp(&two.0))
        .map_or(from, |(_, at)| at)
}

#[test]
fn what_is_wrong_with_a_tone_is_found() {
    let tone = |frequency: f64, level: f64| {
        move |at: usize| level * PEAK * (TAU * frequency * at as f64 / RATE_HZ as f64).sin()
    };
    let good: Vec<f64> = (0..RATE_HZ * 2).map(tone(TONE_HZ, 1.0)).collect();
    Heard::of(&good, TONE_HZ).expect(2.0, "a tone");
    let judged = |samples: Vec<f64>| Heard::of(&samples, TONE_HZ);
    let quiet = judged((0..RATE_HZ * 2).map(tone(TONE_HZ, 0.9)).collect());
    assert!(0.5 < quiet.level_error_db, "{quiet:?}");
    let higher = judged((0..RATE_HZ * 2).map(tone(TONE_HZ + 2.0, 1.0)).collect());
    let error = higher.frequency_error_hz - 2.0;
    assert!(error.abs() < 0.01 && !higher.is_true(2.0), "{higher:?}");
    let other = judged((0..RATE_HZ * 2).map(tone(1042.5, 1.0)).collect());
    assert!(other.purity < 0.98, "{other:?}");
    // Half a block behind a block's beginning.
    let at = ENDS_SAMPLES + BLOCK_SAMPLES * 3 / 2;
    let shorter = judged([&good[..at], &good[at + RATE_HZ / 100..]].concat());
    assert!(shorter.purity < 0.98, "10 ms are missing: {shorter:?}");
    let mut torn = good;
    torn[RATE_HZ..RATE_HZ + 3 * GAP_SAMPLES].fill(0.0);
    let torn = judged(torn);
    assert!(0.0 < torn.gaps, "{torn:?}");
    assert!(judged(vec![0.0; RATE_HZ]).seconds == 0.0);
}
