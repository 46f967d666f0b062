//! Images of any bytes, and pictures of any kind, and what must hold for decoders and encoders.
//!
//! `tests/fuzz` feeds [`check`] with a fuzzer, the tests here with random scripts and with those that a fuzzer once
//! found.

use super::choose::{Capabilities, Encoded, Encoder};
use super::classify::Kind;
use super::glz::{self, GlzEncoder};
use super::glz_decode::GlzDecoder;
use super::lz::LzEncoder;
use super::lz4::Lz4Encoder;
use super::pixels::{Pixels, RGB};
use super::quic::QuicEncoder;
use super::zlib_glz::{self, ZlibWrapper};
use super::{DecodeError, bitmap, lz, lz_palette, lz4, quic};
use crate::base::script::Script;
use crate::base::{Rect, Size};

/// Pixels of the largest picture that a script paints.
const AREA_MAX: u32 = 4096;

/// Image types that have a decoder.
const FORMS: u8 = 7;

/// Pixels that a client of the decoders keeps.
const GLZ_WINDOW: usize = 1 << 20;

/// Runs one script: its bytes are an image, a picture to encode, or a picture whose encoding is changed.
///
/// # Panics
///
/// Where an encoder or a decoder breaks its promises; that is what tests and fuzzers look for.
pub fn check(script: &[u8]) {
    let mut script = Script::new(script);
    let flags = script.u8();
    let size = size(&mut script);
    if flags & 3 == 0 {
        let colors = usize::from(script.u8());
        let palette: Vec<u32> = (0..colors as u32).collect();
        for form in 0..FORMS {
            check_decoder(form, script.clone().rest(), &palette, size);
        }
        return;
    }
    let picture = Picture::paint(size, flags >> 2 & 7, &mut script);
    check_forms(&picture);
    check_sequence(&picture, &mut script.clone());
    let capabilities = Capabilities {
        lz4: flags & 32 != 0,
        lz_palette: flags & 64 != 0,
        local: flags & 128 != 0,
        ..Capabilities::default()
    };
    let kind = if flags & 16 == 0 {
        Kind::Drawn
    } else {
        Kind::Photo
    };
    let (encoded, mut payload) = check_choice(&picture, kind, capabilities);
    if flags & 3 == 1 || payload.is_empty() {
        return;
    }
    let quic = flags & 3 == 3;
    if let (true, Some(pixels)) = (quic, picture.pixels()) {
        payload.clear();
        QuicEncoder::new().encode(&pixels, &mut payload);
    }
    // Few decisions are left now; a small change of a good image goes deepest.
    let at = script.u32() as usize % payload.len();
    payload[at] ^= script.u8().max(1);
    payload.truncate(payload.len() - usize::from(script.u8()) % payload.len().min(9));
    let (form, palette) = match encoded {
        _ if quic => (4, Vec::new()),
        Encoded::Solid(_) => return,
        Encoded::Bitmap => (0, Vec::new()),
        Encoded::LzRgb => (1, Vec::new()),
        Encoded::LzPalette { palette } => (2, palette),
        Encoded::Lz4 => (3, Vec::new()),
        Encoded::Quic => (4, Vec::new()),
        Encoded::Jpeg | Encoded::Glz | Encoded::ZlibGlz => return,
    };
    check_decoder(form, &payload, &palette, size);
}

/// Sides of any kind, an area that a fuzzer has the time for; seldom what no image has.
fn size(script: &mut Script<'_>) -> Size {
    let (width, height) = (script.number(), script.number());
    match script.u8() {
        254 => Size::new(width, height),
        255 => Size::new(width % 8192, height % 8192),
        _ => {
            let width = 1 + width % AREA_MAX;
            Size::new(width, 1 + height % (AREA_MAX / width))
        }
    }
}

