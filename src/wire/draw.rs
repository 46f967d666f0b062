//! Drawing on a surface: DRAW_FILL, DRAW_COPY and COPY_BITS.
//!
//! All of them start with `DisplayBase`: the surface, the box, and how it is clipped. The server never clips
//! (spice-html5 ignores clips), never masks, scales or combines: each draws its whole box with `SPICE_ROPD_OP_PUT`.
//!
//! ```text
//! DisplayBase: surface_id u32, box Rect, clip type u8 (0 none)                       21 bytes
//! DRAW_FILL:   base, brush type u8 (1 solid), colour u32, rop u16, mask              +20
//! DRAW_COPY:   base, image offset u32, source Rect, rop u16, scale mode u8, mask     +36, then the image
//! COPY_BITS:   base, source Point                                                    +8
//! mask:        flags u8, position Point, bitmap offset u32 (0 none)                  13
//! image:       id u64, type u8, flags u8, width u32, height u32, then its data       18 +
//! ```

use super::field::{wire_enum, wire_flags};
use super::{Decode, Encode, Message, WireError};
use crate::base::{ByteReader, ByteWriter, Point, Rect, Size};

/// `SPICE_ROPD_OP_PUT`: the new pixels replace the old ones.
const OP_PUT: u16 = 1 << 3;

/// `SPICE_BRUSH_TYPE_SOLID`.
const BRUSH_SOLID: u8 = 1;

wire_enum! {
    /// `SpiceImageType`: how an image's data is to be read.
    ImageType(u8) {
        /// Raw pixels.
        BITMAP = 0,
        /// QUIC.
        QUIC = 1,
        /// LZ of palette indices.
        LZ_PLT = 100,
        /// LZ of pixels.
        LZ_RGB = 101,
        /// LZ with the client's dictionary.
        GLZ_RGB = 102,
        /// From the client's image cache.
        FROM_CACHE = 103,
        /// Another surface.
        SURFACE = 104,
        /// JPEG.
        JPEG = 105,
        /// The lossless one from the cache.
        FROM_CACHE_LOSSLESS = 106,
        /// GLZ in zlib.
        ZLIB_GLZ_RGB = 107,
        /// JPEG with an LZ alpha plane.
        JPEG_ALPHA = 108,
        /// LZ4.
        LZ4 = 109,
    }
}

wire_flags! {
    /// `SpiceImageFlags`: what the client does with an image besides drawing it.
    ImageFlags(u8) {
        /// It keeps the image in its cache, under the image's id.
        CACHE_ME = 0,
        /// The alpha channel counts as opaque.
        HIGH_BITS_SET = 1,
        /// It replaces the lossy image of the same id in its cache.
        CACHE_REPLACE_ME = 2,
    }
}

/// `SPICE_MSG_DISPLAY_DRAW_FILL` (302) with a solid brush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawFill {
    /// Number of the surface.
    pub surface_id: u32,
    /// Where.
    pub rect: Rect,
    /// 0x00RRGGBB.
    pub color: u32,
}

impl Message for DrawFill {
    const TYPE: u16 = 302;
}

impl Encode for DrawFill {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        encode_base(self.surface_id, &self.rect, writer);
        writer.u8(BRUSH_SOLID);
        writer.u32(self.color);
        writer.u16(OP_PUT);
        encode_no_mask(writer);
    }
}

impl<'a> Decode<'a> for DrawFill {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let (surface_id, rect) = decode_base(reader)?;
        expect("brush type", reader.u8()?.into(), BRUSH_SOLID.into())?;
        let color = reader.u32()?;
        expect("rop descriptor", reader.u16()?.into(), OP_PUT.into())?;
        decode_no_mask(reader)?;
        Ok(Self {
            surface_id,
            rect,
            color,
        })
    }
}

/// `SPICE_MSG_DISPLAY_COPY_BITS` (104).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyBits {
    /// Number of the surface.
    pub surface_id: u32,
    /// Destination.
    pub rect: Rect,
    /// Top left corner of the source.
    pub source: Point,
}

