//! When to look at the screen: at once after a pause, then at the frame rate, never without a reason.
//!
//! ```text
//!            records              X served its clients, or GATHER_MAX
//!  Quiet ───────────▶ Gathering ─────────────────────────────────────▶ frame ─▶ Resting
//!    ▲                                                                            │ FRAME_INTERVAL over
//!    └────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Where nothing was drawn during the last rest nothing ends this one: the next record does, or shows that a timer is
//! wanted after all. Who types, or plays 30 frames a second, so has one wake-up for each frame, not two.
//!
//! While clients watch and none can take a frame, records are only collected, as often as frames would come (Dozing),
//! and the first client that can take one ends that.
//!
//! In Quiet the driver is asked to wake the server at the next record and no timer runs: an idle desktop costs
//! nothing. In Gathering it is asked to wake when X has nothing left to do, so that a frame holds whole drawings.

use crate::base::Micros;

/// Frames come at most this often: 60 a second.
pub const FRAME_INTERVAL: Micros = Micros(16_600);

/// A busy X server is not waited for longer than this.
pub const GATHER_MAX: Micros = Micros(3_000);

/// What the driver should wake the server for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WakeFor {
    /// Nothing: a timer or a client will.
    Nothing,
    /// The next record.
    Record,
    /// X out of client requests.
    Idle,
}

/// What the driver says when it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Activity {
    /// There are records that no frame has shown.
    pub pending: bool,
    /// X has served its clients since the last of them.
    pub idle: bool,
    /// Some of the records came since the last look.
    pub fresh: bool,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Read the screen and hand the frame to the clients, then call [`FrameClock::framed`].
    Frame,
    /// Ask the driver for a wake-up, and look again then or at the deadline.
    Wait {
        /// To be armed.
        wake: WakeFor,
        /// Look again at this moment at the latest.
        until: Option<Micros>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Quiet,
    Gathering {
        since: Micros,
    },
    /// `timed`: somebody drew already, or will by experience.
    Resting {
        until: Micros,
        timed: bool,
    },
    Dozing {
        until: Micros,
    },
}

/// The clock of one screen.
#[derive(Debug)]
pub struct FrameClock {
    state: State,
    /// Something was drawn during the last rest.
    goes_on: bool,
}

impl FrameClock {
    /// A clock at rest.
    pub const fn new() -> Self {
        Self {
            state: State::Quiet,
            goes_on: false,
        }
    }

    /// Decides, given what the driver says and whether a client could take a frame.
    pub fn step(&mut self, now: Micros, activity: Activity, wanted: bool) -> Step {
        if let State::Resting { until, timed } = self.state {
            if now < until {
                return self.rest(until, timed || activity.pending);
            }
            self.goes_on = timed && activity.pending;
            self.state = State::Quiet;
        }
        if !wanted {
            return self.doze(now, activity.fresh);
        }
        if !activity.pending {
            self.state = State::Quiet;
            return Step::Wait {
                wake: WakeFor::Record,
                until: None,
            };
        }
        let since = match self.state {
            State::Gathering { since } => since,
            _ => now,
        };
        let deadline = since + GATHER_MAX;
        if activity.idle || deadline <= now {
            return Step::Frame;
        }
        self.state = State::Gathering { since };
        Step::Wait {
            wake: WakeFor::Idle,
            until: Some(deadline),
        }
    }

    fn rest(&mut self, until: Micros, timed: bool) -> Step {
        self.state = State::Resting { until, timed };
        if timed {
            let (wake, until) = (WakeFor::Nothing, Some(until));
            return Step::Wait { wake, until };
        }
        Step::Wait {
            wake: WakeFor::Record,
            until: None,
        }
    }

    fn doze(&mut self, now: Micros, fresh: bool) -> Step {
        let until = match self.state {
            State::Dozing { until } if now < until => until,
            _ if fresh => now + FRAME_INTERVAL,
            _ => {
                self.state = State::Quiet;
                return Step::Wait {
                    wake: WakeFor::Record,
                    until: None,
                };
            }
        };
        self.state = State::Dozing { until };
        Step::Wait {
            wake: WakeFor::Nothing,
            until: Some(until),
        }
    }

