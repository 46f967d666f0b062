//! Between the driver's attachment and the session: records, frames and input.
//!
//! One task owns the attachment. It looks at the driver's memory whenever it was woken, lets the frame clock decide
//! and asks the driver for the next wake-up. With nothing to do, or nobody connected, it sleeps without a timer.

use std::convert::Infallible;
use std::rc::Rc;

use super::complaints::Complaints;
use super::driver::{Driver, DriverError, DriverEvent};
use super::host::Host;
use super::tidiness::Tidiness;
use super::turn;
use crate::base::Micros;
use crate::os::{FrameBuffer, memory};
use crate::ring::{
    Armed, Consumer, CursorError, CursorState, Mode, ModeError, Monitors, MonitorsError, Observed,
    Record, state,
};
use crate::session::frame_clock::FRAME_INTERVAL;
use crate::session::{Activity, FrameClock, Session, Step, WakeFor};

/// Records that are taken in one look; between two looks other tasks get their turn.
const DRAIN_BATCH: u32 = 16 * 1024;

/// What the driver is changing at the moment of a look is looked at again after this long.
const BUSY_RETRY: Micros = Micros::from_millis(2);

/// After a mode was set X places monitors and repaints windows before it is idle again; who looked earlier would show
/// an empty screen with the monitors of the one before. An X that is busy for longer is not waited for.
const MODE_SETTLE: Micros = Micros::from_millis(30);

/// Looks in a row that each found something new when they wanted to sleep. A driver that keeps changing what no frame
/// shows is looked at no more often than once a [`BUSY_RETRY`] then.
const RESTLESS_MAX: u32 = 16;

/// Serves an attachment to its end.
///
/// # Errors
/// [`DriverError`] says why it ended; that is the only way out.
pub async fn serve(host: &Rc<Host>, driver: Driver) -> Result<Infallible, DriverError> {
    let leds = state::leds(driver.memory());
    host.with(|session| session.set_leds(leds));
    host.open_input_door(driver.input_door());
    let mut screen = ScreenLoop::new(driver);
    let mut restless = 0;
    let mut tidiness = Tidiness::default();
    loop {
        // Before every look: what X draws without end must not keep keys waiting.
        if let Some(layout) = host.take_layout() {
            screen.driver.set_monitors(layout.heads(), layout.dpi())?;
        }
        screen.hand_over_input(host)?;
        let observed = Observed::now(screen.driver.memory());
        let (wake, until) = match host.with(|session| screen.look(session, host.now(), &observed)) {
            Look::Again => {
                tokio::task::yield_now().await;
                continue;
            }
            Look::Framed => {
                turn::pass().await;
                continue;
            }
            Look::Sleep { wake, until } => (wake, until),
        };
        let armed = match wake {
            WakeFor::Nothing => {
                screen.driver.disarm();
                Armed::Waiting
            }
            WakeFor::Record => screen.driver.arm_for_record(&observed),
            WakeFor::Idle => screen.driver.arm_for_idle(),
        };
        match armed {
            Armed::Waiting => {
                restless = 0;
                let now = host.now();
                let due = tidiness.due(now).filter(|_| until.is_none());
                screen.wait(host, until.or(due)).await?;
                if tidiness.rested(host.now(), due) {
                    tidiness.again(host.with(|session| session.tidy(host.now())));
                    memory::give_back();
                }
            }
            Armed::Changed if restless < RESTLESS_MAX => {
                restless += 1;
                tokio::task::yield_now().await;
            }
            Armed::Changed => {
                restless = 0;
                screen.wait(host, Some(host.now() + BUSY_RETRY)).await?;
            }
        }
    }
}

/// What a look found.
enum Look {
    /// More to do at once.
    Again,
    /// Clients have something to send: they are first.
    Framed,
    /// Nothing until then.
    Sleep {
        wake: WakeFor,
        until: Option<Micros>,
    },
}

struct ScreenLoop {
    driver: Driver,
    consumer: Consumer,
    clock: FrameClock,
    /// What was last followed, to be compared with what is observed.
    seen: Option<Observed>,
    mode: Option<Mode>,
    pixels: Option<FrameBuffer>,
    /// Somebody is connected, and the shadow is kept up to date.
    watched: bool,
    /// Something could not be read for the driver was changing it.
    busy: bool,
    /// The mode is not followed again before.
    mode_again: Micros,
    /// The mode is to be followed as soon as that.
    mode_stale: bool,
    /// The mode that was set last is shown then, or when X is idle.
    mode_settled: Micros,
    complaints: Complaints,
}

impl ScreenLoop {
    fn new(driver: Driver) -> Self {
        Self {
            consumer: Consumer::begin_at_end(driver.memory()),
            driver,
            clock: FrameClock::new(),
            seen: None,
            mode: None,
            pixels: None,
            watched: false,
            busy: false,
            mode_again: Micros(0),
            mode_stale: false,
            mode_settled: Micros(0),
            complaints: Complaints::default(),
        }
    }