impl Message for CopyBits {
    const TYPE: u16 = 104;
}

impl Encode for CopyBits {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        encode_base(self.surface_id, &self.rect, writer);
        self.source.encode(writer);
    }
}

impl<'a> Decode<'a> for CopyBits {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let (surface_id, rect) = decode_base(reader)?;
        Ok(Self {
            surface_id,
            rect,
            source: Point::decode(reader)?,
        })
    }
}

/// A palette beside an image of type LZ_PLT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette<'a> {
    /// 0x00RRGGBB each.
    pub colors: &'a [u32],
    /// Where in the image's data its offset belongs.
    pub offset_at: usize,
}

/// `SPICE_MSG_DISPLAY_DRAW_COPY` (304): an image on its whole box.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrawCopy<'a> {
    /// Number of the surface.
    pub surface_id: u32,
    /// Destination; the image has its size.
    pub rect: Rect,
    /// Identifies the image in the client's cache.
    pub image_id: u64,
    /// How `data` is to be read.
    pub image_type: ImageType,
    /// What the client does with the image besides.
    pub flags: ImageFlags,
    /// What lies behind the image descriptor, as the encoder made it.
    pub data: &'a [u8],
    /// For images with a palette.
    pub palette: Option<Palette<'a>>,
}

impl<'a> DrawCopy<'a> {
    /// The image with this id of the client's cache; a client that has not got it waits for it for ever.
    pub const fn from_cache(surface_id: u32, rect: Rect, image_id: u64) -> Self {
        Self {
            surface_id,
            rect,
            image_id,
            image_type: ImageType::FROM_CACHE,
            flags: ImageFlags::NONE,
            data: &[],
            palette: None,
        }
    }
}

/// `SPICE_MSG_DISPLAY_DRAW_COPY` (304) whose image is a part of another surface of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SurfaceCopy {
    /// Number of the surface that is drawn on.
    pub surface_id: u32,
    /// Destination.
    pub rect: Rect,
    /// Number of the surface that is read.
    pub source_id: u32,
    /// Top left corner of the source.
    pub source: Point,
}

impl Message for SurfaceCopy {
    const TYPE: u16 = 304;
}

impl Encode for SurfaceCopy {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        let size = self.rect.size();
        let source = size.rect().translate(self.source);
        encode_copy_base(self.surface_id, &self.rect, &source, writer);
        encode_descriptor(0, ImageType::SURFACE, ImageFlags::NONE, size, writer);
        writer.u32(self.source_id);
    }
}

/// Bytes of DRAW_COPY before the image.
const IMAGE_OFFSET: u32 = 21 + 36;

/// Bytes of an image descriptor.
const DESCRIPTOR_SIZE: usize = 8 + 1 + 1 + 4 + 4;

impl Message for DrawCopy<'_> {
    const TYPE: u16 = 304;
}

impl Encode for DrawCopy<'_> {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        let size = self.rect.size();
        encode_copy_base(self.surface_id, &self.rect, &size.rect(), writer);
        encode_descriptor(self.image_id, self.image_type, self.flags, size, writer);
        let data_at = writer.written();
        writer.bytes(self.data);
        if let Some(palette) = self.palette {
            let offset = u32::try_from(writer.written()).unwrap_or(u32::MAX);
            writer.patch_u32(data_at.saturating_add(palette.offset_at), offset);
            let colors = super::field::countable(palette.colors, usize::from(u16::MAX));
            // Palettes are not cached: id 0.
            writer.u64(0);
            writer.u16(u16::try_from(colors.len()).unwrap_or(u16::MAX));
            for &color in colors {
                writer.u32(color);
            }
        }
    }
}

/// A DRAW_COPY as a client finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedCopy<'a> {
    /// Number of the surface.
    pub surface_id: u32,
    /// Destination.
    pub rect: Rect,
    /// Identifies the image.
    pub image_id: u64,
    /// How `data` is to be read.
    pub image_type: ImageType,
    /// What the client does with the image besides.
    pub flags: ImageFlags,
    /// Top left corner of what is read; not the origin only where another surface is the image.
    pub source: Point,
    /// Of the image.
    pub size: Size,
    /// Everything behind the image descriptor, which may include what pointers lead to.
    pub data: &'a [u8],
    /// Offset of `data` from the start of the body: pointers in it count from there.
    pub data_offset: usize,
}

