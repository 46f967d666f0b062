//! The sound side of a session: what the desktop plays goes to every client, one client's microphone to the desktop.
//!
//! Whoever is attached to the sound daemon calls [`sound_played`](Session::sound_played) with what programs play,
//! [`sound_recorded_by`](Session::sound_recorded_by) when they begin and end to record, and
//! [`take_microphone`](Session::take_microphone) for what they are to get. [`Event::Sound`] tells it to look at
//! [`is_listened_to`](Session::is_listened_to) again.
//!
//! All clients hear the same, so it is encoded once; a second time, softer, for those that cannot be told the volume.
//! The microphone is that of one client: the one that has been connected longest of those that have one. Who comes
//! later does not take over a call that is going on.

use std::sync::Arc;

use super::channel::{Channel, Role};
use super::desktop::{Event, Session};
use super::registry::ChannelKey;
use crate::audio::{
    Drift, FRAME_VALUES, Frame, FrameAssembler, Gain, Microphone, Passage, RawOnly, SilenceGate,
    SoundCodecs, SoundEncoder, Stamps,
};
use crate::base::ClientId;
use crate::base::Micros;
use crate::channel::playback::{Loudness, Packet, PlaybackChannel};
use crate::channel::record::RecordChannel;
use crate::wire::caps::Caps;
use crate::wire::link::ChannelType;
use crate::wire::main::MultiMediaTime;
use crate::wire::playback::AudioMode;

/// The sound of one desktop.
#[derive(Debug)]
pub(super) struct SoundSide {
    codecs: Box<dyn SoundCodecs>,
    encoder: Option<Box<dyn SoundEncoder>>,
    /// For clients that cannot be told the volume.
    softer_encoder: Option<Box<dyn SoundEncoder>>,
    /// What those get; nothing while it is what all get.
    gain: Option<Gain>,
    drift: Drift,
    assembler: FrameAssembler,
    gate: SilenceGate,
    stamps: Stamps,
    microphone: Microphone,
    /// Programs of the desktop record.
    recorded: bool,
    loudness: Option<Loudness>,
    microphone_loudness: Option<Loudness>,
}

impl SoundSide {
    pub(super) fn new() -> Self {
        Self {
            codecs: Box::new(RawOnly),
            encoder: None,
            softer_encoder: None,
            gain: None,
            drift: Drift::new(),
            assembler: FrameAssembler::new(),
            gate: SilenceGate::new(),
            stamps: Stamps::new(),
            microphone: Microphone::new(),
            recorded: false,
            loudness: None,
            microphone_loudness: None,
        }
    }

    /// The playback channel of a client that was linked just now.
    pub(super) fn playback(&self, caps: &Caps) -> PlaybackChannel {
        let mut playback = PlaybackChannel::new(caps, self.encoder.is_some());
        if let Some(loudness) = &self.loudness {
            playback.set_loudness(loudness.clone());
        }
        playback
    }

    /// The record channel of a client that was linked just now.
    pub(super) fn record(&self, caps: &Caps) -> RecordChannel {
        let mut record = RecordChannel::new(caps, self.codecs.decoder());
        if let Some(loudness) = &self.microphone_loudness {
            record.set_loudness(loudness.clone());
        }
        record
    }

    /// A client's microphone has brought something.
    pub(super) fn heard(&mut self, samples: &[i16]) {
        self.microphone.push(samples);
    }
}

impl Session {
    /// Offers sound to clients, both ways; `codecs` are those that this machine has.
    pub fn offer_sound(&mut self, codecs: Box<dyn SoundCodecs>) {
        self.registry.serve(ChannelType::PLAYBACK);
        self.registry.serve(ChannelType::RECORD);
        self.sound.encoder = codecs.encoder();
        self.sound.softer_encoder = codecs.encoder();
        self.sound.codecs = codecs;
    }

    /// Whether clients may send their microphone as Opus.
    pub fn decodes_opus(&self) -> bool {
        self.sound.codecs.decoder().is_some()
    }

