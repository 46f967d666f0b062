//! The devices of a desktop in a sound daemon: a sink for what its programs play, and a microphone.
//!
//! Both are named after the desktop, so that several desktops of one user share a daemon and do not hear each other. A
//! microphone is made of two parts, since daemons have no source that is simply written to: a sink that we play into,
//! and a source that gives what that sink plays. Programs do not offer a sink's own monitor as a microphone.
//!
//! The sink's volume is not in the samples that we take: clients are told it, and play as loud as that, so that the
//! desktop's mixer and the client's are one. A null sink of PulseAudio's has it in its samples, so there the desktop's
//! sink is a virtual one that plays to a null sink; of PipeWire's it is left out when it is asked for.
//!
//! They are there from the first connection on and stay when this server ends: programs play on while another one
//! starts. Who ends the desktop takes them away (the launcher's `session::sound`).

use std::ffi::{CStr, CString};

use pulseaudio::protocol::props::PropsUpdateMode;
use pulseaudio::protocol::stream::{BufferAttr, StreamFlags};
use pulseaudio::protocol::{
    ChannelMap, ChannelVolume, Command, CreatePlaybackStreamReply, CreateRecordStreamReply,
    GetSinkInfo, GetSourceInfo, LoadModuleParams, PlaybackStreamParams, Prop, Props,
    RecordStreamParams, SampleFormat, SampleSpec, ServerInfo, SetDeviceMuteParams,
    SetDeviceVolumeParams, SinkFlags, SinkInfo, SinkInfoList, SourceInfo, SourceInfoList,
    SourceOutputInfoList, SubscriptionEvent, SubscriptionEventFacility, SubscriptionMask,
    UpdatePropsParams, Volume,
};

use super::daemon::{Daemon, DaemonError};
use crate::audio::{CHANNELS, FRAME_BYTES, SAMPLE_RATE_HZ};
use crate::channel::playback::Loudness;
use crate::wire::agent::VolumeSync;
use crate::wire::playback::VOLUME_FULL;

/// In PipeWire: the cycle that a stream wishes for, which its daemon takes from the stream's pieces unless it is told
/// otherwise. The graph runs in cycles of the shortest such wish, rounded down to a power of two, and what a program
/// has not done at the end of one is lost. Ours is the longest that there is as it is set up by itself: programs get
/// the cycles that they ask for, a busy machine has 43 ms for each, and where one asks for shorter ones our pieces are
/// short.
const CYCLE_WISH: (&CStr, &[u8]) = (c"node.latency", b"2048/48000\0");

/// In PipeWire: whether what a sink is played can be heard at its monitor as loud as the sink plays it.
const MONITOR_VOLUME: &CStr = c"monitor.channel-volumes";

/// Bytes of the microphone's sound that the daemon and its sink hold: with half as many, two busy processors were
/// enough for gaps of some milliseconds.
const MICROPHONE_BYTES: u32 = 4 * FRAME_BYTES as u32;

/// Names and numbers of a desktop's devices.
#[derive(Debug)]
pub(super) struct Devices {
    names: Names,
    sink: u32,
    microphone: u32,
    is_pipewire: bool,
    /// The samples that we take do not have the sink's volume in them.
    is_volume_apart: bool,
}

#[derive(Debug)]
struct Names {
    sink: String,
    /// What the sink plays to in PulseAudio.
    output: String,
    feed: String,
    microphone: String,
    desktop: String,
}

impl Names {
    fn of(desktop: &str) -> Self {
        let sink = format!("caraway-{desktop}");
        Self {
            output: format!("{sink}-output"),
            feed: format!("{sink}-microphone-feed"),
            microphone: format!("{sink}-microphone"),
            sink,
            desktop: desktop.to_owned(),
        }
    }
}

