//! Capabilities: numbered bits in 32-bit words that both sides announce while they link.
//!
//! Common capabilities hold for the connection, the others for the channel's type. Numbers: `spice/protocol.h`.

use super::{Encode, WireError, field};
use crate::base::{ByteReader, ByteWriter};

/// A set of capability bits. Words are kept as announced, so unknown ones survive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    words: Vec<u32>,
}

impl Caps {
    /// The set of the given bit numbers.
    pub fn of(bits: &[u32]) -> Self {
        bits.iter().fold(Self::default(), |set, bit| set.with(*bit))
    }

    /// Bit number `bit` is set.
    pub fn has(&self, bit: u32) -> bool {
        self.words
            .get(place(bit))
            .is_some_and(|word| word & mask(bit) != 0)
    }

    /// The set with bit number `bit`.
    #[must_use]
    pub fn with(mut self, bit: u32) -> Self {
        if self.words.len() <= place(bit) {
            self.words.resize(place(bit).saturating_add(1), 0);
        }
        if let Some(word) = self.words.get_mut(place(bit)) {
            *word |= mask(bit);
        }
        self
    }

    /// The bits of both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let words = self.words.iter().zip(&other.words);
        Self {
            words: words.map(|(ours, theirs)| ours & theirs).collect(),
        }
    }

    /// 32-bit words that the set takes on the wire.
    pub const fn word_count(&self) -> usize {
        self.words.len()
    }

    /// Reads `count` words.
    pub fn decode(reader: &mut ByteReader<'_>, count: usize) -> Result<Self, WireError> {
        Ok(Self {
            words: field::decode_list(reader, count)?,
        })
    }
}

impl Encode for Caps {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        for &word in &self.words {
            writer.u32(word);
        }
    }
}

const fn place(bit: u32) -> usize {
    (bit / u32::BITS) as usize
}

const fn mask(bit: u32) -> u32 {
    1 << (bit % u32::BITS)
}

/// Capabilities of every channel.
pub mod common {
    /// The client names its authentication mechanism before it uses it.
    pub const AUTH_SELECTION: u32 = 0;
    /// Tickets.
    pub const AUTH_SPICE: u32 = 1;
    /// SASL.
    pub const AUTH_SASL: u32 = 2;
    /// Headers of 6 instead of 18 bytes.
    pub const MINI_HEADER: u32 = 3;
    /// Ours, and far from the protocol's: the client is to watch, whatever it may. The gateway says so.
    pub const WATCHES_ONLY: u32 = 31;
}

/// Capabilities of the main channel.
pub mod main {
    /// Migration by telling the client to switch hosts.
    pub const SEMI_SEAMLESS_MIGRATE: u32 = 0;
    /// NAME and UUID messages.
    pub const NAME_AND_UUID: u32 = 1;
    /// AGENT_CONNECTED_TOKENS in place of AGENT_CONNECTED.
    pub const AGENT_CONNECTED_TOKENS: u32 = 2;
    /// Migration with the channels' state.
    pub const SEAMLESS_MIGRATE: u32 = 3;
}

/// Capabilities of the display channel.
pub mod display {
    /// STREAM_DATA_SIZED.
    pub const SIZED_STREAM: u32 = 0;
    /// MONITORS_CONFIG: who sets it must send it.
    pub const MONITORS_CONFIG: u32 = 1;
    /// DRAW_COMPOSITE.
    pub const COMPOSITE: u32 = 2;
    /// Surfaces of 8-bit alpha.
    pub const A8_SURFACE: u32 = 3;
    /// STREAM_ACTIVATE_REPORT and STREAM_REPORT.
    pub const STREAM_REPORT: u32 = 4;
    /// LZ4 images.
    pub const LZ4_COMPRESSION: u32 = 5;
    /// PREFERRED_COMPRESSION.
    pub const PREF_COMPRESSION: u32 = 6;
    /// GL_SCANOUT_UNIX.
    pub const GL_SCANOUT: u32 = 7;
    /// The codec bits mean something; without it a client plays MJPEG only.
    pub const MULTI_CODEC: u32 = 8;
    /// MJPEG streams.
    pub const CODEC_MJPEG: u32 = 9;
    /// VP8 streams.
    pub const CODEC_VP8: u32 = 10;
    /// H.264 streams.
    pub const CODEC_H264: u32 = 11;
    /// PREFERRED_VIDEO_CODEC_TYPE.
    pub const PREF_VIDEO_CODEC_TYPE: u32 = 12;
    /// VP9 streams.
    pub const CODEC_VP9: u32 = 13;
    /// H.265 streams.
    pub const CODEC_H265: u32 = 14;
}

/// Capabilities of the inputs channel.
pub mod inputs {
    /// KEY_SCANCODE.
    pub const KEY_SCANCODE: u32 = 0;
}

/// Capabilities of the playback channel.
pub mod playback {
    /// VOLUME and MUTE.
    pub const VOLUME: u32 = 1;
    /// LATENCY.
    pub const LATENCY: u32 = 2;
    /// Opus packets.
    pub const OPUS: u32 = 3;
}

/// Capabilities of the record channel.
pub mod record {
    /// VOLUME and MUTE.
    pub const VOLUME: u32 = 1;
    /// Opus packets.
    pub const OPUS: u32 = 2;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_live_in_words() {
        let caps = Caps::of(&[0, 3, 33]);
        assert_eq!(caps.words, [0b1001, 0b10]);
        assert!(caps.has(0) && caps.has(33));
        assert!(!caps.has(1) && !caps.has(32) && !caps.has(u32::MAX));
        assert_eq!(Caps::default().word_count(), 0);
    }

    #[test]
    fn words_round_trip() {
        let caps = Caps::of(&[1, 63]);
        let mut out = Vec::new();
        caps.encode(&mut ByteWriter::new(&mut out));
        assert_eq!(out, [2, 0, 0, 0, 0, 0, 0, 0x80]);
        assert_eq!(Caps::decode(&mut ByteReader::new(&out), 2), Ok(caps));
        assert!(Caps::decode(&mut ByteReader::new(&out), 3).is_err());
    }
}
