//! Opus by the system's libopus, where it is installed. Without it sound travels raw.
//!
//! It is found at run time and not linked, so that the server runs, and builds, without it. The functions and numbers
//! are those of `opus.h` and `opus_defines.h`, which have not changed since 1.0.
//!
//! INVARIANT: the functions are of the signatures below, which is what a library of this name and these symbols
//! promises; they stay loaded as long as any encoder or decoder does.

#![expect(unsafe_code, reason = "a library that is found at run time")]

use std::ffi::{c_int, c_uchar, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use libloading::Library;

use crate::audio::{
    CHANNELS, FRAME_SAMPLES, Frame, SAMPLE_RATE_HZ, SoundCodecs, SoundDecoder, SoundEncoder,
};

/// The library's name in every version so far.
const LIBRARY: &str = "libopus.so.0";

/// `OPUS_APPLICATION_RESTRICTED_LOWDELAY`: 2.5 ms of delay where the others have 6.5, and as good at this rate.
const APPLICATION: c_int = 2051;

/// `OPUS_SET_BITRATE` and what it is set to: nobody tells music from the original here.
const SET_BITRATE: c_int = 4002;
const BITS_PER_S: c_int = 128_000;

/// `OPUS_SET_COMPLEXITY` and what it is set to.
const SET_COMPLEXITY: c_int = 4010;
const COMPLEXITY: c_int = 5;

/// `OPUS_RESET_STATE`.
const RESET_STATE: c_int = 4028;

/// Bytes of the largest packet of one frame.
const PACKET_BYTES_MAX: usize = 1275;

/// Samples of a channel in the longest packet, 120 ms.
const PACKET_SAMPLES_MAX: usize = SAMPLE_RATE_HZ as usize / 1000 * 120;

type Handle = NonNull<c_void>;
type CreateEncoder = unsafe extern "C" fn(
    rate: i32,
    channels: c_int,
    application: c_int,
    error: *mut c_int,
) -> *mut c_void;
type Encode = unsafe extern "C" fn(
    encoder: *mut c_void,
    samples: *const i16,
    frame_samples: c_int,
    packet: *mut c_uchar,
    packet_bytes_max: i32,
) -> i32;
type Control = unsafe extern "C" fn(encoder: *mut c_void, request: c_int, ...) -> c_int;
type CreateDecoder =
    unsafe extern "C" fn(rate: i32, channels: c_int, error: *mut c_int) -> *mut c_void;
type Decode = unsafe extern "C" fn(
    decoder: *mut c_void,
    packet: *const c_uchar,
    packet_bytes: i32,
    samples: *mut i16,
    frame_samples_max: c_int,
    correct_errors: c_int,
) -> c_int;
type Destroy = unsafe extern "C" fn(*mut c_void);

/// The library cannot be used: it is not installed, or not for this machine, or lacks a function.
#[derive(Debug, thiserror::Error)]
#[error("{LIBRARY} cannot be used")]
pub struct OpusError(#[from] libloading::Error);

/// The loaded library: gives encoders and decoders.
#[derive(Clone, Debug)]
pub struct Opus {
    functions: Arc<Functions>,
}

#[derive(Debug)]
struct Functions {
    create_encoder: CreateEncoder,
    encode: Encode,
    control: Control,
    destroy_encoder: Destroy,
    create_decoder: CreateDecoder,
    decode: Decode,
    destroy_decoder: Destroy,
    /// Keeps them in memory.
    _library: Library,
}

impl Opus {
    /// Loads the library, which reads files: once, at the start.
    ///
    /// # Errors
    /// [`OpusError`]: there is none of use here.
    pub fn load() -> Result<Self, OpusError> {
        Self::load_named(LIBRARY)
    }

    fn load_named(name: &str) -> Result<Self, OpusError> {
        // SAFETY: the library has no initialisers that need anything of us.
        let library = unsafe { Library::new(name) }?;
        // SAFETY: this is the function's signature in opus.h.
        let create_encoder = *unsafe { library.get::<CreateEncoder>("opus_encoder_create") }?;
        // SAFETY: this is the function's signature in opus.h.
        let encode = *unsafe { library.get::<Encode>("opus_encode") }?;
        // SAFETY: this is the function's signature in opus.h.
        let control = *unsafe { library.get::<Control>("opus_encoder_ctl") }?;
        // SAFETY: this is the function's signature in opus.h.
        let destroy_encoder = *unsafe { library.get::<Destroy>("opus_encoder_destroy") }?;
        // SAFETY: this is the function's signature in opus.h.
        let create_decoder = *unsafe { library.get::<CreateDecoder>("opus_decoder_create") }?;
        // SAFETY: this is the function's signature in opus.h.
        let decode = *unsafe { library.get::<Decode>("opus_decode") }?;
        // SAFETY: this is the function's signature in opus.h.
        let destroy_decoder = *unsafe { library.get::<Destroy>("opus_decoder_destroy") }?;
        let functions = Functions {
            create_encoder,
            encode,
            control,
            destroy_encoder,
            create_decoder,
            decode,
            destroy_decoder,
            _library: library,
        };
        Ok(Self {
            functions: Arc::new(functions),
        })
    }
}

impl SoundCodecs for Opus {
    fn encoder(&self) -> Option<Box<dyn SoundEncoder>> {
        let mut error = 0;
        // SAFETY: the function takes numbers, and writes one number to `error` during the call.
        let handle = unsafe {
            (self.functions.create_encoder)(
                SAMPLE_RATE_HZ.cast_signed(),
                CHANNELS as c_int,
                APPLICATION,
                &raw mut error,
            )
        };
        let encoder = OpusEncoder {
            functions: Arc::clone(&self.functions),
            handle: NonNull::new(handle)?,
        };
        // Refused settings leave the library's own, which do as well.
        encoder.set(SET_BITRATE, BITS_PER_S);
        encoder.set(SET_COMPLEXITY, COMPLEXITY);
        Some(Box::new(encoder))
    }

    fn decoder(&self) -> Option<Box<dyn SoundDecoder>> {
        let mut error = 0;
        // SAFETY: the function takes numbers, and writes one number to `error` during the call.
        let handle = unsafe {
            (self.functions.create_decoder)(
                SAMPLE_RATE_HZ.cast_signed(),
                CHANNELS as c_int,
                &raw mut error,
            )
        };
        Some(Box::new(OpusDecoder {
            functions: Arc::clone(&self.functions),
            handle: NonNull::new(handle)?,
            samples: vec![0; PACKET_SAMPLES_MAX * CHANNELS],
        }))
    }
}

/// An encoder of the library.
#[derive(Debug)]
struct OpusEncoder {
    functions: Arc<Functions>,
    handle: Handle,
}

impl OpusEncoder {
    fn set(&self, request: c_int, value: c_int) {
        // SAFETY: the handle is live and ours alone; both requests take one number.
        unsafe { (self.functions.control)(self.handle.as_ptr(), request, value) };
    }
}

impl SoundEncoder for OpusEncoder {
    fn encode(&mut self, frame: &Frame, packet: &mut Vec<u8>) -> bool {
        let before = packet.len();
        packet.resize(before + PACKET_BYTES_MAX, 0);
        let room = &mut packet[before..];
        // SAFETY: the handle is live and ours alone; `frame` holds as many samples of each channel as are said, and
        // `room` as many bytes.
        let bytes = unsafe {
            (self.functions.encode)(
                self.handle.as_ptr(),
                frame.as_ptr(),
                FRAME_SAMPLES as c_int,
                room.as_mut_ptr(),
                PACKET_BYTES_MAX as i32,
            )
        };
        let bytes = usize::try_from(bytes)
            .unwrap_or_default()
            .min(PACKET_BYTES_MAX);
        packet.truncate(before + bytes);
        0 < bytes
    }

    fn reset(&mut self) {
        // SAFETY: the handle is live and ours alone; the request takes nothing more.
        unsafe { (self.functions.control)(self.handle.as_ptr(), RESET_STATE) };
    }
}

impl Drop for OpusEncoder {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and nothing uses it afterwards.
        unsafe { (self.functions.destroy_encoder)(self.handle.as_ptr()) };
    }
}

/// A decoder of the library.
#[derive(Debug)]
struct OpusDecoder {
    functions: Arc<Functions>,
    handle: Handle,
    /// Room for the longest packet.
    samples: Vec<i16>,
}

impl SoundDecoder for OpusDecoder {
    fn decode(&mut self, packet: &[u8], samples: &mut Vec<i16>) -> bool {
        // No bytes would mean to the library that a packet was lost.
        let (Ok(bytes), false) = (i32::try_from(packet.len()), packet.is_empty()) else {
            return false;
        };
        // SAFETY: the handle is live and ours alone; `packet` holds as many bytes as are said, and `self.samples` room
        // for as many samples of each channel.
        let count = unsafe {
            (self.functions.decode)(
                self.handle.as_ptr(),
                packet.as_ptr(),
                bytes,
                self.samples.as_mut_ptr(),
                PACKET_SAMPLES_MAX as c_int,
                0,
            )
        };
        let count = usize::try_from(count).unwrap_or_default();
        let decoded = self.samples.get(..count * CHANNELS).unwrap_or_default();
        samples.extend_from_slice(decoded);
        0 < count
    }
}

impl Drop for OpusDecoder {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and nothing uses it afterwards.
        unsafe { (self.functions.destroy_decoder)(self.handle.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::FRAME_VALUES;

    /// `make test` installs the library; who runs tests without it is told what was left out.
    #[expect(clippy::print_stderr, reason = "a test left out is to be seen")]
    fn library() -> Option<Opus> {
        let library = Opus::load();
        if let Err(error) = &library {
            eprintln!("SKIPPED: {error}: install Debian's package libopus0");
        }
        library.ok()
    }

    fn tone(frame: usize) -> Frame {
        std::array::from_fn(|at| {
            let sample = frame * FRAME_SAMPLES + at / CHANNELS;
            let phase = sample as f64 * 1000.0 / 48_000.0 * std::f64::consts::TAU;
            (phase.sin() * 8000.0) as i16
        })
    }

    fn level(samples: &[i16]) -> f64 {
        let squares = samples.iter().map(|value| f64::from(*value).powi(2));
        (squares.sum::<f64>() / samples.len() as f64).sqrt()
    }

    #[test]
    fn a_tone_comes_back_as_loud_in_a_tenth_of_the_bytes() {
        let Some(library) = library() else { return };
        let mut encoder = library.encoder().unwrap();
        let mut decoder = library.decoder().unwrap();
        let (mut bytes, mut samples) = (0, Vec::new());
        for frame in 0..100 {
            let mut packet = vec![7];
            assert!(encoder.encode(&tone(frame), &mut packet));
            bytes += packet.len() - 1;
            assert_eq!(packet[0], 7, "what was there stays");
            assert!(decoder.decode(&packet[1..], &mut samples));
        }
        assert_eq!(samples.len(), 100 * FRAME_VALUES);
        assert!(bytes < 100 * FRAME_VALUES * 2 / 8, "{bytes} bytes");
        let ratio = level(&samples[10 * FRAME_VALUES..]) / (8000.0 / 2.0_f64.sqrt());
        assert!((0.97..1.03).contains(&ratio), "{ratio}");
    }

    #[test]
    fn silence_is_silent_also_after_a_reset() {
        let Some(library) = library() else { return };
        let mut encoder = library.encoder().unwrap();
        encoder.encode(&tone(0), &mut Vec::new());
        encoder.reset();
        let (mut packet, mut samples) = (Vec::new(), Vec::new());
        assert!(encoder.encode(&[0; FRAME_VALUES], &mut packet));
        let mut decoder = library.decoder().unwrap();
        assert!(decoder.decode(&packet, &mut samples));
        assert!(samples.iter().all(|value| value.unsigned_abs() < 20));
    }

    #[test]
    fn any_bytes_are_survived() {
        let Some(library) = library() else { return };
        let mut decoder = library.decoder().unwrap();
        let mut state = 1_u32;
        for length in 0..2000 {
            let packet: Vec<u8> = (0..length)
                .map(|_| {
                    state = state.wrapping_mul(0x9e37_79b1).wrapping_add(7);
                    (state >> 24) as u8
                })
                .collect();
            let mut samples = Vec::new();
            decoder.decode(&packet, &mut samples);
            assert!(samples.len() <= PACKET_SAMPLES_MAX * CHANNELS);
        }
    }

    #[test]
    fn a_library_that_is_missing_or_another_one_is_an_error() {
        for name in ["libcaraway-none.so.0", "libc.so.6"] {
            assert!(Opus::load_named(name).is_err(), "{name}");
        }
    }
}
