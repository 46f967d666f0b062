//! Who may knock, and how often: one address neither keeps others out nor tries passwords without end.
//!
//! A connection has a place here from its first byte to its ticket. Places are few, and whoever comes takes the place
//! of the oldest when they are all taken: who floods the door with silence shuts out himself. An address whose
//! passwords are wrong again and again is shut out for a time that grows. A right password makes good the wrong ones
//! for the same name, and no others: who has a password of his own could else try another's for ever. Connections of
//! this host have no address of their own ([`Source::of`] gives none): they share the places, and nothing else that
//! others of this host could use up for them.

use core::net::IpAddr;
use std::collections::{BTreeMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::base::Micros;
use crate::base::limits::{
    CONNECTIONS_BURST, CONNECTIONS_PER_S, FAILURES_BEFORE_SHUT, FAILURES_FORGOTTEN_AFTER,
    SHUT_AT_FIRST, SHUT_AT_MOST, SOURCES_MAX, UNAUTHENTICATED_MAX, UNAUTHENTICATED_PER_SOURCE_MAX,
};

/// Where a connection comes from, as far as limits go: an IPv4 address, or what IPv6 gives to one customer (a /64).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source([u8; 8]);

impl Source {
    /// The source of a remote address; none for this host's own.
    pub fn of(address: IpAddr) -> Option<Self> {
        let address = address.to_canonical();
        if address.is_loopback() {
            return None;
        }
        Some(Self(match address {
            IpAddr::V4(v4) => {
                // No /64 of IPv6 that is given out begins so.
                let [a, b, c, d] = v4.octets();
                [0, 0, 0xff, 0xff, a, b, c, d]
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                [a, b, c, d, e, f, g, h]
            }
        }))
    }
}

/// Whose password was tried, as far as it is told: the same number for the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried(u64);

impl Tried {
    /// A password for that name; all that come without one are for the same.
    pub fn of(name: Option<&str>) -> Self {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        Self(hasher.finish())
    }
}

/// The place of one connection that has not authenticated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(u64);

/// A connection got a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Knock {
    /// Its place.
    pub place: Place,
    /// Whose place was taken for it: that connection is to be closed.
    pub evicted: Option<Place>,
}

/// Why a connection is closed before its first byte; the doing of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Too many in too short a time.
    #[error("more than {CONNECTIONS_PER_S} connections a second from this address")]
    TooFast,
    /// Too many wrong passwords.
    #[error("too many wrong passwords from this address, shut out for {0} s more")]
    Shut(u64),
}

/// What is remembered of an address.
#[derive(Clone, Debug)]
struct Record {
    /// Connections that it may open at once.
    connections: u32,
    /// When those were last counted up.
    counted: Micros,
    failures: u32,
    /// How many of them were for whom; of the first few names only.
    failures_for: Vec<(Tried, u32)>,
    failed: Micros,
    shut_until: Micros,
    seen: Micros,
}

impl Record {
    const fn new(now: Micros) -> Self {
        Self {
            connections: CONNECTIONS_BURST,
            counted: now,
            failures: 0,
            failures_for: Vec::new(),
            failed: Micros(0),
            shut_until: Micros(0),
            seen: now,
        }
    }

    fn come_to(&mut self, now: Micros) {
        self.seen = now;
        let interval = 1_000_000 / u64::from(CONNECTIONS_PER_S);
        let more = now.since(self.counted).0 / interval;
        self.counted = self.counted + Micros(more * interval);
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        self.connections = self.connections.saturating_add(more).min(CONNECTIONS_BURST);
        if FAILURES_FORGOTTEN_AFTER <= now.since(self.failed) && self.shut_until <= now {
            self.failures = 0;
            self.failures_for.clear();
        }
    }

    fn fail(&mut self, now: Micros, tried: Tried) {
        self.failures = self.failures.saturating_add(1);
        self.failed = now;
        let known = self
            .failures_for
            .iter_mut()
            .find(|(name, _)| *name == tried);
        if let Some((_, count)) = known {
            *count = count.saturating_add(1);
        } else if self.failures_for.len() < FAILURES_BEFORE_SHUT as usize {
            self.failures_for.push((tried, 1));
        }
    }

    fn forgive(&mut self, tried: Tried) {
        let known = self
            .failures_for
            .iter()
            .position(|(name, _)| *name == tried);
        if let Some(index) = known {
            let (_, count) = self.failures_for.swap_remove(index);
            self.failures = self.failures.saturating_sub(count);
        }
    }

    fn is_shut(&self, now: Micros) -> bool {
        now < self.shut_until
    }
}

/// Watches over the connections that have not authenticated, and the addresses that they come from.
#[derive(Debug, Default)]
pub struct Doorkeeper {
    /// Oldest first.
    waiting: VecDeque<(Place, Option<Source>)>,
    sources: BTreeMap<Source, Record>,
    next: u64,
}

