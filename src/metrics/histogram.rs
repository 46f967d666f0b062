//! How often something took how long.

/// Upper ends of the buckets, in microseconds: each twice the one before it, from what nobody feels to what everybody
/// does.
const BOUNDS_US: [u64; 11] = [
    1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 512_000, 1_024_000,
];

/// Times, counted in buckets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Histogram {
    counts: [u64; BOUNDS_US.len()],
    beyond: u64,
    sum_us: u64,
}

impl Histogram {
    /// Counts a time in microseconds.
    pub fn add(&mut self, us: u64) {
        let bucket = BOUNDS_US.iter().position(|bound| us <= *bound);
        match bucket.and_then(|bucket| self.counts.get_mut(bucket)) {
            Some(count) => *count += 1,
            None => self.beyond += 1,
        }
        self.sum_us = self.sum_us.saturating_add(us);
    }

    /// Counts what another has counted.
    pub fn merge(&mut self, other: &Self) {
        for (ours, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *ours += theirs;
        }
        self.beyond += other.beyond;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// Upper ends of the buckets in microseconds, with how many times lie below each.
    pub fn cumulative(&self) -> impl Iterator<Item = (u64, u64)> {
        let counts = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        BOUNDS_US.into_iter().zip(counts)
    }

    /// All that were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.beyond
    }

    /// The sum of all times in microseconds.
    pub const fn sum_us(&self) -> u64 {
        self.sum_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_is_counting_both() {
        let (mut one, mut other, mut both) = (
            Histogram::default(),
            Histogram::default(),
            Histogram::default(),
        );
        for us in [0, 1_000, 1_001, u64::MAX] {
            one.add(us);
            both.add(us);
        }
        for us in [64_000, 500] {
            other.add(us);
            both.add(us);
        }
        one.merge(&other);
        assert_eq!(one, both);
        assert_eq!(one.count(), 6);
        assert_eq!(one.sum_us(), u64::MAX);
        let ends: Vec<(u64, u64)> = one.cumulative().collect();
        assert_eq!((ends[0], ends[1]), ((1_000, 3), (2_000, 4)));
    }
}
