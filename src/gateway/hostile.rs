//! Whatever comes to gateway and broker from outside, and what must hold all the same: the file of settings, datagrams
//! between the two, a desktop's first words, the address that a gateway tells, and clients that are told a sentence.
//!
//! `tests/fuzz` feeds [`check`] with a fuzzer, the tests here with random scripts and with those that a fuzzer once
//! found. A client's own first words are `channel::hostile_link`'s and `auth::hostile`'s.

use std::path::Path;

use toml::{Table, Value};

use super::broker::{DATAGRAM_BYTES_MAX, Reply, Request};
use super::first_message::{BEFORE_INIT_BYTES_MAX, FirstMessage, NoInit};
use super::notice::NoticeChannel;
use super::replay::{Progress, REPLY_BYTES_MAX, Replay};
use super::settings::{CODE_LENGTH_MAX, ExistingSession, Settings};
use crate::base::script::{Script, pieces};
use crate::base::{Access, ByteReader, ByteWriter};
use crate::channel::link::Link;
use crate::wire::caps::Caps;
use crate::wire::client_address;
use crate::wire::header::write_message;
use crate::wire::link::{AuthMechanism, ChannelType, LinkHeader, LinkMessage, TICKET_SIZE};
use crate::wire::main::Init;
use crate::wire::{Decode, Encode, Message, WireError};

/// Bytes of a notice on one channel: a sentence has at most so many letters, each of some ten runs of dots.
const LONGEST_NOTICE_BYTES: usize = 1 << 20;

/// Runs what `script` plays; its first byte decides which part it is.
///
/// # Panics
/// Where a promise is broken; that is what tests and fuzzers look for.
pub fn check(script: &[u8]) {
    let mut script = Script::new(script);
    match script.u8() % 8 {
        0 | 1 => settings(&String::from_utf8_lossy(script.rest())),
        2 => datagrams(script.rest()),
        3 => first_message(&mut script),
        4 | 5 => replay(&mut script),
        6 => address(script.rest()),
        _ => notice(&mut script),
    }
}

/// All that the file says is in the settings, or one line says what is wrong and where.
fn settings(text: &str) {
    match Settings::parse(text) {
        Ok(settings) => {
            let table: Table = toml::from_str(text).unwrap_or_default();
            for (key, value) in &table {
                assert!(
                    has(&settings, key, value),
                    "{key} of {value:?}: {settings:?}"
                );
            }
            assert!(!settings.listen.is_empty() && settings.code_length <= CODE_LENGTH_MAX);
            assert_eq!(settings.tls_cert.is_some(), settings.tls_key.is_some());
            let service = Path::new("/etc/pam.d").join(&settings.pam_service);
            assert_eq!(service.parent(), Some(Path::new("/etc/pam.d")));
        }
        Err(error) => {
            let told = error.to_string();
            assert!(!told.contains(char::is_control), "{told:?}");
            let rest = told.strip_prefix("line ");
            let line = rest.and_then(|rest| rest.split_once(": ")?.0.parse().ok());
            let line: usize = line.unwrap_or_default();
            assert!((1..=text.split('\n').count()).contains(&line), "{told:?}");
            // What is TOML has keys, and one of them is wrong.
            if let Ok(table) = toml::from_str::<Table>(text) {
                let mut keys = table.keys().map(|key| key.replace(char::is_control, " "));
                assert!(
                    keys.any(|key| told.contains(&format!(": {key}: "))),
                    "{told:?}"
                );
            }
        }
    }
}

/// Whether `key` has `value` in `settings`.
fn has(settings: &Settings, key: &str, value: &Value) -> bool {
    let is_path =
        |path: Option<&Path>| path.is_some() && path.and_then(Path::to_str) == value.as_str();
    let is_list = |list: &[String]| {
        let written = value.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter()
            .map(|one| Some(&**one))
            .eq(written.iter().map(Value::as_str))
    };
    match key {
        "listen" => {
            let written = value.as_array().map(Vec::as_slice).unwrap_or_default();
            let addresses = written.iter().map(|one| one.as_str()?.parse().ok());
            settings.listen.iter().copied().map(Some).eq(addresses)
        }
        "tls-cert" => is_path(settings.tls_cert.as_deref()),
        "tls-key" => is_path(settings.tls_key.as_deref()),
        "broker-socket" => is_path(Some(&settings.broker_socket)),
        "gateway-user" => Some(&*settings.gateway_user) == value.as_str(),
        "pam-service" => Some(&*settings.pam_service) == value.as_str(),
        "allow-groups" => is_list(&settings.allow_groups),
        "view-only-groups" => is_list(&settings.view_only_groups),
        "code-length" => {
            usize::try_from(value.as_integer().unwrap_or(-1)) == Ok(settings.code_length)
        }
        "existing-session" => {
            let word = match settings.existing_session {
                ExistingSession::Refuse => "refuse",
                ExistingSession::TakeOver => "take-over",
                ExistingSession::Isolated => "isolated",
                ExistingSession::Join => "join",
            };
            value.as_str() == Some(word)
        }
        "command" => is_list(&settings.command),
        _ => false,
    }
}

