//! The encoding of a picture by what it holds and by what the client decodes.
//!
//! 1. One colour is no image at all: the caller fills.
//! 2. Few colours go as palette indices through LZ.
//! 3. The rest goes through LZ, unless a look at some rows says that hardly any pixel repeats its neighbours: then
//!    LZ4, which a client decodes several times faster.
//! 4. Raw where all of that is not shorter.

use super::bitmap;
use super::lz::LzEncoder;
use super::lz_palette;
use super::lz4::Lz4Encoder;
use super::palette::{PaletteFinder, flat_color};
use super::pixels::{Pixels, RGB};

/// What a client decodes besides BITMAP and LZ_RGB, which all of them do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// LZ4: the client announced `SPICE_DISPLAY_CAP_LZ4_COMPRESSION` (5).
    pub lz4: bool,
    /// LZ_PLT: no capability says so; every client but spice-html5 does.
    pub lz_palette: bool,
}

/// What [`Encoder::encode`] appended: the image type and what the wire layer has to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoded {
    /// Nothing: every pixel has this colour, `0x00RRGGBB`; to be sent as DRAW_FILL.
    Solid(u32),
    /// `BitmapData`, image type BITMAP (0).
    Bitmap,
    /// `LZPLTData`, image type LZ_PLT (100), whose palette is to be placed in the message: its offset belongs at
    /// [`lz_palette::PALETTE_OFFSET_AT`] of what was appended.
    LzPalette {
        /// The colours, `0x00RRGGBB`; 2 to 256.
        palette: Vec<u32>,
    },
    /// `BinaryData`, image type LZ_RGB (101).
    LzRgb,
    /// `BinaryData`, image type LZ4 (109).
    Lz4,
}

/// The encoders with their memory; one serves any number of pictures, one after the other.
#[derive(Debug, Default)]
pub struct Encoder {
    lz: LzEncoder,
    lz4: Lz4Encoder,
    palette: PaletteFinder,
    indices: Vec<u8>,
}

/// Of this many sampled pixels, fewer than one repeats a neighbour: photographs and noise.
const REPEATS_RARE: usize = 16;

impl Encoder {
    /// Encoders without memory of any picture.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends to `out` what follows the image descriptor of `pixels`, and says what it is. It never appends more
    /// than [`bitmap::encoded_len`] of the picture.
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
        if bitmap::encoded_len(pixels.area()) <= out.len() - start {
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
            lz_palette::encode(&mut self.lz, &mut self.indices, colors, pixels.size(), out);
            return Encoded::LzPalette {
                palette: palette.colors,
            };
        }
        if capabilities.lz4 && repeats_rarely(pixels) {
            self.lz4.encode(pixels, out);
            return Encoded::Lz4;
        }
        self.lz.encode(pixels, out);
        Encoded::LzRgb
    }
}

/// Whether hardly any pixel equals the one to its left or above.
fn repeats_rarely(pixels: &Pixels<'_>) -> bool {
    let step = (pixels.height() / 8).max(1);
    let mut sampled = 0;
    let mut repeated = 0;
    for y in (1..pixels.height()).step_by(step as usize) {
        let (row, above) = (pixels.row(y), pixels.row(y - 1));
        let neighbours = row.iter().skip(1).zip(row).zip(above.iter().skip(1));
        repeated += neighbours
            .filter(|((pixel, left), above)| {
                (*pixel ^ *left) & RGB == 0 || (*pixel ^ *above) & RGB == 0
            })
            .count();
        sampled += row.len();
    }
    0 < sampled && repeated < sampled / REPEATS_RARE
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
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

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn pictures_come_back(
            pictures in prop::collection::vec(picture(), 1..4),
            lz4: bool,
            lz_palette: bool,
        ) {
            let capabilities = Capabilities { lz4, lz_palette };
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
    }
}
