//! Agent messages there and back, cut short, and with more behind them than is known.

use super::*;
use proptest::prelude::*;

const FORMS: [ClipboardForm; 3] = [form(true, true), form(true, false), form(false, false)];

const fn form(selection: bool, grab_serial: bool) -> ClipboardForm {
    ClipboardForm {
        selection,
        grab_serial,
    }
}

fn whole(encoded: &Encoded) -> Vec<u8> {
    [&encoded.head, &*encoded.bulk].concat()
}

/// The header and the message of these bytes.
fn read(bytes: &[u8], form: ClipboardForm) -> (AgentHeader, Result<AgentMessage, WireError>) {
    let mut reader = ByteReader::new(bytes);
    let header = AgentHeader::decode(&mut reader).unwrap();
    let body = SharedBytes::from(reader.rest().to_vec());
    (
        header,
        AgentMessage::decode(header.message_type, body, form),
    )
}

fn selection() -> impl Strategy<Value = Selection> {
    prop_oneof![
        Just(Selection::Clipboard),
        Just(Selection::Primary),
        Just(Selection::Secondary)
    ]
}

fn kind() -> impl Strategy<Value = ClipboardType> {
    (0u32..7).prop_map(|number| ClipboardType::from_number(number).unwrap())
}

fn bytes() -> impl Strategy<Value = SharedBytes> {
    prop::collection::vec(any::<u8>(), 0..40).prop_map(SharedBytes::from)
}

fn clipboard() -> impl Strategy<Value = AgentMessage> {
    let types = prop::collection::btree_set(kind(), 0..6);
    let grab = (selection(), any::<u32>(), types).prop_map(|(selection, serial, types)| {
        let types = types.into_iter().filter(|one| *one != ClipboardType::None);
        AgentMessage::ClipboardGrab(ClipboardGrab {
            selection,
            serial,
            types: types.collect(),
        })
    });
    let request = (selection(), kind()).prop_map(|(selection, kind)| {
        AgentMessage::ClipboardRequest(ClipboardRequest { selection, kind })
    });
    let data = (selection(), kind(), bytes()).prop_map(|(selection, kind, data)| {
        AgentMessage::ClipboardData(ClipboardData {
            selection,
            kind,
            data,
        })
    });
    let release = selection()
        .prop_map(|selection| AgentMessage::ClipboardRelease(ClipboardRelease { selection }));
    let max = any::<i32>().prop_map(|max| AgentMessage::MaxClipboard(MaxClipboard { max }));
    prop_oneof![grab, request, data, release, max]
}

fn monitors() -> impl Strategy<Value = MonitorsConfig> {
    let physical = prop::option::of((1u16.., 1u16..));
    let size = (any::<u32>(), any::<u32>(), any::<u32>());
    let monitor = (size, any::<i32>(), any::<i32>(), physical).prop_map(
        |((width, height, depth), x, y, physical_mm)| MonitorConfig {
            width,
            height,
            depth,
            x,
            y,
            physical_mm,
        },
    );
    let monitors = prop::collection::vec(monitor, 0..5);
    (any::<u32>(), monitors).prop_map(|(flags, mut monitors)| {
        let flags = MonitorsFlags(flags);
        if !flags.contains(MonitorsFlags::PHYSICAL_SIZE) {
            monitors.iter_mut().for_each(|one| one.physical_mm = None);
        }
        MonitorsConfig { flags, monitors }
    })
}

fn file() -> impl Strategy<Value = AgentMessage> {
    let start = (any::<u32>(), bytes())
        .prop_map(|(id, about)| AgentMessage::FileStart(FileStart { id, about }));
    let data = (any::<u32>(), bytes())
        .prop_map(|(id, data)| AgentMessage::FileData(FileData { id, data }));
    let result = prop_oneof![
        (0u32..8).prop_map(|code| (FileResult(code), FileDetail::None)),
        any::<u64>().prop_map(|n| (FileResult::NOT_ENOUGH_SPACE, FileDetail::FreeSpace(n))),
        any::<u32>().prop_map(|n| (FileResult::ERROR, FileDetail::GioError(n))),
    ];
    let status = (any::<u32>(), result).prop_map(|(id, (result, detail))| {
        AgentMessage::FileStatus(FileStatus { id, result, detail })
    });
    prop_oneof![start, data, status]
}

