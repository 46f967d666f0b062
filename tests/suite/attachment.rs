//! Between the model driver and the session: what `io::screen_loop` does, a look at a time.

use std::collections::{BTreeSet, VecDeque};

use caraway_server::base::{Micros, Size};
use caraway_server::ring::{
    Armed, Consumer, CursorError, CursorState, Drained, InputRecord, Leds, Mode, ModeError,
    Monitors, Observed, PlainMemory, Record, Wait, state, wake,
};
use caraway_server::session::{Activity, FrameClock, Session, Step, WakeFor};

use crate::host::Host;
use crate::producer::{Peer, Pixels, Producer};

const DRAIN_BATCH: u32 = 16 * 1024;
const BUSY_RETRY: Micros = Micros::from_millis(2);

/// X and the driver take this long from a lock key to its light.
const LIGHT_DELAY: Micros = Micros::from_millis(2);

const CAPS_LOCK: u16 = 58;
const NUM_LOCK: u16 = 69;
const SCROLL_LOCK: u16 = 70;

/// The devices at the driver's end of the input socket.
#[derive(Debug, Default)]
pub(crate) struct Devices {
    pub(crate) keys: BTreeSet<u16>,
    pub(crate) buttons: BTreeSet<u8>,
    pub(crate) leds: Leds,
    pub(crate) lock_presses: u32,
    /// Every record, in order.
    pub(crate) records: Vec<InputRecord>,
}

/// One server's attachment to the driver.
#[derive(Debug)]
pub(crate) struct Attachment {
    memory: PlainMemory,
    peer: Peer,
    live: Pixels,
    consumer: Consumer,
    clock: FrameClock,
    seen: Option<Observed>,
    mode: Option<Mode>,
    pixels: Option<Pixels>,
    watched: bool,
    busy: bool,
    asleep: bool,
    until: Option<Micros>,
    /// Lights that the driver tells, and when.
    lights: VecDeque<(Micros, Leds)>,
    /// Moments of the frames.
    pub(crate) frames: Vec<Micros>,
    pub(crate) looks: u64,
}

enum Look {
    Again,
    Sleep {
        wake: WakeFor,
        until: Option<Micros>,
    },
}

impl Attachment {
    pub(crate) fn new(host: &mut Host, producer: &Producer) -> Self {
        let memory = producer.memory();
        let leds = state::leds(&memory);
        host.with(|session| session.set_leds(leds));
        Self {
            consumer: Consumer::begin_at_end(&memory),
            memory,
            peer: producer.peer(),
            live: producer.pixels(),
            clock: FrameClock::new(),
            seen: None,
            mode: None,
            pixels: None,
            watched: false,
            busy: false,
            asleep: false,
            until: None,
            lights: VecDeque::new(),
            frames: Vec::new(),
            looks: 0,
        }
    }

    /// The next moment at which it wakes by itself.
    pub(crate) fn next_at(&self) -> Option<Micros> {
        let light = self.lights.front().map(|(at, _)| *at);
        [self.until, light].into_iter().flatten().min()
    }

    /// Whether a clock of its own runs.
    pub(crate) const fn has_timer(&self) -> bool {
        self.until.is_some()
    }

    /// The user turns lock lights on or off at the driver.
    pub(crate) fn tell_lights(&mut self, at: Micros, leds: Leds) {
        self.lights.push_back((at, leds));
    }

    /// One turn of the task. Whether there was anything to do.
    pub(crate) fn turn(
        &mut self,
        host: &mut Host,
        producer: &Producer,
        devices: &mut Devices,
    ) -> bool {
        let now = host.now;
        if self.asleep {
            let mut woken = self.peer.take_signals() != 0;
            woken |= std::mem::take(&mut host.driver_rung);
            woken |= self.until.is_some_and(|until| until <= now);
            if self.lights.front().is_some_and(|(at, _)| *at <= now) {
                let told = self.lights.pop_front();
                told.into_iter()
                    .for_each(|(_, leds)| host.with(|session| session.set_leds(leds)));
                woken = true;
            }
            if !woken {
                return false;
            }
            self.press(&host.take_input(), now, producer, devices);
            (self.asleep, self.until) = (false, None);
        }
        self.looks += 1;
        let observed = Observed::now(&self.memory);
        let look = host.with(|session| self.look(session, now, &observed));
        let Look::Sleep { wake, until } = look else {
            return true;
        };
        let armed = match wake {
            WakeFor::Nothing => {
                wake::disarm(&self.peer);
                Armed::Waiting
            }
            WakeFor::Record => wake::arm(&self.peer, Wait::Record, || {
                Observed::now(&self.memory) != observed
            }),
            WakeFor::Idle => wake::arm(&self.peer, Wait::Idle, || state::is_idle(&self.memory)),
        };
        if armed == Armed::Waiting {
            (self.asleep, self.until) = (true, until);
        }
        true
    }