impl<'a> ReceivedCopy<'a> {
    /// Reads the body of a DRAW_COPY of the kind that [`DrawCopy`] writes.
    ///
    /// # Errors
    /// When it ends early or asks for what the server never sends.
    pub fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = ByteReader::new(body);
        let (surface_id, rect) = decode_base(&mut reader)?;
        let image_offset = reader.u32()? as usize;
        let source = Rect::decode(&mut reader)?;
        expect("rop descriptor", reader.u16()?.into(), OP_PUT.into())?;
        expect("scale mode", reader.u8()?.into(), 0)?;
        decode_no_mask(&mut reader)?;
        let mut image = ByteReader::new(body);
        image.bytes(image_offset)?;
        let image_id = image.u64()?;
        let image_type = ImageType::decode(&mut image)?;
        let flags = ImageFlags::decode(&mut image)?;
        let size = Size::new(image.u32()?, image.u32()?);
        let shifted = image_type != ImageType::SURFACE && source.origin() != Point::default();
        if shifted || source.size() != size || rect.size() != size {
            return Err(WireError::Unsupported {
                field: "scaled image of width",
                value: size.width.into(),
            });
        }
        let data_offset = image_offset.saturating_add(DESCRIPTOR_SIZE);
        Ok(Self {
            surface_id,
            rect,
            image_id,
            image_type,
            flags,
            source: source.origin(),
            size,
            data: image.rest(),
            data_offset,
        })
    }

    /// The palette whose offset stands at `offset_at` of the image's data.
    ///
    /// # Errors
    /// When it lies outside of the body.
    pub fn palette(&self, offset_at: usize) -> Result<Vec<u32>, WireError> {
        let mut pointer = ByteReader::new(self.data);
        pointer.bytes(offset_at)?;
        let offset = pointer.u32()? as usize;
        let Some(from_data) = offset.checked_sub(self.data_offset) else {
            return Err(WireError::Invalid {
                field: "palette offset",
                value: offset as u64,
            });
        };
        let mut reader = ByteReader::new(self.data);
        reader.bytes(from_data)?;
        reader.u64()?;
        let count = reader.u16()?;
        super::field::decode_list(&mut reader, usize::from(count))
    }
}

fn encode_base(surface_id: u32, rect: &Rect, writer: &mut ByteWriter<'_>) {
    writer.u32(surface_id);
    rect.encode(writer);
    writer.u8(0);
}

fn decode_base(reader: &mut ByteReader<'_>) -> Result<(u32, Rect), WireError> {
    let (surface_id, rect) = (reader.u32()?, Rect::decode(reader)?);
    expect("clip type", reader.u8()?.into(), 0)?;
    Ok((surface_id, rect))
}

/// Everything of a DRAW_COPY before its image.
fn encode_copy_base(surface_id: u32, rect: &Rect, source: &Rect, writer: &mut ByteWriter<'_>) {
    encode_base(surface_id, rect, writer);
    writer.u32(IMAGE_OFFSET);
    source.encode(writer);
    writer.u16(OP_PUT);
    writer.u8(0);
    encode_no_mask(writer);
    debug_assert_eq!(writer.written(), IMAGE_OFFSET as usize, "the image follows");
}

fn encode_descriptor(
    image_id: u64,
    image_type: ImageType,
    flags: ImageFlags,
    size: Size,
    writer: &mut ByteWriter<'_>,
) {
    writer.u64(image_id);
    image_type.encode(writer);
    flags.encode(writer);
    writer.u32(size.width);
    writer.u32(size.height);
}

fn encode_no_mask(writer: &mut ByteWriter<'_>) {
    writer.u8(0);
    Point::default().encode(writer);
    writer.u32(0);
}