/// A datagram is a message in one way only, and leaves no password behind.
fn datagrams(bytes: &[u8]) {
    if let Ok(reply) = Reply::decode(bytes) {
        assert_eq!(reply.encode(), bytes, "{reply:?}");
        assert!(bytes.len() <= DATAGRAM_BYTES_MAX);
    }
    let mut datagram = bytes.to_vec();
    let request = Request::decode(&mut datagram);
    assert!(datagram.iter().all(|byte| *byte == 0));
    if let Ok(request) = request {
        assert_eq!(&request.encode()[..], bytes, "{request:?}");
        assert!(bytes.len() <= DATAGRAM_BYTES_MAX);
    }
}

/// What a desktop says on its main channel passes unchanged but for the id, in any cutting.
fn first_message(script: &mut Script<'_>) {
    let (flags, cut, new) = (script.u8(), script.u8(), script.u32());
    let mini = flags & 1 != 0;
    let mut bytes = Vec::new();
    for _ in 0..flags >> 2 & 3 {
        let (number, body) = (script.u16(), script.u8());
        let body = script.bytes(body.into());
        write_message(&mut bytes, mini, 1, number, |writer| writer.bytes(body));
    }
    if flags & 2 != 0 {
        let mut numbers = || script.number();
        let init = Init {
            session_id: numbers(),
            display_channels_hint: numbers(),
            supported_mouse_modes: 3,
            current_mouse_mode: 2,
            agent_connected: 1,
            agent_tokens: 10,
            multi_media_time: 9,
            ram_hint: 8,
        };
        write_message(&mut bytes, mini, 2, Init::TYPE, |body| init.encode(body));
    }
    bytes.extend_from_slice(script.rest());
    let whole = passed(mini, &bytes, 0, new);
    let in_pieces = passed(mini, &bytes, cut, new);
    if bytes.len() <= BEFORE_INIT_BYTES_MAX {
        assert_eq!(whole, in_pieces, "cutting makes no difference");
    }
    let Ok(Some((old, passed))) = in_pieces else {
        return;
    };
    assert_eq!(passed.len(), bytes.len());
    let differ = |(a, b): (&u8, &u8)| a != b;
    let first = bytes.iter().zip(&passed).position(differ);
    // The id begins before the first byte of it that differs, where the old one stands.
    let is_id = |at: usize| {
        let (before, after) = (bytes.get(at..at + 4), passed.get(at..at + 4));
        before == Some(&old.to_le_bytes())
            && after == Some(&new.to_le_bytes())
            && bytes.get(at + 4..) == passed.get(at + 4..)
    };
    let found = first.is_none_or(|at| (at.saturating_sub(3)..=at).any(is_id));
    assert!(found && first.is_some() == (old != new), "{old} {new}");
}

/// The id that was there and all bytes that pass; none while INIT has not come.
fn passed(mini: bool, bytes: &[u8], cut: u8, new: u32) -> Result<Option<(u32, Vec<u8>)>, NoInit> {
    let (mut first, mut pushed, mut old) = (FirstMessage::new(mini), 0, None);
    for piece in pieces(bytes, cut) {
        pushed += piece.len();
        let rename = |id| {
            assert_eq!(old.replace(id), None, "asked once");
            Some(new)
        };
        if let Some(mut all) = first.push(piece, rename)? {
            all.extend_from_slice(bytes.get(pushed..).unwrap_or_default());
            return Ok(Some((old.unwrap_or_default(), all)));
        }
        assert!(pushed <= BEFORE_INIT_BYTES_MAX, "keeps {pushed}");
    }
    Ok(None)
}

