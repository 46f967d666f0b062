//! The desktop's sound: between the daemon that its programs play to and the session.
//!
//! One task. It connects to the daemon, sees to it that the desktop's devices are there, takes what is played as long
//! as any client listens, and feeds the microphone as long as a client speaks. When the daemon goes it tries again
//! ([`Attempts`]); the session never notices more than silence.

mod attempts;
mod daemon;
mod devices;

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use pulseaudio::protocol::{Command, SubscriptionEvent, SubscriptionEventFacility};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use self::attempts::Attempts;
use self::daemon::{Daemon, DaemonError, Said};
use self::devices::Devices;
use super::host::Host;
use crate::audio::FRAME_BYTES;

/// A sound has ended when nothing of it has come for this long: the daemon has suspended the sink. A machine that was
/// held up for less has only held it up, and clients would begin anew for nothing.
const QUIET: Duration = Duration::from_secs(1);

/// Bytes that the microphone is given at once, whatever is asked for.
const FEED_BYTES_MAX: usize = 10 * FRAME_BYTES;

/// Where a desktop's sound is.
#[derive(Debug)]
pub struct SoundPlace {
    /// The daemon's socket.
    pub socket: PathBuf,
    /// The desktop's name, after which its devices are named.
    pub desktop: String,
    /// Rung when the devices are there for the first time.
    pub ready: Rc<Notify>,
}

/// Serves the sound of a desktop for ever.
pub async fn serve(host: Rc<Host>, place: SoundPlace) {
    let mut attempts = Attempts::new();
    loop {
        let (attached, error) = attach(&host, &place).await;
        host.with(|session| {
            session.sound_interrupted();
            session.sound_recorded_by(false);
        });
        if attached {
            attempts.succeeded();
        }
        if attempts.is_news() {
            tracing::warn!(%error, "no sound for now");
        }
        attempts.wait(&place.socket).await;
    }
}

/// Stays with the daemon until it goes; says whether it was there, and what ended it.
async fn attach(host: &Host, place: &SoundPlace) -> (bool, DaemonError) {
    let cookie = pulseaudio::cookie_path_from_env().and_then(|path| std::fs::read(path).ok());
    let connected = async {
        let mut daemon = Daemon::connect(&place.socket, cookie).await?;
        let devices = Devices::ready(&mut daemon, &place.desktop).await?;
        Ok((daemon, devices))
    };
    match connected.await {
        Ok((daemon, devices)) => {
            tracing::info!(socket = %place.socket.display(), "sound is connected");
            place.ready.notify_one();
            let mut attachment = Attachment {
                host,
                daemon,
                devices,
                capture: None,
                feed: None,
                recorded: false,
            };
            match attachment.run().await {
                Ok(never) => match never {},
                Err(error) => (true, error),
            }
        }
        Err(error) => (false, error),
    }
}

/// A connection with its streams.
struct Attachment<'a> {
    host: &'a Host,
    daemon: Daemon,
    devices: Devices,
    /// Channel of the stream that takes what is played.
    capture: Option<u32>,
    /// Channel of the stream that feeds the microphone.
    feed: Option<u32>,
    recorded: bool,
}