impl Devices {
    /// Makes what is missing of the devices of `desktop`, and asks to be told of what concerns them.
    pub(super) async fn ready(daemon: &mut Daemon, desktop: &str) -> Result<Self, DaemonError> {
        let names = Names::of(desktop);
        let server: ServerInfo = daemon.ask(&Command::GetServerInfo).await?;
        let server_name = server.server_name.unwrap_or_default();
        let is_pipewire = server_name.to_string_lossy().contains("PipeWire");
        make_sinks(daemon, &names, is_pipewire).await?;
        make_microphone(daemon, &names).await?;
        let mask =
            SubscriptionMask::SINK | SubscriptionMask::SOURCE | SubscriptionMask::SOURCE_OUTPUT;
        daemon.order(&Command::Subscribe(mask)).await?;
        let sink = sink_info(daemon, &names.sink).await?;
        let is_volume_apart = sink.flags.contains(SinkFlags::HW_VOLUME_CTRL)
            || sink.props.get_bytes(MONITOR_VOLUME) == Some(b"false\0");
        let microphone = source_info(daemon, &names.microphone).await?.index;
        Ok(Self {
            names,
            sink: sink.index,
            microphone,
            is_pipewire,
            is_volume_apart,
        })
    }

    /// Whether any program records from the microphone now.
    pub(super) async fn is_recorded(&self, daemon: &mut Daemon) -> Result<bool, DaemonError> {
        let outputs: SourceOutputInfoList = daemon.ask(&Command::GetSourceOutputInfoList).await?;
        let records = outputs
            .iter()
            .any(|output| output.source_index == self.microphone && !output.corked);
        Ok(records)
    }

    /// How loud sink and microphone are in the desktop, as clients are to know it: only what is not in the samples.
    pub(super) async fn loudness(
        &self,
        daemon: &mut Daemon,
    ) -> Result<(Loudness, Loudness), DaemonError> {
        let sink = sink_info(daemon, &self.names.sink).await?;
        let microphone = source_info(daemon, &self.names.microphone).await?;
        let volumes = sink.cvolume.channels().iter().map(to_client);
        let sink = Loudness {
            volumes: if self.is_volume_apart {
                volumes.collect()
            } else {
                vec![VOLUME_FULL; CHANNELS]
            },
            is_muted: sink.muted,
        };
        // Programs get what the client sends as loud as the microphone is set: the client sends all of it.
        let microphone = Loudness {
            volumes: vec![VOLUME_FULL; CHANNELS],
            is_muted: microphone.muted,
        };
        Ok((sink, microphone))
    }

    /// Sets sink or microphone as a client has told. A volume that is in the samples is left alone, or it would be
    /// there twice: the client's own is in them at its end.
    pub(super) async fn take_over(
        &self,
        daemon: &mut Daemon,
        told: &VolumeSync,
    ) -> Result<(), DaemonError> {
        let device = if told.is_playback {
            &self.names.sink
        } else {
            &self.names.microphone
        };
        let mute = SetDeviceMuteParams {
            device_index: None,
            device_name: name(device),
            mute: told.mute,
        };
        if !told.is_playback {
            return daemon.order(&Command::SetSourceMute(mute)).await;
        }
        daemon.order(&Command::SetSinkMute(mute)).await?;
        let Some(last) = told.volumes.last().filter(|_| self.is_volume_apart) else {
            return Ok(());
        };
        let mut volume = ChannelVolume::empty();
        for channel in 0..CHANNELS {
            volume.push(of_client(*told.volumes.get(channel).unwrap_or(last)));
        }
        let volume = SetDeviceVolumeParams {
            device_index: None,
            device_name: name(device),
            volume,
        };
        daemon.order(&Command::SetSinkVolume(volume)).await
    }

    /// Whether an event tells of the devices themselves: of their volume, say.
    pub(super) fn concerns(&self, event: &SubscriptionEvent) -> bool {
        match event.event_facility {
            SubscriptionEventFacility::Sink => event.index == Some(self.sink),
            SubscriptionEventFacility::Source => event.index == Some(self.microphone),
            _ => false,
        }
    }

