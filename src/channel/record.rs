//! The record channel of one client: its microphone, which it opens at our START and closes at our STOP.
//!
//! What comes before START or after STOP is read and thrown away: it was on its way already.

use super::outbox::Outbox;
use super::playback::Loudness;
use crate::audio::{CHANNELS, SAMPLE_RATE_HZ, SoundDecoder};
use crate::wire::caps::{self, Caps};
use crate::wire::playback::{AudioFormat, AudioMode};
use crate::wire::record::{ClientMessage, Mute, Start, Stop, Volume};
use crate::wire::{Message, WireError};

/// Why a message ends the connection; the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not a message.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// Sound in a way that was not offered.
    #[error("sound of mode {0:?} was not offered")]
    Mode(AudioMode),
}

/// The channel's state.
#[derive(Debug)]
pub struct RecordChannel {
    takes_volume: bool,
    decoder: Option<Box<dyn SoundDecoder>>,
    mode: AudioMode,
    wanted: bool,
    /// START was told, and no STOP since.
    started: bool,
    /// The client has said START_MARK since: what comes now is new.
    flows: bool,
    loudness: Option<Loudness>,
    /// What the client goes by: at first, that nothing is muted and volumes are its own.
    loudness_told: Loudness,
}

impl RecordChannel {
    /// The channel of a client with these capabilities; `decoder` when Opus was offered to it.
    pub fn new(client_caps: &Caps, decoder: Option<Box<dyn SoundDecoder>>) -> Self {
        Self {
            takes_volume: client_caps.has(caps::record::VOLUME),
            decoder,
            mode: AudioMode::RAW,
            wanted: false,
            started: false,
            flows: false,
            loudness: None,
            loudness_told: Loudness::untold(),
        }
    }

    /// Whether the microphone is to be open; [`transmit`](Self::transmit) tells the newest.
    pub const fn set_wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    /// Whether the microphone is to be open.
    pub const fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// How loud the client is to record from now on; only the newest is told.
    pub fn set_loudness(&mut self, loudness: Loudness) {
        self.loudness = Some(loudness);
    }

    /// Takes in a message of this channel; appends what it brings of sound that is wanted to `samples`.
    ///
    /// # Errors
    /// [`RecordError`] ends the connection.
    pub fn handle(
        &mut self,
        number: u16,
        body: &[u8],
        samples: &mut Vec<i16>,
    ) -> Result<(), RecordError> {
        match ClientMessage::decode(number, body)? {
            ClientMessage::Mode(mode) => {
                let offered = mode.mode == AudioMode::RAW
                    || (mode.mode == AudioMode::OPUS && self.decoder.is_some());
                if !offered {
                    return Err(RecordError::Mode(mode.mode));
                }
                self.mode = mode.mode;
            }
            ClientMessage::StartMark(_) => self.flows = self.started,
            ClientMessage::Data(data) if self.flows && self.wanted => {
                self.take(data.data, samples);
            }
            ClientMessage::Data(_) => {}
        }
        Ok(())
    }

    /// Sends what is to be told. To be polled when the socket can take bytes.
    pub fn transmit(&mut self, outbox: &mut Outbox) {
        if !outbox.takes_sound() {
            return;
        }
        if self.started != self.wanted {
            self.started = self.wanted;
            self.flows = false;
            if self.wanted {
                outbox.send(&Start {
                    channels: CHANNELS as u32,
                    format: AudioFormat::S16,
                    frequency: SAMPLE_RATE_HZ,
                });
            } else {
                outbox.send(&Stop {});
            }
        }
        if let Some(loudness) = self.loudness.take()
            && self.takes_volume
        {
            let mute = |mute| Mute { mute };
            loudness.tell::<{ Volume::TYPE }, _>(&mut self.loudness_told, mute, outbox);
        }
    }

