//! How much agent data is on its way at once.
//!
//! All channels of a client share its line. Content as fast as the socket takes it would put half a second of bytes in
//! front of every picture on a slow line; two windows of acknowledgements would carry 1 MB a second over 80 ms on any.
//! So a ping goes with the data, one at a time: as long as it comes back little later than it could, more is sent.

use crate::base::Micros;
use crate::channel::outbox::ACK_WINDOW;

/// Messages that may always be on their way: what the reference server allows.
pub(super) const WINDOW_MIN: u32 = 2 * ACK_WINDOW;

/// Messages that may be on their way at most: 2 MB.
pub(super) const WINDOW_MAX: u32 = 1024;

/// Pings that come back later by more than this say that data waits on the line.
const QUEUE_MAX: Micros = Micros::from_millis(10);

/// One client's window.
#[derive(Debug)]
pub(super) struct Flow {
    window: u32,
    /// It has not been too large yet.
    is_opening: bool,
    /// The ping that is on its way.
    fence: Option<u32>,
    shortest_rtt: Option<Micros>,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            window: WINDOW_MIN,
            is_opening: true,
            fence: None,
            shortest_rtt: None,
        }
    }
}

impl Flow {
    /// Messages that may be on their way.
    pub(super) const fn window(&self) -> u32 {
        self.window
    }

    pub(super) const fn wants_ping(&self) -> bool {
        self.fence.is_none()
    }

    pub(super) const fn pinged(&mut self, id: u32) {
        self.fence = Some(id);
    }

    /// A ping of this channel came back.
    pub(super) fn answered(&mut self, id: u32, rtt: Micros) {
        let shortest = self.shortest_rtt.map_or(rtt, |shortest| shortest.min(rtt));
        self.shortest_rtt = Some(shortest);
        if self.fence != Some(id) {
            return;
        }
        self.fence = None;
        if shortest + QUEUE_MAX < rtt {
            self.is_opening = false;
            self.window = (self.window - self.window / 4).max(WINDOW_MIN);
        } else {
            let more = if self.is_opening {
                self.window
            } else {
                self.window / 8
            };
            self.window = (self.window + more).min(WINDOW_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Window after `rounds` on a line that carries `rate` messages a second and needs `base` there and back.
    fn settled(rate: u64, base: Micros, rounds: u32) -> (u32, Micros) {
        let (mut flow, mut rtt) = (Flow::default(), base);
        for id in 0..rounds {
            assert!(flow.wants_ping());
            flow.pinged(id);
            flow.answered(id, rtt);
            rtt = base.max(Micros(u64::from(flow.window()) * 1_000_000 / rate));
        }
        (flow.window(), rtt)
    }

    #[test]
    fn a_line_is_filled_and_little_waits_on_it() {
        // 100 Mbit/s over 80 ms carry 490 messages at once.
        let (window, rtt) = settled(6100, Micros::from_millis(80), 40);
        assert!(450 < window, "{window}");
        assert!(rtt < Micros::from_millis(105), "{rtt:?}");
        // A slow line: no less than always.
        let (window, _) = settled(60, Micros::from_millis(50), 40);
        assert_eq!(window, WINDOW_MIN);
        let (window, _) = settled(10_000_000, Micros(100), 40);
        assert_eq!(window, WINDOW_MAX);
    }

    #[test]
    fn only_the_ping_among_the_data_counts() {
        let mut flow = Flow::default();
        flow.pinged(7);
        flow.answered(6, Micros(100));
        assert!(!flow.wants_ping());
        assert_eq!(flow.window(), WINDOW_MIN);
        flow.answered(7, Micros::from_millis(50));
        assert!(flow.wants_ping() && !flow.is_opening);
    }
}