fn decode_no_mask(reader: &mut ByteReader<'_>) -> Result<(), WireError> {
    reader.u8()?;
    Point::decode(reader)?;
    expect("mask bitmap", reader.u32()?.into(), 0)
}

/// What the server never sends is no message of ours.
const fn expect(field: &'static str, value: u64, expected: u64) -> Result<(), WireError> {
    if value == expected {
        Ok(())
    } else {
        Err(WireError::Unsupported { field, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message_tests;

    const BASE: [[u8; 4]; 5] = [
        [0; 4],
        [2, 0, 0, 0],
        [1, 0, 0, 0],
        [6, 0, 0, 0],
        [4, 0, 0, 0],
    ];
    const RECT: Rect = Rect::new(1, 2, 4, 6);

    message_tests! {
        draw_fill: DrawFill = 302, DrawFill { surface_id: 0, rect: RECT, color: 0x0011_2233 },
            [BASE.concat(), vec![0, 1, 0x33, 0x22, 0x11, 0, 8, 0], vec![0; 13]];
        copy_bits: CopyBits = 104,
            CopyBits { surface_id: 0, rect: RECT, source: Point::new(-1, 7) },
            [BASE.concat(), vec![0, 255, 255, 255, 255, 7, 0, 0, 0]];
    }

    fn copy(palette: Option<Palette<'_>>) -> Vec<u8> {
        let mut out = Vec::new();
        let image_type = if palette.is_some() {
            ImageType::LZ_PLT
        } else {
            ImageType::LZ4
        };
        let data = &[9, 9, 9, 9, 9, 0, 0, 0, 0, 5, 6];
        DrawCopy {
            surface_id: 0,
            rect: RECT,
            image_id: 7,
            image_type,
            flags: ImageFlags::CACHE_ME,
            data,
            palette,
        }
        .encode(&mut ByteWriter::new(&mut out));
        out
    }

    #[test]
    fn draw_copy() {
        let body = copy(None);
        let head = [BASE.concat(), vec![0, 57, 0, 0, 0]].concat();
        assert_eq!(body[..25], head);
        let received = ReceivedCopy::decode(&body).unwrap();
        assert_eq!((received.rect, received.size), (RECT, Size::new(3, 4)));
        assert_eq!(
            (received.image_id, received.image_type),
            (7, ImageType::LZ4)
        );
        assert_eq!(received.flags, ImageFlags::CACHE_ME);
        assert_eq!(received.data, [9, 9, 9, 9, 9, 0, 0, 0, 0, 5, 6]);
        for length in 0..75 {
            assert!(
                ReceivedCopy::decode(&body[..length]).is_err(),
                "cut at {length}"
            );
        }
    }

    #[test]
    fn parts_of_surfaces_are_copied() {
        let mut body = Vec::new();
        let copy = SurfaceCopy {
            surface_id: 0,
            rect: RECT,
            source_id: 9,
            source: Point::new(40, 30),
        };
        copy.encode(&mut ByteWriter::new(&mut body));
        // Top, left, bottom and right of the source.
        let source: Vec<u8> = [30_u32, 40, 34, 43].map(u32::to_le_bytes).concat();
        assert_eq!(body[25..41], source);
        let received = ReceivedCopy::decode(&body).unwrap();
        assert_eq!(received.image_type, ImageType::SURFACE);
        assert_eq!((received.rect, received.source), (RECT, copy.source));
        assert_eq!(received.data, [9, 0, 0, 0]);
        // Only surfaces are read in part.
        body[57 + 8] = ImageType::LZ4.0;
        assert!(ReceivedCopy::decode(&body).is_err());
    }

    #[test]
    fn palettes_lie_behind_the_image() {
        let colors = [0x0001_0203, 0x0004_0506];
        let body = copy(Some(Palette {
            colors: &colors,
            offset_at: 5,
        }));
        let received = ReceivedCopy::decode(&body).unwrap();
        assert_eq!(received.palette(5).unwrap(), colors);
        for length in 75..body.len() {
            let cut = ReceivedCopy::decode(&body[..length]).unwrap();
            assert!(cut.palette(5).is_err(), "cut at {length}");
        }
    }
}