    fn take(&mut self, data: &[u8], samples: &mut Vec<i16>) {
        match &mut self.decoder {
            // A packet that cannot be decoded is 10 ms of silence less; it is not worth the connection.
            Some(decoder) if self.mode == AudioMode::OPUS => {
                decoder.decode(data, samples);
            }
            _ => {
                let values = data.chunks_exact(2);
                samples.extend(values.map(|bytes| i16::from_le_bytes([bytes[0], bytes[1]])));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Micros;
    use crate::channel::Inbox;

    #[derive(Debug)]
    struct Doubler;

    impl SoundDecoder for Doubler {
        fn decode(&mut self, packet: &[u8], samples: &mut Vec<i16>) -> bool {
            samples.extend(packet.iter().map(|byte| 2 * i16::from(*byte)));
            true
        }
    }

    const MARK: u16 = 103;

    fn told(channel: &mut RecordChannel, outbox: &mut Outbox) -> Vec<u16> {
        channel.transmit(outbox);
        let (mut bytes, mut inbox) = (Vec::new(), Inbox::new(true, 64));
        outbox.take_into(&mut bytes);
        inbox.push(&bytes);
        std::iter::from_fn(|| inbox.next_message().unwrap().map(|(number, _)| number)).collect()
    }

    fn say(channel: &mut RecordChannel, number: u16, rest: &[u8]) -> Vec<i16> {
        let mut samples = Vec::new();
        let body = [&[0; 4], rest].concat();
        channel.handle(number, &body, &mut samples).unwrap();
        samples
    }

    #[test]
    fn sound_counts_between_start_mark_and_stop() {
        let decoder: Box<dyn SoundDecoder> = Box::new(Doubler);
        let mut channel = RecordChannel::new(&Caps::default(), Some(decoder));
        let mut outbox = Outbox::new(true, Micros(0));
        assert_eq!(told(&mut channel, &mut outbox), [3]);
        assert!(say(&mut channel, MARK, &[]).is_empty());
        assert!(say(&mut channel, 101, &[1, 2]).is_empty(), "nobody asked");
        channel.set_wanted(true);
        assert_eq!(told(&mut channel, &mut outbox), [101]);
        assert!(say(&mut channel, 101, &[1, 2]).is_empty(), "from before");
        say(&mut channel, 102, &[1, 0]);
        say(&mut channel, MARK, &[]);
        assert_eq!(say(&mut channel, 101, &[1, 2, 0xff, 0xff, 7]), [513, -1]);
        say(&mut channel, 102, &[3, 0]);
        assert_eq!(say(&mut channel, 101, &[1, 2]), [2, 4]);
        channel.set_wanted(false);
        assert!(say(&mut channel, 101, &[1, 2]).is_empty());
        assert_eq!(told(&mut channel, &mut outbox), [102]);
    }

    #[test]
    fn what_was_not_offered_ends_the_connection() {
        let mut channel = RecordChannel::new(&Caps::default(), None);
        let mut samples = Vec::new();
        for mode in [0_u8, 2, 3] {
            let result = channel.handle(102, &[0, 0, 0, 0, mode, 0], &mut samples);
            assert!(matches!(result, Err(RecordError::Mode(_))), "{mode}");
        }
        let result = channel.handle(104, &[], &mut samples);
        assert!(matches!(result, Err(RecordError::Wire(_))));
    }

    #[test]
    fn volume_is_told_to_who_takes_it() {
        let quiet = Loudness {
            volumes: vec![1],
            is_muted: true,
        };
        let mut outbox = Outbox::new(true, Micros(0));
        let mut channel = RecordChannel::new(&Caps::of(&[caps::record::VOLUME]), None);
        channel.set_loudness(quiet.clone());
        assert_eq!(told(&mut channel, &mut outbox), [3, 103, 104]);
        channel.set_loudness(quiet.clone());
        assert!(told(&mut channel, &mut outbox).is_empty());
        let mut old = RecordChannel::new(&Caps::default(), None);
        old.set_loudness(quiet);
        assert!(told(&mut old, &mut outbox).is_empty());
    }
}
