//! Clipboard messages: who owns a selection, who wants its content, the content.

use crate::base::{ByteReader, ByteWriter, SharedBytes};
use crate::wire::WireError;
use crate::wire::agent::caps;
use crate::wire::caps::Caps;
use crate::wire::field::wire_struct;

/// How clipboard messages begin between two that have announced what they can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClipboardForm {
    /// With the selection; without it there is only the clipboard.
    pub selection: bool,
    /// Grabs have a number.
    pub grab_serial: bool,
}

impl ClipboardForm {
    /// What both announced.
    pub fn between(ours: &Caps, theirs: &Caps) -> Self {
        let both = ours.and(theirs);
        Self {
            selection: both.has(caps::CLIPBOARD_SELECTION),
            grab_serial: both.has(caps::CLIPBOARD_GRAB_SERIAL),
        }
    }

    fn decode_selection(self, reader: &mut ByteReader<'_>) -> Result<Selection, WireError> {
        if !self.selection {
            return Ok(Selection::Clipboard);
        }
        let number = reader.u8()?;
        reader.bytes(SELECTION_PADDING.len())?;
        match number {
            0 => Ok(Selection::Clipboard),
            1 => Ok(Selection::Primary),
            2 => Ok(Selection::Secondary),
            _ => Err(WireError::Invalid {
                field: "selection",
                value: number.into(),
            }),
        }
    }

    fn encode_selection(self, selection: Selection, writer: &mut ByteWriter<'_>) {
        if self.selection {
            writer.u8(selection as u8);
            writer.bytes(&SELECTION_PADDING);
        }
    }
}

/// Behind the byte of a selection.
const SELECTION_PADDING: [u8; 3] = [0; 3];

/// `VD_AGENT_CLIPBOARD_SELECTION_...`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Selection {
    /// What was copied.
    Clipboard = 0,
    /// What is selected.
    Primary = 1,
    /// X11's third one.
    Secondary = 2,
}

/// `VD_AGENT_CLIPBOARD_...`: what content is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ClipboardType {
    /// None: content that cannot be given.
    None = 0,
    /// Text in UTF-8.
    Utf8Text = 1,
    /// A PNG image.
    Png = 2,
    /// A BMP image.
    Bmp = 3,
    /// A TIFF image.
    Tiff = 4,
    /// A JPEG image.
    Jpeg = 5,
    /// "copy" or "cut" and paths inside the client's shared folder, each with a NUL behind it.
    FileList = 6,
}

impl ClipboardType {
    /// The type of this number; none of those that newer peers may know.
    pub const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            0 => Self::None,
            1 => Self::Utf8Text,
            2 => Self::Png,
            3 => Self::Bmp,
            4 => Self::Tiff,
            5 => Self::Jpeg,
            6 => Self::FileList,
            _ => return None,
        })
    }

    /// A type that is not known is none.
    fn decode(reader: &mut ByteReader<'_>) -> Result<Self, WireError> {
        Ok(Self::from_number(reader.u32()?).unwrap_or(Self::None))
    }
}

/// `VD_AGENT_CLIPBOARD_GRAB` (7): the sender owns the selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipboardGrab {
    /// What is owned.
    pub selection: Selection,
    /// Equal to how many grabs of this selection the receiver has sent or taken so far; 0 without grab serials.
    pub serial: u32,
    /// What the content can be had as, each once; unknown ones are left out.
    pub types: Vec<ClipboardType>,
}

impl ClipboardGrab {
    pub(super) fn decode(
        reader: &mut ByteReader<'_>,
        form: ClipboardForm,
    ) -> Result<Self, WireError> {
        let selection = form.decode_selection(reader)?;
        let serial = if form.grab_serial { reader.u32()? } else { 0 };
        let mut types = Vec::new();
        while let Ok(number) = reader.u32() {
            types.extend(
                ClipboardType::from_number(number)
                    .filter(|known| !types.contains(known) && *known != ClipboardType::None),
            );
        }
        Ok(Self {
            selection,
            serial,
            types,
        })
    }

    pub(super) fn encode(&self, form: ClipboardForm, writer: &mut ByteWriter<'_>) {
        form.encode_selection(self.selection, writer);
        if form.grab_serial {
            writer.u32(self.serial);
        }
        self.types.iter().for_each(|kind| writer.u32(*kind as u32));
    }
}

/// `VD_AGENT_CLIPBOARD_REQUEST` (8): the sender wants content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClipboardRequest {
    /// Of which selection.
    pub selection: Selection,
    /// As what.
    pub kind: ClipboardType,
}

impl ClipboardRequest {
    pub(super) fn decode(
        reader: &mut ByteReader<'_>,
        form: ClipboardForm,
    ) -> Result<Self, WireError> {
        Ok(Self {
            selection: form.decode_selection(reader)?,
            kind: ClipboardType::decode(reader)?,
        })
    }

    pub(super) fn encode(self, form: ClipboardForm, writer: &mut ByteWriter<'_>) {
        form.encode_selection(self.selection, writer);
        writer.u32(self.kind as u32);
    }
}

/// `VD_AGENT_CLIPBOARD` (4): content, the answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClipboardData {
    /// Of which selection.
    pub selection: Selection,
    /// What it is; [`ClipboardType::None`] says that it cannot be had.
    pub kind: ClipboardType,
    /// The content.
    pub data: SharedBytes,
}

impl ClipboardData {
    pub(super) fn decode(body: &SharedBytes, form: ClipboardForm) -> Result<Self, WireError> {
        let mut reader = ByteReader::new(body);
        let selection = form.decode_selection(&mut reader)?;
        let kind = ClipboardType::decode(&mut reader)?;
        let fields = body.len().saturating_sub(reader.remaining());
        Ok(Self {
            selection,
            kind,
            data: body.clone().skip(fields),
        })
    }

    pub(super) fn encode(&self, form: ClipboardForm, writer: &mut ByteWriter<'_>) -> SharedBytes {
        form.encode_selection(self.selection, writer);
        writer.u32(self.kind as u32);
        self.data.clone()
    }
}

/// `VD_AGENT_CLIPBOARD_RELEASE` (9): the sender owns the selection no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClipboardRelease {
    /// What is given up.
    pub selection: Selection,
}

impl ClipboardRelease {
    pub(super) fn decode(
        reader: &mut ByteReader<'_>,
        form: ClipboardForm,
    ) -> Result<Self, WireError> {
        Ok(Self {
            selection: form.decode_selection(reader)?,
        })
    }

    pub(super) fn encode(self, form: ClipboardForm, writer: &mut ByteWriter<'_>) {
        form.encode_selection(self.selection, writer);
    }
}

wire_struct! {
    /// `VD_AGENT_MAX_CLIPBOARD` (14).
    MaxClipboard {
        /// Bytes of content that the client takes; negative for any number.
        max: i32,
    }
}
