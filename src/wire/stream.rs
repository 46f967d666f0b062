//! Video streams on the display channel: frames of a codec that a client shows in a rectangle of a surface.
//!
//! ```text
//! STREAM_CREATE ─▶ (STREAM_ACTIVATE_REPORT) ─▶ STREAM_DATA or STREAM_DATA_SIZED ... ─▶ STREAM_DESTROY
//! ```
//!
//! What clients say about them is [`super::display::StreamReport`]. A client forgets a stream's frames that it has
//! not shown when the stream is destroyed; spice-html5 throws at a clip or an end of a stream that it does not know,
//! and ignores STREAM_DESTROY_ALL, which is why that one is not here.

use super::field::{wire_enum, wire_flags, wire_struct};
use super::{Decode, Encode, Message, WireError, field};
use crate::base::{ByteReader, ByteWriter, Rect, Size};

wire_enum! {
    /// `SpiceVideoCodecType`.
    VideoCodec(u8) {
        /// A JPEG image (JFIF) for each frame.
        MJPEG = 1,
        /// VP8.
        VP8 = 2,
        /// H.264.
        H264 = 3,
        /// VP9.
        VP9 = 4,
        /// H.265.
        H265 = 5,
    }
}

wire_flags! {
    /// `SpiceStreamFlags`.
    StreamFlags(u8) {
        /// The first row of a frame is the top one; spice-gtk turns frames without it upside down.
        TOP_DOWN = 0,
    }
}

/// `SpiceClip`: where on the surface a stream's frames are seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StreamClip {
    /// Everywhere (`SPICE_CLIP_TYPE_NONE`, 0).
    #[default]
    None,
    /// In these rectangles of the surface (`SPICE_CLIP_TYPE_RECTS`, 1).
    Rects(Vec<Rect>),
}

/// Rectangles that a clip may have on the wire.
const CLIP_RECTS_MAX: usize = 4096;

impl Encode for StreamClip {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        match self {
            Self::None => writer.u8(0),
            Self::Rects(rects) => {
                let rects = field::countable(rects, CLIP_RECTS_MAX);
                writer.u8(1);
                writer.u32(u32::try_from(rects.len()).unwrap_or(u32::MAX));
                for rect in rects {
                    rect.encode(writer);
                }
            }
        }
    }
}

impl<'a> Decode<'a> for StreamClip {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        match reader.u8()? {
            0 => Ok(Self::None),
            1 => {
                let count = reader.u32()? as usize;
                if CLIP_RECTS_MAX < count {
                    return Err(WireError::Invalid {
                        field: "number of clip rectangles",
                        value: count as u64,
                    });
                }
                Ok(Self::Rects(field::decode_list(reader, count)?))
            }
            other => Err(WireError::Unsupported {
                field: "clip type",
                value: other.into(),
            }),
        }
    }
}

/// `SPICE_MSG_DISPLAY_STREAM_CREATE` (122). The number must be free: spice-gtk ignores the message otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamCreate {
    /// Number of the surface that it is shown on.
    pub surface_id: u32,
    /// Number of the stream; clients keep a table as long as the largest one.
    pub id: u32,
    /// How frames lie.
    pub flags: StreamFlags,
    /// Of its frames.
    pub codec: VideoCodec,
    /// No client reads it.
    pub stamp: u64,
    /// Of a frame.
    pub stream_size: Size,
    /// Of the picture that frames were made of.
    pub source_size: Size,
    /// Where on the surface.
    pub rect: Rect,
    /// What of it is seen.
    pub clip: StreamClip,
}

impl Message for StreamCreate {
    const TYPE: u16 = 122;
}

impl Encode for StreamCreate {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u32(self.surface_id);
        writer.u32(self.id);
        self.flags.encode(writer);
        self.codec.encode(writer);
        writer.u64(self.stamp);
        for size in [self.stream_size, self.source_size] {
            writer.u32(size.width);
            writer.u32(size.height);
        }
        self.rect.encode(writer);
        self.clip.encode(writer);
    }
}

impl<'a> Decode<'a> for StreamCreate {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(Self {
            surface_id: reader.u32()?,
            id: reader.u32()?,
            flags: StreamFlags::decode(reader)?,
            codec: VideoCodec::decode(reader)?,
            stamp: reader.u64()?,
            stream_size: Size::new(reader.u32()?, reader.u32()?),
            source_size: Size::new(reader.u32()?, reader.u32()?),
            rect: Rect::decode(reader)?,
            clip: StreamClip::decode(reader)?,
        })
    }
}

/// `SPICE_MSG_DISPLAY_STREAM_DATA` (123): a frame of the size and at the place of STREAM_CREATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamData<'a> {
    /// Number of the stream.
    pub id: u32,
    /// When it is to be shown, in milliseconds of the client's multimedia clock; never 0. MJPEG that comes later is
    /// not shown at all.
    pub multi_media_time: u32,
    /// Of the stream's codec.
    pub data: &'a [u8],
}

impl Message for StreamData<'_> {
    const TYPE: u16 = 123;
}

impl Encode for StreamData<'_> {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u32(self.id);
        writer.u32(self.multi_media_time);
        encode_data(self.data, writer);
    }
}

impl<'a> Decode<'a> for StreamData<'a> {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(Self {
            id: reader.u32()?,
            multi_media_time: reader.u32()?,
            data: decode_data(reader)?,
        })
    }
}