impl Attachment<'_> {
    async fn run(&mut self) -> Result<std::convert::Infallible, DaemonError> {
        self.look_at_recorders().await?;
        self.tell_loudness().await?;
        loop {
            self.follow_volumes().await?;
            self.follow_clients().await?;
            let host = self.host;
            let sounding = host.with(|session| session.is_sounding());
            tokio::select! {
                // When it was this server that was held up, what has come meanwhile comes before the time that passed.
                biased;
                said = self.daemon.next() => {
                    let said = said?;
                    self.take(said).await?;
                }
                () = host.sound.notified() => {}
                () = sleep(QUIET), if sounding => {
                    host.with(|session| session.sound_interrupted());
                }
            }
        }
    }

    async fn take(&mut self, said: Said) -> Result<(), DaemonError> {
        match said {
            Said::Sound { channel, bytes } if Some(channel) == self.capture => {
                let host = self.host;
                host.with(|session| session.sound_played(host.now(), &bytes));
                Ok(())
            }
            // Of a stream that was deleted meanwhile.
            Said::Sound { .. } => Ok(()),
            Said::Command(command) => self.obey(*command).await,
        }
    }

    async fn obey(&mut self, command: Command) -> Result<(), DaemonError> {
        match command {
            Command::Request(request) if Some(request.channel) == self.feed => {
                self.feed(request.channel, request.length).await
            }
            Command::SubscribeEvent(event) => self.notice(&event).await,
            Command::RecordStreamKilled(channel) if Some(channel) == self.capture => {
                Err(DaemonError::StreamEnded)
            }
            Command::PlaybackStreamKilled(channel) if Some(channel) == self.feed => {
                Err(DaemonError::StreamEnded)
            }
            _ => Ok(()),
        }
    }

    async fn notice(&mut self, event: &SubscriptionEvent) -> Result<(), DaemonError> {
        if event.event_facility == SubscriptionEventFacility::SourceOutput {
            self.look_at_recorders().await?;
        }
        if self.devices.concerns(event) {
            self.tell_loudness().await?;
        }
        Ok(())
    }

    async fn look_at_recorders(&mut self) -> Result<(), DaemonError> {
        let recorded = self.devices.is_recorded(&mut self.daemon).await?;
        if std::mem::replace(&mut self.recorded, recorded) != recorded {
            if recorded {
                tracing::info!(
                    "a program records: a client's microphone is opened, if one has any"
                );
            } else {
                tracing::info!("no program records any more: microphones are closed");
            }
            self.host
                .with(|session| session.sound_recorded_by(recorded));
        }
        Ok(())
    }

    async fn tell_loudness(&mut self) -> Result<(), DaemonError> {
        let (sink, microphone) = self.devices.loudness(&mut self.daemon).await?;
        self.host.with(|session| {
            session.set_loudness(sink);
            session.set_microphone_loudness(microphone);
        });
        Ok(())
    }

    /// A client has told how loud it plays and whether its microphone is muted: the desktop's mixer shows the same.
    async fn follow_volumes(&mut self) -> Result<(), DaemonError> {
        for is_playback in [true, false] {
            let told = self
                .host
                .with(|session| session.take_volume_sync(is_playback));
            if let Some(told) = told {
                self.devices.take_over(&mut self.daemon, &told).await?;
            }
        }
        Ok(())
    }

    /// Opens and closes streams as clients come and go.
    async fn follow_clients(&mut self) -> Result<(), DaemonError> {
        let (listened_to, speaks) = self
            .host
            .with(|session| (session.is_listened_to(), session.has_microphone()));
        match self.capture {
            None if listened_to => {
                self.capture = Some(self.devices.capture(&mut self.daemon).await?);
            }
            Some(channel) if !listened_to => {
                self.capture = None;
                let delete = Command::DeleteRecordStream(channel);
                self.daemon.order(&delete).await?;
                self.host.with(|session| session.sound_interrupted());
            }
            _ => {}
        }
        match self.feed {
            None if speaks => {
                let (channel, wanted) = self.devices.feed(&mut self.daemon).await?;
                self.feed = Some(channel);
                self.feed(channel, wanted).await?;
            }
            Some(channel) if !speaks => {
                self.feed = None;
                let delete = Command::DeletePlaybackStream(channel);
                self.daemon.order(&delete).await?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn feed(&mut self, channel: u32, wanted: u32) -> Result<(), DaemonError> {
        let values = (wanted as usize).min(FEED_BYTES_MAX) / size_of::<i16>();
        let mut samples = vec![0; values];
        self.host
            .with(|session| session.take_microphone(&mut samples));
        let bytes: Vec<u8> = samples
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.daemon.play(channel, &bytes).await
    }
}

/// Waits until the devices are there, but not for long: a desktop without sound is better than none.
pub async fn ready(place: &Notify) {
    /// What a daemon that runs takes is a tenth of it.
    const START_DEADLINE: Duration = Duration::from_millis(500);
    let _ = timeout(START_DEADLINE, place.notified()).await;
}