/// Whatever answers in a desktop's place: it is linked to once its handshake is whole, in any cutting.
fn replay(script: &mut Script<'_>) {
    let (flags, cut) = (script.u8(), script.u8());
    let message = LinkMessage {
        connection_id: script.u32(),
        channel_type: ChannelType(1 + script.u8() % 11),
        channel_id: script.u8(),
        common_caps: Caps::of(script.pick(&[&[0, 1, 2, 3], &[0, 1, 3], &[], &[70]])),
        channel_caps: Caps::of(&[u32::from(script.u8())]),
    };
    let access = match flags & 1 {
        0 => Access::Full,
        _ => Access::ViewOnly,
    };
    let mut bytes = Vec::new();
    if flags & 2 != 0 {
        bytes = reply_of_ours(&message);
        if flags & 4 != 0 {
            let at = usize::from(script.u16()) % bytes.len();
            bytes[at] ^= script.u8();
        }
        if flags & 8 != 0 {
            bytes.extend(u32::from(script.u8()).to_le_bytes());
        }
    }
    bytes.extend_from_slice(script.rest());
    let whole = linked(&message, access, &bytes, 0);
    assert_eq!(
        whole,
        linked(&message, access, &bytes, cut),
        "cutting makes no difference"
    );
}

/// How our server answers a link message.
fn reply_of_ours(message: &LinkMessage) -> Vec<u8> {
    let (mut body, mut bytes, mut server) = (Vec::new(), Vec::new(), Link::new());
    message.encode(&mut ByteWriter::new(&mut body));
    let size = u32::try_from(body.len()).unwrap_or(0);
    LinkHeader::new(size).encode(&mut ByteWriter::new(&mut bytes));
    server.push(&[bytes, body].concat());
    server.step();
    server.give_key([5; 162]);
    server.step();
    server.take_output()
}

/// How a handshake ends, in words, and what was said.
fn linked(message: &LinkMessage, access: Access, bytes: &[u8], cut: u8) -> (String, Vec<u8>) {
    let address = ([192, 0, 2, 7], 5678).into();
    let mut replay = Replay::new(message, 99, access, address);
    let mut said = replay.take_output();
    assert_eq!(client_address::find(&said), Some(address));
    assert_eq!(asked(&said).map(|asked| asked.connection_id), Ok(99));
    let first = said.len();
    let mut pushed = 0;
    let mut ended = String::from("waits");
    for piece in pieces(bytes, cut) {
        pushed += piece.len();
        let progress = replay.push(piece);
        said.extend(replay.take_output());
        ended = match progress {
            Ok(Progress::NeedsBytes) => {
                let longest = LinkHeader::SIZE + REPLY_BYTES_MAX as usize;
                assert!(
                    replay.kept_bytes() < longest,
                    "keeps {}",
                    replay.kept_bytes()
                );
                continue;
            }
            Ok(Progress::Linked(mut more)) => {
                more.extend_from_slice(bytes.get(pushed..).unwrap_or_default());
                assert!(bytes.ends_with(&more));
                assert!(first < said.len(), "linked without a ticket");
                format!("linked, and {more:?}")
            }
            Err(error) => error.to_string(),
        };
        break;
    }
    let ticket = [&AuthMechanism::SPICE.0.to_le_bytes()[..], &[0; TICKET_SIZE]].concat();
    assert!(said[first..].is_empty() || said[first..] == ticket);
    (ended, said)
}

/// The link message in what was said first.
fn asked(said: &[u8]) -> Result<LinkMessage, WireError> {
    let mut reader = ByteReader::new(said);
    LinkHeader::decode(&mut reader)?;
    LinkMessage::decode(&mut reader)
}

/// An address that is found is all that stands behind the message, and is told on as it is.
fn address(bytes: &[u8]) {
    let Some(address) = client_address::find(bytes) else {
        return;
    };
    let mut told = Vec::new();
    client_address::append(address, &mut told);
    let size = LinkHeader::decode(&mut ByteReader::new(bytes)).map_or(0, |header| header.size);
    let message = bytes
        .get(..LinkHeader::SIZE + size as usize)
        .unwrap_or_default();
    let behind = message.get(message.len().saturating_sub(told.len())..);
    // A mapped address and the one of four bytes are the same.
    assert_eq!(behind, Some(&told[..]), "{address}");
}