/// Any bytes are pixels of the announced size, or an error, and cost memory in proportion.
fn check_decoder(form: u8, payload: &[u8], palette: &[u32], size: Size) {
    let decoded = decode(form, payload, palette, size);
    let Ok(pixels) = decoded else {
        return;
    };
    assert_eq!(pixels.len() as u64, size.area(), "form {form}");
    assert!(
        pixels.iter().all(|pixel| pixel & !RGB == 0),
        "form {form}: top bytes"
    );
    // Of a byte there are at most 255 units, of 8 pixels where they are bits; QUIC needs more than a byte for a row,
    // and deflate gives 1032 times as many bytes.
    let per_byte = match form {
        4 => 8192,
        6 => 1032 * 255,
        _ => 8 * 255,
    };
    assert!(
        pixels.len() <= per_byte * payload.len(),
        "form {form} of {}",
        payload.len()
    );
}

fn decode(form: u8, payload: &[u8], palette: &[u32], size: Size) -> Result<Vec<u32>, DecodeError> {
    match form {
        0 => bitmap::decode(payload, size),
        1 => lz::decode(payload, size),
        2 => lz_palette::decode(payload, palette, size),
        3 => lz4::decode(payload, size),
        4 => quic::decode(payload, size),
        5 => GlzDecoder::new(GLZ_WINDOW).decode(payload, size),
        _ => zlib_glz::decode(payload, size, &mut GlzDecoder::new(GLZ_WINDOW)),
    }
}

/// Every encoder by itself: what it gives is the picture, within the bound that it names.
fn check_forms(picture: &Picture) {
    let (Some(pixels), colors) = (picture.pixels(), picture.colors()) else {
        return;
    };
    let (size, area) = (pixels.size(), pixels.area());
    let mut out = vec![0x77];
    bitmap::encode(&pixels, &mut out);
    assert_eq!(out.len(), 1 + bitmap::encoded_len(area));
    assert_eq!(decode(0, &out[1..], &[], size).as_ref(), Ok(&colors));
    out.truncate(1);
    LzEncoder::new().encode(&pixels, &mut out);
    assert!(
        out.len() <= 1 + lz::encoded_len_max(area),
        "{} of {area}",
        out.len()
    );
    assert_eq!(decode(1, &out[1..], &[], size).as_ref(), Ok(&colors));
    out.truncate(1);
    Lz4Encoder::new().encode(&pixels, &mut out);
    assert!(
        out.len() <= 1 + lz4::encoded_len_max(area),
        "{} of {area}",
        out.len()
    );
    assert_eq!(decode(3, &out[1..], &[], size).as_ref(), Ok(&colors));
    out.truncate(1);
    QuicEncoder::new().encode(&pixels, &mut out);
    assert!(
        out.len() <= 1 + quic::encoded_len_max(area),
        "{} of {area}",
        out.len()
    );
    assert_eq!(decode(4, &out[1..], &[], size).as_ref(), Ok(&colors));
    assert_eq!(out[0], 0x77, "what stood before is left alone");
}