    /// Begins to take what programs play; gives the stream's channel.
    ///
    /// The stream keeps no device awake: while no program plays, the daemon suspends the sink, and nobody wakes up.
    /// When one plays the stream gets it from the first sample on.
    pub(super) async fn capture(&self, daemon: &mut Daemon) -> Result<u32, DaemonError> {
        let params = RecordStreamParams {
            sample_spec: SPEC,
            channel_map: ChannelMap::stereo(),
            source_name: name(&format!("{}.monitor", self.names.sink)),
            buffer_attr: BufferAttr {
                max_length: u32::MAX,
                fragment_size: FRAME_BYTES as u32,
                ..Default::default()
            },
            flags: StreamFlags {
                adjust_latency: true,
                no_move: true,
                no_inhibit_auto_suspend: true,
                ..Default::default()
            },
            props: props(c"to clients"),
            ..Default::default()
        };
        let command = Command::CreateRecordStream(params);
        let reply: CreateRecordStreamReply = daemon.ask(&command).await?;
        if self.is_pipewire {
            let mut wish = Props::new();
            wish.set_bytes(CYCLE_WISH.0, CYCLE_WISH.1);
            let wish = UpdatePropsParams {
                index: reply.channel,
                mode: PropsUpdateMode::Replace,
                props: wish,
            };
            let wish = Command::UpdateRecordStreamProplist(wish);
            daemon.order(&wish).await?;
        }
        Ok(reply.channel)
    }

    /// Begins to feed the microphone; gives the stream's channel and how many bytes it wants at first.
    pub(super) async fn feed(&self, daemon: &mut Daemon) -> Result<(u32, u32), DaemonError> {
        let params = PlaybackStreamParams {
            sample_spec: SPEC,
            channel_map: ChannelMap::stereo(),
            sink_name: name(&self.names.feed),
            buffer_attr: BufferAttr {
                max_length: u32::MAX,
                target_length: MICROPHONE_BYTES,
                pre_buffering: FRAME_BYTES as u32,
                minimum_request_length: FRAME_BYTES as u32,
                ..Default::default()
            },
            flags: StreamFlags {
                adjust_latency: true,
                no_move: true,
                ..Default::default()
            },
            props: props(c"from a client"),
            ..Default::default()
        };
        let command = Command::CreatePlaybackStream(params);
        let reply: CreatePlaybackStreamReply = daemon.ask(&command).await?;
        Ok((reply.channel, reply.requested_bytes))
    }
}

const SPEC: SampleSpec = SampleSpec {
    format: SampleFormat::S16Le,
    channels: CHANNELS as u8,
    sample_rate: SAMPLE_RATE_HZ,
};

/// The desktop's sink, and the one that the microphone is fed by.
async fn make_sinks(
    daemon: &mut Daemon,
    names: &Names,
    is_pipewire: bool,
) -> Result<(), DaemonError> {
    let Names {
        sink,
        output,
        feed,
        desktop,
        ..
    } = names;
    let sinks: SinkInfoList = daemon.ask(&Command::GetSinkInfoList).await?;
    let has = |name: &str| {
        let mut sinks = sinks.iter();
        sinks.any(|sink| sink.name.as_bytes() == name.as_bytes())
    };
    if !has(feed) {
        load_null(daemon, feed, "microphone feed", desktop, "").await?;
    }
    if has(sink) {
        return Ok(());
    }
    if is_pipewire {
        return load_null(
            daemon,
            sink,
            "desktop",
            desktop,
            "monitor.channel-volumes=false ",
        )
        .await;
    }
    if !has(output) {
        load_null(daemon, output, "output", desktop, "").await?;
    }
    let virtual_sink = format!(
        "sink_name={sink} master={output} rate={SAMPLE_RATE_HZ} channels={CHANNELS} \
         use_volume_sharing=no sink_properties=\"device.description='Caraway desktop {desktop}'\""
    );
    match load(daemon, "module-virtual-sink", &virtual_sink).await {
        // It has no such module. Volumes are in the samples then.
        Err(DaemonError::Refused(_)) => load_null(daemon, sink, "desktop", desktop, "").await,
        other => other,
    }
}

