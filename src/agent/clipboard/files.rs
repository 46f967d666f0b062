//! Lists of files that a client offers, as file managers of the desktop take them.
//!
//! `VD_AGENT_CLIPBOARD_FILE_LIST` is a row of strings that each end in a NUL: `copy` or `cut`, then paths inside the
//! client's shared folder (`/.spice-clipboard/UUID/name`; vd_agent.h, spice-gtk-session.c). They mean something in the
//! desktop only while that folder is to be had there, at some address. The other way is closed: a client has no way to
//! the desktop's files.

/// What is to happen to the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileAction {
    /// They stay where they are, too.
    Copy,
    /// They are moved.
    Cut,
}

/// A decoded file list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileList {
    /// What is to happen.
    pub action: FileAction,
    /// Absolute paths inside the shared folder, without `.` and `..`.
    pub paths: Vec<Vec<u8>>,
}

/// Files of one list; more are refused.
pub const FILES_MAX: usize = 10_000;

impl FileList {
    /// Decodes a list; `None` when it is none, or would lead out of the folder.
    pub fn decode(data: &[u8]) -> Option<Self> {
        let mut strings = data.strip_suffix(b"\0")?.split(|byte| *byte == 0);
        let action = match strings.next()? {
            b"copy" => FileAction::Copy,
            b"cut" => FileAction::Cut,
            _ => return None,
        };
        let paths: Vec<Vec<u8>> = strings.take(FILES_MAX + 1).map(<[u8]>::to_vec).collect();
        let is_right = |path: &[u8]| {
            let mut parts = path.split(|byte| *byte == b'/');
            path.starts_with(b"/") && parts.all(|part| part != b".." && part != b".")
        };
        let fits = !paths.is_empty() && paths.len() <= FILES_MAX;
        (fits && paths.iter().all(|path| is_right(path))).then_some(Self { action, paths })
    }

    /// `text/uri-list` (RFC 2483) with the folder at `address`, which has no slash at its end.
    pub fn uri_list(&self, address: &str) -> Vec<u8> {
        let mut text = String::new();
        for path in &self.paths {
            text.push_str(&uri(address, path));
            text.push_str("\r\n");
        }
        text.into_bytes()
    }

    /// `x-special/gnome-copied-files`: the action, then one address a line.
    pub fn gnome_copied_files(&self, address: &str) -> Vec<u8> {
        let mut text = String::from(match self.action {
            FileAction::Copy => "copy",
            FileAction::Cut => "cut",
        });
        for path in &self.paths {
            text.push('\n');
            text.push_str(&uri(address, path));
        }
        text.into_bytes()
    }
}

fn uri(address: &str, path: &[u8]) -> String {
    let mut uri = String::from(address);
    for byte in path {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_spice_gtk_becomes_addresses() {
        let data = b"copy\0/.spice-clipboard/1/a b.txt\0/.spice-clipboard/2/\xc3\xa4\0";
        let list = FileList::decode(data).unwrap();
        assert_eq!(
            list.uri_list("dav://localhost:9843"),
            b"dav://localhost:9843/.spice-clipboard/1/a%20b.txt\r\ndav://localhost:9843/.spice-clipboard/2/%C3%A4\r\n"
        );
        assert_eq!(
            FileList::decode(b"cut\0/x\0")
                .unwrap()
                .gnome_copied_files("file:///mnt"),
            b"cut\nfile:///mnt/x"
        );
    }

    #[test]
    fn what_is_no_list_or_leads_out_is_refused() {
        for data in [
            &b""[..],
            b"copy\0",
            b"copy",
            b"link\0/x\0",
            b"copy\0x\0",
            b"copy\0/a/../../b\0",
            b"copy\0/a\0\0",
        ] {
            assert_eq!(FileList::decode(data), None, "{data:?}");
        }
    }
}
