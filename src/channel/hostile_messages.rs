//! Message streams of any bytes, and what must hold all the same for whatever the codec makes of them.
//!
//! `tests/fuzz` feeds [`check`] with a fuzzer, the tests here with random scripts and with those that a fuzzer once
//! found.

use super::inbox::{FramingError, Inbox};
use crate::base::script::{Script, pieces};
use crate::base::{ByteReader, ByteWriter, limits};
use crate::wire::agent::{AgentHeader, AgentMessage, AgentType, ClipboardForm, Encoded};
use crate::wire::draw::{CopyBits, DrawCopy, DrawFill, ReceivedCopy};
use crate::wire::header::{FullHeader, MiniHeader};
use crate::wire::link::{LinkHeader, LinkMessage, LinkReply};
use crate::wire::{Decode, Encode, WireError, common, cursor, display, inputs, main};

/// What comes of a stream: its messages, and how it ended.
type Stream = (Vec<(u16, Vec<u8>)>, Option<FramingError>);

/// Reads the stream that `script` holds, with either header and in any cutting, and every message with every decoder.
///
/// # Panics
///
/// Where framing or codec break their promises; that is what tests and fuzzers look for.
pub fn check(script: &[u8]) {
    let mut script = Script::new(script);
    let (flags, cut) = (script.u8(), script.u8());
    let mini = flags & 1 != 0;
    let limit = limit(flags);
    let bytes = script.rest();
    let whole = read(bytes, mini, limit, 0);
    assert_eq!(
        whole,
        read(bytes, mini, limit, cut),
        "cutting makes no difference"
    );
    for (number, body) in &whole.0 {
        check_message(*number, body);
    }
    // The first bytes as a message by itself: a fuzzer need not get a header right to reach the decoders.
    let mut alone = Script::new(bytes);
    check_message(alone.u16(), alone.rest());
}

/// Bytes of one message: those of the main channel or of another.
const fn limit(flags: u8) -> u32 {
    if flags & 2 != 0 {
        limits::MAIN_MESSAGE_MAX
    } else {
        limits::CLIENT_MESSAGE_MAX
    }
}

/// Reads a stream in pieces; keeps at most a message and a piece at a time.
fn read(bytes: &[u8], mini: bool, limit: u32, cut: u8) -> Stream {
    let (mut inbox, mut messages) = (Inbox::new(mini, limit), Vec::new());
    for piece in pieces(bytes, cut) {
        inbox.push(piece);
        let kept = limit as usize + FullHeader::SIZE + piece.len();
        assert!(inbox.kept_bytes() <= kept, "keeps {}", inbox.kept_bytes());
        loop {
            match inbox.next_message() {
                Ok(Some((number, body))) => {
                    assert!(
                        body.len() <= limit as usize,
                        "{number} of {} bytes",
                        body.len()
                    );
                    messages.push((number, body.to_vec()));
                }
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(inbox.next_message(), Err(error), "an error stays");
                    return (messages, Some(error));
                }
            }
        }
    }
    (messages, None)
}

/// Decodes; what that gives survives its own encoding, which is no longer than what it was read from.
macro_rules! survives {
    ($bytes:expr, $part:ident => $decode:expr) => {{
        let $part: &[u8] = $bytes;
        if let Ok(message) = $decode {
            let encoded = encoded(&message);
            assert!(
                encoded.len() <= $part.len(),
                "{message:?} grew to {}",
                encoded.len()
            );
            let $part = encoded.as_slice();
            assert_eq!($decode.as_ref(), Ok(&message), "encoded as {encoded:?}");
        }
    }};
}

/// The bytes of a message behind other bytes, as in an outbox: what points inside of it must not notice.
fn encoded(message: &impl Encode) -> Vec<u8> {
    let mut out = vec![0xee; 3];
    message.encode(&mut ByteWriter::new(&mut out));
    out.split_off(3)
}

/// One message with the decoders of all channels and both directions.
fn check_message(number: u16, body: &[u8]) {
    survives!(body, body => common::ClientMessage::decode(number, body));
    survives!(body, body => main::ClientMessage::decode(number, body));
    survives!(body, body => display::ClientMessage::decode(number, body));
    survives!(body, body => inputs::ClientMessage::decode(number, body));
    survives!(body, body => common::ServerMessage::decode(number, body));
    survives!(body, body => main::ServerMessage::decode(number, body));
    survives!(body, body => inputs::ServerMessage::decode(number, body));
    survives!(body, body => cursor::ServerMessage::decode(number, body));
    check_structures(body);
    check_copy(body);
    check_agent(number, body);
}

/// A message of the agent in every form that clipboard messages have.
fn check_agent(number: u16, body: &[u8]) {
    let message_type = AgentType(number.into());
    for (selection, grab_serial) in [(false, false), (true, false), (true, true)] {
        let form = ClipboardForm {
            selection,
            grab_serial,
        };
        let decode = |body: Vec<u8>| AgentMessage::decode(message_type, body.into(), form);
        let Ok(message) = decode(body.to_vec()) else {
            continue;
        };
        let Encoded { mut head, bulk } = message.encode(form);
        let mut again = head.split_off(AgentHeader::SIZE);
        again.extend_from_slice(&bulk);
        assert!(again.len() <= body.len(), "{message:?} grew");
        assert_eq!(decode(again).as_ref(), Ok(&message));
    }
}

