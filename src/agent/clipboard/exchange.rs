//! What the clipboard and the X side tell each other, and why a paste gets nothing.

use crate::base::SharedBytes;
use crate::wire::agent::{ClipboardType, Selection};

/// A paste in the desktop, by the number that the X side gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PasteId(pub u64);

/// A transfer of content, by the number that the clipboard gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransferId(pub u64);

/// For the X side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClipboardOrder {
    /// Own the selection and offer these types.
    Own {
        /// Which.
        selection: Selection,
        /// Number of this order among those about the selection.
        turn: u64,
        /// What pastes may ask for.
        types: Vec<ClipboardType>,
        /// Where the client's shared folder is to be had, for [`ClipboardType::FileList`].
        shared_folder: Option<String>,
    },
    /// Own the selection no more, if it still does.
    Disown {
        /// Which.
        selection: Selection,
        /// Number of this order among those about the selection.
        turn: u64,
    },
    /// Get content from the program that owns the selection.
    Fetch {
        /// Answered by [`ClipboardNews::Fetched`].
        transfer: TransferId,
        /// Whose.
        selection: Selection,
        /// A type that the program offered.
        kind: ClipboardType,
        /// More is not wanted.
        bytes_max: usize,
    },
    /// Nobody waits for this any more.
    Cancel {
        /// A fetch or a conversion.
        transfer: TransferId,
    },
    /// Make one kind of image into another.
    Convert {
        /// Answered by [`ClipboardNews::Converted`].
        transfer: TransferId,
        /// What it is.
        from: ClipboardType,
        /// What it is to be.
        to: ClipboardType,
        /// The image.
        data: SharedBytes,
        /// More is not wanted.
        bytes_max: usize,
    },
    /// The answer to [`ClipboardNews::Paste`].
    Deliver {
        /// Whose.
        paste: PasteId,
        /// Content of the type that was asked for; none when it cannot be had.
        data: Option<SharedBytes>,
    },
    /// For the log.
    Refused(Refusal),
}

/// From the X side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClipboardNews {
    /// A program owns the selection and offers these types; none when they are not for others.
    Owned {
        /// Which.
        selection: Selection,
        /// Of the last order about the selection that was carried out before.
        turn: u64,
        /// What can be had, the program's own order.
        types: Vec<ClipboardType>,
    },
    /// A program that had read what was offered owns the selection now, and offers the same content.
    Echoed {
        /// Which.
        selection: Selection,
        /// Of the last order about the selection that was carried out before.
        turn: u64,
    },
    /// Nobody owns the selection.
    Unowned {
        /// Which.
        selection: Selection,
        /// Of the last order about the selection that was carried out before.
        turn: u64,
    },
    /// A program wants what we own; answered by [`ClipboardOrder::Deliver`].
    Paste {
        /// Its number.
        paste: PasteId,
        /// Which.
        selection: Selection,
        /// As what.
        kind: ClipboardType,
    },
    /// The program is gone.
    PasteGone {
        /// Its number.
        paste: PasteId,
    },
    /// The answer to [`ClipboardOrder::Fetch`].
    Fetched {
        /// Its number.
        transfer: TransferId,
        /// The content.
        result: Result<SharedBytes, Refusal>,
    },
    /// The answer to [`ClipboardOrder::Convert`].
    Converted {
        /// Its number.
        transfer: TransferId,
        /// The content.
        result: Result<SharedBytes, Refusal>,
    },
}

/// Why a paste got nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The policy has this direction closed.
    #[error("clipboard: the policy lets nothing pass this way")]
    Direction,
    /// The policy has this type closed.
    #[error("clipboard: the policy lets no {0} pass")]
    Type(&'static str),
    /// A client would have no way to the files.
    #[error(
        "clipboard: files that lie outside of the folder that a client shares cannot be pasted there"
    )]
    FilesElsewhere,
    /// The policy's size or the client's own.
    #[error("clipboard: the content is larger than {0} bytes")]
    TooLarge(usize),
    /// A client that owns a selection did not send its content.
    #[error("clipboard: a client did not send what it offers")]
    ClientSilent,
    /// A program that owns a selection did not send its content.
    #[error("clipboard: the program that owns the selection did not send its content")]
    OwnerSilent,
    /// The owner has no such type, or said no.
    #[error("clipboard: the owner does not give its content")]
    NotGiven,
    /// An image that cannot be converted.
    #[error("clipboard: the image cannot be converted")]
    BadImage,
    /// More at once than anybody needs.
    #[error("clipboard: too many pastes at once")]
    TooMany,
    /// The serial of a grab is impossible.
    #[error("clipboard: a client's grab has a number that it cannot have")]
    WrongSerial,
}

/// What a client's agent half can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientAbilities {
    /// `VD_AGENT_CAP_CLIPBOARD_SELECTION`: it knows more than CLIPBOARD.
    pub selections: bool,
    /// `VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL`.
    pub grab_serials: bool,
    /// `VD_AGENT_CAP_CLIPBOARD_NO_RELEASE_ON_REGRAB`.
    pub no_release_on_regrab: bool,
}
