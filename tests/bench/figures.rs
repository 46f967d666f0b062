//! What is measured of one load on one server, and the arithmetic of it.

use serde::{Deserialize, Serialize};

/// One line of the table.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Figures {
    pub(crate) load: String,
    pub(crate) server: String,
    /// Why there are no figures.
    pub(crate) failure: Option<String>,
    /// Frames that the application drew.
    pub(crate) drawn: u32,
    /// Of these, the ones whose number the viewer's window showed.
    pub(crate) shown: u32,
    /// Bytes from the server to the viewer until the picture was exact, over the frames shown.
    pub(crate) kb_per_frame: f64,
    /// CPU time of all processes of the server, the X server's drawing included, over the frames shown.
    pub(crate) cpu_ms_per_frame: f64,
    /// The same without what Xorg's dummy driver spends on drawing the same frames.
    pub(crate) net_cpu_ms_per_frame: f64,
    /// How long the application waits for X until it has drawn a frame, at the median. Where X waits for the server,
    /// this is delay too.
    pub(crate) x_p50_ms: f64,
    /// From the drawn frame (in X) to its number in the viewer's window.
    pub(crate) age_p50_ms: f64,
    pub(crate) age_p95_ms: f64,
    /// From the last frame (in X) to a window that equals the desktop in each pixel; `None` when it never did.
    pub(crate) exact_ms: Option<f64>,
    /// Of the moving image while it moves; `None` for loads without one. An exact image counts as `PSNR_MAX_DB`.
    pub(crate) psnr_db: Option<f64>,
}

/// Stands for a picture without any error.
pub(crate) const PSNR_MAX_DB: f64 = 99.0;

impl Figures {
    /// A line that says why it is empty.
    pub(crate) fn failed(load: &str, server: &str, failure: String) -> Self {
        Self {
            load: load.to_owned(),
            server: server.to_owned(),
            failure: Some(failure),
            drawn: 0,
            shown: 0,
            kb_per_frame: 0.0,
            cpu_ms_per_frame: 0.0,
            net_cpu_ms_per_frame: 0.0,
            x_p50_ms: 0.0,
            age_p50_ms: 0.0,
            age_p95_ms: 0.0,
            exact_ms: None,
            psnr_db: None,
        }
    }
}

/// The value that `percent` of all values do not exceed, by nearest rank. Panics when there are none.
pub(crate) fn percentile(values: &[f64], percent: f64) -> f64 {
    assert!(!values.is_empty(), "a percentile of nothing");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Peak signal to noise ratio in dB of two pictures of the same size, `0x00RRGGBB`, over all three colours.
pub(crate) fn psnr_db(shown: &[u32], drawn: &[u32]) -> f64 {
    assert_eq!(shown.len(), drawn.len(), "pictures of different sizes");
    let error = |one: u32, other: u32| -> u64 {
        let colour =
            |shift: u32| u64::from((one >> shift & 0xff).abs_diff(other >> shift & 0xff)).pow(2);
        colour(0) + colour(8) + colour(16)
    };
    let sum: u64 = shown
        .iter()
        .zip(drawn)
        .map(|(one, other)| error(*one, *other))
        .sum();
    if sum == 0 {
        return PSNR_MAX_DB;
    }
    let mean = sum as f64 / (3 * shown.len()) as f64;
    (10.0 * (255.0 * 255.0 / mean).log10()).min(PSNR_MAX_DB)
}

/// Pixels of two pictures in which a colour differs by more than `tolerance` levels.
pub(crate) fn differing(one: &[u32], other: &[u32], tolerance: u32) -> usize {
    let is_far = |one: u32, other: u32| {
        [0, 8, 16]
            .iter()
            .any(|shift| tolerance < (one >> shift & 0xff).abs_diff(other >> shift & 0xff))
    };
    one.iter()
        .zip(other)
        .filter(|(one, other)| is_far(**one, **other))
        .count()
}

/// A frame that the application drew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn {
    pub(crate) number: u32,
    /// When X had drawn it, or when its key was pressed.
    pub(crate) at_us: i64,
    /// How long X took for it.
    pub(crate) x_us: i64,
}

/// How much sooner than X began to draw a frame it may have been seen by the clock of another program, in us.
const CLOCK_MARGIN_US: i64 = 2000;

/// Ages in ms of the frames that were seen: frames as drawn, and pairs of number and time (us) as seen. X may have
/// shown one before it told the application so; a number seen before X began with it is torn out of two others.
pub(crate) fn ages_ms(drawn: &[Drawn], seen: &[(u32, i64)]) -> Vec<f64> {
    let age = |frame: &Drawn| {
        let begun_us = frame.at_us - frame.x_us - CLOCK_MARGIN_US;
        let is_it =
            |(number, seen_us): &&(u32, i64)| *number == frame.number && begun_us <= *seen_us;
        let (_, seen_us) = seen.iter().find(is_it)?;
        Some((seen_us - frame.at_us).max(0) as f64 / 1000.0)
    };
    drawn.iter().filter_map(age).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_by_nearest_rank() {
        let values: Vec<f64> = (1..=40).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 50.0), 20.0);
        assert_eq!(percentile(&values, 95.0), 38.0);
        assert_eq!(percentile(&[3.0], 95.0), 3.0);
        assert_eq!(percentile(&[3.0, 1.0, 2.0], 0.0), 1.0);
    }

    #[test]
    fn ratio_of_signal_and_noise() {
        assert_eq!(psnr_db(&[1, 2], &[1, 2]), PSNR_MAX_DB);
        // One grey level everywhere: 20 log10(255).
        let one_off = psnr_db(&[0x0001_0101; 9], &[0; 9]);
        assert!((one_off - 48.13).abs() < 0.01, "{one_off}");
        let worst = psnr_db(&[0x00ff_ffff], &[0]);
        assert!(worst.abs() < 1e-9, "{worst}");
    }

    #[test]
    fn pixels_differ_by_their_worst_colour() {
        assert_eq!(differing(&[0x0010_2030, 5], &[0x0010_2031, 5], 0), 1);
        assert_eq!(differing(&[0x0010_2030, 5], &[0x0050_2031, 5], 64), 0);
        assert_eq!(differing(&[0x0010_2030, 5], &[0x0051_2031, 5], 64), 1);
    }

    #[test]
    fn ages_of_the_frames_that_were_seen() {
        let drawn =
            [(1, 100_000), (2, 133_000), (3, 166_000), (4, 199_000)].map(|(number, at_us)| Drawn {
                number,
                at_us,
                x_us: 4000,
            });
        // 2 was skipped; 4 was misread long before it was drawn, and X was slow to tell of 3.
        let seen = [(4, 101_000), (1, 110_000), (3, 165_000), (4, 220_000)];
        assert_eq!(ages_ms(&drawn, &seen), [10.0, 0.0, 21.0]);
    }
}