fn other() -> impl Strategy<Value = AgentMessage> {
    let bits = prop::collection::vec(0u32..70, 0..9);
    let announce = (any::<bool>(), bits).prop_map(|(request, bits)| {
        let caps = Caps::of(&bits);
        AgentMessage::Announce(Announce { request, caps })
    });
    let reply = (0u32..20, 1u32..3).prop_map(|(message_type, code)| {
        AgentMessage::Reply(Reply {
            message_type: AgentType(message_type),
            code: ReplyCode(code),
        })
    });
    let display = (any::<u32>(), any::<u32>())
        .prop_map(|(flags, depth)| AgentMessage::DisplayConfig(DisplayConfig { flags, depth }));
    let volumes = prop::collection::vec(any::<u16>(), 0..9);
    let volume =
        (any::<bool>(), any::<bool>(), volumes).prop_map(|(is_playback, mute, volumes)| {
            AgentMessage::VolumeSync(VolumeSync {
                is_playback,
                mute,
                volumes,
            })
        });
    let monitors = monitors().prop_map(AgentMessage::MonitorsConfig);
    prop_oneof![announce, reply, display, volume, monitors]
}

fn message() -> impl Strategy<Value = AgentMessage> {
    prop_oneof![clipboard(), file(), other()]
}

/// What is left of a message that is told in this form.
fn told(mut message: AgentMessage, form: ClipboardForm) -> AgentMessage {
    match &mut message {
        AgentMessage::ClipboardGrab(grab) => {
            grab.serial = if form.grab_serial { grab.serial } else { 0 };
            grab.selection = of(grab.selection, form);
        }
        AgentMessage::ClipboardRequest(one) => one.selection = of(one.selection, form),
        AgentMessage::ClipboardData(one) => one.selection = of(one.selection, form),
        AgentMessage::ClipboardRelease(one) => one.selection = of(one.selection, form),
        _ => {}
    }
    message
}

fn of(selection: Selection, form: ClipboardForm) -> Selection {
    if form.selection {
        selection
    } else {
        Selection::Clipboard
    }
}

/// Whether a body may end anywhere behind its first fields.
fn is_open(message: &AgentMessage) -> bool {
    matches!(
        message,
        AgentMessage::Announce(_)
            | AgentMessage::ClipboardGrab(_)
            | AgentMessage::ClipboardData(_)
            | AgentMessage::FileStart(_)
            | AgentMessage::FileStatus(_)
    )
}

proptest! {
    #[test]
    fn messages_survive_the_way(message in message(), form in prop::sample::select(&FORMS)) {
        let encoded = message.encode(form);
        let bytes = whole(&encoded);
        let (header, decoded) = read(&bytes, form);
        prop_assert_eq!(header.protocol, PROTOCOL);
        prop_assert_eq!(header.size as usize, bytes.len() - AgentHeader::SIZE);
        prop_assert_eq!(header.message_type, message.message_type());
        prop_assert_eq!(decoded, Ok(told(message, form)));
    }

    #[test]
    fn messages_cut_short_are_errors(message in message(), form in prop::sample::select(&FORMS)) {
        let bytes = whole(&message.encode(form));
        for length in AgentHeader::SIZE..bytes.len() {
            let (_, decoded) = read(&bytes[..length], form);
            let is_cut = matches!(decoded, Err(WireError::Truncated(_)));
            prop_assert!(is_cut || is_open(&message), "{decoded:?} at {length}");
        }
    }

    /// Newer clients append to what they send.
    #[test]
    fn bytes_behind_monitors_are_no_error(config in monitors(), more in bytes()) {
        let message = AgentMessage::MonitorsConfig(config);
        let bytes = [whole(&message.encode(FORMS[0])), more.to_vec()].concat();
        prop_assert_eq!(read(&bytes, FORMS[0]).1, Ok(message));
    }

    #[test]
    fn any_bytes_decode_or_are_an_error(
        number in 0u32..18, body in prop::collection::vec(any::<u8>(), 0..80),
        form in prop::sample::select(&FORMS),
    ) {
        let bytes = SharedBytes::from(body);
        if let Ok(message) = AgentMessage::decode(AgentType(number), bytes.clone(), form) {
            let encoded = whole(&message.encode(form));
            prop_assert!(encoded.len() <= AgentHeader::SIZE + bytes.len(), "{message:?}");
            prop_assert_eq!(read(&encoded, form).1, Ok(message));
        }
    }
}

