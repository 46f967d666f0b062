//! What one display has done, counted for people: frames shown, time spent, and how soon a key is seen.
//!
//! Which pixels a key changed only its program knows. What counts as its answer is the first frame that was read behind
//! it, at the moment when something of it goes out; a key that changes nothing has none.

use crate::base::Micros;
use crate::metrics::Histogram;

/// A frame that comes later behind a key has another reason.
const ANSWER_MAX: Micros = Micros::from_secs(1);

/// What one display has done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Frames of which something was sent; those that came while another was sent are shown with it.
    pub(super) frames_shown: u64,
    /// Time spent on making what was sent, in microseconds.
    pub(super) encode_us: u64,
    /// From the last key that was answered to the first sending behind it, in microseconds.
    pub(super) key_to_frame_us: Option<u64>,
    /// All of those.
    pub(super) key_times: Histogram,
    key_since: Option<Micros>,
    /// A frame has been read of which nothing has been sent.
    frame_waits: bool,
    /// That frame was read behind the key.
    answers: bool,
}

impl Tally {
    /// The display's client has pressed a key. The first of several counts.
    pub(super) fn key(&mut self, now: Micros) {
        let is_stale = |since: Micros| ANSWER_MAX < now.since(since);
        if self.key_since.is_none_or(is_stale) {
            self.key_since = Some(now);
            self.answers = false;
        }
    }

    /// A frame was read.
    pub(super) const fn frame(&mut self) {
        self.frame_waits = true;
        self.answers = self.key_since.is_some();
    }

    /// Something of the newest frame was sent.
    pub(super) fn sent(&mut self, now: Micros) {
        self.frames_shown += u64::from(std::mem::take(&mut self.frame_waits));
        if std::mem::take(&mut self.answers)
            && let Some(since) = self.key_since.take()
        {
            let taken = now.since(since);
            if taken <= ANSWER_MAX {
                self.key_to_frame_us = Some(taken.0);
                self.key_times.add(taken.0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Micros {
        Micros::from_millis(ms)
    }

    #[test]
    fn a_frame_counts_once_and_only_when_sent() {
        let mut tally = Tally::default();
        tally.sent(at(0));
        assert_eq!(tally.frames_shown, 0);
        tally.frame();
        tally.frame();
        tally.sent(at(1));
        tally.sent(at(2));
        assert_eq!(tally.frames_shown, 1);
        tally.frame();
        tally.sent(at(3));
        assert_eq!(tally.frames_shown, 2);
        assert_eq!(tally.key_to_frame_us, None, "no key was pressed");
    }

    #[test]
    fn a_key_is_answered_by_the_first_frame_behind_it() {
        let mut tally = Tally::default();
        tally.frame();
        tally.key(at(10));
        tally.key(at(12));
        tally.sent(at(15));
        assert_eq!(tally.key_to_frame_us, None, "read before the key");
        tally.frame();
        tally.sent(at(18));
        tally.sent(at(30));
        assert_eq!(tally.key_to_frame_us, Some(8_000));
        assert_eq!(
            (tally.key_times.count(), tally.key_times.sum_us()),
            (1, 8_000)
        );
    }

    #[test]
    fn a_key_that_changed_nothing_is_forgotten() {
        let mut tally = Tally::default();
        tally.key(at(0));
        tally.frame();
        tally.sent(at(5000));
        assert_eq!(tally.key_to_frame_us, None);
        tally.key(at(6000));
        tally.key(at(9000));
        tally.frame();
        tally.sent(at(9004));
        assert_eq!(tally.key_to_frame_us, Some(4_000));
    }
}