    /// Whether any client would hear what is played.
    pub fn is_listened_to(&self) -> bool {
        let listens = |channel: &Channel| matches!(channel.role, Role::Playback(_));
        self.channels.values().any(listens)
    }

    /// Whether a sound is going on, which [`sound_interrupted`](Self::sound_interrupted) would end.
    pub const fn is_sounding(&self) -> bool {
        self.sound.gate.is_sounding()
    }

    /// What programs have played up to `now`: interleaved 16-bit little-endian samples, 48 kHz stereo.
    pub fn sound_played(&mut self, now: Micros, bytes: &[u8]) {
        let mut assembler = std::mem::take(&mut self.sound.assembler);
        let bytes = self.sound.drift.pass(now, bytes);
        assembler.push(&bytes, |frame| self.frame_played(now, frame));
        self.sound.assembler = assembler;
    }

    /// Nothing comes any more for now: programs are quiet, or the daemon is gone.
    pub fn sound_interrupted(&mut self) {
        self.sound.drift.forget();
        self.sound.assembler.clear();
        if self.sound.gate.end() {
            self.end_sound();
        }
    }

    /// Whether programs of the desktop record.
    pub fn sound_recorded_by(&mut self, programs: bool) {
        self.sound.recorded = programs;
        self.choose_microphone();
    }

    /// Whether a client's microphone is open.
    pub fn has_microphone(&self) -> bool {
        self.channels
            .values()
            .any(|channel| matches!(&channel.role, Role::Record(record) if record.is_wanted()))
    }

    /// Fills `samples` with what programs that record are to get next: silence where no client has a microphone.
    pub fn take_microphone(&mut self, samples: &mut [i16]) {
        self.sound.microphone.take(samples);
    }

    /// How loud the desktop's sound is to be played. What [`sound_played`](Self::sound_played) is given is as loud as
    /// if this was full: it is told to clients that keep to it, and in the samples of the others.
    pub fn set_loudness(&mut self, loudness: Loudness) {
        self.sound.gain = Gain::of(&loudness.volumes);
        for (key, channel) in &mut self.channels {
            if let Role::Playback(playback) = &mut channel.role {
                playback.set_loudness(loudness.clone());
                self.events.push(Event::Wake(*key));
            }
        }
        self.sound.loudness = Some(loudness);
    }

    /// How loud the desktop's microphone is to be recorded, for clients that keep to it.
    pub fn set_microphone_loudness(&mut self, loudness: Loudness) {
        for (key, channel) in &mut self.channels {
            if let Role::Record(record) = &mut channel.role {
                record.set_loudness(loudness.clone());
                self.events.push(Event::Wake(*key));
            }
        }
        self.sound.microphone_loudness = Some(loudness);
    }

    /// A channel of sound has come or gone.
    pub(super) fn sound_channels_changed(&mut self) {
        self.events.push(Event::Sound);
        self.choose_microphone();
    }

    /// A client's playback has stopped, and with it what set the client's clock: sets it right again.
    pub(super) fn tell_time(&mut self, client: ClientId, now: Micros) {
        let of_client = |channel: &&mut Channel| channel.client == client;
        let is_main = |channel: &&mut Channel| matches!(channel.role, Role::Main(_));
        let mut channels = self.channels.iter_mut();
        let main = channels.find(|(_, channel)| of_client(channel) && is_main(channel));
        if let Some((key, main)) = main
            && !main.outbox.is_full()
        {
            main.outbox.send(&MultiMediaTime {
                time: now.multimedia_time(),
            });
            self.events.push(Event::Wake(*key));
        }
    }