/// Parts of the picture, one after the other, through one dictionary: what comes back is each part, and a changed
/// payload is pixels or an error.
fn check_sequence(picture: &Picture, script: &mut Script<'_>) {
    let Some(whole) = picture.pixels() else {
        return;
    };
    let window = 2 + script.u16() as usize % (4 * AREA_MAX as usize);
    let mut encoder = GlzEncoder::with_window(window);
    let mut decoder = GlzDecoder::new(window);
    let mut wrapper = ZlibWrapper::new(u32::from(script.u8()));
    for _ in 0..2 + script.u8() % 7 {
        let side = |script: &mut Script<'_>, len: u32| (script.number() % len) as i32;
        let (width, height) = (whole.width(), whole.height());
        let (left, top) = (side(script, width), side(script, height));
        let (right, bottom) = (side(script, width), side(script, height));
        let rect = Rect::new(left, top, width as i32 - right, height as i32 - bottom);
        let Some(part) = whole.part(rect) else {
            continue;
        };
        let (size, area) = (part.size(), part.area());
        let mut payload = Vec::new();
        let encoded = encoder.encode(&part, &mut payload);
        assert_eq!(encoded.is_ok(), area < window, "{area} in {window}");
        if encoded.is_err() {
            assert!(payload.is_empty());
            continue;
        }
        assert!(payload.len() <= glz::encoded_len_max(area));
        let mut deflated = Vec::new();
        let wrapped = wrapper.wrap(&payload, &mut deflated);
        assert!(!wrapped || deflated.len() < payload.len());
        let mut other = decoder.clone();
        let colors: Vec<u32> = part.rows().flatten().map(|pixel| pixel & RGB).collect();
        let decoded = decoder.decode(&payload, size);
        assert_eq!(decoded.as_ref(), Ok(&colors));
        if wrapped {
            let decoded = zlib_glz::decode(&deflated, size, &mut other.clone());
            assert_eq!(decoded.as_ref(), Ok(&colors));
        }
        let at = script.u16() as usize % payload.len();
        payload[at] ^= script.u8().max(1);
        if let Ok(pixels) = other.decode(&payload, size) {
            assert_eq!(pixels.len(), area);
            assert!(pixels.iter().all(|pixel| pixel & !RGB == 0));
        }
    }
}

/// The encoder's own choice, twice with the same encoder: its memory of the first must not show in the second.
fn check_choice(picture: &Picture, kind: Kind, capabilities: Capabilities) -> (Encoded, Vec<u8>) {
    let Some(pixels) = picture.pixels() else {
        return (Encoded::Solid(0), Vec::new());
    };
    let (mut encoder, mut first, mut out) = (Encoder::new(), Vec::new(), Vec::new());
    let chosen = encoder.encode(&pixels, kind, capabilities, &mut first);
    let encoded = encoder.encode(&pixels, kind, capabilities, &mut out);
    assert_eq!((&chosen, &first), (&encoded, &out), "the same again");
    assert!(
        out.len() <= bitmap::encoded_len(pixels.area()),
        "{encoded:?}"
    );
    let (size, colors) = (pixels.size(), picture.colors());
    let decoded = match &encoded {
        Encoded::Solid(color) => {
            assert!(out.is_empty());
            Ok(vec![*color; pixels.area()])
        }
        Encoded::Bitmap => decode(0, &out, &[], size),
        Encoded::LzRgb => decode(1, &out, &[], size),
        Encoded::Quic => decode(4, &out, &[], size),
        Encoded::Jpeg | Encoded::Glz | Encoded::ZlibGlz => unreachable!("nobody allowed it"),
        Encoded::LzPalette { palette } => {
            assert!(capabilities.lz_palette && (2..=256).contains(&palette.len()));
            decode(2, &out, palette, size)
        }
        Encoded::Lz4 => {
            assert!(capabilities.lz4);
            decode(3, &out, &[], size)
        }
    };
    assert_eq!(decoded, Ok(colors), "{encoded:?}");
    (encoded, out)
}

/// A picture with rows apart, and top bytes that hold anything.
#[derive(Debug)]
struct Picture {
    data: Vec<u32>,
    size: Size,
    stride: usize,
}

impl Picture {
    /// Painted by steps of the script: runs, copies of what is there already, and pixels of its own.
    fn paint(size: Size, gap: u8, script: &mut Script<'_>) -> Self {
        // Sizes that no picture has are for the decoders.
        let size = Size::new(
            size.width.min(AREA_MAX),
            size.height.min(AREA_MAX / size.width.clamp(1, AREA_MAX)),
        );
        let stride = size.width as usize + usize::from(gap);
        let len = stride * size.height as usize;
        let mut data: Vec<u32> = Vec::with_capacity(len);
        while data.len() < len {
            let count = 1 + script.number() as usize % 300;
            let step = script.u8();
            let color = u32::from(step >> 3).wrapping_mul(0x0b_3579);
            let distance = 1 + script.number() as usize;
            for _ in 0..count {
                let at = data.len();
                data.push(match step & 7 {
                    0 | 1 => color,
                    2 | 3 if distance <= at => data[at - distance],
                    4 if stride <= at => data[at - stride],
                    5 => color ^ (at as u32 % (1 + u32::from(step >> 5))) << 8,
                    6 => (at as u32 ^ distance as u32).wrapping_mul(0x9e37_79b1),
                    _ => script.u32(),
                });
            }
        }
        data.truncate(len);
        Self { data, size, stride }
    }