/// What is no numbered message, or has its number from elsewhere.
fn check_structures(body: &[u8]) {
    survives!(body, body => plain::<LinkHeader>(body));
    survives!(body, body => plain::<LinkMessage>(body));
    survives!(body, body => plain::<LinkReply>(body));
    survives!(body, body => plain::<MiniHeader>(body));
    survives!(body, body => plain::<FullHeader>(body));
    survives!(body, body => plain::<display::SurfaceCreate>(body));
    survives!(body, body => plain::<display::SurfaceDestroy>(body));
    survives!(body, body => plain::<display::MonitorsConfig>(body));
    survives!(body, body => plain::<DrawFill>(body));
    survives!(body, body => plain::<CopyBits>(body));
}

fn plain<'a, M: Decode<'a>>(body: &'a [u8]) -> Result<M, WireError> {
    M::decode(&mut ByteReader::new(body))
}

/// An image on its way to a client.
fn check_copy(body: &[u8]) {
    let Ok(received) = ReceivedCopy::decode(body) else {
        return;
    };
    for offset_at in [0, 5, received.data.len()] {
        if let Ok(palette) = received.palette(offset_at) {
            assert!(palette.len() * 4 <= body.len(), "{} colours", palette.len());
        }
    }
    let sent = DrawCopy {
        surface_id: received.surface_id,
        rect: received.rect,
        image_id: received.image_id,
        image_type: received.image_type,
        flags: received.flags,
        data: received.data,
        palette: None,
    };
    let mut out = Vec::new();
    sent.encode(&mut ByteWriter::new(&mut out));
    let data_offset = out.len() - received.data.len();
    assert_eq!(
        ReceivedCopy::decode(&out),
        Ok(ReceivedCopy {
            data_offset,
            // Only copies of surfaces have another one.
            source: crate::base::Point::default(),
            ..received
        })
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::corpus::{plant_seeds, replay_regressions};
    use crate::wire::header::write_message;
    use proptest::prelude::*;

    /// Numbers that some channel has, and bodies that are mostly long enough.
    fn message() -> impl Strategy<Value = (u16, Vec<u8>)> {
        let number = prop_oneof![0u16..10, 99u16..120, 300u16..320, any::<u16>()];
        let byte = prop_oneof![Just(0u8), Just(255), 0u8..10, any::<u8>()];
        (number, prop::collection::vec(byte, 0..80))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn random_streams_break_no_promise(script in prop::collection::vec(any::<u8>(), 0..600)) {
            check(&script);
        }

        #[test]
        fn random_messages_break_no_promise(
            flags in 0u8..4, cut in any::<u8>(), messages in prop::collection::vec(message(), 1..12),
        ) {
            let mut script = vec![flags, cut];
            for (number, body) in &messages {
                write_message(&mut script, flags & 1 != 0, 1, *number, |writer| writer.bytes(body));
            }
            let (read, error) = read(&script[2..], flags & 1 != 0, 64 * 1024, cut);
            prop_assert_eq!((read, error), (messages, None));
            check(&script);
        }

        /// A body that is longer than allowed is refused at its header, whatever of it comes.
        #[test]
        fn claims_keep_nothing(flags in 0u8..4, cut in 1u8.., beyond in 1u32..1000) {
            let (mini, limit) = (flags & 1 != 0, limit(flags));
            let mut script = vec![flags, cut];
            let body = vec![7; (limit + beyond) as usize];
            write_message(&mut script, mini, 1, 105, |writer| writer.bytes(&body));
            let size = limit + beyond;
            let error = FramingError::TooLong { message_type: 105, size, limit };
            prop_assert_eq!(read(&script[2..], mini, limit, cut), (Vec::new(), Some(error)));
            check(&script);
        }

        /// Images on their way to a client, as the server writes them and with some bytes changed.
        #[test]
        fn changed_copies_break_no_promise(
            data in prop::collection::vec(any::<u8>(), 10..40),
            changes in prop::collection::vec((any::<u8>(), any::<u8>()), 0..4),
        ) {
            let copy = DrawCopy {
                surface_id: 1,
                rect: crate::base::Rect::at(3, 4, 5, 6),
                image_id: 7,
                image_type: crate::wire::draw::ImageType::LZ_PLT,
                flags: crate::wire::draw::ImageFlags::CACHE_ME,
                data: &data,
                palette: Some(crate::wire::draw::Palette { colors: &[1, 2, 3], offset_at: 5 }),
            };
            let mut body = encoded(&copy);
            prop_assert_eq!(ReceivedCopy::decode(&body).unwrap().palette(5), Ok(vec![1, 2, 3]));
            for (at, value) in changes {
                let at = usize::from(at) % body.len();
                body[at] = value;
            }
            check_message(304, &body);
        }
    }

    #[test]
    fn seeds_break_no_promise() {
        let numbers = (1..=7).chain(101..=117).chain([302, 304, 314, 315, 317]);
        let seed = |number: u16, flags: u8| {
            let mut script = vec![flags, 9];
            for size in [0, 40] {
                let body = vec![1; size];
                write_message(&mut script, flags & 1 != 0, 1, number, |writer| {
                    writer.bytes(&body)
                });
            }
            script
        };
        let seeds: Vec<Vec<u8>> = numbers.flat_map(|n| [seed(n, 0), seed(n, 3)]).collect();
        plant_seeds("messages", &seeds, check);
    }

    #[test]
    fn scripts_from_the_fuzzer_break_no_promise() {
        assert!(0 < replay_regressions("messages", check));
    }
}
