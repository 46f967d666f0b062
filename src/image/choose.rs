//! The encoding of a picture by what it holds, by what the client decodes and by what bytes cost.
//!
//! 1. One colour is no image at all: the caller fills.
//! 2. Few colours go as palette indices through LZ: 0.6 of LZ_RGB's bytes on text, in less time.
//! 3. The rest goes through LZ, photographs too: where nothing repeats it strides over the pixels
//!    as fast as memory, and its 3 bytes a pixel are a quarter less than LZ4 or raw pixels take. On
//!    screens it takes 0.3 to 0.7 of LZ4's bytes in about the same time.
//! 4. Only to a client on this host, where bytes cost less than time, it is otherwise: pixels that
//!    hardly repeat go raw (a fifth of the time), and LZ4 takes the place of LZ_RGB (up to a fifth
//!    less time of server and client together).
//! 5. Raw where all of that is not shorter (a few pixels).

use super::bitmap;
use super::lz::LzEncoder;
use super::lz_palette;
use super::lz4::Lz4Encoder;
use super::palette::{PaletteFinder, flat_color};
use super::pixels::{Pixels, RGB};

/// What a client decodes besides BITMAP and LZ_RGB, which all of them do, and what bytes to it
/// cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// LZ4: the client announced `SPICE_DISPLAY_CAP_LZ4_COMPRESSION` (5).
    pub lz4: bool,
    /// LZ_PLT: no capability says so; every client but spice-html5 does.
    pub lz_palette: bool,
    /// The client is on this host (unix socket, loopback): bytes cost less than the time to spare
    /// them.
    pub local: bool,
}

/// What [`Encoder::encode`] appended: the image type and what the wire layer has to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// Nothing: every pixel has this colour, `0x00RRGGBB`; to be sent as DRAW_FILL.
    Solid(u32),
    /// `BitmapData`, image type BITMAP (0).
    Bitmap,
    /// `LZPLTData`, image type LZ_PLT (100), whose palette is to be placed in the message: its
    /// offset belongs at [`lz_palette::PALETTE_OFFSET_AT`] of what was appended.
    LzPalette {
        /// The colours, `0x00RRGGBB`; 2 to 256.
        palette: Vec<u32>,
    },
    /// `BinaryData`, image type LZ_RGB (101).
    LzRgb,
    /// `BinaryData`, image type LZ4 (109).
    Lz4,
}

/// Of this many sampled pixels, fewer than one repeats a neighbour: photographs and noise.
const REPEATS_RARE: u32 = 16;

/// Rows that the sample takes, spread over the height.
const SAMPLED_ROWS: u32 = 8;

/// The encoders with their memory; one serves any number of pictures, one after the other.
#[derive(Debug, Default)]
pub struct Encoder {
    lz: LzEncoder,
    lz4: Lz4Encoder,
    palette: PaletteFinder,
    indices: Vec<u8>,
}

impl Encoder {
    /// Encoders without memory of any picture.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends to `out` what follows the image descriptor of `pixels`, and says what it is. It
    /// never appends more than [`bitmap::encoded_len`] of the picture.
    pub fn encode(
        &mut self,
        pixels: &Pixels<'_>,
        capabilities: Capabilities,
        out: &mut Vec<u8>,
    ) -> Encoded {
        if let Some(color) = flat_color(pixels) {
            return Encoded::Solid(color);
        }
        let start = out.len();
        let encoded = self.compress(pixels, capabilities, out);
        let raw_len = bitmap::encoded_len(pixels.area());
        if encoded != Encoded::Bitmap && raw_len <= out.len() - start {
            out.truncate(start);
            bitmap::encode(pixels, out);
            return Encoded::Bitmap;
        }
        encoded
    }

    fn compress(
        &mut self,
        pixels: &Pixels<'_>,
        capabilities: Capabilities,
        out: &mut Vec<u8>,
    ) -> Encoded {
        if capabilities.lz_palette
            && !self.palette.exceeded_by_sample(pixels)
            && let Some(palette) = self.palette.find(pixels, &mut self.indices)
        {
            let colors = palette.colors.len();
            lz_palette::encode(&mut self.lz, &self.indices, colors, pixels.size(), out);
            return Encoded::LzPalette {
                palette: palette.colors,
            };
        }
        if capabilities.local && repeats_rarely(pixels) {
            bitmap::encode(pixels, out);
            return Encoded::Bitmap;
        }
        if capabilities.local && capabilities.lz4 {
            self.lz4.encode(pixels, out);
            return Encoded::Lz4;
        }
        self.lz.encode(pixels, out);
        Encoded::LzRgb
    }
}