    /// A frame was made at `now`.
    pub fn framed(&mut self, now: Micros) {
        self.state = State::Resting {
            until: now + FRAME_INTERVAL,
            timed: self.goes_on,
        };
    }
}

impl Default for FrameClock {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Activity = Activity {
        pending: true,
        idle: false,
        fresh: true,
    };
    const DONE: Activity = Activity {
        pending: true,
        idle: true,
        fresh: true,
    };
    const NOTHING: Activity = Activity {
        pending: false,
        idle: true,
        fresh: false,
    };

    #[test]
    fn a_lone_drawing_is_shown_at_once() {
        let mut clock = FrameClock::new();
        let quiet = Step::Wait {
            wake: WakeFor::Record,
            until: None,
        };
        assert_eq!(clock.step(Micros(0), NOTHING, true), quiet);
        assert_eq!(clock.step(Micros(900), DONE, true), Step::Frame);
        clock.framed(Micros(950));
        assert_eq!(clock.step(Micros(960), NOTHING, true), quiet, "no timer");
        assert_eq!(
            clock.step(Micros(950) + FRAME_INTERVAL, NOTHING, true),
            quiet
        );
    }

    #[test]
    fn what_is_drawn_during_a_rest_is_shown_at_its_end() {
        let mut clock = FrameClock::new();
        assert_eq!(clock.step(Micros(0), DONE, true), Step::Frame);
        clock.framed(Micros(0));
        let timer = Step::Wait {
            wake: WakeFor::Nothing,
            until: Some(FRAME_INTERVAL),
        };
        assert_eq!(clock.step(Micros(5), DONE, true), timer);
        assert_eq!(clock.step(FRAME_INTERVAL, DONE, true), Step::Frame);
        clock.framed(FRAME_INTERVAL);
        // It will go on so, probably: records need not wake anybody.
        let timer = Step::Wait {
            wake: WakeFor::Nothing,
            until: Some(FRAME_INTERVAL + FRAME_INTERVAL),
        };
        let later = FRAME_INTERVAL + Micros(1);
        assert_eq!(clock.step(later, NOTHING, true), timer);
        let over = FRAME_INTERVAL + FRAME_INTERVAL;
        let quiet = Step::Wait {
            wake: WakeFor::Record,
            until: None,
        };
        assert_eq!(clock.step(over, NOTHING, true), quiet, "it did not");
        assert_eq!(clock.step(over, DONE, true), Step::Frame);
        clock.framed(over);
        assert_eq!(clock.step(over + Micros(1), NOTHING, true), quiet);
    }

    #[test]
    fn a_busy_x_server_is_waited_for_but_not_long() {
        let mut clock = FrameClock::new();
        let wait = Step::Wait {
            wake: WakeFor::Idle,
            until: Some(Micros(100) + GATHER_MAX),
        };
        assert_eq!(clock.step(Micros(100), BUSY, true), wait);
        assert_eq!(clock.step(Micros(2000), BUSY, true), wait);
        assert_eq!(
            clock.step(Micros(100) + GATHER_MAX, BUSY, true),
            Step::Frame
        );
    }

    #[test]
    fn nothing_is_read_while_nobody_can_take_it() {
        let mut clock = FrameClock::new();
        let seen = Activity {
            fresh: false,
            ..DONE
        };
        let doze = Step::Wait {
            wake: WakeFor::Nothing,
            until: Some(FRAME_INTERVAL),
        };
        assert_eq!(clock.step(Micros(0), DONE, false), doze);
        assert_eq!(clock.step(Micros(9), DONE, false), doze);
        let quiet = Step::Wait {
            wake: WakeFor::Record,
            until: None,
        };
        assert_eq!(clock.step(FRAME_INTERVAL, seen, false), quiet);
        clock.step(FRAME_INTERVAL + Micros(1), DONE, false);
        assert_eq!(
            clock.step(FRAME_INTERVAL + Micros(2), seen, true),
            Step::Frame
        );
    }

    #[test]
    fn steady_drawing_gives_the_frame_rate() {
        let mut clock = FrameClock::new();
        let mut frames = 0;
        for tick in 0..10_000 {
            let now = Micros(tick * 100);
            if clock.step(now, DONE, true) == Step::Frame {
                clock.framed(now);
                frames += 1;
            }
        }
        assert!((59..=61).contains(&frames), "{frames} in a second");
    }
}
