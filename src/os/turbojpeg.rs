//! JPEG by the system's libturbojpeg, where it is installed: the same work in a third of the time.
//!
//! It is found at run time and not linked, so that the server runs, and builds, without it. The
//! functions are those of TurboJPEG 2, which 3 still has under the same name of the library
//! (`libturbojpeg.so.0`); `turbojpeg.h` tells what they do.
//!
//! INVARIANT: the functions are of the signatures below, which is what a library of this name and
//! these symbols promises; they stay loaded as long as any encoder does.

#![expect(unsafe_code, reason = "a library that is found at run time")]

use std::ffi::{c_int, c_uchar, c_ulong, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use libloading::Library;

use crate::image::jpeg::{JpegBackend, JpegError, JpegSettings, PureJpeg, Sampling};
use crate::image::pixels::Pixels;

/// The library's name in every version with these functions.
const LIBRARY: &str = "libturbojpeg.so.0";

/// `TJPF_BGRX` or `TJPF_XRGB`: what a pixel `0x00RRGGBB` is in memory.
const PIXEL_FORMAT: c_int = if cfg!(target_endian = "little") { 3 } else { 5 };

/// `TJSAMP_444` and `TJSAMP_420`.
const SAMPLING_FULL: c_int = 0;
const SAMPLING_QUARTER: c_int = 2;

/// `TJFLAG_NOREALLOC`: the buffer is ours and has the room that `tjBufSize` names.
const FLAG_KEEP_BUFFER: c_int = 1024;
/// `TJFLAG_ACCURATEDCT`. The fast transform is none on processors with vectors: same time, and up
/// to 4 % more bytes.
const FLAG_ACCURATE_DCT: c_int = 4096;

type Handle = NonNull<c_void>;
type InitCompress = unsafe extern "C" fn() -> *mut c_void;
type BufSize = unsafe extern "C" fn(width: c_int, height: c_int, sampling: c_int) -> c_ulong;
type Compress = unsafe extern "C" fn(
    handle: *mut c_void,
    pixels: *const c_uchar,
    width: c_int,
    pitch: c_int,
    height: c_int,
    pixel_format: c_int,
    file: *mut *mut c_uchar,
    file_len: *mut c_ulong,
    sampling: c_int,
    quality: c_int,
    flags: c_int,
) -> c_int;
type Destroy = unsafe extern "C" fn(handle: *mut c_void) -> c_int;

/// Why the library cannot be used; the system's affair, the pure backend does as well.
#[derive(Debug, thiserror::Error)]
pub enum TurboJpegError {
    /// It is not installed, or not for this machine, or lacks a function.
    #[error("{LIBRARY} cannot be used")]
    Load(#[from] libloading::Error),
    /// It gave no encoder: out of memory.
    #[error("{LIBRARY} gave no encoder")]
    Encoder,
}

/// The loaded library: gives encoders, one for each thread.
#[derive(Clone, Debug)]
pub struct TurboJpeg {
    functions: Arc<Functions>,
}

#[derive(Debug)]
struct Functions {
    init_compress: InitCompress,
    buf_size: BufSize,
    compress: Compress,
    destroy: Destroy,
    /// Keeps them in memory.
    _library: Library,
}

impl TurboJpeg {
    /// Loads the library, which reads files: once, at the start.
    pub fn load() -> Result<Self, TurboJpegError> {
        Self::load_named(LIBRARY)
    }

    fn load_named(name: &str) -> Result<Self, TurboJpegError> {
        // SAFETY: the library's initialisers set up tables of its own and need nothing of us.
        let library = unsafe { Library::new(name) }?;
        // SAFETY: this is the function's signature in turbojpeg.h.
        let init_compress = *unsafe { library.get::<InitCompress>("tjInitCompress") }?;
        // SAFETY: this is the function's signature in turbojpeg.h.
        let buf_size = *unsafe { library.get::<BufSize>("tjBufSize") }?;
        // SAFETY: this is the function's signature in turbojpeg.h.
        let compress = *unsafe { library.get::<Compress>("tjCompress2") }?;
        // SAFETY: this is the function's signature in turbojpeg.h.
        let destroy = *unsafe { library.get::<Destroy>("tjDestroy") }?;
        let functions = Functions {
            init_compress,
            buf_size,
            compress,
            destroy,
            _library: library,
        };
        Ok(Self {
            functions: Arc::new(functions),
        })
    }

    /// An encoder of its own state.
    pub fn encoder(&self) -> Result<TurboJpegEncoder, TurboJpegError> {
        // SAFETY: the function takes nothing and is loaded.
        let handle = unsafe { (self.functions.init_compress)() };
        Ok(TurboJpegEncoder {
            functions: Arc::clone(&self.functions),
            handle: NonNull::new(handle).ok_or(TurboJpegError::Encoder)?,
            file: Vec::new(),
        })
    }
}

/// Where JPEG backends come from: the library if it is there, else the pure one.
#[derive(Clone, Debug)]
pub struct JpegBackends {
    library: Option<TurboJpeg>,
}

impl JpegBackends {
    /// Looks for the library, which reads files: once, at the start. Says in the log why there is
    /// none.
    pub fn load() -> Self {
        match TurboJpeg::load() {
            Ok(library) => Self {
                library: Some(library),
            },
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::debug!(error, "JPEG is encoded without the system's library");
                Self::pure()
            }
        }
    }

    /// Only pure backends.
    pub const fn pure() -> Self {
        Self { library: None }
    }

    /// A backend for one thread.
    pub fn backend(&self) -> Box<dyn JpegBackend> {
        match self.library.as_ref().map(TurboJpeg::encoder) {
            Some(Ok(encoder)) => Box::new(encoder),
            Some(Err(_)) | None => Box::new(PureJpeg),
        }
    }
}

/// An encoder of the library.
#[derive(Debug)]
pub struct TurboJpegEncoder {
    functions: Arc<Functions>,
    handle: Handle,
    /// Room for the largest file so far could become. Only what files really took of it was ever
    /// touched, so the rest takes no memory.
    file: Vec<u8>,
}

// SAFETY: a handle may be used by one thread after the other; all its state is in its own memory.
unsafe impl Send for TurboJpegEncoder {}

impl TurboJpegEncoder {
    /// Writes a file to `self.file` and gives its length; `None` where the library fails.
    fn compress(&mut self, pixels: &Pixels<'_>, settings: JpegSettings) -> Option<usize> {
        let width = c_int::try_from(pixels.width()).ok()?;
        let height = c_int::try_from(pixels.height()).ok()?;
        let pitch = c_int::try_from(pixels.stride().checked_mul(4)?).ok()?;
        let sampling = match settings.sampling {
            Sampling::Full => SAMPLING_FULL,
            Sampling::Quarter => SAMPLING_QUARTER,
        };
        self.make_room(width, height, sampling)?;
        let span = pixels.span();
        let mut file = self.file.as_mut_ptr();
        let mut file_len = c_ulong::try_from(self.file.len()).ok()?;
        // SAFETY: the handle is live and ours alone; `span` holds `height` rows that start `pitch`
        // bytes apart, the last one of `width` pixels of 4 bytes; `file` has the room that the
        // library itself asked for, and it stays there, for the flag forbids to replace it.
        let failed = unsafe {
            (self.functions.compress)(
                self.handle.as_ptr(),
                span.as_ptr().cast(),
                width,
                pitch,
                height,
                PIXEL_FORMAT,
                &raw mut file,
                &raw mut file_len,
                sampling,
                c_int::from(settings.quality.get()),
                FLAG_KEEP_BUFFER | FLAG_ACCURATE_DCT,
            )
        };
        let len = usize::try_from(file_len).ok()?;
        (failed == 0 && len <= self.file.len()).then_some(len)
    }

    /// Makes `self.file` as long as a file of this size can get.
    fn make_room(&mut self, width: c_int, height: c_int, sampling: c_int) -> Option<()> {
        // SAFETY: the function computes a number from three.
        let room = unsafe { (self.functions.buf_size)(width, height, sampling) };
        if room == 0 || room == c_ulong::MAX {
            return None;
        }
        let room = usize::try_from(room).ok()?;
        if self.file.len() < room {
            // Fresh from the system and not resized: zeros cost nothing there.
            self.file = Vec::new();
            self.file = vec![0; room];
        }
        Some(())
    }
}

impl JpegBackend for TurboJpegEncoder {
    fn name(&self) -> &'static str {
        "libturbojpeg"
    }

    fn encode(
        &mut self,
        pixels: &Pixels<'_>,
        settings: JpegSettings,
        out: &mut Vec<u8>,
    ) -> Result<(), JpegError> {
        let len = self
            .compress(pixels, settings)
            .ok_or(JpegError::of("libturbojpeg", pixels))?;
        out.extend_from_slice(&self.file[..len]);
        Ok(())
    }
}

