//! What one side offers, as the other may have it: by the policy, and with every kind of image made of any.
//!
//! The owner's own types come first, in its order, for who pastes takes the first that it knows; then what is made
//! without loss, PNG before the others; a JPEG of something that is none comes last.

use super::Clipboard;
use crate::base::ClientId;
use crate::wire::agent::ClipboardType;

/// Kinds of image by how gladly one is made: source and result.
const IMAGES: [ClipboardType; 4] = [
    ClipboardType::Png,
    ClipboardType::Bmp,
    ClipboardType::Tiff,
    ClipboardType::Jpeg,
];

impl Clipboard {
    /// What the clients may have of a program's offer. Lists of files stay: nobody outside can read them.
    pub(super) fn offered_by_desktop(&self, mut types: Vec<ClipboardType>) -> Vec<ClipboardType> {
        types.retain(|kind| *kind != ClipboardType::FileList && self.policy.admits(*kind));
        distinct(types)
    }

    /// What the desktop may have of a client's offer. Lists of files need a place where they are to be had.
    pub(super) fn offered_by_client(
        &self,
        client: ClientId,
        mut types: Vec<ClipboardType>,
    ) -> Vec<ClipboardType> {
        let has_folder = self.shared_folders.contains_key(&client);
        types.retain(|kind| {
            self.policy.admits(*kind) && (has_folder || *kind != ClipboardType::FileList)
        });
        distinct(types)
    }
}

fn distinct(types: Vec<ClipboardType>) -> Vec<ClipboardType> {
    let mut seen = Vec::new();
    for kind in types {
        if !seen.contains(&kind) {
            seen.push(kind);
        }
    }
    seen
}

/// What can be had where `native` is offered: it, and every kind of image if it has one.
pub(super) fn expanded(native: &[ClipboardType]) -> Vec<ClipboardType> {
    let mut types = native.to_vec();
    if native.iter().any(|kind| IMAGES.contains(kind)) {
        types.extend(IMAGES.iter().filter(|kind| !native.contains(kind)));
    }
    types
}

/// Which of `native` to ask for to get `wanted`; none if it cannot be had.
pub(super) fn source_of(wanted: ClipboardType, native: &[ClipboardType]) -> Option<ClipboardType> {
    if native.contains(&wanted) {
        return Some(wanted);
    }
    let mut sources = IMAGES.iter().copied();
    if !IMAGES.contains(&wanted) {
        return None;
    }
    sources.find(|kind| native.contains(kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ClipboardType::{Bmp, FileList, Jpeg, Png, Tiff, Utf8Text};

    #[test]
    fn images_can_be_had_as_any_other() {
        assert_eq!(expanded(&[Utf8Text]), [Utf8Text]);
        assert_eq!(
            expanded(&[Jpeg, Utf8Text]),
            [Jpeg, Utf8Text, Png, Bmp, Tiff]
        );
        assert_eq!(source_of(Bmp, &[Utf8Text, Jpeg, Tiff]), Some(Tiff));
        assert_eq!(source_of(Jpeg, &[Jpeg, Png]), Some(Jpeg));
        assert_eq!(source_of(Png, &[Utf8Text]), None);
        assert_eq!(source_of(Utf8Text, &[Png]), None);
        assert_eq!(source_of(FileList, &[FileList]), Some(FileList));
    }
}
