//! What one side offers, as the other may have it: by the policy, and with every kind of image made of any.
//!
//! The owner's own types come first, in its order, for who pastes takes the first that it knows; then what is made
//! without loss, PNG before the others; a JPEG of something that is none comes last.

use super::files::FileList;
use super::{Clipboard, ClipboardPolicy, Refusal};
use crate::base::{ClientId, SharedBytes};
use crate::wire::agent::ClipboardType;

/// Kinds of image by how gladly one is made: source and result.
const IMAGES: [ClipboardType; 4] = [
    ClipboardType::Png,
    ClipboardType::Bmp,
    ClipboardType::Tiff,
    ClipboardType::Jpeg,
];

impl Clipboard {
    /// What the clients may have of a program's offer.
    pub(super) fn offered_by_desktop(&mut self, types: Vec<ClipboardType>) -> Vec<ClipboardType> {
        self.admitted(types)
    }

    /// What this client may have of it: lists of files are of files in its own shared folder, for it reaches no others.
    pub(super) fn offered_to_client(
        &self,
        client: ClientId,
        types: &[ClipboardType],
    ) -> Vec<ClipboardType> {
        let mut types = expanded(types);
        let has_folder = self.has_folder(client);
        types.retain(|kind| has_folder || *kind != ClipboardType::FileList);
        types
    }

    /// What the desktop may have of a client's offer. Lists of files need a place where they are to be had.
    pub(super) fn offered_by_client(
        &mut self,
        client: ClientId,
        mut types: Vec<ClipboardType>,
    ) -> Vec<ClipboardType> {
        let has_folder = self.has_folder(client);
        types.retain(|kind| has_folder || *kind != ClipboardType::FileList);
        self.admitted(types)
    }

    /// Whether it shares a folder that the desktop can reach.
    pub(super) fn has_folder(&self, client: ClientId) -> bool {
        self.shared_folders.contains_key(&client)
    }

    /// A program's list of addresses as this client's shared folder has them.
    pub(super) fn files_for_client(
        &self,
        client: ClientId,
        addresses: &[u8],
    ) -> Result<SharedBytes, Refusal> {
        let folder = self.shared_folders.get(&client);
        let list = folder.and_then(|folder| FileList::of_addresses(addresses, folder));
        list.map(|list| list.encode().into())
            .ok_or(Refusal::FilesElsewhere)
    }

    /// What passes of these by the policy; what does not is said.
    fn admitted(&mut self, types: Vec<ClipboardType>) -> Vec<ClipboardType> {
        let (passes, stays): (Vec<_>, Vec<_>) = distinct(types)
            .into_iter()
            .partition(|kind| self.policy.admits(*kind));
        let named = stays.into_iter().find(|kind| *kind != ClipboardType::None);
        if let Some(kind) = named {
            self.refuse(Refusal::Type(ClipboardPolicy::name(kind)));
        }
        passes
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
