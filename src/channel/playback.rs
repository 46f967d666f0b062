//! The playback channel of one client: frames that everybody hears, as this client can take them.
//!
//! Sound is worth something only when it is new. What waits for a client is bounded in its age
//! ([`SOUND_WAITING_MS_MAX`]), and so is what it has not acknowledged; the oldest frames that wait go, never the
//! newest. So a client that stalls comes back to the sound of now, and has cost a few kilobytes. What the daemon hands
//! out in one go, because the machine was held up, is not old: clients get all of it ([`SOUND_BURST_MS_MAX`]).
//!
//! START goes out with the first frame and is stamped like it; MODE before it, because spice-gtk makes its decoder at
//! START; LATENCY and the volume behind it, because spice-gtk forgets the old one there and has nothing before that it
//! could set the volume of.

use std::collections::VecDeque;
use std::sync::Arc;

use super::latency::Unevenness;
use super::outbox::Outbox;
use crate::audio::{CHANNELS, FRAME_MS, SAMPLE_RATE_HZ};
use crate::base::Micros;
use crate::base::limits::{SOUND_BURST_MS_MAX, SOUND_WAITING_MS_MAX};
use crate::wire::Message;
use crate::wire::caps::{self, Caps};
use crate::wire::playback::{
    AudioFormat, AudioMode, Data, Latency, Mode, Mute, Start, Stop, VOLUME_FULL, Volume, Volumes,
};

/// A client is told of another latency while it plays only when it is this much more: it may have to rebuild its way
/// to the loudspeaker.
const LATENCY_STEP_MS: u32 = 20;

/// While it plays, the line is measured this often.
const PROBE_INTERVAL: Micros = Micros::from_secs(1);

/// 10 ms of sound, shared by all clients of the same mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Multimedia clock in milliseconds.
    pub time: u32,
    /// Samples or an Opus packet.
    pub data: Arc<[u8]>,
}

/// What [`PlaybackChannel::transmit`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing that concerns others.
    Sound,
    /// The client was told STOP: its clock follows sound no more.
    Stop,
}

/// How loud a client is to play or record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loudness {
    /// Volume of each channel.
    pub volumes: Vec<u16>,
    /// Nothing is to be heard at all.
    pub is_muted: bool,
}

impl Loudness {
    /// What a client goes by that has been told nothing. Its user may have set another volume: that is left alone.
    pub(super) fn untold() -> Self {
        Self {
            volumes: vec![VOLUME_FULL; CHANNELS],
            is_muted: false,
        }
    }

    /// Sends what differs from what was told before, by the messages of a channel.
    pub(super) fn tell<const VOLUME: u16, M: Message>(
        self,
        told: &mut Self,
        mute: impl FnOnce(u8) -> M,
        outbox: &mut Outbox,
    ) {
        if self.volumes != told.volumes {
            outbox.send(&Volumes::<VOLUME>(self.volumes.clone()));
        }
        if self.is_muted != told.is_muted {
            outbox.send(&mute(u8::from(self.is_muted)));
        }
        *told = self;
    }
}

/// The channel's state.
#[derive(Debug)]
pub struct PlaybackChannel {
    mode: AudioMode,
    takes_volume: bool,
    takes_latency: bool,
    /// With the time that each was taken at.
    waiting: VecDeque<(Micros, Packet)>,
    /// START was told, and no STOP since.
    started: bool,
    /// The sound has ended; STOP is due when nothing waits.
    ended: bool,
    loudness: Option<Loudness>,
    /// What the client goes by: at first, that nothing is muted and volumes are its own.
    loudness_told: Loudness,
    latency_told_ms: u32,
    unevenness: Unevenness,
    next_probe: Micros,
}

