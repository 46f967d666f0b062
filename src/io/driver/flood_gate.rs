//! Counts what the driver sends without being asked. Each such event costs a turn of the event loop, so a driver that
//! sends a million a second would take a whole processor; one that keeps the contract sends a few.

use std::time::{Duration, Instant};

use crate::base::limits;

const WINDOW: Duration = Duration::from_secs(1);

/// A counter over fixed windows.
#[derive(Debug)]
pub(super) struct FloodGate {
    start: Instant,
    count: u32,
}

impl FloodGate {
    /// An empty window that begins now.
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            start: now,
            count: 0,
        }
    }

    /// Counts one event; `false` when there were too many.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        if WINDOW <= now.saturating_duration_since(self.start) {
            *self = Self::new(now);
        }
        self.count = self.count.saturating_add(1);
        self.count <= limits::DRIVER_UNASKED_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_holds_per_second() {
        let start = Instant::now();
        let mut gate = FloodGate::new(start);
        for _ in 0..3 {
            let later = gate.start + WINDOW;
            assert!((0..limits::DRIVER_UNASKED_MAX).all(|_| gate.admit(later)));
            assert!(!gate.admit(later + WINDOW / 2));
        }
    }
}