impl Drop for TurboJpegEncoder {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and nothing uses it afterwards.
        unsafe { (self.functions.destroy)(self.handle.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::jpeg_check::{self, smooth};

    /// `make test` installs the library; who runs tests without it is told what was left out.
    #[expect(clippy::print_stderr, reason = "a test left out is to be seen")]
    fn library() -> Option<TurboJpeg> {
        let library = TurboJpeg::load();
        if let Err(error) = &library {
            eprintln!("SKIPPED: {error}: install Debian's package libturbojpeg0");
        }
        library.ok()
    }

    #[test]
    fn files_show_the_picture() {
        if let Some(library) = library() {
            jpeg_check::check(&mut library.encoder().unwrap());
        }
    }

    #[test]
    fn encoders_of_several_threads_do_not_meet() {
        let Some(library) = library() else { return };
        let settings = JpegSettings::new(80, Sampling::Quarter);
        let encode = move |encoder: &mut TurboJpegEncoder, side: u32| {
            let data = smooth(side, side, side as usize);
            let mut out = Vec::new();
            for _ in 0..20 {
                out.clear();
                let pixels = Pixels::packed(&data, side, side).unwrap();
                encoder.encode(&pixels, settings, &mut out).unwrap();
            }
            out
        };
        let alone: Vec<Vec<u8>> = (1..5)
            .map(|n| encode(&mut library.encoder().unwrap(), 50 * n))
            .collect();
        let threads: Vec<_> = (1..5)
            .map(|n| {
                let mut encoder = library.encoder().unwrap();
                std::thread::spawn(move || encode(&mut encoder, 50 * n))
            })
            .collect();
        drop(library);
        for (thread, alone) in threads.into_iter().zip(alone) {
            assert!(thread.join().unwrap() == alone);
        }
    }

    #[test]
    fn a_library_that_is_missing_or_another_one_is_an_error() {
        for name in ["libcaraway-none.so.0", "libc.so.6"] {
            let error = TurboJpeg::load_named(name).unwrap_err();
            assert!(matches!(error, TurboJpegError::Load(_)), "{error:?}");
        }
        assert_eq!(JpegBackends::pure().backend().name(), "jpeg-encoder");
    }

    #[test]
    fn the_library_is_taken_where_it_is() {
        let expected = library().map_or("jpeg-encoder", |_| "libturbojpeg");
        assert_eq!(JpegBackends::load().backend().name(), expected);
    }
}
