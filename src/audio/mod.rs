//! Sound by itself: frames, silence, stamps and codecs, without channels, clients or the daemon that mixes it.
//!
//! There is one format throughout: 48 kHz, stereo, 16 bits, in frames of 10 ms. It is what Opus wants, what spice-html5
//! demands, and what sound daemons mix in, so that nothing is resampled on the way.

pub mod codec;
pub mod drift;
pub mod frames;
pub mod microphone;
pub mod silence;
pub mod stamps;
pub mod volume;

pub use codec::{RawOnly, SoundCodecs, SoundDecoder, SoundEncoder};
pub use drift::Drift;
pub use frames::FrameAssembler;
pub use microphone::Microphone;
pub use silence::{Passage, SilenceGate};
pub use stamps::Stamps;
pub use volume::Gain;

/// Samples of one channel in a second.
pub const SAMPLE_RATE_HZ: u32 = 48_000;

/// Channels; their samples are interleaved, left first.
pub const CHANNELS: usize = 2;

/// Milliseconds of a frame.
pub const FRAME_MS: u32 = 10;

/// Samples of one channel in a frame.
pub const FRAME_SAMPLES: usize = 480;

/// Samples of all channels in a frame.
pub const FRAME_VALUES: usize = FRAME_SAMPLES * CHANNELS;

/// Bytes of a frame's samples.
pub const FRAME_BYTES: usize = FRAME_VALUES * size_of::<i16>();

/// 10 ms of sound.
pub type Frame = [i16; FRAME_VALUES];

const _: () = assert!(FRAME_SAMPLES as u32 * 1000 == SAMPLE_RATE_HZ * FRAME_MS);
