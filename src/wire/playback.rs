//! The playback channel: the desktop's sound to the client. Clients say nothing on it.
//!
//! MODE comes before START: spice-gtk makes its decoder at START. Times are those of the session's multimedia clock and
//! never go back.

use super::field::{countable, message_enum, wire_enum, wire_struct};
use super::{Decode, Encode, Message, WireError};
use crate::base::{ByteReader, ByteWriter};

/// Volume of a channel that plays as loud as it can.
pub const VOLUME_FULL: u16 = u16::MAX;

wire_enum! {
    /// `SpiceAudioDataMode`: how samples are encoded.
    AudioMode(u16) {
        /// Samples as they are.
        RAW = 1,
        /// One Opus packet in each message.
        OPUS = 3,
    }
}

wire_enum! {
    /// `SpiceAudioFmt`: what a decoded sample is.
    AudioFormat(u16) {
        /// 16 bits with sign, little-endian.
        S16 = 1,
    }
}

/// A message with the volumes of the channels of a sound, in the order of the samples; up to 255 are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volumes<const TYPE: u16>(
    /// From 0 to [`VOLUME_FULL`].
    pub Vec<u16>,
);

impl<const TYPE: u16> Message for Volumes<TYPE> {
    const TYPE: u16 = TYPE;
}

impl<const TYPE: u16> Encode for Volumes<TYPE> {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        let told = countable(&self.0, u8::MAX.into());
        writer.u8(u8::try_from(told.len()).unwrap_or(u8::MAX));
        for volume in told {
            writer.u16(*volume);
        }
    }
}

impl<'a, const TYPE: u16> Decode<'a> for Volumes<TYPE> {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let count = reader.u8()?;
        Ok(Self(super::field::decode_list(reader, count.into())?))
    }
}

/// `SPICE_MSG_PLAYBACK_DATA` (101) and `SPICE_MSGC_RECORD_DATA` (101): 10 ms of sound by our own rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    /// Multimedia clock in milliseconds.
    pub time: u32,
    /// Samples, or a packet, as MODE says.
    pub data: &'a [u8],
}

impl Message for Data<'_> {
    const TYPE: u16 = 101;
}

impl Encode for Data<'_> {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u32(self.time);
        writer.bytes(self.data);
    }
}

impl<'a> Decode<'a> for Data<'a> {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(Self {
            time: reader.u32()?,
            data: reader.rest(),
        })
    }
}

wire_struct! {
    /// `SPICE_MSG_PLAYBACK_MODE` (102) and `SPICE_MSGC_RECORD_MODE` (102). Data of no mode that is in use may follow.
    Mode = 102 {
        /// Multimedia clock in milliseconds.
        time: u32,
        /// How what follows is encoded.
        mode: AudioMode,
    }
}

wire_struct! {
    /// `SPICE_MSG_PLAYBACK_START` (103).
    Start = 103 {
        /// Channels, their samples interleaved.
        channels: u32,
        /// What a sample is.
        format: AudioFormat,
        /// Samples of a channel in a second.
        frequency: u32,
        /// Multimedia clock in milliseconds.
        time: u32,
    }
}

wire_struct! {
    /// `SPICE_MSG_PLAYBACK_STOP` (104).
    Stop = 104 {}
}

/// `SPICE_MSG_PLAYBACK_VOLUME` (105), if the client announced `VOLUME`: what it is to play at.
pub type Volume = Volumes<105>;

wire_struct! {
    /// `SPICE_MSG_PLAYBACK_MUTE` (106), if the client announced `VOLUME`.
    Mute = 106 {
        /// 0 or 1.
        mute: u8,
    }
}

wire_struct! {
    /// `SPICE_MSG_PLAYBACK_LATENCY` (107), if the client announced `LATENCY`. START sets the client's own again.
    Latency = 107 {
        /// Milliseconds of sound that the client shall hold to bridge the line's unevenness.
        latency_ms: u32,
    }
}

message_enum! {
    /// What a server says on the playback channel.
    ServerMessage<'a> {
        Data(Data<'a>),
        Mode(Mode),
        Start(Start),
        Stop(Stop),
        Volume(Volume),
        Mute(Mute),
        Latency(Latency),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message_tests;

    const fn le(value: u32) -> [u8; 4] {
        value.to_le_bytes()
    }

    message_tests! {
        data: Data<'_> = 101, Data { time: 7, data: &[] }, [le(7)];
        mode: Mode = 102, Mode { time: 7, mode: AudioMode::OPUS }, [le(7).to_vec(), vec![3, 0]];
        start: Start = 103,
            Start { channels: 2, format: AudioFormat::S16, frequency: 48000, time: 9 },
            [le(2).to_vec(), vec![1, 0], le(48000).to_vec(), le(9).to_vec()];
        stop: Stop = 104, Stop {}, [];
        volume: Volume = 105, Volumes(vec![1, VOLUME_FULL]), [[2, 1, 0, 0xff, 0xff]];
        mute: Mute = 106, Mute { mute: 1 }, [[1]];
        latency: Latency = 107, Latency { latency_ms: 60 }, [le(60)];
    }

    #[test]
    fn samples_are_the_rest_of_the_body() {
        let data = Data {
            time: 1,
            data: &[5, 6],
        };
        let body = [1, 0, 0, 0, 5, 6];
        assert_eq!(
            ServerMessage::decode(101, &body),
            Ok(ServerMessage::Data(data))
        );
    }
}
