//! The keyboard of a desktop, shared by its clients.
//!
//! **Keys.** X repeats keys by itself and clients repeat them too, so what is down already is not pressed again.
//!
//! **Locks.** A client says which lock lights its own keyboard shows ([`Keyboard::client_modifiers`]), and the lock
//! keys are pressed for it where the desktop's differ. Both sides answer each other, so three things keep them from
//! talking for ever:
//! - A lock key whose press has not shown in the lights yet is not pressed again for [`LOCK_ANSWER_TIMEOUT`].
//! - A lock key that somebody holds is left alone.
//! - spice-gtk answers each change of the desktop's lights with its own. Of two clients whose keyboards differ, each
//!   would undo the other's state without end. So [`SAY_TIME`] long nobody overrules the client that typed or was
//!   heeded last.

use super::held::{Held, Holder};
use super::scancode::{KeyAction, KeyEvent};
use crate::base::Micros;
use crate::ring::{InputRecord, Leds};

/// How long the lights may take to answer a lock key. The reference server waits twice as long.
pub const LOCK_ANSWER_TIMEOUT: Micros = Micros::from_secs(1);

/// How long the locks are those of the client that typed or was heeded last: longer than a round trip to any client.
pub const SAY_TIME: Micros = Micros::from_secs(2);

/// `KEY_CAPSLOCK`.
const KEY_CAPS_LOCK: u16 = 58;
/// `KEY_NUMLOCK`.
const KEY_NUM_LOCK: u16 = 69;
/// `KEY_SCROLLLOCK`.
const KEY_SCROLL_LOCK: u16 = 70;

/// Keys that are down, and the lock lights.
#[derive(Clone, Debug)]
pub struct Keyboard {
    held: Held,
    leds: Leds,
    locks: [Lock; 3],
    last_say: Option<(Holder, Micros)>,
}

#[derive(Clone, Copy, Debug)]
struct Lock {
    led: Leds,
    key: u16,
    /// The key was pressed, and its light has not changed since: until when to wait for that.
    unanswered_until: Option<Micros>,
}

impl Lock {
    const fn new(led: Leds, key: u16) -> Self {
        Self {
            led,
            key,
            unanswered_until: None,
        }
    }

    fn is_unanswered(&self, now: Micros) -> bool {
        self.unanswered_until.is_some_and(|until| now < until)
    }
}

impl Keyboard {
    /// A keyboard with nothing pressed.
    pub const fn new(leds: Leds) -> Self {
        Self {
            held: Held::new(),
            leds,
            locks: [
                Lock::new(Leds::SCROLL, KEY_SCROLL_LOCK),
                Lock::new(Leds::NUM, KEY_NUM_LOCK),
                Lock::new(Leds::CAPS, KEY_CAPS_LOCK),
            ],
            last_say: None,
        }
    }

    /// A client types.
    pub fn key(
        &mut self,
        now: Micros,
        holder: Holder,
        event: KeyEvent,
        records: &mut Vec<InputRecord>,
    ) {
        let code = event.code;
        if event.action != KeyAction::Release {
            self.last_say = Some((holder, now));
            if self.held.press(holder, code) {
                records.push(InputRecord::Key { code, down: true });
                self.expect_light(now, code, true);
            }
        }
        if event.action != KeyAction::Press && self.held.release(holder, code) {
            records.push(InputRecord::Key { code, down: false });
            self.expect_light(now, code, false);
        }
    }

    /// A client goes, and lets go of its keys.
    pub fn release_all(&mut self, holder: Holder, records: &mut Vec<InputRecord>) {
        let keys = self.held.release_all(holder);
        records.extend(keys.map(|code| InputRecord::Key { code, down: false }));
        self.last_say = self.last_say.filter(|(last, _)| *last != holder);
    }

    /// A client tells the lights of its own keyboard.
    pub fn client_modifiers(
        &mut self,
        now: Micros,
        holder: Holder,
        wanted: Leds,
        records: &mut Vec<InputRecord>,
    ) {
        let overruled = |(last, at): (Holder, Micros)| last != holder && now.since(at) < SAY_TIME;
        if self.last_say.is_some_and(overruled) {
            return;
        }
        let leds = self.leds;
        for lock in &mut self.locks {
            let agrees = wanted.contains(lock.led) == leds.contains(lock.led);
            if agrees || lock.is_unanswered(now) || self.held.is_down(lock.key) {
                continue;
            }
            let code = lock.key;
            records.push(InputRecord::Key { code, down: true });
            records.push(InputRecord::Key { code, down: false });
            lock.unanswered_until = Some(now + LOCK_ANSWER_TIMEOUT);
            self.last_say = Some((holder, now));
        }
    }

    /// The desktop's lights are these now. Whether they changed: then all clients are to be told.
    pub fn set_leds(&mut self, leds: Leds) -> bool {
        let before = std::mem::replace(&mut self.leds, leds);
        for lock in &mut self.locks {
            if before.contains(lock.led) != leds.contains(lock.led) {
                lock.unanswered_until = None;
            }
        }
        before != leds
    }

