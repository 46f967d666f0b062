//! The order in which a desktop ends: the user's programs while they still have a screen, then the
//! server, then Xorg. Each is asked, waited for, and killed if it does not go.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::Part;

const ORDER: [Part; 3] = [Part::Session, Part::Server, Part::Xorg];

/// Time that a killed process has to be gone; one that the kernel cannot end is not waited for.
const KILL_DEADLINE: Duration = Duration::from_secs(2);

/// Time that is left to a part once the user asked a second time.
const HURRIED: Duration = Duration::from_millis(500);

/// Time that a part has to end by itself. The session itself gives its programs
/// `session::GRACE` and needs a while to kill the rest.
fn grace(part: Part) -> Duration {
    match part {
        Part::Session => Duration::from_secs(8),
        Part::Server => Duration::from_secs(2),
        Part::Xorg => Duration::from_secs(5),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Next,
    Asked { until: Duration },
    Killed { until: Duration },
}

/// A desktop that is ending.
#[derive(Debug)]
pub(super) struct Closing {
    /// Index in `ORDER` of the part that is being ended.
    current: usize,
    step: Step,
    hurried: bool,
}

impl Closing {
    pub(super) fn new() -> Self {
        Self {
            current: 0,
            step: Step::Next,
            hurried: false,
        }
    }

    /// Shortens all waits that are left.
    pub(super) fn hurry(&mut self, now: Duration) {
        self.hurried = true;
        if let Step::Asked { until } = &mut self.step {
            *until = (*until).min(now + HURRIED);
        }
    }

    /// Ends what is next of the `running` parts; gives the signals to send now.
    pub(super) fn go_on(&mut self, running: &[Part], now: Duration) -> Vec<(Part, Signal)> {
        let mut signals = Vec::new();
        while let Some(&part) = ORDER.get(self.current) {
            if !running.contains(&part) {
                self.current += 1;
                self.step = Step::Next;
                continue;
            }
            match self.step {
                Step::Next => {
                    let wait = if self.hurried { HURRIED } else { grace(part) };
                    self.step = Step::Asked { until: now + wait };
                    signals.push((part, Signal::SIGTERM));
                }
                Step::Asked { until } if until <= now => {
                    self.step = Step::Killed {
                        until: now + KILL_DEADLINE,
                    };
                    signals.push((part, Signal::SIGKILL));
                }
                Step::Killed { until } if until <= now => {
                    self.current += 1;
                    self.step = Step::Next;
                }
                Step::Asked { .. } | Step::Killed { .. } => return signals,
            }
        }
        signals
    }

    /// When `go_on` has to be called although nothing ended.
    pub(super) fn deadline(&self) -> Option<Duration> {
        match self.step {
            Step::Next => None,
            Step::Asked { until } | Step::Killed { until } => Some(until),
        }
    }

    /// Whether no part is waited for any more.
    pub(super) fn is_over(&self) -> bool {
        self.current == ORDER.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::client::STOP_DEADLINE;
    use crate::detach::systemd::PROPERTIES;
    use crate::session;
    use crate::start::STRAYS_GRACE;

    const ALL: [Part; 3] = [Part::Xorg, Part::Session, Part::Server];

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn parts_that_never_go_are_killed_and_then_given_up() {
        let mut closing = Closing::new();
        let mut now = at(0);
        for part in ORDER {
            assert_eq!(
                closing.go_on(&ALL, now).last(),
                Some(&(part, Signal::SIGTERM))
            );
            assert!(closing.go_on(&ALL, now).is_empty(), "asked once");
            now = closing.deadline().unwrap();
            assert_eq!(closing.go_on(&ALL, now), [(part, Signal::SIGKILL)]);
            now = closing.deadline().unwrap();
            assert!(!closing.is_over());
        }
        assert!(closing.go_on(&ALL, now).is_empty());
        assert!(closing.is_over());
        assert_eq!(closing.deadline(), None);
        assert_eq!(now, at(8 + 2 + 2 + 2 + 5 + 2));
    }

    /// The unit's timeout, beyond which systemd kills what is left.
    fn unit_timeout() -> Duration {
        let mut properties = PROPERTIES.iter();
        let seconds = properties.find_map(|one| one.strip_prefix("TimeoutStopSec="));
        at(seconds.unwrap().parse().unwrap())
    }

    #[test]
    fn the_slowest_end_is_within_the_units_timeout_and_what_stop_waits_for() {
        let parts: Duration = ORDER.into_iter().map(grace).sum();
        let killed = KILL_DEADLINE * u32::try_from(ORDER.len()).unwrap();
        let strays = STRAYS_GRACE + KILL_DEADLINE;
        let slowest = parts + killed + strays;
        assert!(
            slowest < STOP_DEADLINE && slowest < unit_timeout(),
            "{slowest:?}"
        );
        assert!(session::SLOWEST_END < grace(Part::Session));
    }

    #[test]
    fn a_second_wish_shortens_the_waits() {
        let mut closing = Closing::new();
        closing.go_on(&ALL, at(0));
        closing.hurry(at(1));
        assert_eq!(closing.deadline(), Some(at(1) + HURRIED));
        closing.go_on(&[Part::Xorg], at(1));
        assert_eq!(closing.deadline(), Some(at(1) + HURRIED));
    }
}
