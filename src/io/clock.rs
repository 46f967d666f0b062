//! Time as the pure modules know it: since this process began to serve.

use std::time::{Duration, Instant};

use crate::base::Micros;

/// When time zero was. All of one process share one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(Instant);

impl Clock {
    /// It is zero now.
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// The time now.
    pub(super) fn now(self) -> Micros {
        Micros(u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// The moment of a time, for timers.
    pub(super) fn instant(self, at: Micros) -> tokio::time::Instant {
        (self.0 + Duration::from_micros(at.0)).into()
    }
}
