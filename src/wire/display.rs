//! The display channel without its drawing: surfaces, monitors, what a client says. Drawing is in `draw`.
//!
//! The order that spice-gtk and spice-html5 want is SURFACE_CREATE, content, MONITORS_CONFIG, MARK; for another size
//! SURFACE_DESTROY first.

use super::field::{decode_list, message_enum, wire_enum, wire_flags, wire_struct};
use super::{Decode, Encode, Message, WireError};
use crate::base::{ByteReader, ByteWriter, Rect, Size};

wire_enum! {
    /// `SpiceSurfaceFmt`.
    SurfaceFormat(u32) {
        /// `SPICE_SURFACE_FMT_32_xRGB`: B, G, R and an ignored byte.
        XRGB_32 = 32,
        /// `SPICE_SURFACE_FMT_32_ARGB`.
        ARGB_32 = 96,
    }
}

wire_flags! {
    /// `SpiceSurfaceFlags`.
    SurfaceFlags(u32) {
        /// The surface is the screen.
        PRIMARY = 0,
        /// Streams on it are shown without delay.
        STREAMING_MODE = 1,
    }
}

wire_struct! {
    /// `SPICE_MSG_DISPLAY_MARK` (102): the screen may be shown.
    Mark = 102 {}
}

wire_struct! {
    /// `SPICE_MSG_DISPLAY_RESET` (103): forget everything.
    Reset = 103 {}
}

/// `SPICE_MSG_DISPLAY_INVAL_LIST` (105): the client forgets these images of its cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalList {
    /// Ids of images that the client has.
    pub image_ids: Vec<u64>,
}

/// `SPICE_RES_TYPE_PIXMAP`: the only kind of resource that clients cache.
const RESOURCE_PIXMAP: u8 = 1;

impl Message for InvalList {
    const TYPE: u16 = 105;
}

impl Encode for InvalList {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        let ids = super::field::countable(&self.image_ids, usize::from(u16::MAX));
        writer.u16(u16::try_from(ids.len()).unwrap_or(u16::MAX));
        for &id in ids {
            writer.u8(RESOURCE_PIXMAP);
            writer.u64(id);
        }
    }
}

impl<'a> Decode<'a> for InvalList {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let mut image_ids = Vec::new();
        for _ in 0..reader.u16()? {
            let resource = reader.u8()?;
            if resource != RESOURCE_PIXMAP {
                return Err(WireError::Unsupported {
                    field: "resource type",
                    value: resource.into(),
                });
            }
            image_ids.push(reader.u64()?);
        }
        Ok(Self { image_ids })
    }
}

wire_struct! {
    /// `SPICE_MSG_DISPLAY_INVAL_ALL_PALETTES` (108): forget all cached palettes.
    InvalAllPalettes = 108 {}
}

wire_struct! {
    /// `SPICE_MSG_DISPLAY_SURFACE_CREATE` (314).
    SurfaceCreate = 314 {
        /// Number of the surface; 0 is the screen.
        surface_id: u32,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// Of its pixels.
        format: SurfaceFormat,
        /// What it is.
        flags: SurfaceFlags,
    }
}

impl SurfaceCreate {
    /// A surface off the screen.
    pub const fn aside(surface_id: u32, size: Size) -> Self {
        Self {
            surface_id,
            flags: SurfaceFlags::NONE,
            ..Self::primary(size)
        }
    }

    /// The screen as surface 0.
    pub const fn primary(size: Size) -> Self {
        Self {
            surface_id: 0,
            width: size.width,
            height: size.height,
            format: SurfaceFormat::XRGB_32,
            flags: SurfaceFlags::PRIMARY,
        }
    }
}

wire_struct! {
    /// `SPICE_MSG_DISPLAY_SURFACE_DESTROY` (315).
    SurfaceDestroy = 315 {
        /// Number of the surface.
        surface_id: u32,
    }
}

wire_struct! {
    /// `SpiceHead`: a monitor.
    Head {
        /// Number of the monitor.
        id: u32,
        /// The surface that it shows.
        surface_id: u32,
        /// Columns.
        width: u32,
        /// Rows.
        height: u32,
        /// First column on the surface.
        x: u32,
        /// First row on the surface.
        y: u32,
        /// None is defined.
        flags: u32,
    }
}

impl Head {
    /// Monitor `id` that shows `rect` of the screen; parts left of or above it are cut.
    pub fn new(id: u32, rect: &Rect) -> Self {
        let (x, y) = (u32::try_from(rect.left), u32::try_from(rect.top));
        Self {
            id,
            surface_id: 0,
            width: rect.width(),
            height: rect.height(),
            x: x.unwrap_or(0),
            y: y.unwrap_or(0),
            flags: 0,
        }
    }
}

/// `SPICE_MSG_DISPLAY_MONITORS_CONFIG` (317): clients that announced the capability derive nothing themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorsConfig {
    /// Monitors that there may ever be; at least 1.
    pub max_allowed: u16,
    /// Monitors that are on; clients ignore a list of none.
    pub heads: Vec<Head>,
}

impl Message for MonitorsConfig {
    const TYPE: u16 = 317;
}

impl Encode for MonitorsConfig {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        let heads = super::field::countable(&self.heads, usize::from(u16::MAX));
        writer.u16(u16::try_from(heads.len()).unwrap_or(u16::MAX));
        writer.u16(self.max_allowed);
        for head in heads {
            head.encode(writer);
        }
    }
}

