//! The record channel: the client's microphone to the desktop, from the server's START to its STOP.
//!
//! A client answers START with MODE, START_MARK and then DATA; the first two and DATA are laid out as the playback
//! channel's.

use super::field::{message_enum, wire_struct};
use super::playback::{AudioFormat, Data, Mode, Volumes};

wire_struct! {
    /// `SPICE_MSG_RECORD_START` (101): the client shall open its microphone.
    Start = 101 {
        /// Channels, their samples interleaved.
        channels: u32,
        /// What a sample is.
        format: AudioFormat,
        /// Samples of a channel in a second.
        frequency: u32,
    }
}

wire_struct! {
    /// `SPICE_MSG_RECORD_STOP` (102): the client shall close its microphone.
    Stop = 102 {}
}

/// `SPICE_MSG_RECORD_VOLUME` (103), if the client announced `VOLUME`: what it is to record at.
pub type Volume = Volumes<103>;

wire_struct! {
    /// `SPICE_MSG_RECORD_MUTE` (104), if the client announced `VOLUME`.
    Mute = 104 {
        /// 0 or 1.
        mute: u8,
    }
}

message_enum! {
    /// What a server says on the record channel.
    ServerMessage {
        Start(Start),
        Stop(Stop),
        Volume(Volume),
        Mute(Mute),
    }
}

wire_struct! {
    /// `SPICE_MSGC_RECORD_START_MARK` (103): the first sample comes next.
    StartMark = 103 {
        /// Multimedia clock in milliseconds.
        time: u32,
    }
}

message_enum! {
    /// What a client says on the record channel.
    ClientMessage<'a> {
        Data(Data<'a>),
        Mode(Mode),
        StartMark(StartMark),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message_tests;

    message_tests! {
        start: Start = 101, Start { channels: 2, format: AudioFormat::S16, frequency: 48000 },
            [vec![2, 0, 0, 0], vec![1, 0], vec![0x80, 0xbb, 0, 0]];
        stop: Stop = 102, Stop {}, [];
        volume: Volume = 103, Volumes(vec![3]), [[1, 3, 0]];
        mute: Mute = 104, Mute { mute: 0 }, [[0]];
        start_mark: StartMark = 103, StartMark { time: 5 }, [[5, 0, 0, 0]];
    }
}
