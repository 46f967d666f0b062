//! The desktop's programs: they play and record, use shared folders, and the agent orders something of them.

use super::Stage;
use crate::audio::RawOnly;
use crate::base::script::Script;
use crate::channel::AgentServices;
use crate::channel::playback::Loudness;
use crate::channel::webdav::Taken;

/// Bytes of content that the desktop takes.
const CLIPBOARD_BYTES: u32 = 10_000;

/// Orders that one call may leave: an order for each message of a batch.
const ORDERS_MAX: usize = 8192;

/// What the desktop offers beside its picture; `bits` say which of the agent.
pub(super) fn services(bits: u8) -> AgentServices {
    AgentServices {
        clipboard: bits & 1 == 0,
        clipboard_bytes_max: CLIPBOARD_BYTES,
        resize: bits & 2 == 0,
        uploads: bits & 4 == 0,
        volume_sync: bits & 8 == 0,
    }
}

impl Stage {
    /// Offers everything.
    pub(super) fn offer(&mut self) {
        self.session.serve_folders();
        self.session.offer_sound(Box::new(RawOnly));
        self.session.serve_agent(services(0));
    }

    /// One of them does something.
    pub(super) fn programs(&mut self, script: &mut Script<'_>) {
        match script.u8() % 10 {
            0 | 1 => {
                let sample = [script.u8(), script.u8()];
                let samples = sample.repeat(1 + 40 * usize::from(script.u8()));
                self.session.sound_played(self.now, &samples);
            }
            2 => self.session.sound_interrupted(),
            3 => self.session.sound_recorded_by(script.u8() & 1 == 0),
            4 => {
                let mut samples = vec![0; usize::from(script.u16())];
                self.session.take_microphone(&mut samples);
            }
            5 => {
                let folders: Vec<_> = self.session.folders().map(|(key, _)| key).collect();
                let folder = folders.get(usize::from(script.u8()) % folders.len().max(1));
                let stream = folder.and_then(|key| self.session.folder_connect(*key, self.now));
                self.streams.extend(stream);
            }
            6 | 7 => self.use_folder(script),
            8 => self.session.serve_agent(services(script.u8())),
            _ => {
                let loudness = Loudness {
                    volumes: vec![script.u16(); usize::from(script.u8() % 4)],
                    is_muted: script.u8() & 1 == 0,
                };
                self.session.set_loudness(loudness.clone());
                self.session.set_microphone_loudness(loudness);
            }
        }
    }

    fn use_folder(&mut self, script: &mut Script<'_>) {
        let index = usize::from(script.u8()) % self.streams.len().max(1);
        let Some(stream) = self.streams.get(index).copied() else {
            return;
        };
        match script.u8() % 4 {
            0 => match self.session.folder_room(stream) {
                Some(room) => {
                    let bytes = vec![script.u8(); room.min(usize::from(script.u16()))];
                    self.session.folder_give(stream, &bytes);
                }
                None => drop(self.streams.remove(index)),
            },
            1 | 2 => {
                if self.session.folder_take(stream, self.now) == Taken::Ended {
                    self.session.folder_end(stream);
                    self.streams.remove(index);
                }
            }
            _ => {
                self.session.folder_end(stream);
                self.streams.remove(index);
            }
        }
    }

    /// What was ordered is taken, and time passes for the agent.
    pub(super) fn obey(&mut self) {
        if self
            .session
            .agent_deadline()
            .is_some_and(|at| at <= self.now)
        {
            self.session.agent_poll(self.now);
        }
        let mut orders = Vec::new();
        self.session.take_orders(&mut orders);
        assert!(orders.len() <= ORDERS_MAX, "{} orders", orders.len());
        self.session.take_volume_sync(true);
    }

    /// Nothing is left for programs of clients that have gone.
    pub(super) fn nothing_is_shared(&mut self) {
        for stream in std::mem::take(&mut self.streams) {
            assert_eq!(self.session.folder_take(stream, self.now), Taken::Ended);
        }
        assert_eq!(self.session.folders().count(), 0);
        assert!(!self.session.is_listened_to() && !self.session.has_microphone());
    }
}