impl PlaybackChannel {
    /// The channel of a client with these capabilities; `encodes_opus` when there are Opus packets to be had.
    pub fn new(client_caps: &Caps, encodes_opus: bool) -> Self {
        let opus = encodes_opus && client_caps.has(caps::playback::OPUS);
        Self {
            mode: if opus {
                AudioMode::OPUS
            } else {
                AudioMode::RAW
            },
            takes_volume: client_caps.has(caps::playback::VOLUME),
            takes_latency: client_caps.has(caps::playback::LATENCY),
            waiting: VecDeque::new(),
            started: false,
            ended: false,
            loudness: None,
            loudness_told: Loudness::untold(),
            latency_told_ms: 0,
            unevenness: Unevenness::default(),
            next_probe: Micros(0),
        }
    }

    /// What its packets are to hold.
    pub const fn mode(&self) -> AudioMode {
        self.mode
    }

    /// Whether it plays as loud as it is told; the others need samples that are as loud as that.
    pub const fn keeps_volume(&self) -> bool {
        self.takes_volume
    }

    /// The next 10 ms, taken from the daemon at `now`.
    pub fn push(&mut self, now: Micros, packet: Packet) {
        const AGE_MAX: Micros = Micros::from_millis(SOUND_WAITING_MS_MAX as u64);
        self.ended = false;
        if !self.started && self.waiting.is_empty() {
            self.unevenness.begin();
        }
        self.unevenness.note_frame(now, packet.time);
        let is_old = |taken: Micros| AGE_MAX <= now.since(taken);
        while self
            .waiting
            .front()
            .is_some_and(|(taken, _)| is_old(*taken))
            || SOUND_BURST_MS_MAX <= self.waiting_ms()
        {
            self.waiting.pop_front();
        }
        self.waiting.push_back((now, packet));
    }

    /// The sound has ended; what waits is still played.
    pub const fn end(&mut self) {
        self.ended = true;
    }

    /// Milliseconds of sound that wait.
    pub fn waiting_ms(&self) -> u32 {
        u32::try_from(self.waiting.len())
            .unwrap_or(u32::MAX)
            .saturating_mul(FRAME_MS)
    }

    /// How loud the client is to play from now on; only the newest is told.
    pub fn set_loudness(&mut self, loudness: Loudness) {
        self.loudness = Some(loudness);
    }

    /// A round trip was measured on this channel.
    pub fn answered(&mut self, rtt: Micros) {
        self.unevenness.note_round_trip(rtt);
    }

    /// Sends what waits, as far as the client keeps up. To be polled when the socket can take bytes.
    pub fn transmit(&mut self, now: Micros, outbox: &mut Outbox) -> Told {
        self.tell_loudness(outbox);
        while outbox.takes_sound()
            && let Some((_, packet)) = self.waiting.pop_front()
        {
            if !self.started {
                self.start(now, packet.time, outbox);
            }
            outbox.send(&Data {
                time: packet.time,
                data: &packet.data,
            });
        }
        if self.ended && self.waiting.is_empty() {
            self.ended = false;
            if std::mem::replace(&mut self.started, false) {
                outbox.send(&Stop {});
                return Told::Stop;
            }
        }
        if self.started {
            self.measure(now, outbox);
        }
        Told::Sound
    }

    fn start(&mut self, now: Micros, time: u32, outbox: &mut Outbox) {
        self.started = true;
        let mode = self.mode;
        outbox.send(&Mode { time, mode });
        outbox.send(&Start {
            channels: CHANNELS as u32,
            format: AudioFormat::S16,
            frequency: SAMPLE_RATE_HZ,
            time,
        });
        self.latency_told_ms = 0;
        self.next_probe = now;
        if self.loudness_told != Loudness::untold() {
            outbox.send(&Volumes::<{ Volume::TYPE }>(
                self.loudness_told.volumes.clone(),
            ));
            outbox.send(&Mute {
                mute: u8::from(self.loudness_told.is_muted),
            });
        }
    }

