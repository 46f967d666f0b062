//! When memory that was freed goes back to the system: in a rest after work, and not again and again. A desktop where
//! nothing happens has no timer of it.

use crate::base::Micros;

/// A rest: shorter than between two blinks of a cursor.
const REST: Micros = Micros::from_millis(300);

/// Between two times: what is given back has to be had again.
const PERIOD: Micros = Micros::from_secs(30);

/// What has been given back, and when.
#[derive(Debug, Default)]
pub(super) struct Tidiness {
    /// Nothing has happened since.
    is_tidy: bool,
    earliest: Micros,
    /// Something can be given back then, though nothing happens.
    again: Option<Micros>,
}

impl Tidiness {
    /// When to give memory back, should nothing happen until then.
    pub(super) fn due(&self, now: Micros) -> Option<Micros> {
        match self.is_tidy {
            true => self.again,
            false => Some(self.earliest.max(now + REST)),
        }
    }

    /// It is worth while then once more, or not before something has happened.
    pub(super) fn again(&mut self, at: Option<Micros>) {
        self.again = at.map(|at| at.max(self.earliest));
    }

    /// A rest is over. Whether memory is to be given back now, for it was `due` and nothing has happened.
    pub(super) fn rested(&mut self, now: Micros, due: Option<Micros>) -> bool {
        self.is_tidy = due.is_some_and(|due| due <= now);
        if self.is_tidy {
            self.earliest = now + PERIOD;
        }
        self.is_tidy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back_once_after_work_and_seldom() {
        let mut tidiness = Tidiness::default();
        let now = Micros::from_secs(100);
        let due = tidiness.due(now);
        assert_eq!(due, Some(now + REST));
        assert!(!tidiness.rested(now + Micros(1), due), "woken before");
        let due = tidiness.due(now);
        assert!(tidiness.rested(now + REST, due));
        assert_eq!(
            tidiness.due(now + REST),
            None,
            "no timer while nothing happens"
        );
        tidiness.again(Some(now + PERIOD + PERIOD));
        assert_eq!(tidiness.due(now), Some(now + PERIOD + PERIOD));
        tidiness.again(None);
        assert!(!tidiness.rested(now + REST, None), "something happens");
        assert_eq!(tidiness.due(now + REST), Some(now + REST + PERIOD));
    }
}
