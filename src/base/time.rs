//! Time as the pure part of the server knows it: microseconds since some fixed moment of the process.
//!
//! Whoever drives a state machine passes `now`; nothing below `io` reads a clock.

use std::ops::{Add, Sub};

/// A moment, or a span, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Micros(pub u64);

impl Micros {
    /// A span of `ms` milliseconds.
    pub const fn from_millis(ms: u64) -> Self {
        Self(ms * 1000)
    }

    /// A span of `s` seconds.
    pub const fn from_secs(s: u64) -> Self {
        Self(s * 1_000_000)
    }

    /// Whole milliseconds in it.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1000
    }

    /// The session's multimedia clock (`multi_media_time` of SPICE) at this moment: milliseconds that wrap as the
    /// protocol's 32 bits do, and are never 0, which clients take for a mistake.
    pub fn multimedia_time(self) -> u32 {
        u32::try_from(self.as_millis() & u64::from(u32::MAX))
            .unwrap_or(0)
            .max(1)
    }

    /// The span since `earlier`; zero when that lies ahead.
    pub const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Micros {
    type Output = Self;

    fn add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub for Micros {
    type Output = Self;

    fn sub(self, span: Self) -> Self {
        self.since(span)
    }
}