impl<'a> Decode<'a> for MonitorsConfig {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let (count, max_allowed) = (reader.u16()?, reader.u16()?);
        Ok(Self {
            max_allowed,
            heads: decode_list(reader, usize::from(count))?,
        })
    }
}

wire_struct! {
    /// `SPICE_MSGC_DISPLAY_INIT` (101): the client's first message.
    Init = 101 {
        /// Number of its image cache; displays of one client may share one.
        pixmap_cache_id: u8,
        /// Pixels that the image cache holds.
        pixmap_cache_size: i64,
        /// Number of its GLZ dictionary.
        glz_dictionary_id: u8,
        /// Pixels of the GLZ dictionary's window; 0 is no GLZ.
        glz_dictionary_window_size: i32,
    }
}

wire_struct! {
    /// `SPICE_MSGC_DISPLAY_STREAM_REPORT` (102).
    StreamReport = 102 {
        /// Number of the stream.
        stream_id: u32,
        /// Of the STREAM_ACTIVATE_REPORT.
        unique_id: u32,
        /// Multimedia time of the first frame that it is about.
        start_frame_mm_time: u32,
        /// Multimedia time of the last one.
        end_frame_mm_time: u32,
        /// Frames that came.
        num_frames: u32,
        /// Frames that were not shown.
        num_drops: u32,
        /// How early the last frame came, in milliseconds; negative is late.
        last_frame_delay: i32,
        /// Milliseconds of sound that wait.
        audio_delay: u32,
    }
}

wire_enum! {
    /// `SpiceImageCompression`.
    ImageCompression(u8) {
        /// None asked for.
        INVALID = 0,
        /// Raw.
        OFF = 1,
        /// QUIC or GLZ by content.
        AUTO_GLZ = 2,
        /// QUIC or LZ by content.
        AUTO_LZ = 3,
        /// QUIC.
        QUIC = 4,
        /// GLZ.
        GLZ = 5,
        /// LZ.
        LZ = 6,
        /// LZ4.
        LZ4 = 7,
    }
}

wire_struct! {
    /// `SPICE_MSGC_DISPLAY_PREFERRED_COMPRESSION` (103).
    PreferredCompression = 103 {
        /// What the user chose.
        image_compression: ImageCompression,
    }
}

wire_struct! {
    /// `SPICE_MSGC_DISPLAY_GL_DRAW_DONE` (104).
    GlDrawDone = 104 {}
}

/// `SPICE_MSGC_DISPLAY_PREFERRED_VIDEO_CODEC_TYPE` (105).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreferredVideoCodecs {
    /// `SpiceVideoCodecType` numbers, best first.
    pub codecs: Vec<u8>,
}

impl Message for PreferredVideoCodecs {
    const TYPE: u16 = 105;
}

impl Encode for PreferredVideoCodecs {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        let codecs = super::field::countable(&self.codecs, usize::from(u8::MAX));
        writer.u8(u8::try_from(codecs.len()).unwrap_or(u8::MAX));
        writer.bytes(codecs);
    }
}

impl<'a> Decode<'a> for PreferredVideoCodecs {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let count = reader.u8()?;
        Ok(Self {
            codecs: reader.bytes(usize::from(count))?.to_vec(),
        })
    }
}

message_enum! {
    /// What a client says on its display channel.
    ClientMessage {
        Init(Init),
        StreamReport(StreamReport),
        PreferredCompression(PreferredCompression),
        GlDrawDone(GlDrawDone),
        PreferredVideoCodecs(PreferredVideoCodecs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message_tests;

    message_tests! {
        mark: Mark = 102, Mark {}, [];
        surface_create: SurfaceCreate = 314, SurfaceCreate::primary(Size::new(640, 480)),
            [[0; 4], [128, 2, 0, 0], [224, 1, 0, 0], [32, 0, 0, 0], [1, 0, 0, 0]];
        inval_list: InvalList = 105, InvalList { image_ids: vec![7, 1 << 30] },
            [vec![2, 0], vec![1, 7, 0, 0, 0, 0, 0, 0, 0], vec![1, 0, 0, 0, 64, 0, 0, 0, 0]];
        surface_destroy: SurfaceDestroy = 315, SurfaceDestroy { surface_id: 2 }, [[2, 0, 0, 0]];
        monitors_config: MonitorsConfig = 317,
            MonitorsConfig { max_allowed: 4, heads: vec![Head::new(1, &Rect::at(3, 4, 5, 6))] },
            [[1, 0, 4, 0], [1, 0, 0, 0], [0; 4], [5, 0, 0, 0], [6, 0, 0, 0], [3, 0, 0, 0], [4, 0, 0, 0], [0; 4]];
        init: Init = 101,
            Init {
                pixmap_cache_id: 1,
                pixmap_cache_size: 20_971_520,
                glz_dictionary_id: 1,
                glz_dictionary_window_size: -1,
            },
            [vec![1], vec![0, 0, 64, 1, 0, 0, 0, 0], vec![1], vec![255; 4]];
        preferred_compression: PreferredCompression = 103,
            PreferredCompression { image_compression: ImageCompression::LZ4 }, [[7]];
        preferred_video_codecs: PreferredVideoCodecs = 105,
            PreferredVideoCodecs { codecs: vec![1, 2] }, [[2, 1, 2]];
    }
}
