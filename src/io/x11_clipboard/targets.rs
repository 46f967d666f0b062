//! Types of content as X programs name them.

use x11rb::protocol::xproto::Atom;

use crate::agent::clipboard::files::{self, FileList};
use crate::agent::clipboard::{Refusal, text};
use crate::base::SharedBytes;
use crate::wire::agent::ClipboardType;

x11rb::atom_manager! {
    /// Atoms by name; `TARGETS` and the next four are ICCCM's.
    pub(super) Atoms: AtomsCookie {
        CLIPBOARD,
        TARGETS,
        MULTIPLE,
        TIMESTAMP,
        INCR,
        ATOM_PAIR,
        UTF8_STRING,
        TEXT,
        PLAIN_UTF8: b"text/plain;charset=utf-8",
        PLAIN_UTF8_UPPER: b"text/plain;charset=UTF-8",
        PLAIN: b"text/plain",
        PNG: b"image/png",
        BMP: b"image/bmp",
        BMP_X: b"image/x-bmp",
        BMP_MS: b"image/x-MS-bmp",
        BMP_WINDOWS: b"image/x-win-bitmap",
        TIFF: b"image/tiff",
        JPEG: b"image/jpeg",
        URI_LIST: b"text/uri-list",
        GNOME_FILES: b"x-special/gnome-copied-files",
        PASSWORD_HINT: b"x-kde-passwordManagerHint",
        CARAWAY_CONTENT,
    }
}

/// The oldest target for text, Latin-1: a predefined atom (`XA_STRING`).
pub(super) const STRING: Atom = 31;

const KINDS: [ClipboardType; 6] = [
    ClipboardType::Utf8Text,
    ClipboardType::Png,
    ClipboardType::Bmp,
    ClipboardType::Tiff,
    ClipboardType::Jpeg,
    ClipboardType::FileList,
];

impl Atoms {
    /// What offers content of this kind, the best first.
    pub(super) fn of(&self, kind: ClipboardType) -> Vec<Atom> {
        match kind {
            ClipboardType::None => Vec::new(),
            ClipboardType::Utf8Text => vec![
                self.UTF8_STRING,
                self.PLAIN_UTF8,
                self.PLAIN_UTF8_UPPER,
                STRING,
                self.TEXT,
                self.PLAIN,
            ],
            ClipboardType::Png => vec![self.PNG],
            ClipboardType::Bmp => vec![self.BMP, self.BMP_X, self.BMP_MS, self.BMP_WINDOWS],
            ClipboardType::Tiff => vec![self.TIFF],
            ClipboardType::Jpeg => vec![self.JPEG],
            ClipboardType::FileList => vec![self.GNOME_FILES, self.URI_LIST],
        }
    }

    /// The kind of content behind a target.
    pub(super) fn kind_of(&self, target: Atom) -> Option<ClipboardType> {
        KINDS
            .into_iter()
            .find(|kind| self.of(*kind).contains(&target))
    }

    /// Kinds of content behind targets, in their order.
    pub(super) fn kinds_of(&self, targets: &[Atom]) -> Vec<ClipboardType> {
        let mut kinds = Vec::new();
        for kind in targets.iter().filter_map(|target| self.kind_of(*target)) {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds
    }

    /// Which of a program's targets to ask for to get this kind.
    pub(super) fn best(&self, kind: ClipboardType, targets: &[Atom]) -> Option<Atom> {
        let known = self.of(kind);
        known.into_iter().find(|target| targets.contains(target))
    }

    /// Content that a program gave for `target` as the type `given`, in items of `format` bits, as clients have it.
    pub(super) fn of_program(
        &self,
        target: Atom,
        given: Atom,
        format: u8,
        data: Vec<u8>,
    ) -> Result<Vec<u8>, Refusal> {
        if format != 8 && !data.is_empty() {
            return Err(Refusal::NotGiven);
        }
        match self.kind_of(target) {
            Some(ClipboardType::Utf8Text) if given == STRING => Ok(text::from_latin1(data)),
            // In the locale's encoding, the oldest rules say; in UTF-8 almost everywhere.
            Some(ClipboardType::Utf8Text)
                if given == self.PLAIN && str::from_utf8(&data).is_err() =>
            {
                Ok(text::from_latin1(data))
            }
            Some(ClipboardType::Utf8Text)
                if self.kind_of(given) == Some(ClipboardType::Utf8Text) =>
            {
                Ok(text::mended_utf8(data))
            }
            // COMPOUND_TEXT for TEXT, and whatever else.
            Some(ClipboardType::Utf8Text) | None => Err(Refusal::NotGiven),
            Some(ClipboardType::FileList) => {
                files::addresses(&data, target == self.GNOME_FILES).ok_or(Refusal::NotGiven)
            }
            Some(_) => Ok(data),
        }
    }

    /// Content of a client for a program that asked for `target`: its type and bytes. None when it is not what it
    /// should be.
    pub(super) fn for_program(
        &self,
        target: Atom,
        data: SharedBytes,
        shared_folder: Option<&str>,
    ) -> Option<(Atom, SharedBytes)> {
        if target == STRING {
            return Some((STRING, text::to_latin1(&data).into()));
        }
        if target == self.TEXT {
            return Some((self.UTF8_STRING, data));
        }
        if target == self.GNOME_FILES || target == self.URI_LIST {
            let list = FileList::decode(&data)?;
            let address = shared_folder?;
            let listed = if target == self.URI_LIST {
                list.uri_list(address)
            } else {
                list.gnome_copied_files(address)
            };
            return Some((target, listed.into()));
        }
        Some((target, data))
    }
}
