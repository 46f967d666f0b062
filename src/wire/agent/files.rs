//! Files from a client: an offer, pieces, and how it goes.

use crate::base::{ByteReader, ByteWriter, SharedBytes};
use crate::wire::field::wire_enum;
use crate::wire::{Decode, Encode, WireError};

/// `VD_AGENT_FILE_XFER_START` (10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStart {
    /// The client's number for this transfer.
    pub id: u32,
    /// A key file, `[vdagent-file-xfer]` with `name=` and `size=`; spice-gtk sends a NUL behind it.
    pub about: SharedBytes,
}

impl FileStart {
    pub(super) fn decode(body: &SharedBytes) -> Result<Self, WireError> {
        let id = ByteReader::new(body).u32()?;
        let about = body.clone().skip(size_of::<u32>());
        Ok(Self { id, about })
    }

    pub(super) fn encode(&self, writer: &mut ByteWriter<'_>) -> SharedBytes {
        writer.u32(self.id);
        self.about.clone()
    }
}

/// `VD_AGENT_FILE_XFER_DATA` (12): the next piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileData {
    /// The transfer.
    pub id: u32,
    /// Its next bytes.
    pub data: SharedBytes,
}

impl FileData {
    pub(super) fn decode(body: &SharedBytes) -> Result<Self, WireError> {
        let mut reader = ByteReader::new(body);
        let (id, size) = (reader.u32()?, reader.u64()?);
        let fields = body.len().saturating_sub(reader.remaining());
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        reader.bytes(size)?;
        let data = body.clone().skip(fields).first(size);
        Ok(Self { id, data })
    }

    pub(super) fn encode(&self, writer: &mut ByteWriter<'_>) -> SharedBytes {
        writer.u32(self.id);
        writer.u64(self.data.len() as u64);
        self.data.clone()
    }
}

wire_enum! {
    /// `VD_AGENT_FILE_XFER_STATUS_...`.
    FileResult(u32) {
        /// The client may send pieces.
        CAN_SEND_DATA = 0,
        /// One side gave it up.
        CANCELLED = 1,
        /// It failed.
        ERROR = 2,
        /// The file is there.
        SUCCESS = 3,
        /// The file does not fit.
        NOT_ENOUGH_SPACE = 4,
        /// The session is locked.
        SESSION_LOCKED = 5,
        /// There is no agent.
        VDAGENT_NOT_CONNECTED = 6,
        /// Files are not taken.
        DISABLED = 7,
    }
}

/// What a status says besides, for clients with `FILE_XFER_DETAILED_ERRORS`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileDetail {
    /// Nothing.
    #[default]
    None,
    /// With NOT_ENOUGH_SPACE: bytes that are free.
    FreeSpace(u64),
    /// With ERROR: a `G_IO_ERROR_...`.
    GioError(u32),
}

/// The only kind of error code.
const GLIB_IO: u8 = 0;

/// `VD_AGENT_FILE_XFER_STATUS` (11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// The transfer.
    pub id: u32,
    /// How it goes.
    pub result: FileResult,
    /// More about it.
    pub detail: FileDetail,
}

impl Encode for FileStatus {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u32(self.id);
        self.result.encode(writer);
        match self.detail {
            FileDetail::None => {}
            FileDetail::FreeSpace(bytes) => writer.u64(bytes),
            FileDetail::GioError(code) => {
                writer.u8(GLIB_IO);
                writer.u32(code);
            }
        }
    }
}

impl<'a> Decode<'a> for FileStatus {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let (id, result) = (reader.u32()?, FileResult::decode(reader)?);
        let detail = match result {
            FileResult::NOT_ENOUGH_SPACE => reader.u64().ok().map(FileDetail::FreeSpace),
            FileResult::ERROR => match (reader.u8(), reader.u32()) {
                (Ok(GLIB_IO), Ok(code)) => Some(FileDetail::GioError(code)),
                _ => None,
            },
            _ => None,
        };
        Ok(Self {
            id,
            result,
            detail: detail.unwrap_or_default(),
        })
    }
}