    fn frame_played(&mut self, now: Micros, frame: &Frame) {
        // Daemons differ in whether a muted sink's samples are silent.
        let muted = self.sound.loudness.as_ref();
        let frame = match muted.is_some_and(|loudness| loudness.is_muted) {
            true => &[0; FRAME_VALUES],
            false => frame,
        };
        let passage = self.sound.gate.pass(frame);
        let begins = passage == Passage::Begins;
        match passage {
            Passage::Silence => return,
            Passage::Ends => return self.end_sound(),
            Passage::Begins | Passage::Sounds => {}
        }
        let time = self.sound.stamps.stamp(now, begins);
        let SoundSide {
            encoder,
            softer_encoder,
            gain,
            ..
        } = &mut self.sound;
        if begins {
            encoder.iter_mut().for_each(|encoder| encoder.reset());
            softer_encoder
                .iter_mut()
                .for_each(|encoder| encoder.reset());
        }
        let mut told = Rendering::new(encoder.as_deref_mut(), *frame);
        let mut untold =
            gain.map(|gain| Rendering::new(softer_encoder.as_deref_mut(), gain.of_frame(frame)));
        for (key, channel) in &mut self.channels {
            let Role::Playback(playback) = &mut channel.role else {
                continue;
            };
            let rendering = match &mut untold {
                Some(softer) if !playback.keeps_volume() => softer,
                _ => &mut told,
            };
            if let Some(data) = rendering.packet(playback.mode()) {
                playback.push(now, Packet { time, data });
                self.events.push(Event::Wake(*key));
            }
        }
    }

    fn end_sound(&mut self) {
        for (key, channel) in &mut self.channels {
            if let Role::Playback(playback) = &mut channel.role {
                playback.end();
                self.events.push(Event::Wake(*key));
            }
        }
    }

    /// Opens the microphone of the client that has been there longest, if programs record, and closes all others.
    fn choose_microphone(&mut self) {
        let had = self.speaker();
        let with_microphone = self
            .channels
            .iter()
            .filter(|(_, channel)| matches!(channel.role, Role::Record(_)))
            .map(|(key, channel)| (channel.client, *key));
        let chosen = with_microphone.min().filter(|_| self.sound.recorded);
        let chosen = chosen.map(|(_, key)| key);
        for (key, channel) in &mut self.channels {
            if let Role::Record(record) = &mut channel.role
                && record.is_wanted() != (Some(*key) == chosen)
            {
                record.set_wanted(Some(*key) == chosen);
                self.events.push(Event::Wake(*key));
            }
        }
        if had != chosen || !self.sound.recorded {
            self.sound.microphone.clear();
        }
    }

    /// The channel whose microphone is open.
    fn speaker(&self) -> Option<ChannelKey> {
        let speaks =
            |channel: &Channel| matches!(&channel.role, Role::Record(record) if record.is_wanted());
        let mut channels = self.channels.iter();
        channels
            .find(|(_, channel)| speaks(channel))
            .map(|(key, _)| *key)
    }
}

/// A frame as packets for clients, each made when the first client needs it.
struct Rendering<'a> {
    encoder: Option<&'a mut (dyn SoundEncoder + 'static)>,
    frame: Frame,
    /// Tried once: none where the encoder fails, and clients are 10 ms short.
    opus: Option<Option<Arc<[u8]>>>,
    raw: Option<Arc<[u8]>>,
}

impl<'a> Rendering<'a> {
    const fn new(encoder: Option<&'a mut (dyn SoundEncoder + 'static)>, frame: Frame) -> Self {
        Self {
            encoder,
            frame,
            opus: None,
            raw: None,
        }
    }

    fn packet(&mut self, mode: AudioMode) -> Option<Arc<[u8]>> {
        let frame = &self.frame;
        if mode != AudioMode::OPUS {
            let raw = self.raw.get_or_insert_with(|| bytes_of(frame));
            return Some(Arc::clone(raw));
        }
        let encoder = &mut self.encoder;
        let encoded = self.opus.get_or_insert_with(|| {
            let mut packet = Vec::new();
            let done = encoder.as_mut()?.encode(frame, &mut packet);
            done.then(|| packet.into())
        });
        encoded.clone()
    }
}

fn bytes_of(frame: &Frame) -> Arc<[u8]> {
    let bytes: Vec<u8> = frame.iter().flat_map(|value| value.to_le_bytes()).collect();
    bytes.into()
}
