//! The session with its bells, as `io::host` shares it among its tasks.

use std::collections::BTreeMap;

use caraway_server::base::{Micros, Size};
use caraway_server::channel::Identity;
use caraway_server::ring::InputRecord;
use caraway_server::session::{ChannelKey, Event, Session};

/// A connection's bell.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    pub(crate) rung: bool,
    pub(crate) closed: bool,
}

/// One server process.
#[derive(Debug)]
pub(crate) struct Host {
    session: Session,
    pub(crate) now: Micros,
    bells: BTreeMap<ChannelKey, Bell>,
    input: Vec<InputRecord>,
    /// A frame or input is there for the driver.
    pub(crate) driver_rung: bool,
    /// The agent has orders, or another deadline.
    pub(crate) agent_rung: bool,
    /// Who listens, or has a microphone, came or went.
    pub(crate) sound_rung: bool,
}

impl Host {
    pub(crate) fn new(now: Micros) -> Self {
        let identity = Identity {
            name: "model".to_owned(),
            uuid: [7; 16],
        };
        Self {
            session: Session::new(identity, Size::new(640, 480)),
            now,
            bells: BTreeMap::new(),
            input: Vec::new(),
            driver_rung: false,
            agent_rung: false,
            sound_rung: false,
        }
    }

    /// Calls the session and rings whoever has something to do then.
    pub(crate) fn with<R>(&mut self, call: impl FnOnce(&mut Session) -> R) -> R {
        let result = call(&mut self.session);
        let mut events = Vec::new();
        self.session.take_events(&mut events);
        let records = self.session.take_input();
        self.driver_rung |= !records.is_empty();
        self.input.extend(records);
        for event in events {
            match event {
                Event::Wake(key) => self.ring(key, false),
                Event::Close(key) => self.ring(key, true),
                Event::FrameWanted => self.driver_rung = true,
                Event::Agent => self.agent_rung = true,
                // Programs look at every turn, so they need no bell.
                Event::Folders | Event::FolderStream(_) | Event::Visits => {}
                Event::Sound => self.sound_rung = true,
            }
        }
        result
    }

    pub(crate) const fn session(&self) -> &Session {
        &self.session
    }

    pub(crate) fn take_input(&mut self) -> Vec<InputRecord> {
        std::mem::take(&mut self.input)
    }

    pub(crate) fn hang_bell(&mut self, key: ChannelKey) {
        self.bells.insert(key, Bell::default());
    }

    pub(crate) fn bell(&mut self, key: ChannelKey) -> &mut Bell {
        self.bells.get_mut(&key).expect("a bell for each channel")
    }

    /// The connection has ended.
    pub(crate) fn close(&mut self, key: ChannelKey) {
        self.bells.remove(&key);
        self.with(|session| session.close(key));
    }

    fn ring(&mut self, key: ChannelKey, close: bool) {
        if let Some(bell) = self.bells.get_mut(&key) {
            bell.rung = true;
            bell.closed |= close;
        }
    }
}
