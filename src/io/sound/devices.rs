//! The devices of a desktop in a sound daemon: a sink for what its programs play, and a microphone.
//!
//! Both are named after the desktop, so that several desktops of one user share a daemon and do not hear each other. A
//! microphone is made of two parts, since daemons have no source that is simply written to: a sink that we play into,
//! and a source that gives what that sink plays. Programs do not offer a sink's own monitor as a microphone.
//!
//! They are there from the first connection on and stay when this server ends: programs play on while another one
//! starts. Who ends the desktop takes them away (the launcher's `session::sound`).

use std::ffi::CString;

use pulseaudio::protocol::stream::{BufferAttr, StreamFlags};
use pulseaudio::protocol::{
    ChannelMap, Command, CreatePlaybackStreamReply, CreateRecordStreamReply, GetSinkInfo,
    GetSourceInfo, LoadModuleParams, PlaybackStreamParams, Prop, Props, RecordStreamParams,
    SampleFormat, SampleSpec, SinkInfo, SinkInfoList, SourceInfo, SourceInfoList,
    SourceOutputInfoList, SubscriptionEvent, SubscriptionEventFacility, SubscriptionMask,
};

use super::daemon::{Daemon, DaemonError};
use crate::audio::{CHANNELS, FRAME_BYTES, SAMPLE_RATE_HZ};

/// Bytes of the microphone's sound that the daemon and its sink hold: with half as many, two busy processors were
/// enough for gaps of some milliseconds.
const MICROPHONE_BYTES: u32 = 4 * FRAME_BYTES as u32;

/// Names and numbers of a desktop's devices.
#[derive(Debug)]
pub(super) struct Devices {
    names: Names,
    sink: u32,
    microphone: u32,
}

#[derive(Debug)]
struct Names {
    sink: String,
    feed: String,
    microphone: String,
    desktop: String,
}

impl Names {
    fn of(desktop: &str) -> Self {
        let sink = format!("caraway-{desktop}");
        Self {
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
        let sinks: SinkInfoList = daemon.ask(&Command::GetSinkInfoList).await?;
        let has_sink = |name: &str| {
            sinks
                .iter()
                .any(|sink| sink.name.as_bytes() == name.as_bytes())
        };
        for (sink, what) in [(&names.sink, "desktop"), (&names.feed, "microphone feed")] {
            if !has_sink(sink) {
                // Without rewinds what is played is handed on in pieces of 50 ms at most, also when a program asks for
                // two seconds at once before anybody listens.
                let arguments = format!(
                    "sink_name={sink} rate={SAMPLE_RATE_HZ} channels={CHANNELS} norewinds=1 \
                     sink_properties=\"device.description='Caraway {what} {}'\"",
                    names.desktop
                );
                load(daemon, "module-null-sink", &arguments).await?;
            }
        }
        let sources: SourceInfoList = daemon.ask(&Command::GetSourceInfoList).await?;
        let wanted = names.microphone.as_bytes();
        if !sources
            .iter()
            .any(|source| source.name.as_bytes() == wanted)
        {
            let arguments = format!(
                "master={}.monitor source_name={} \
                 source_properties=\"device.description='Caraway microphone {}'\"",
                names.feed, names.microphone, names.desktop
            );
            load(daemon, "module-remap-source", &arguments).await?;
        }
        let mask =
            SubscriptionMask::SINK | SubscriptionMask::SOURCE | SubscriptionMask::SOURCE_OUTPUT;
        daemon.order(&Command::Subscribe(mask)).await?;
        let sink = sink_info(daemon, &names.sink).await?.index;
        let microphone = source_info(daemon, &names.microphone).await?.index;
        Ok(Self {
            names,
            sink,
            microphone,
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

    /// Whether sink and microphone are muted in the desktop.
    pub(super) async fn are_muted(&self, daemon: &mut Daemon) -> Result<(bool, bool), DaemonError> {
        let sink = sink_info(daemon, &self.names.sink).await?;
        let microphone = source_info(daemon, &self.names.microphone).await?;
        Ok((sink.muted, microphone.muted))
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

fn props(media: &std::ffi::CStr) -> Props {
    let mut props = Props::new();
    props.set(Prop::MediaName, media);
    props
}

/// A name as the protocol has it; names of ours hold no zero.
fn name(text: &str) -> Option<CString> {
    CString::new(text).ok()
}