/// `SPICE_MSG_DISPLAY_STREAM_DATA_SIZED` (316): a frame with a size and a place of its own, for clients that announced
/// the capability SIZED_STREAM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamDataSized<'a> {
    /// Number of the stream.
    pub id: u32,
    /// As in [`StreamData`].
    pub multi_media_time: u32,
    /// Of this frame.
    pub size: Size,
    /// Where on the surface this frame goes.
    pub rect: Rect,
    /// Of the stream's codec.
    pub data: &'a [u8],
}

impl Message for StreamDataSized<'_> {
    const TYPE: u16 = 316;
}

impl Encode for StreamDataSized<'_> {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u32(self.id);
        writer.u32(self.multi_media_time);
        writer.u32(self.size.width);
        writer.u32(self.size.height);
        self.rect.encode(writer);
        encode_data(self.data, writer);
    }
}

impl<'a> Decode<'a> for StreamDataSized<'a> {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(Self {
            id: reader.u32()?,
            multi_media_time: reader.u32()?,
            size: Size::new(reader.u32()?, reader.u32()?),
            rect: Rect::decode(reader)?,
            data: decode_data(reader)?,
        })
    }
}

/// `SPICE_MSG_DISPLAY_STREAM_CLIP` (124): what of the stream is seen from the next frame on; spice-html5 ignores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetStreamClip {
    /// Number of the stream.
    pub id: u32,
    /// The new clip.
    pub clip: StreamClip,
}

impl Message for SetStreamClip {
    const TYPE: u16 = 124;
}

impl Encode for SetStreamClip {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u32(self.id);
        self.clip.encode(writer);
    }
}

impl<'a> Decode<'a> for SetStreamClip {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(Self {
            id: reader.u32()?,
            clip: StreamClip::decode(reader)?,
        })
    }
}

wire_struct! {
    /// `SPICE_MSG_DISPLAY_STREAM_DESTROY` (125): frames that wait to be shown are dropped.
    StreamDestroy = 125 {
        /// Number of the stream.
        id: u32,
    }
}

wire_struct! {
    /// `SPICE_MSG_DISPLAY_STREAM_ACTIVATE_REPORT` (319): asks for STREAM_REPORT, for clients that announced the
    /// capability.
    StreamActivateReport = 319 {
        /// Number of the stream.
        stream_id: u32,
        /// Comes back in each report.
        unique_id: u32,
        /// A report at the latest after this many frames ...
        max_window_size: u32,
        /// ... and, when a frame comes, after this many milliseconds.
        timeout_ms: u32,
    }
}

fn encode_data(data: &[u8], writer: &mut ByteWriter<'_>) {
    writer.u32(u32::try_from(data.len()).unwrap_or(u32::MAX));
    writer.bytes(data);
}

fn decode_data<'a>(reader: &mut ByteReader<'a>) -> Result<&'a [u8], WireError> {
    let length = reader.u32()? as usize;
    Ok(reader.bytes(length)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message_tests;

    const RECT: Rect = Rect::new(1, 2, 4, 6);
    const RECT_BYTES: [u8; 16] = [2, 0, 0, 0, 1, 0, 0, 0, 6, 0, 0, 0, 4, 0, 0, 0];

    message_tests! {
        stream_create: StreamCreate = 122,
            StreamCreate {
                surface_id: 0,
                id: 3,
                flags: StreamFlags::TOP_DOWN,
                codec: VideoCodec::MJPEG,
                stamp: 9,
                stream_size: Size::new(3, 4),
                source_size: Size::new(5, 6),
                rect: RECT,
                clip: StreamClip::None,
            },
            [
                vec![0, 0, 0, 0, 3, 0, 0, 0, 1, 1, 9, 0, 0, 0, 0, 0, 0, 0],
                vec![3, 0, 0, 0, 4, 0, 0, 0, 5, 0, 0, 0, 6, 0, 0, 0],
                RECT_BYTES.to_vec(),
                vec![0],
            ];
        stream_data: StreamData<'_> = 123,
            StreamData { id: 1, multi_media_time: 0x0102, data: &[7, 8] },
            [vec![1, 0, 0, 0, 2, 1, 0, 0, 2, 0, 0, 0], vec![7, 8]];
        stream_data_sized: StreamDataSized<'_> = 316,
            StreamDataSized { id: 1, multi_media_time: 2, size: Size::new(3, 4), rect: RECT, data: &[9] },
            [vec![1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0], RECT_BYTES.to_vec(), vec![1, 0, 0, 0, 9]];
        stream_clip: SetStreamClip = 124,
            SetStreamClip { id: 2, clip: StreamClip::Rects(vec![RECT]) },
            [vec![2, 0, 0, 0, 1, 1, 0, 0, 0], RECT_BYTES.to_vec()];
        stream_destroy: StreamDestroy = 125, StreamDestroy { id: 5 }, [[5, 0, 0, 0]];
        stream_activate_report: StreamActivateReport = 319,
            StreamActivateReport { stream_id: 1, unique_id: 2, max_window_size: 5, timeout_ms: 1000 },
            [[1, 0, 0, 0], [2, 0, 0, 0], [5, 0, 0, 0], [0xe8, 3, 0, 0]];
    }

    #[test]
    fn clips_of_more_rectangles_than_allowed_are_refused() {
        let bytes = [1, 0, 0, 1, 0];
        let clip = StreamClip::decode(&mut ByteReader::new(&bytes));
        assert!(matches!(clip, Err(WireError::Invalid { .. })), "{clip:?}");
    }
}