/// Programs that speak PipeWire's own protocol are led to one name both ways (the launcher's `sound`): the sink's,
/// which is the microphone's as a path.
async fn make_microphone(daemon: &mut Daemon, names: &Names) -> Result<(), DaemonError> {
    let sources: SourceInfoList = daemon.ask(&Command::GetSourceInfoList).await?;
    let wanted = names.microphone.as_bytes();
    let mut sources = sources.iter();
    if sources.any(|source| source.name.as_bytes() == wanted) {
        return Ok(());
    }
    let arguments = format!(
        "master={}.monitor source_name={} source_properties=\"object.path={} \
         device.description='Caraway microphone {}'\"",
        names.feed, names.microphone, names.sink, names.desktop
    );
    load(daemon, "module-remap-source", &arguments).await
}

/// Without rewinds what is played is handed on in pieces of 50 ms at most, also when a program asks for two seconds at
/// once before anybody listens.
async fn load_null(
    daemon: &mut Daemon,
    sink: &str,
    what: &str,
    desktop: &str,
    properties: &str,
) -> Result<(), DaemonError> {
    let arguments = format!(
        "sink_name={sink} rate={SAMPLE_RATE_HZ} channels={CHANNELS} norewinds=1 \
         sink_properties=\"{properties}device.description='Caraway {what} {desktop}'\""
    );
    load(daemon, "module-null-sink", &arguments).await
}

/// A daemon's volume as clients have them; what is more than full is full.
fn to_client(volume: &Volume) -> u16 {
    let full = u64::from(Volume::NORM.as_u32());
    let scaled = u64::from(volume.as_u32()) * u64::from(VOLUME_FULL) / full;
    u16::try_from(scaled).unwrap_or(VOLUME_FULL)
}

/// A client's volume as daemons have them.
fn of_client(volume: u16) -> Volume {
    let full = u64::from(Volume::NORM.as_u32());
    // Rounded up, so that it comes back as the same.
    let scaled = (u64::from(volume) * full).div_ceil(VOLUME_FULL.into());
    Volume::from_u32_clamped(u32::try_from(scaled).unwrap_or_default())
}

async fn load(daemon: &mut Daemon, module: &str, arguments: &str) -> Result<(), DaemonError> {
    let params = LoadModuleParams {
        name: name(module).unwrap_or_default(),
        arguments: name(arguments),
    };
    daemon.order(&Command::LoadModule(params)).await
}

async fn sink_info(daemon: &mut Daemon, sink: &str) -> Result<SinkInfo, DaemonError> {
    let by_name = GetSinkInfo {
        index: None,
        name: name(sink),
    };
    daemon.ask(&Command::GetSinkInfo(by_name)).await
}

async fn source_info(daemon: &mut Daemon, source: &str) -> Result<SourceInfo, DaemonError> {
    let by_name = GetSourceInfo {
        index: None,
        name: name(source),
    };
    daemon.ask(&Command::GetSourceInfo(by_name)).await
}

fn props(media: &CStr) -> Props {
    let mut props = Props::new();
    props.set(Prop::MediaName, media);
    props
}

/// A name as the protocol has it; names of ours hold no zero.
fn name(text: &str) -> Option<CString> {
    CString::new(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_volume_comes_back_to_it_as_it_was() {
        for volume in 0..=u16::MAX {
            assert_eq!(to_client(&of_client(volume)), volume);
        }
        assert_eq!(of_client(VOLUME_FULL), Volume::NORM);
        assert_eq!(to_client(&Volume::from_u32_clamped(100_000)), VOLUME_FULL);
    }
}
