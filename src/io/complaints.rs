//! What is wrong with the driver is said once, and never more often than once a second.
//!
//! A driver that changes its screen without end would otherwise fill the log with lines that all say the same.

use crate::base::Micros;

/// Between two lines.
const INTERVAL: Micros = Micros::from_secs(1);

/// The complaints about one thing.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    last: Option<(Micros, String)>,
}

impl Complaints {
    /// Whether this is to be said now: it is not what was said last, and that was not just now.
    pub(super) fn admit(&mut self, now: Micros, text: &str) -> bool {
        let is_new = self
            .last
            .as_ref()
            .is_none_or(|(at, said)| INTERVAL <= now.since(*at) && said != text);
        if is_new {
            self.last = Some((now, text.to_owned()));
        }
        is_new
    }

    /// All is well: what was said may be said again.
    pub(super) fn settle(&mut self) {
        if let Some((_, said)) = &mut self.last {
            said.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_and_anything_once_a_second() {
        let mut complaints = Complaints::default();
        let mut said = 0;
        for ms in 0..10_000 {
            said += u32::from(complaints.admit(Micros::from_millis(ms), "same"));
        }
        assert_eq!(said, 1);
        for ms in 10_000..20_000 {
            complaints.settle();
            let text = if ms % 2 == 0 { "one" } else { "other" };
            said += u32::from(complaints.admit(Micros::from_millis(ms), text));
        }
        assert_eq!(said, 11);
    }
}
