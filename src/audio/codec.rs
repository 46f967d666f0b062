//! What encodes and decodes sound. The library that does it is found at run time (`os::opus`); without it sound
//! travels raw.

use std::fmt::Debug;

use super::Frame;

/// Turns frames into packets that each stand for 10 ms.
pub trait SoundEncoder: Debug {
    /// Appends the packet of `frame` to `packet`; says whether there is one.
    fn encode(&mut self, frame: &Frame, packet: &mut Vec<u8>) -> bool;

    /// Forgets the frames so far: what follows has nothing to do with them.
    fn reset(&mut self);
}

/// Turns packets back into samples.
pub trait SoundDecoder: Debug {
    /// Appends the samples of `packet`, interleaved stereo at 48 kHz and at most 120 ms of it; says whether it was one.
    fn decode(&mut self, packet: &[u8], samples: &mut Vec<i16>) -> bool;
}

/// Where codecs come from.
pub trait SoundCodecs: Debug {
    /// An encoder of Opus.
    fn encoder(&self) -> Option<Box<dyn SoundEncoder>>;

    /// A decoder of Opus.
    fn decoder(&self) -> Option<Box<dyn SoundDecoder>>;
}

/// There is no codec.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawOnly;

impl SoundCodecs for RawOnly {
    fn encoder(&self) -> Option<Box<dyn SoundEncoder>> {
        None
    }

    fn decoder(&self) -> Option<Box<dyn SoundDecoder>> {
        None
    }
}
