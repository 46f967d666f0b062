//! Since when nobody is there, and since when nobody has done anything: what a desktop's limits go by.

use crate::base::Micros;

use super::desktop::Session;

/// The last that was seen of people.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Presence {
    /// When the last client left; the server's start before there was one.
    left: Micros,
    /// When a key or button last went down, or a client came.
    used: Micros,
}

impl Presence {
    /// Somebody typed, clicked or came.
    pub(super) fn used(&mut self, now: Micros) {
        self.used = now;
    }

    /// Whole seconds since then.
    pub(super) fn idle_s(&self, now: Micros) -> u64 {
        now.since(self.used).0 / 1_000_000
    }
}

impl Session {
    /// A connection has been closed; it may have been the last of all.
    pub fn note_departure(&mut self, now: Micros) {
        if self.registry.clients().next().is_none() {
            self.presence.left = now;
        }
    }

    /// Whole seconds since a client was there.
    pub(super) fn without_clients_s(&self, now: Micros) -> u64 {
        match self.registry.clients().next() {
            Some(_) => 0,
            None => now.since(self.presence.left).0 / 1_000_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Access;
    use crate::base::Size;
    use crate::channel::Identity;
    use crate::wire::link::ChannelType;

    fn at(seconds: u64) -> Micros {
        Micros::from_secs(seconds)
    }

    #[test]
    fn seconds_count_from_the_last_client_and_the_last_deed() {
        let identity = Identity {
            name: "a".into(),
            uuid: [0; 16],
        };
        let mut session = Session::new(identity, Size::default());
        assert_eq!(session.without_clients_s(at(9)), 9, "since the start");
        let main = session
            .registry
            .admit(0, ChannelType::MAIN, 0, 7, Access::Full);
        let (_, key) = main.unwrap();
        session.note_departure(at(10));
        assert_eq!(session.without_clients_s(at(20)), 0, "one is there still");
        session.registry.remove(key);
        session.note_departure(at(30));
        assert_eq!(session.without_clients_s(at(34)), 4);
        session.presence.used(at(33));
        assert_eq!(session.status(at(40)).idle_s, 7);
    }
}
