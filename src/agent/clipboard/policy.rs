//! What may pass through the clipboard, and how much of it.

use std::fmt;

use crate::wire::agent::ClipboardType;

/// Which way clipboards may travel. "In" is from a client into the desktop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClipboardDirection {
    /// No way.
    Off,
    /// From clients into the desktop only.
    In,
    /// From the desktop to clients only.
    Out,
    /// Both ways, and from one client to another.
    #[default]
    Both,
}

/// The rules of one desktop; the same for all its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClipboardPolicy {
    /// Which way.
    pub direction: ClipboardDirection,
    /// Bytes of one transfer, before and after a conversion.
    pub bytes_max: usize,
    /// Whether text may pass.
    pub text: bool,
    /// Whether images may pass.
    pub images: bool,
    /// Whether lists of files may pass.
    pub files: bool,
}

impl ClipboardPolicy {
    /// Bytes of one transfer unless told otherwise: what spice-gtk takes by default.
    pub const BYTES_MAX_DEFAULT: usize = 100 << 20;

    /// Everything in this direction, up to the default size.
    pub const fn new(direction: ClipboardDirection) -> Self {
        Self {
            direction,
            bytes_max: Self::BYTES_MAX_DEFAULT,
            text: true,
            images: true,
            files: true,
        }
    }

    /// Whether clients may bring something into the desktop.
    pub const fn lets_in(&self) -> bool {
        matches!(
            self.direction,
            ClipboardDirection::In | ClipboardDirection::Both
        )
    }

    /// Whether clients may take something out of the desktop.
    pub const fn lets_out(&self) -> bool {
        matches!(
            self.direction,
            ClipboardDirection::Out | ClipboardDirection::Both
        )
    }

    /// Whether content of this type may pass at all.
    pub const fn admits(&self, kind: ClipboardType) -> bool {
        match kind {
            ClipboardType::None => false,
            ClipboardType::Utf8Text => self.text,
            ClipboardType::Png | ClipboardType::Bmp | ClipboardType::Tiff | ClipboardType::Jpeg => {
                self.images
            }
            ClipboardType::FileList => self.files,
        }
    }

    /// What this type is called in the log, as `--clipboard-types` calls it.
    pub(super) const fn name(kind: ClipboardType) -> &'static str {
        match kind {
            ClipboardType::Utf8Text => "text",
            ClipboardType::FileList => "files",
            _ => "images",
        }
    }
}

impl Default for ClipboardPolicy {
    fn default() -> Self {
        Self::new(ClipboardDirection::default())
    }
}

impl fmt::Display for ClipboardPolicy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self.direction {
            ClipboardDirection::Off => return formatter.write_str("the clipboard is off"),
            ClipboardDirection::In => "from clients into the desktop only",
            ClipboardDirection::Out => "from the desktop to clients only",
            ClipboardDirection::Both => "both ways",
        };
        let kinds: Vec<&str> = [
            (self.text, "text"),
            (self.images, "images"),
            (self.files, "files"),
        ]
        .into_iter()
        .filter_map(|(passes, name)| passes.then_some(name))
        .collect();
        let megabytes = self.bytes_max >> 20;
        write!(
            formatter,
            "the clipboard passes {way}: {}, up to {megabytes} MB each",
            kinds.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_says_what_it_does() {
        let mut policy = ClipboardPolicy::default();
        assert_eq!(
            policy.to_string(),
            "the clipboard passes both ways: text, images, files, up to 100 MB each"
        );
        policy.images = false;
        policy.direction = ClipboardDirection::In;
        assert!(policy.lets_in() && !policy.lets_out());
        assert!(!policy.admits(ClipboardType::Bmp) && policy.admits(ClipboardType::Utf8Text));
        assert!(!policy.admits(ClipboardType::None));
        assert_eq!(
            policy.to_string(),
            "the clipboard passes from clients into the desktop only: text, files, up to 100 MB each"
        );
    }
}