impl Doorkeeper {
    /// Nobody has come yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A connection has come; `source` is none for this host's own.
    ///
    /// # Errors
    /// [`Refusal`]: it is to be closed at once.
    pub fn knock(&mut self, now: Micros, source: Option<Source>) -> Result<Knock, Refusal> {
        if let Some(source) = source {
            let record = self.record(now, source);
            if record.is_shut(now) {
                let left = record.shut_until.since(now).0.div_ceil(1_000_000);
                return Err(Refusal::Shut(left));
            }
            record.connections = record.connections.checked_sub(1).ok_or(Refusal::TooFast)?;
        }
        let evicted = self.make_room(source);
        let place = Place(self.next);
        self.next += 1;
        self.waiting.push_back((place, source));
        Ok(Knock { place, evicted })
    }

    /// A connection has authenticated or ended.
    pub fn leave(&mut self, place: Place) {
        self.waiting.retain(|(waiting, _)| *waiting != place);
    }

    /// Whether the address has been shut out while this connection waited: its password counts for nothing.
    pub fn is_shut(&self, now: Micros, source: Option<Source>) -> bool {
        let record = source.and_then(|source| self.sources.get(&source));
        record.is_some_and(|record| record.is_shut(now))
    }

    /// A password was wrong. Returns for how long the address is shut out, if it is from now on.
    pub fn failed(&mut self, now: Micros, source: Option<Source>, tried: Tried) -> Option<Micros> {
        let record = self.record(now, source?);
        record.fail(now, tried);
        if !record.failures.is_multiple_of(FAILURES_BEFORE_SHUT) {
            return None;
        }
        let times = (record.failures / FAILURES_BEFORE_SHUT - 1).min(16);
        let time = Micros(SHUT_AT_FIRST.0 << times).min(SHUT_AT_MOST);
        record.shut_until = now + time;
        Some(time)
    }

    /// A password was right: the wrong ones before it for the same name are forgiven.
    pub fn succeeded(&mut self, source: Option<Source>, tried: Tried) {
        if let Some(record) = source.and_then(|source| self.sources.get_mut(&source)) {
            record.forgive(tried);
        }
    }

    fn record(&mut self, now: Micros, source: Source) -> &mut Record {
        if SOURCES_MAX <= self.sources.len() && !self.sources.contains_key(&source) {
            self.forget_one(now);
        }
        let record = self
            .sources
            .entry(source)
            .or_insert_with(|| Record::new(now));
        record.come_to(now);
        record
    }

    /// Forgets the address that has been away longest, but one that is shut out only when all are.
    fn forget_one(&mut self, now: Micros) {
        let oldest = self
            .sources
            .iter()
            .min_by_key(|(_, record)| (record.is_shut(now), record.seen))
            .map(|(source, _)| *source);
        if let Some(source) = oldest {
            self.sources.remove(&source);
        }
    }

