//! The playback and record channels of a model client.

use caraway_server::base::Micros;
use caraway_server::wire::playback::{AudioFormat, AudioMode, ServerMessage};
use caraway_server::wire::record;

use super::stream::assert_same;

/// 10 ms as they arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) at: Micros,
    /// Stamp of the multimedia clock.
    pub(crate) time: u32,
    pub(crate) data: Vec<u8>,
}

/// What spice-gtk would stumble over is an assertion here.
#[derive(Debug, Default)]
pub(crate) struct PlaybackModel {
    pub(crate) mode: Option<AudioMode>,
    pub(crate) playing: bool,
    pub(crate) heard: Vec<Heard>,
    pub(crate) starts: usize,
    pub(crate) muted: bool,
    pub(crate) volumes: Option<Vec<u16>>,
    pub(crate) latency_ms: Option<u32>,
    newest: u32,
}

impl PlaybackModel {
    /// The channel is linked (again).
    pub(crate) fn relinked(&mut self) {
        (self.mode, self.playing, self.newest) = (None, false, 0);
    }

    pub(crate) fn hear(&mut self, now: Micros, number: u16, body: &[u8]) {
        let message = ServerMessage::decode(number, body).expect("a message of the channel");
        assert_same(&message, body);
        match message {
            ServerMessage::Mode(mode) => {
                assert!(!self.playing, "the decoder is made at START");
                self.mode = Some(mode.mode);
            }
            ServerMessage::Start(start) => {
                assert!(self.mode.is_some(), "MODE comes before START");
                assert!(!std::mem::replace(&mut self.playing, true), "one START");
                assert_eq!((start.channels, start.frequency), (2, 48_000));
                assert_eq!(start.format, AudioFormat::S16);
                assert!(self.newest <= start.time, "time does not go back");
                (self.newest, self.latency_ms) = (start.time, None);
                self.starts += 1;
            }
            ServerMessage::Data(data) => {
                assert!(self.playing, "sound comes between START and STOP");
                assert!(self.newest <= data.time, "time does not go back");
                self.newest = data.time;
                let data = data.data.to_vec();
                if self.mode == Some(AudioMode::RAW) {
                    assert_eq!(data.len(), 1920, "10 ms");
                }
                let time = self.newest;
                self.heard.push(Heard {
                    at: now,
                    time,
                    data,
                });
            }
            ServerMessage::Stop(_) => assert!(std::mem::replace(&mut self.playing, false)),
            ServerMessage::Mute(mute) => self.muted = mute.mute != 0,
            ServerMessage::Volume(volume) => {
                assert_eq!(volume.0.len(), 2);
                self.volumes = Some(volume.0);
            }
            ServerMessage::Latency(latency) => {
                assert!(self.playing, "START would make the client forget it");
                self.latency_ms = Some(latency.latency_ms);
            }
        }
    }
}

/// The microphone's lamp.
#[derive(Debug, Default)]
pub(crate) struct RecordModel {
    pub(crate) recording: bool,
    pub(crate) starts: usize,
}

impl RecordModel {
    pub(crate) fn hear(&mut self, number: u16, body: &[u8]) {
        let message =
            record::ServerMessage::decode(number, body).expect("a message of the channel");
        assert_same(&message, body);
        match message {
            record::ServerMessage::Start(start) => {
                assert!(!std::mem::replace(&mut self.recording, true), "one START");
                assert_eq!((start.channels, start.frequency), (2, 48_000));
                self.starts += 1;
            }
            record::ServerMessage::Stop(_) => {
                assert!(std::mem::replace(&mut self.recording, false));
            }
            record::ServerMessage::Volume(_) | record::ServerMessage::Mute(_) => {}
        }
    }
}
