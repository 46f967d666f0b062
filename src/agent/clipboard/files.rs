//! Lists of files, as clients have them and as file managers of the desktop do.
//!
//! `VD_AGENT_CLIPBOARD_FILE_LIST` is a row of strings that each end in a NUL: `copy` or `cut`, then paths inside the
//! client's shared folder (`/.spice-clipboard/UUID/name`; vd_agent.h, spice-gtk-session.c). They mean something in the
//! desktop only while that folder is to be had there, at some address. The other way it is the same: a client has a way
//! to files of the desktop only where they lie in the folder that it shares itself.

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

    /// The list as clients have it.
    pub fn encode(&self) -> Vec<u8> {
        let action = match self.action {
            FileAction::Copy => &b"copy"[..],
            FileAction::Cut => b"cut",
        };
        let strings = std::iter::once(action).chain(self.paths.iter().map(Vec::as_slice));
        let mut data = Vec::new();
        for string in strings {
            data.extend_from_slice(string);
            data.push(0);
        }
        data
    }

    /// The list of a program's addresses ([`addresses`]) in a folder that is to be had at `folder`
    /// (`dav://127.0.0.1:PORT`), or where GVFS mounts that; `None` unless all of them lie in there.
    pub fn of_addresses(addresses: &[u8], folder: &str) -> Option<Self> {
        let mut lines = str::from_utf8(addresses).ok()?.split('\n');
        let action = lines.next()?;
        let mut data = format!("{action}\0").into_bytes();
        for line in lines {
            data.extend(path_in(line, folder)?);
            data.push(0);
        }
        Self::decode(&data)
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

/// What a program gives as `x-special/gnome-copied-files`, or else as `text/uri-list`: the action, then one address a
/// line. `None` when it is no list, or too long.
pub fn addresses(data: &[u8], has_action: bool) -> Option<Vec<u8>> {
    // PCManFM ends its lists as C ends strings.
    let text = str::from_utf8(data).ok()?.trim_end_matches('\0');
    let mut lines = text.lines().map(str::trim_end);
    let action = if has_action { lines.next()? } else { "copy" };
    let addresses = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let listed: Vec<&str> = std::iter::once(action)
        .chain(addresses.take(FILES_MAX + 1))
        .collect();
    let fits = (2..=FILES_MAX + 1).contains(&listed.len()) && matches!(action, "copy" | "cut");
    fits.then(|| listed.join("\n").into_bytes())
}

/// The path inside the folder of a file at this address.
fn path_in(address: &str, folder: &str) -> Option<Vec<u8>> {
    let path = if let Some(path) = address.strip_prefix(folder) {
        without_escapes(path)?
    } else {
        let path = without_escapes(address.strip_prefix("file://")?)?;
        let path = String::from_utf8(path).ok()?;
        let (_, mounted) = path.split_once("/gvfs/")?;
        let (mount, inside) = mounted.split_once('/')?;
        let (host, port) = folder.strip_prefix("dav://")?.split_once(':')?;
        let more = mount.strip_prefix(&format!("dav:host={host},port={port}"))?;
        if !more.is_empty() && !more.starts_with(',') {
            return None;
        }
        format!("/{inside}").into_bytes()
    };
    (path.starts_with(b"/") && !path.contains(&0) && str::from_utf8(&path).is_ok()).then_some(path)
}

/// Undoes what [`uri`] does to paths.
fn without_escapes(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, behind) = rest.split_at_checked(2)?;
        let digits = digits.iter().map(|digit| char::from(*digit).to_digit(16));
        let value = digits.reduce(|high, low| Some(high? * 16 + low?))??;
        bytes.push(u8::try_from(value).ok()?);
        rest = behind;
    }
    Some(bytes)
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
    fn files_of_the_desktop_are_listed_where_they_lie_in_the_clients_folder() {
        let folder = "dav://127.0.0.1:9843";
        let copied = b"cut\ndav://127.0.0.1:9843/a%20b/%C3%A4\n\
            file:///run/user/0/gvfs/dav:host=127.0.0.1,port=9843,ssl=false/c\0";
        let listed = addresses(copied, true).unwrap();
        let list = FileList::of_addresses(&listed, folder).unwrap();
        assert_eq!(list.encode(), b"cut\0/a b/\xc3\xa4\0/c\0");
        assert_eq!(FileList::decode(&list.encode()), Some(list));
        let dragged = b"# a comment\r\ndav://127.0.0.1:9843/x\r\n";
        let listed = addresses(dragged, false).unwrap();
        let list = FileList::of_addresses(&listed, folder).unwrap();
        assert_eq!(list.encode(), b"copy\0/x\0");
        for elsewhere in [
            "file:///home/me/x",
            "dav://127.0.0.1:9844/x",
            "dav://127.0.0.1:98430/x",
            "file:///run/user/0/gvfs/dav:host=127.0.0.1,port=98430,ssl=false/c",
            "file:///run/user/0/gvfs/sftp:host=127.0.0.1,port=9843/c",
            "dav://127.0.0.1:9843/a/%2e%2e/b",
            "dav://127.0.0.1:9843/a%00b",
            "dav://127.0.0.1:9843/%f",
            "dav://127.0.0.1:9843/%+f",
            "dav://127.0.0.1:9843/%ff",
        ] {
            let both = format!("copy\ndav://127.0.0.1:9843/x\n{elsewhere}");
            let listed = addresses(both.as_bytes(), true).unwrap();
            assert_eq!(FileList::of_addresses(&listed, folder), None, "{elsewhere}");
        }
        for wrong in [&b""[..], b"copy", b"link\nfile:///x", b"copy\n\xff"] {
            assert_eq!(addresses(wrong, true), None, "{wrong:?}");
        }
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