    fn look(&mut self, session: &mut Session, now: Micros, observed: &Observed) -> Look {
        if !session.is_watched() {
            self.watched = false;
            let (wake, until) = (WakeFor::Nothing, None);
            return Look::Sleep { wake, until };
        }
        if !self.watched {
            self.watched = true;
            self.seen = None;
            self.consumer = Consumer::begin_at_end(&self.memory);
            session.damage_all();
        }
        self.follow(session, observed);
        let drained = self.drain(session);
        let Some(pixels) = &self.pixels else {
            let until = self.busy.then(|| now + BUSY_RETRY);
            let wake = WakeFor::Record;
            return Look::Sleep { wake, until };
        };
        if drained.more {
            return Look::Again;
        }
        let activity = Activity {
            pending: session.is_touched(),
            idle: state::is_idle(&self.memory),
            fresh: 0 < drained.records,
        };
        let step = if session.awaits_first_frame() {
            Step::Frame
        } else {
            self.clock.step(now, activity, session.wants_frame(now))
        };
        match step {
            Step::Frame => {
                session.refresh(now, &self.consumer.pixels(&self.memory, pixels));
                self.clock.framed(now);
                self.frames.push(now);
                Look::Again
            }
            Step::Wait { wake, until } => Look::Sleep { wake, until },
        }
    }

    fn follow(&mut self, session: &mut Session, observed: &Observed) {
        let seen = self.seen.replace(*observed);
        self.busy = false;
        if self.pixels.is_none() || seen.is_none_or(|seen| observed.screen_differs(&seen)) {
            self.follow_mode(session);
        }
        if seen.is_none_or(|seen| observed.cursor_differs(&seen)) {
            self.follow_cursor(session);
        }
        if self.busy {
            self.seen = None;
        }
    }

    fn follow_mode(&mut self, session: &mut Session) {
        let mode = match Mode::read(&self.memory) {
            Ok(mode) => mode,
            Err(ModeError::Busy(_)) => {
                self.busy = true;
                return;
            }
            Err(error) => unreachable!("the model sets good modes: {error}"),
        };
        if self.pixels.is_none() || self.mode != Some(mode) {
            self.pixels = Some(self.live.clone());
            self.mode = Some(mode);
            session.set_mode(mode.size);
            session.damage_all();
        }
        let monitors = Monitors::read(&self.memory, mode.size).expect("good monitors");
        session.set_monitors(monitors);
    }

    fn follow_cursor(&mut self, session: &mut Session) {
        let followed = CursorState::read(&self.memory).and_then(|cursor| {
            if session.set_cursor(&cursor)
                && let Some(image) = cursor.read_image(&self.memory)?
            {
                session.set_cursor_image(&image);
            }
            Ok(())
        });
        match followed {
            Ok(()) => {}
            Err(CursorError::Busy(_) | CursorError::Changed) => self.busy = true,
            Err(error) => unreachable!("the model has good cursors: {error}"),
        }
    }

    fn drain(&mut self, session: &mut Session) -> Drained {
        let screen = self.mode.map_or(Size::default(), |mode| mode.size);
        let mut mode_changed = false;
        let sink = &mut |record| {
            mode_changed |= record == Record::Mode;
            session.record(&record);
        };
        let drained = self.consumer.drain(&self.memory, screen, DRAIN_BATCH, sink);
        if drained.overrun {
            session.damage_all();
        }
        if drained.overrun || mode_changed {
            self.follow_mode(session);
        }
        drained
    }

    /// The driver posts input, and X turns lights on and off.
    fn press(
        &mut self,
        records: &[InputRecord],
        now: Micros,
        producer: &Producer,
        devices: &mut Devices,
    ) {
        devices.records.extend_from_slice(records);
        for record in records {
            match *record {
                InputRecord::Key { code, down: true } => {
                    assert!(devices.keys.insert(code), "key {code} was down already");
                    let led = match code {
                        CAPS_LOCK => Leds::CAPS,
                        NUM_LOCK => Leds::NUM,
                        SCROLL_LOCK => Leds::SCROLL,
                        _ => continue,
                    };
                    devices.lock_presses += 1;
                    let bits = u32::from(devices.leds.bits() ^ led.bits());
                    devices.leds = Leds::from_bits(bits);
                    producer.set_leds(devices.leds);
                    self.tell_lights(now + LIGHT_DELAY, devices.leds);
                }
                InputRecord::Key { code, down: false } => {
                    assert!(devices.keys.remove(&code), "key {code} was up already");
                }
                InputRecord::Button { button, down: true } => {
                    assert!(
                        devices.buttons.insert(button),
                        "{button} was pressed already"
                    );
                }
                InputRecord::Button {
                    button,
                    down: false,
                } => assert!(devices.buttons.remove(&button), "{button} was up already"),
                _ => {}
            }
        }
    }
}