#[test]
fn bytes_are_those_of_the_protocol() {
    let le = u32::to_le_bytes;
    let header = |kind: u32, size: u32| [le(1), le(kind), le(0), le(0), le(size)].concat();
    let grab = AgentMessage::ClipboardGrab(ClipboardGrab {
        selection: Selection::Primary,
        serial: 5,
        types: vec![ClipboardType::Utf8Text, ClipboardType::Png],
    });
    let fields = [le(1), le(5), le(1), le(2)].concat();
    let bytes = whole(&grab.encode(FORMS[0]));
    assert_eq!(bytes, [header(7, 16), fields].concat());
    let config = AgentMessage::MonitorsConfig(MonitorsConfig {
        flags: MonitorsFlags::PHYSICAL_SIZE,
        monitors: vec![MonitorConfig {
            width: 640,
            height: 480,
            depth: 32,
            x: -1,
            y: 2,
            physical_mm: Some((300, 200)),
        }],
    });
    let fields = [
        le(1),
        le(2),
        le(480),
        le(640),
        le(32),
        le(u32::MAX),
        le(2),
        [200, 0, 44, 1],
    ];
    let bytes = whole(&config.encode(FORMS[0]));
    assert_eq!(bytes, [header(2, 32), fields.concat()].concat());
    let status = AgentMessage::FileStatus(FileStatus {
        id: 3,
        result: FileResult::NOT_ENOUGH_SPACE,
        detail: FileDetail::FreeSpace(9),
    });
    let bytes = whole(&status.encode(FORMS[0]));
    assert_eq!(
        bytes,
        [header(11, 16), [le(3), le(4), le(9), le(0)].concat()].concat()
    );
}

#[test]
fn claims_reserve_nothing_and_are_refused() {
    let monitors = SharedBytes::from([u32::MAX.to_le_bytes(), [0; 4]].concat());
    let form = FORMS[0];
    let decoded = AgentMessage::decode(AgentType::MONITORS_CONFIG, monitors, form);
    assert!(
        matches!(decoded, Err(WireError::Truncated(_))),
        "{decoded:?}"
    );
    let file = SharedBytes::from([&[0; 4][..], &u64::MAX.to_le_bytes(), &[7; 9]].concat());
    let decoded = AgentMessage::decode(AgentType::FILE_XFER_DATA, file, form);
    assert!(
        matches!(decoded, Err(WireError::Truncated(_))),
        "{decoded:?}"
    );
    let volumes = SharedBytes::from(vec![1, 0, 255, 0, 0]);
    let decoded = AgentMessage::decode(AgentType::AUDIO_VOLUME_SYNC, volumes, form);
    assert!(
        matches!(decoded, Err(WireError::Truncated(_))),
        "{decoded:?}"
    );
    let selection = SharedBytes::from(vec![3, 0, 0, 0]);
    let decoded = AgentMessage::decode(AgentType::CLIPBOARD_RELEASE, selection, form);
    assert!(
        matches!(decoded, Err(WireError::Invalid { .. })),
        "{decoded:?}"
    );
}

#[test]
fn only_what_clients_and_agents_say_is_decoded() {
    for number in [0, 1, 13, 16, 17, u32::MAX] {
        let body = SharedBytes::from(vec![0; 64]);
        let decoded = AgentMessage::decode(AgentType(number), body, FORMS[0]);
        assert!(matches!(decoded, Err(WireError::Unsupported { .. })));
    }
}

#[test]
fn unknown_types_of_content_are_none() {
    let le = u32::to_le_bytes;
    let body = SharedBytes::from([le(0), le(77), le(1), le(0), le(1), le(2)].concat());
    let form = form(true, false);
    let grab = AgentMessage::decode(AgentType::CLIPBOARD_GRAB, body.clone(), form);
    let types = vec![ClipboardType::Utf8Text, ClipboardType::Png];
    assert!(matches!(grab, Ok(AgentMessage::ClipboardGrab(grab)) if grab.types == types));
    let data = AgentMessage::decode(AgentType::CLIPBOARD, body, form);
    assert!(
        matches!(data, Ok(AgentMessage::ClipboardData(data)) if data.kind == ClipboardType::None)
    );
}