    /// Asks for a round trip now and then, and tells the client how much it needs to hold.
    fn measure(&mut self, now: Micros, outbox: &mut Outbox) {
        let wanted_ms = self.unevenness.latency_ms();
        if self.takes_latency && self.latency_told_ms + LATENCY_STEP_MS <= wanted_ms {
            self.latency_told_ms = wanted_ms;
            outbox.send(&Latency {
                latency_ms: wanted_ms,
            });
        }
        if self.next_probe <= now && outbox.takes_sound() {
            self.next_probe = now + PROBE_INTERVAL;
            outbox.ping(now);
            self.unevenness.next_interval();
        }
    }

    fn tell_loudness(&mut self, outbox: &mut Outbox) {
        let Some(loudness) = self.loudness.take_if(|_| outbox.takes_sound()) else {
            return;
        };
        if !self.takes_volume {
            return;
        }
        let mute = |mute| Mute { mute };
        loudness.tell::<{ Volume::TYPE }, _>(&mut self.loudness_told, mute, outbox);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Inbox;
    use crate::wire::playback::ServerMessage;

    const EVERYTHING: [u32; 3] = [
        caps::playback::VOLUME,
        caps::playback::LATENCY,
        caps::playback::OPUS,
    ];

    struct Client {
        channel: PlaybackChannel,
        outbox: Outbox,
        inbox: Inbox,
    }

    impl Client {
        fn new(caps: &[u32]) -> Self {
            Self {
                channel: PlaybackChannel::new(&Caps::of(caps), true),
                outbox: Outbox::new(true, Micros(0)),
                inbox: Inbox::new(true, 10_000),
            }
        }

        fn play(&mut self, time: u32) -> Vec<String> {
            let data = time.to_le_bytes().into();
            let now = Micros::from_millis(time.into());
            self.channel.push(now, Packet { time, data });
            self.hear(u64::from(time))
        }

        /// What the client is told: names, with times of DATA.
        fn hear(&mut self, now_ms: u64) -> Vec<String> {
            self.channel
                .transmit(Micros::from_millis(now_ms), &mut self.outbox);
            let mut bytes = Vec::new();
            self.outbox.take_into(&mut bytes);
            self.inbox.push(&bytes);
            let mut told = Vec::new();
            while let Some((number, body)) = self.inbox.next_message().unwrap() {
                if number <= crate::wire::common::LAST_TYPE {
                    continue;
                }
                told.push(match ServerMessage::decode(number, body).unwrap() {
                    ServerMessage::Data(data) => {
                        assert_eq!(data.data, data.time.to_le_bytes());
                        format!("{}", data.time)
                    }
                    ServerMessage::Mode(mode) => format!("{:?}", mode.mode),
                    ServerMessage::Start(start) => {
                        assert_eq!((start.channels, start.frequency), (2, 48_000));
                        format!("start {}", start.time)
                    }
                    ServerMessage::Stop(_) => "stop".into(),
                    ServerMessage::Volume(volume) => format!("volume {:?}", volume.0),
                    ServerMessage::Mute(mute) => format!("mute {}", mute.mute),
                    ServerMessage::Latency(latency) => format!("latency {}", latency.latency_ms),
                });
            }
            told
        }

        fn acknowledge(&mut self) {
            self.outbox.handle(Micros(0), 1, &[1, 0, 0, 0]).unwrap();
            for _ in 0..10 {
                self.outbox.handle(Micros(0), 2, &[]).unwrap();
            }
        }
    }

    #[test]
    fn mode_and_start_come_with_the_first_frame_and_stop_behind_the_last() {
        let mut client = Client::new(&EVERYTHING);
        assert!(client.hear(0).is_empty());
        let begin = ["OPUS", "start 70", "70", "latency 40"];
        assert_eq!(client.play(70), begin);
        assert_eq!(client.play(80), ["80"]);
        client.channel.end();
        assert_eq!(client.hear(81), ["stop"]);
        client.channel.end();
        assert!(client.hear(82).is_empty());
        assert_eq!(client.play(90)[..2], ["OPUS", "start 90"]);
        let mut old = Client::new(&[]);
        assert_eq!(old.play(70), ["RAW", "start 70", "70"]);
        let without_library = PlaybackChannel::new(&Caps::of(&EVERYTHING), false);
        assert_eq!(without_library.mode(), AudioMode::RAW);
    }

    #[test]
    fn volume_is_told_to_who_takes_it_and_once() {
        let quiet = Loudness {
            volumes: vec![5, 6],
            is_muted: true,
        };
        let mut client = Client::new(&EVERYTHING);
        client.channel.set_loudness(quiet.clone());
        assert_eq!(client.hear(0), ["volume [5, 6]", "mute 1"]);
        client.channel.set_loudness(quiet.clone());
        assert!(client.hear(0).is_empty());
        let louder = Loudness {
            is_muted: false,
            ..quiet.clone()
        };
        client.channel.set_loudness(louder);
        assert_eq!(client.hear(0), ["mute 0"]);
        let told = client.play(10);
        let data = told.iter().position(|what| what == "10");
        let again = told.iter().position(|what| what == "volume [5, 6]");
        assert!(
            again < data && again.is_some(),
            "with every START: {told:?}"
        );
        let mut new = Client::new(&EVERYTHING);
        new.channel.set_loudness(Loudness::untold());
        assert!(new.hear(0).is_empty(), "its user's volume is left alone");
        let mut old = Client::new(&[caps::playback::OPUS]);
        old.channel.set_loudness(quiet);
        assert!(old.hear(0).is_empty());
    }

    #[test]
    fn who_stalls_comes_back_to_the_newest_sound() {
        let mut client = Client::new(&EVERYTHING);
        let mut sent = 0;
        for frame in 0..1000 {
            sent += client.play(1 + frame * 10).len();
            assert!(client.channel.waiting_ms() <= SOUND_WAITING_MS_MAX);
        }
        assert!(sent < 100, "{sent} messages to who acknowledges none");
        client.acknowledge();
        let told = client.hear(10_000);
        let newest = 1 + 999 * 10;
        let oldest = newest - SOUND_WAITING_MS_MAX + FRAME_MS;
        assert_eq!(told[0], oldest.to_string());
        assert_eq!(told[told.len() - 1], newest.to_string());
    }

    #[test]
    fn what_comes_in_one_go_is_sent_whole() {
        let mut client = Client::new(&EVERYTHING);
        client.play(10);
        let burst = |client: &mut Client, frames: u32| {
            for time in 0..frames {
                let data = time.to_le_bytes().into();
                let now = Micros::from_millis(300);
                client.channel.push(now, Packet { time, data });
            }
            let told = client.hear(300);
            let is_frame = |what: &&String| !what.starts_with("latency");
            told.iter().filter(is_frame).count()
        };
        assert_eq!(burst(&mut client, 29), 29, "the machine was held up");
        let mut other = Client::new(&EVERYTHING);
        other.play(10);
        let most = usize::try_from(SOUND_BURST_MS_MAX / FRAME_MS).unwrap();
        assert_eq!(burst(&mut other, 1000), most);
    }

    #[test]
    fn an_uneven_line_makes_the_client_hold_more() {
        let mut client = Client::new(&EVERYTHING);
        client.play(10);
        client.channel.answered(Micros::from_millis(20));
        assert_eq!(client.play(20), ["20"]);
        client.channel.answered(Micros::from_millis(70));
        assert_eq!(client.play(30), ["30", "latency 140"]);
        for _ in 0..100 {
            client.channel.answered(Micros::from_millis(20));
        }
        assert_eq!(client.play(40), ["40"], "less is told at the next start");
        client.channel.answered(Micros::from_secs(9));
        assert_eq!(client.play(50), ["50", "latency 500"]);
    }
}