    fn look(&mut self, session: &mut Session, now: Micros, observed: &Observed) -> Look {
        if !session.is_watched() {
            self.watched = false;
            return Look::Sleep {
                wake: WakeFor::Nothing,
                until: None,
            };
        }
        if !self.watched {
            // From here on; before that nobody read the ring.
            self.watched = true;
            self.seen = None;
            self.consumer = Consumer::begin_at_end(self.driver.memory());
            session.damage_all();
        }
        self.follow(session, now, observed);
        let drained = self.drain(session, now);
        if self.mode_stale {
            // Whatever was drawn since is in another mode, perhaps.
            return Look::Sleep {
                wake: WakeFor::Nothing,
                until: Some(self.mode_again),
            };
        }
        let Some(pixels) = &self.pixels else {
            let until = self.busy.then(|| now + BUSY_RETRY);
            return Look::Sleep {
                wake: WakeFor::Record,
                until,
            };
        };
        if drained.more {
            return Look::Again;
        }
        let activity = Activity {
            pending: session.is_touched(),
            idle: state::is_idle(self.driver.memory()),
            fresh: 0 < drained.records,
        };
        let step = if session.awaits_first_frame() {
            if now < self.mode_settled && !activity.idle {
                let until = Some(self.mode_settled);
                let wake = WakeFor::Idle;
                return Look::Sleep { wake, until };
            }
            Step::Frame
        } else {
            self.clock.step(now, activity, session.wants_frame(now))
        };
        match step {
            Step::Frame => {
                let memory = self.driver.memory();
                session.refresh(now, &self.consumer.pixels(memory, pixels));
                self.clock.framed(now);
                Look::Framed
            }
            Step::Wait { wake, until } if self.busy => {
                let retry = now + BUSY_RETRY;
                Look::Sleep {
                    wake,
                    until: Some(until.map_or(retry, |until| until.min(retry))),
                }
            }
            Step::Wait { wake, until } => Look::Sleep { wake, until },
        }
    }

    /// Reads what changed beside the ring.
    fn follow(&mut self, session: &mut Session, now: Micros, observed: &Observed) {
        let seen = self.seen.replace(*observed);
        self.busy = false;
        if self.pixels.is_none()
            || self.mode_stale
            || seen.is_none_or(|seen| observed.screen_differs(&seen))
        {
            self.follow_mode(session, now);
        }
        if seen.is_none_or(|seen| observed.cursor_differs(&seen)) {
            self.follow_cursor(session, now);
        }
        if self.busy {
            self.seen = None;
        }
    }

    /// Reads the mode, at most once a frame: a driver that sets it without end costs no more than one that draws.
    fn follow_mode(&mut self, session: &mut Session, now: Micros) {
        self.mode_stale = now < self.mode_again;
        if self.mode_stale {
            return;
        }
        let mode = match Mode::read(self.driver.memory()) {
            Ok(mode) => mode,
            Err(ModeError::Busy(_)) => {
                self.busy = true;
                return;
            }
            Err(error) => {
                self.mode_again = now + FRAME_INTERVAL;
                self.cannot_show(now, &error);
                return;
            }
        };
        self.mode_again = now + FRAME_INTERVAL;
        if self.pixels.is_none() || self.mode != Some(mode) {
            match self.driver.frame_buffer(&mode) {
                Ok(pixels) => self.pixels = pixels,
                Err(error) => self.cannot_show(now, &error),
            }
            if self.mode.replace(mode).is_some() {
                self.mode_settled = now + MODE_SETTLE;
            }
            session.set_mode(mode.size);
            session.damage_all();
        }
        match Monitors::read(self.driver.memory(), mode.size) {
            Ok(monitors) => {
                session.set_monitors(monitors);
                if self.pixels.is_some() {
                    self.complaints.settle();
                }
            }
            Err(MonitorsError::Busy(_)) => self.busy = true,
            Err(error) => {
                if self.complaints.admit(now, &error.to_string()) {
                    tracing::warn!(%error, "monitors stay as they are");
                }
            }
        }
    }

    fn cannot_show(&mut self, now: Micros, error: &dyn std::error::Error) {
        self.pixels = None;
        if self.complaints.admit(now, &error.to_string()) {
            tracing::error!(%error, "the driver's screen cannot be shown");
        }
    }

    fn follow_cursor(&mut self, session: &mut Session, now: Micros) {
        let memory = self.driver.memory();
        let followed = CursorState::read(memory).and_then(|cursor| {
            if session.set_cursor(&cursor)
                && let Some(image) = cursor.read_image(memory)?
            {
                session.set_cursor_image(&image);
            }
            Ok(())
        });
        match followed {
            Ok(()) => {}
            Err(CursorError::Busy(_) | CursorError::Changed) => self.busy = true,
            Err(error) => {
                if self.complaints.admit(now, &error.to_string()) {
                    tracing::warn!(%error, "the cursor stays as it is");
                }
            }
        }
    }

    fn drain(&mut self, session: &mut Session, now: Micros) -> crate::ring::Drained {
        let screen = self.mode.map(|mode| mode.size).unwrap_or_default();
        let (driver, mut mode_changed) = (&self.driver, false);
        let drained = self
            .consumer
            .drain(driver.memory(), screen, DRAIN_BATCH, &mut |record| {
                mode_changed |= record == Record::Mode;
                session.record(&record);
            });
        if drained.overrun {
            session.damage_all();
        }
        if drained.overrun || mode_changed {
            self.follow_mode(session, now);
        }
        drained
    }

    /// Sleeps until the driver, a client or the clock has something.
    async fn wait(&mut self, host: &Rc<Host>, until: Option<Micros>) -> Result<(), DriverError> {
        let until = until.map(|at| host.instant(at));
        tokio::select! {
            event = self.driver.next_event() => match event {
                DriverEvent::Wake | DriverEvent::InputTaken => {}
                DriverEvent::FrameBuffer => self.pixels = None,
                DriverEvent::Leds(leds) => host.with(|session| session.set_leds(leds)),
                DriverEvent::Gone(error) => return Err(error),
            },
            () = host.driver.notified() => {}
            () = super::connection::sleep_until(until) => {}
        }
        Ok(())
    }

    /// Gives the driver what clients typed, as much as it has room for.
    fn hand_over_input(&mut self, host: &Host) -> Result<(), DriverError> {
        loop {
            let records = host.take_input(self.driver.input_room());
            if records.is_empty() {
                return Ok(());
            }
            self.driver.send_input(&records)?;
        }
    }
}