    fn pixels(&self) -> Option<Pixels<'_>> {
        Pixels::new(&self.data, self.size.width, self.size.height, self.stride).ok()
    }

    /// What a decoder gives.
    fn colors(&self) -> Vec<u32> {
        let rows = self.data.chunks(self.stride.max(1));
        let width = self.size.width as usize;
        rows.flat_map(|row| row.iter().take(width))
            .map(|pixel| pixel & RGB)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::corpus::{plant_seeds, replay_regressions};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn random_scripts_break_no_promise(script in prop::collection::vec(any::<u8>(), 0..300)) {
            check(&script);
        }
    }

    /// Painted by one step each: the oracle does get to every form.
    #[test]
    fn scripts_reach_every_form() {
        let all = Capabilities {
            lz4: true,
            lz_palette: true,
            ..Capabilities::default()
        };
        let local = Capabilities { local: true, ..all };
        let chosen = |steps: &[u8], capabilities| {
            let picture = Picture::paint(Size::new(60, 60), 1, &mut Script::new(steps));
            check_choice(&picture, Kind::Drawn, capabilities).0
        };
        // Count, step, distance.
        let noise = [[200, 6, 9], [250, 6, 77]].concat().repeat(9);
        let runs: Vec<u8> = (0..250)
            .flat_map(|n| [12, 6 | (n % 8) << 3, n, 15, 4, 0])
            .collect();
        assert_eq!(chosen(&[], all), Encoded::Solid(0));
        assert!(matches!(chosen(&[9, 8, 0], all), Encoded::LzPalette { .. }));
        assert_eq!(chosen(&noise, all), Encoded::LzRgb);
        assert_eq!(chosen(&noise, local), Encoded::Lz4);
        assert_eq!(chosen(&runs, local), Encoded::Lz4);
    }

    #[test]
    fn seeds_break_no_promise() {
        let steps: Vec<u8> = (0_u8..60)
            .flat_map(|n| [12, n.wrapping_mul(37), 3 + n])
            .collect();
        let pictures = (1..=255).step_by(2);
        let seeds: Vec<Vec<u8>> = pictures
            .map(|flags| [&[flags, 59, 39, 0][..], &steps].concat())
            .collect();
        let data = [7, 8, 9, 7, 8, 9, 1, 2, 7, 7, 7, 7];
        let pixels = Pixels::packed(&data, 4, 3).map(|pixels| {
            let (mut raw, mut lz, mut lz4) = (Vec::new(), Vec::new(), Vec::new());
            let (mut quic, mut glz, mut deflated) = (Vec::new(), Vec::new(), Vec::new());
            bitmap::encode(&pixels, &mut raw);
            LzEncoder::new().encode(&pixels, &mut lz);
            Lz4Encoder::new().encode(&pixels, &mut lz4);
            QuicEncoder::new().encode(&pixels, &mut quic);
            GlzEncoder::with_window(99)
                .encode(&pixels, &mut glz)
                .unwrap();
            assert!(ZlibWrapper::new(9).wrap(&glz, &mut deflated));
            [raw, lz, lz4, quic, glz, deflated]
        });
        let images = pixels
            .unwrap()
            .map(|image| [vec![0, 3, 2, 0, 9], image].concat());
        plant_seeds("images", &[seeds, images.to_vec()].concat(), check);
    }

    #[test]
    fn scripts_from_the_fuzzer_break_no_promise() {
        assert!(0 < replay_regressions("images", check));
    }
}