/// Whether hardly any pixel equals the one to its left or above.
fn repeats_rarely(pixels: &Pixels<'_>) -> bool {
    let step = (pixels.height() / SAMPLED_ROWS).max(1);
    let (mut sampled, mut repeated) = (0, 0);
    for y in (1..pixels.height()).step_by(step as usize) {
        let (row, above) = (pixels.row(y), pixels.row(y - 1));
        let neighbours = row[1..].iter().zip(row).zip(&above[1..]);
        // Without branches, so that the compiler makes vectors of it.
        let repeats = |((pixel, left), above): ((&u32, &u32), &u32)| {
            u32::from(((pixel ^ left) & RGB == 0) | ((pixel ^ above) & RGB == 0))
        };
        repeated += neighbours.map(repeats).sum::<u32>();
        sampled += pixels.width();
    }
    0 < sampled && repeated < sampled / REPEATS_RARE
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::{ByteWriter, Size};
    use crate::image::pictures::picture;
    use crate::image::{DecodeError, lz, lz4};

    fn decode(
        encoded: &Encoded,
        payload: &[u8],
        pixels: &Pixels<'_>,
    ) -> Result<Vec<u32>, DecodeError> {
        match encoded {
            Encoded::Solid(color) => Ok(vec![*color; pixels.area()]),
            Encoded::Bitmap => bitmap::decode(payload, pixels.size()),
            Encoded::LzPalette { palette } => lz_palette::decode(payload, palette, pixels.size()),
            Encoded::LzRgb => lz::decode(payload, pixels.size()),
            Encoded::Lz4 => lz4::decode(payload, pixels.size()),
        }
    }

    const ALL: Capabilities = Capabilities {
        lz4: true,
        lz_palette: true,
        local: false,
    };
    const LOCAL: Capabilities = Capabilities { local: true, ..ALL };

    fn choice(data: &[u32], capabilities: Capabilities) -> (Encoded, usize) {
        let mut out = Vec::new();
        let pixels = Pixels::packed(data, 64, data.len() as u32 / 64).unwrap();
        (
            Encoder::new().encode(&pixels, capabilities, &mut out),
            out.len(),
        )
    }

    #[test]
    fn content_and_client_choose() {
        let noise = |at: u32| (at + 1).wrapping_mul(0x9e37_79b1).rotate_left(7) & RGB;
        let photo: Vec<u32> = (0..64 * 64).map(noise).collect();
        let text: Vec<u32> = (0..64 * 64).map(|at| noise(at * 3 / 7 % 90)).collect();
        let many: Vec<u32> = (0..64 * 64).map(|at| noise(at / 9)).collect();

        assert_eq!(choice(&[0xff00_0009; 640], ALL), (Encoded::Solid(9), 0));
        assert!(matches!(choice(&text, ALL).0, Encoded::LzPalette { .. }));
        assert_eq!(choice(&text, Capabilities::default()).0, Encoded::LzRgb);
        assert_eq!(choice(&many, ALL).0, Encoded::LzRgb);
        let (encoded, len) = choice(&photo, ALL);
        assert_eq!(encoded, Encoded::LzRgb);
        assert!(
            len < photo.len() * 7 / 2,
            "three bytes a pixel and not four"
        );

        assert_eq!(
            choice(&photo, LOCAL),
            (Encoded::Bitmap, bitmap::encoded_len(64 * 64))
        );
        assert_eq!(choice(&many, LOCAL).0, Encoded::Lz4);
        let without_lz4 = Capabilities {
            lz4: false,
            ..LOCAL
        };
        assert_eq!(choice(&many, without_lz4).0, Encoded::LzRgb);
    }

    #[test]
    fn a_few_pixels_go_raw() {
        let pixels = Pixels::packed(&[1, 2], 2, 1).unwrap();
        let mut out = Vec::new();
        assert_eq!(
            Encoder::new().encode(&pixels, ALL, &mut out),
            Encoded::Bitmap
        );
        assert_eq!(bitmap::decode(&out, pixels.size()), Ok(vec![1, 2]));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn pictures_come_back(
            pictures in prop::collection::vec(picture(), 1..4),
            lz4: bool,
            lz_palette: bool,
            local: bool,
        ) {
            let capabilities = Capabilities { lz4, lz_palette, local };
            let mut encoder = Encoder::new();
            for picture in pictures {
                let pixels = picture.pixels();
                let mut out = vec![0xaa; 5];
                let encoded = encoder.encode(&pixels, capabilities, &mut out);
                let allowed = match encoded {
                    Encoded::Lz4 => lz4,
                    Encoded::LzPalette { .. } => lz_palette,
                    Encoded::Solid(_) | Encoded::Bitmap | Encoded::LzRgb => true,
                };
                prop_assert!(allowed, "{:?}", encoded);
                prop_assert_eq!(&out[..5], [0xaa; 5]);
                prop_assert!(out.len() - 5 <= bitmap::encoded_len(pixels.area()));
                let decoded = decode(&encoded, &out[5..], &pixels);
                prop_assert_eq!(decoded.as_deref(), Ok(&picture.colors()[..]));
            }
        }

        #[test]
        fn any_bytes_are_decoded_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            head in prop::collection::vec(any::<u8>(), 0..60),
            width in 0_u32..9000,
            height in 0_u32..9000,
        ) {
            let size = Size::new(width, height);
            let mut payload = Vec::new();
            // Plain noise does not get past a header, so some of it follows a good one.
            for kind in 0..5 {
                payload.clear();
                let mut writer = ByteWriter::new(&mut payload);
                match kind {
                    0 => writer.bytes(&head),
                    1 => for value in [8, 4] { writer.u8(value); },
                    2 => writer.u32(bytes.len() as u32 + 28),
                    3 => { writer.u8(4); writer.u32(bytes.len() as u32 + 28); writer.u32(0); },
                    _ => { writer.u32(bytes.len() as u32 + 2); writer.u8(1); writer.u8(8); },
                }
                if kind == 2 || kind == 3 {
                    let (format, stride) = if kind == 2 { (8, 4 * width) } else { (5, width) };
                    for value in [0x2020_5a4c, 0x1_0001, format, width, height, stride, 1] {
                        writer.u32_be(value);
                    }
                }
                writer.bytes(&bytes);
                let area = width as usize * height as usize;
                for decoded in [
                    bitmap::decode(&payload, size),
                    lz::decode(&payload, size),
                    lz4::decode(&payload, size),
                    lz_palette::decode(&payload, &[0; 200], size),
                ].into_iter().flatten() {
                    prop_assert_eq!(decoded.len(), area);
                }
            }
        }
    }
}