    /// The desktop's lights.
    pub const fn leds(&self) -> Leds {
        self.leds
    }

    /// Whether no key is down.
    pub fn is_at_rest(&self) -> bool {
        self.held.is_empty()
    }

    /// A lock's light changes when its key goes down, and some change back only when it goes up the second time.
    fn expect_light(&mut self, now: Micros, code: u16, down: bool) {
        for lock in &mut self.locks {
            if lock.key == code && (down || lock.unanswered_until.is_some()) {
                lock.unanswered_until = Some(now + LOCK_ANSWER_TIMEOUT);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const ANNA: Holder = Holder(1);
    const BERT: Holder = Holder(2);
    const DARK: Leds = Leds::from_bits(0);

    fn press(code: u16) -> KeyEvent {
        let action = KeyAction::Press;
        KeyEvent { code, action }
    }

    fn release(code: u16) -> KeyEvent {
        let action = KeyAction::Release;
        KeyEvent { code, action }
    }

    fn down(code: u16) -> InputRecord {
        InputRecord::Key { code, down: true }
    }

    fn up(code: u16) -> InputRecord {
        InputRecord::Key { code, down: false }
    }

    /// What the driver gets for the lights that `holder` tells at `now`.
    fn tell(keyboard: &mut Keyboard, now: Micros, holder: Holder, leds: Leds) -> Vec<InputRecord> {
        let mut records = Vec::new();
        keyboard.client_modifiers(now, holder, leds, &mut records);
        records
    }

    fn type_keys(
        keyboard: &mut Keyboard,
        now: Micros,
        events: &[(Holder, KeyEvent)],
    ) -> Vec<InputRecord> {
        let mut records = Vec::new();
        for (holder, event) in events {
            keyboard.key(now, *holder, *event, &mut records);
        }
        records
    }

    #[test]
    fn repeats_and_unknown_releases_are_dropped() {
        let mut keyboard = Keyboard::new(DARK);
        let tap = KeyEvent {
            code: 122,
            action: KeyAction::Tap,
        };
        let typed = [
            (ANNA, press(30)),
            (ANNA, press(30)),
            (BERT, press(30)),
            (BERT, release(31)),
            (ANNA, release(30)),
            (BERT, release(30)),
            (BERT, release(30)),
            (ANNA, tap),
            (ANNA, press(256)),
        ];
        let records = type_keys(&mut keyboard, Micros(0), &typed);
        assert_eq!(records, [down(30), up(30), down(122), up(122)]);
        assert!(keyboard.is_at_rest());
    }

    #[test]
    fn locks_follow_the_client_once_per_answer() {
        let mut keyboard = Keyboard::new(Leds::NUM);
        let wanted = Leds::CAPS;
        let both = [down(69), up(69), down(58), up(58)];
        assert_eq!(tell(&mut keyboard, Micros(5), ANNA, wanted), both);
        assert_eq!(tell(&mut keyboard, Micros(9), ANNA, wanted), []);
        assert!(keyboard.set_leds(DARK), "num lock answers first");
        assert!(!keyboard.set_leds(DARK));
        assert_eq!(tell(&mut keyboard, Micros(9), ANNA, wanted), []);
        let later = Micros(5) + LOCK_ANSWER_TIMEOUT;
        assert_eq!(tell(&mut keyboard, later, ANNA, wanted), [down(58), up(58)]);
        assert!(keyboard.set_leds(Leds::CAPS));
        assert_eq!(tell(&mut keyboard, later, ANNA, wanted), []);
        // An answer ends the waiting.
        assert_eq!(tell(&mut keyboard, later, ANNA, DARK), [down(58), up(58)]);
        assert!(keyboard.is_at_rest());
    }

    #[test]
    fn a_lock_key_that_is_typed_is_not_pressed_a_second_time() {
        let mut keyboard = Keyboard::new(DARK);
        let pressed = type_keys(&mut keyboard, Micros(0), &[(ANNA, press(58))]);
        assert_eq!(pressed, [down(58)]);
        // The client's lights changed, the desktop's have not yet; the key is held for long.
        let late = Micros(0) + LOCK_ANSWER_TIMEOUT + LOCK_ANSWER_TIMEOUT;
        assert_eq!(tell(&mut keyboard, late, ANNA, Leds::CAPS), []);
        type_keys(&mut keyboard, late, &[(ANNA, release(58))]);
        assert_eq!(tell(&mut keyboard, late, ANNA, Leds::CAPS), []);
        keyboard.set_leds(Leds::CAPS);
        assert_eq!(tell(&mut keyboard, late, ANNA, Leds::CAPS), []);
        // Other locks are not waited for.
        let wanted = Leds::from_bits(5);
        assert_eq!(tell(&mut keyboard, late, ANNA, wanted), [down(70), up(70)]);
    }

    #[test]
    fn clients_that_differ_do_not_fight_over_the_locks() {
        let mut keyboard = Keyboard::new(DARK);
        let (mut now, mut presses) = (Micros(0), 0);
        let lights = [(ANNA, Leds::CAPS), (BERT, DARK)];
        // Each change of the lights is answered by both, a round trip later, as spice-gtk does.
        let mut records = tell(&mut keyboard, now, ANNA, Leds::CAPS);
        for _ in 0..100 {
            presses += records.len() / 2;
            if records.len() % 4 == 2 {
                keyboard.set_leds(Leds::from_bits(u32::from(keyboard.leds().bits() ^ 4)));
            }
            now = now + Micros::from_millis(100);
            records = lights
                .iter()
                .flat_map(|(holder, leds)| tell(&mut keyboard, now, *holder, *leds))
                .collect();
            if records.is_empty() {
                break;
            }
        }
        assert_eq!((presses, keyboard.leds()), (1, Leds::CAPS));
        // Who comes back later is heeded, unless the other one is typing.
        let later = now + SAY_TIME;
        type_keys(
            &mut keyboard,
            later,
            &[(ANNA, press(30)), (ANNA, release(30))],
        );
        assert_eq!(tell(&mut keyboard, later, BERT, DARK), []);
        let later = later + SAY_TIME;
        assert_eq!(tell(&mut keyboard, later, BERT, DARK), [down(58), up(58)]);
        // Nor does one that has left overrule anybody.
        keyboard.set_leds(DARK);
        keyboard.release_all(BERT, &mut Vec::new());
        assert_eq!(tell(&mut keyboard, later, ANNA, Leds::NUM).len(), 2);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Key(u64, KeyEvent),
        Leave(u64),
        Modifiers(u64, u32),
        Lights(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        let code = prop_oneof![0u16..260, Just(58), Just(69), Just(70), 28u16..34];
        let action = prop_oneof![
            Just(KeyAction::Press),
            Just(KeyAction::Release),
            Just(KeyAction::Tap)
        ];
        let key = (code, action).prop_map(|(code, action)| KeyEvent { code, action });
        prop_oneof![
            8 => (0u64..5, key).prop_map(|(holder, key)| Step::Key(holder, key)),
            1 => (0u64..5).prop_map(Step::Leave),
            2 => (0u64..5, 0u32..8).prop_map(|(holder, leds)| Step::Modifiers(holder, leds)),
            1 => (0u32..8).prop_map(Step::Lights),
        ]
    }

    /// The driver's keyboard; a record that changes nothing is a fault.
    fn apply(driver: &mut BTreeSet<u16>, records: &[InputRecord]) {
        for record in records {
            let InputRecord::Key { code, down } = *record else {
                panic!("{record:?} is no key");
            };
            let changed = if down {
                driver.insert(code)
            } else {
                driver.remove(&code)
            };
            assert!(changed, "{record:?}");
        }
    }

    proptest! {
        #[test]
        fn the_driver_has_down_what_anybody_holds(
            steps in prop::collection::vec((step(), 0u64..700), 0..200),
        ) {
            let mut keyboard = Keyboard::new(DARK);
            let mut holders: [BTreeSet<u16>; 5] = Default::default();
            let (mut driver, mut now) = (BTreeSet::new(), Micros(0));
            for (step, wait_ms) in steps {
                now = now + Micros::from_millis(wait_ms);
                let mut records = Vec::new();
                match step {
                    Step::Key(holder, event) => {
                        keyboard.key(now, Holder(holder), event, &mut records);
                        let own = &mut holders[holder as usize];
                        match event.action {
                            KeyAction::Press if event.code < 256 => own.insert(event.code),
                            KeyAction::Press => false,
                            KeyAction::Release | KeyAction::Tap => own.remove(&event.code),
                        };
                    }
                    Step::Leave(holder) => {
                        keyboard.release_all(Holder(holder), &mut records);
                        holders[holder as usize].clear();
                    }
                    Step::Modifiers(holder, leds) => {
                        let leds = Leds::from_bits(leds);
                        keyboard.client_modifiers(now, Holder(holder), leds, &mut records);
                    }
                    Step::Lights(leds) => {
                        keyboard.set_leds(Leds::from_bits(leds));
                    }
                }
                apply(&mut driver, &records);
                let union: BTreeSet<u16> = holders.iter().flatten().copied().collect();
                prop_assert_eq!(&driver, &union);
                prop_assert_eq!(keyboard.is_at_rest(), union.is_empty());
            }
            for holder in 0..5 {
                let mut records = Vec::new();
                keyboard.release_all(Holder(holder), &mut records);
                apply(&mut driver, &records);
            }
            prop_assert!(driver.is_empty() && keyboard.is_at_rest());
        }
    }
}