    /// Takes a place from the oldest of an address that has too many, or of all.
    fn make_room(&mut self, source: Option<Source>) -> Option<Place> {
        let of_source = self.waiting.iter().filter(|(_, other)| *other == source);
        let crowded = source.is_some() && UNAUTHENTICATED_PER_SOURCE_MAX <= of_source.count();
        let index = if crowded {
            self.waiting.iter().position(|(_, other)| *other == source)
        } else if UNAUTHENTICATED_MAX <= self.waiting.len() {
            Some(0)
        } else {
            None
        };
        let (place, _) = self.waiting.remove(index?)?;
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source(last: u8) -> Option<Source> {
        Source::of(IpAddr::from([192, 0, 2, last]))
    }

    fn tried(name: &str) -> Tried {
        Tried::of(Some(name))
    }

    const S: Micros = Micros::from_secs(1);

    #[test]
    fn addresses_are_told_apart_as_they_are_given_out() {
        let of = |text: &str| Source::of(text.parse().unwrap());
        assert_eq!(of("127.0.0.9"), None);
        assert_eq!(of("::1"), None);
        assert_eq!(of("::ffff:127.0.0.1"), None);
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:0:1::5"), of("2001:db8:0:1:9::7"));
        assert_ne!(of("2001:db8:0:1::5"), of("2001:db8:0:2::5"));
    }

    #[test]
    fn five_wrong_passwords_shut_out_that_address_alone_and_longer_each_time() {
        let mut door = Doorkeeper::new();
        let mut now = S;
        let mut times = Vec::new();
        for _ in 0..30 {
            if let Some(time) = door.failed(now, source(1), tried("a")) {
                times.push(time);
                assert!(matches!(
                    door.knock(now, source(1)),
                    Err(Refusal::Shut(left)) if left == time.0 / 1_000_000
                ));
                assert!(door.is_shut(now, source(1)));
                assert!(!door.is_shut(now, source(2)) && !door.is_shut(now, None));
                assert!(door.knock(now, source(2)).is_ok());
                assert!(door.knock(now, None).is_ok());
                now = now + time;
                assert!(door.knock(now, source(1)).is_ok());
            }
        }
        assert_eq!(times.len(), 6);
        assert_eq!(times[..2], [SHUT_AT_FIRST, SHUT_AT_FIRST + SHUT_AT_FIRST]);
        assert!(times.is_sorted() && *times.last().unwrap() <= SHUT_AT_MOST);
    }

    #[test]
    fn a_right_password_and_time_make_good() {
        let mut door = Doorkeeper::new();
        for round in 0..10 {
            for _ in 1..FAILURES_BEFORE_SHUT {
                assert_eq!(door.failed(S, source(1), tried("a")), None, "round {round}");
            }
            door.succeeded(source(1), tried("a"));
        }
        for round in 0..10 {
            let now = Micros(FAILURES_FORGOTTEN_AFTER.0 * (round + 1));
            for _ in 1..FAILURES_BEFORE_SHUT {
                assert_eq!(
                    door.failed(now, source(1), tried("a")),
                    None,
                    "round {round}"
                );
            }
        }
        assert_eq!(door.failed(S, None, tried("a")), None, "this host's own");
    }

    #[test]
    fn a_right_password_of_ones_own_makes_no_guess_at_anothers_good() {
        let mut door = Doorkeeper::new();
        assert_ne!(Tried::of(None), tried(""));
        let mut shut = None;
        for _ in 0..FAILURES_BEFORE_SHUT {
            assert_eq!(shut, None);
            shut = door.failed(S, source(1), tried("other"));
            door.succeeded(source(1), tried("own"));
            door.succeeded(source(1), Tried::of(None));
        }
        assert_eq!(shut, Some(SHUT_AT_FIRST));
        // What was tried for more names than are remembered is not forgiven.
        let names = (0..100).map(|name| tried(&name.to_string()));
        let times: Vec<_> = names
            .filter_map(|name| {
                let shut = door.failed(S, source(2), name);
                door.succeeded(source(2), tried("own"));
                shut
            })
            .collect();
        assert_eq!(times.len(), 100 / FAILURES_BEFORE_SHUT as usize);
        let record = &door.sources[&source(2).unwrap()];
        assert!(record.failures_for.len() <= FAILURES_BEFORE_SHUT as usize);
        // One's own slips are made good, those of others stay.
        for _ in 1..FAILURES_BEFORE_SHUT {
            assert_eq!(door.failed(S, source(3), tried("own")), None);
        }
        door.succeeded(source(3), tried("own"));
        for _ in 1..FAILURES_BEFORE_SHUT {
            assert_eq!(door.failed(S, source(3), tried("other")), None);
        }
    }

    #[test]
    fn an_address_that_hurries_is_slowed_down_and_others_are_not() {
        let mut door = Doorkeeper::new();
        let mut taken = 0;
        for ms in 0..=10_000 {
            taken += u32::from(door.knock(Micros::from_millis(ms), source(1)).is_ok());
        }
        let fair = CONNECTIONS_BURST + 10 * CONNECTIONS_PER_S;
        assert!((fair - 1..=fair).contains(&taken), "{taken}");
        assert_eq!(
            door.knock(Micros::from_secs(10), source(1)),
            Err(Refusal::TooFast)
        );
        assert!(door.knock(Micros::from_secs(10), source(2)).is_ok());
        for _ in 0..1000 {
            assert!(door.knock(Micros::from_secs(10), None).is_ok());
        }
    }

    #[test]
    fn who_floods_the_door_takes_his_own_places() {
        let mut door = Doorkeeper::new();
        let good = door.knock(S, source(2)).unwrap().place;
        let mut own = VecDeque::new();
        for _ in 0..CONNECTIONS_BURST {
            let knock = door.knock(S, source(1)).unwrap();
            own.push_back(knock.place);
            if UNAUTHENTICATED_PER_SOURCE_MAX < own.len() {
                assert_eq!(knock.evicted, own.pop_front());
            }
            assert_ne!(knock.evicted, Some(good));
        }
    }

    proptest! {
        /// Whatever comes: places and memory are bounded, and each place is left or taken once.
        #[test]
        fn nothing_grows(steps in prop::collection::vec((0_u8..4, 0_u16..6000, 0_u64..2_000_000), 0..2000)) {
            let mut door = Doorkeeper::new();
            let (mut now, mut held) = (Micros(0), Vec::new());
            for (kind, from, time) in steps {
                now = now + Micros(time);
                let [high, low] = from.to_be_bytes();
                let source = (from % 7 != 0).then_some(Source([0, 0, 0, 0, 0, 0, high, low]));
                match kind {
                    0 | 1 => {
                        if let Ok(knock) = door.knock(now, source) {
                            if let Some(evicted) = knock.evicted {
                                let index = held.iter().position(|place| *place == evicted);
                                held.remove(index.expect("a place is taken from somebody who has one"));
                            }
                            held.push(knock.place);
                        }
                    }
                    2 => drop(door.failed(now, source, Tried::of(Some(&from.to_string())))),
                    _ => {
                        if !held.is_empty() {
                            door.leave(held.remove(usize::from(from) % held.len()));
                        }
                    }
                }
                prop_assert_eq!(door.waiting.len(), held.len());
                prop_assert!(held.len() <= UNAUTHENTICATED_MAX);
                prop_assert!(door.sources.len() <= SOURCES_MAX);
            }
        }
    }
}