/// A client that is told a sentence may say what it likes: it is told once, in any cutting.
fn notice(script: &mut Script<'_>) {
    let (flags, cut) = (script.u8(), script.u8());
    let channel_type = ChannelType(1 + (flags & 3));
    let mini = flags & 4 != 0;
    let sentence = String::from_utf8_lossy(script.bytes(usize::from(flags >> 3))).into_owned();
    let mut bytes = Vec::new();
    for _ in 0..script.u8() % 4 {
        let (number, body) = (100 + script.u16() % 8, script.u8());
        let body = script.bytes(body.into());
        write_message(&mut bytes, mini, 1, number, |writer| writer.bytes(body));
    }
    bytes.extend_from_slice(script.rest());
    let told = |cut: u8| {
        let mut channel = NoticeChannel::new(channel_type, mini, &sentence, 7);
        let mut output = channel.take_output();
        let pushed = pieces(&bytes, cut).try_for_each(|piece| channel.push(piece));
        output.extend(channel.take_output());
        (pushed.map_err(|error| error.to_string()), output)
    };
    let whole = told(0);
    assert!(whole.1.len() <= LONGEST_NOTICE_BYTES, "{}", whole.1.len());
    assert_eq!(whole, told(cut), "cutting makes no difference");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::sasl::Credentials;
    use crate::base::corpus::{plant_seeds, replay_regressions};
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    const FILE: &str = "listen = ['[::]:5900', '127.0.0.1:1']\ntls-cert = '/c'\ntls-key = \"/k\"\n\
        broker-socket = '/s'\ngateway-user = 'g'\npam-service = 'p'\nallow-groups = ['a', 'b']\n\
        view-only-groups = ['c']\ncode-length = 6\nexisting-session = 'take-over'\ncommand = ['x', '-y']\n";

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn random_peers_break_no_promise(script in prop::collection::vec(any::<u8>(), 0..600)) {
            check(&script);
        }

        /// Servers and desktops that begin well.
        #[test]
        fn better_peers_break_no_promise(kind in 2_u8..8, flags in any::<u8>(),
                                         script in prop::collection::vec(any::<u8>(), 0..100)) {
            check(&[vec![kind, flags | 2], script].concat());
        }

        /// Files in which a few places are something else.
        #[test]
        fn random_files_break_no_promise(
            places in prop::collection::vec(
                (any::<prop::sample::Index>(), 0_usize..9, "[\\PC\n\"'=,0-9\\[\\]]{0,3}"), 0..4
            ),
        ) {
            let mut text: Vec<char> = FILE.chars().collect();
            for (at, length, piece) in places {
                let at = at.index(text.len());
                let end = (at + length).min(text.len());
                text.splice(at..end, piece.chars());
            }
            settings(&text.into_iter().collect::<String>());
        }
    }

    #[test]
    fn seeds_break_no_promise() {
        let credentials = Credentials {
            user: "alice".into(),
            password: Zeroizing::new(b"secret".to_vec()),
        };
        let log_in = Request::LogIn(credentials, "::1".into());
        let known = Reply::Known {
            uid: 1000,
            access: Access::ViewOnly,
            user: "alice".into(),
        };
        let said =
            Replay::new(&message(), 7, Access::Full, ([192, 0, 2, 7], 1).into()).take_output();
        let mut seeds: Vec<Vec<u8>> = FILE.lines().map(|line| parts(0, line.as_bytes())).collect();
        seeds.extend([
            parts(0, FILE.as_bytes()),
            parts(2, &log_in.encode()),
            parts(2, &Request::Connect.encode()),
            parts(2, &known.encode()),
            parts(2, &Reply::Refused("No.".into()).encode()),
            parts(6, &said),
        ]);
        for flags in [2, 3, 7, 11] {
            seeds.push(vec![3, flags, 3, 1, 2, 3, 4, 4, 0, 2, 9, 9, 5, 6]);
        }
        for flags in [2, 3, 6, 10] {
            seeds.push(vec![4, flags, 3, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        }
        for channel in 0..4 {
            seeds.push([&[7, channel | 4 | 5 << 3, 3][..], b"No. I\x01\x01\0\0"].concat());
        }
        plant_seeds("gateway", &seeds, check);
    }

    fn parts(kind: u8, rest: &[u8]) -> Vec<u8> {
        [&[kind], rest].concat()
    }

    fn message() -> LinkMessage {
        LinkMessage {
            connection_id: 7,
            channel_type: ChannelType::DISPLAY,
            channel_id: 0,
            common_caps: Caps::of(&[0, 1, 3]),
            channel_caps: Caps::of(&[]),
        }
    }

    #[test]
    fn scripts_get_all_the_way() {
        let bytes = [reply_of_ours(&message()), vec![0, 0, 0, 0, b'x']].concat();
        let (ended, _) = linked(&message(), Access::Full, &bytes, 3);
        assert_eq!(ended, "linked, and [120]");
    }

    #[test]
    fn scripts_from_the_fuzzer_break_no_promise() {
        assert!(0 < replay_regressions("gateway", check));
    }
}
