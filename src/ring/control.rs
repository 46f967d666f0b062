//! Messages of the control socket, and the one input record that comes back from the producer.
//!
//! | message | way | bytes | descriptors |
//! |---|---|---|---|
//! | HELLO 1 | producer, then server | 24 | from the producer: ring, peer, eventfd, input socket, frame buffer |
//! | FRAMEBUFFER 2 | producer to server | 16 | frame buffer |
//! | REFUSED 3 | either | 256 | |
//! | SET_MONITORS 4 | server to producer | 124 | |
//!
//! A datagram is one message. A HELLO of another ABI version is read up to its version only, so that both sides can
//! say which versions met.

use super::layout::{self, hello, refused};
use super::monitors::{self, Head};
use super::state::Leds;
use crate::base::{ByteReader, ByteWriter, Truncated};

/// One message of the control socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ControlMessage {
    /// `CARAWAY_MSG_HELLO`.
    Hello(Hello),
    /// `CARAWAY_MSG_FRAMEBUFFER`: a mode's pixels will lie in the memfd that comes with it.
    FrameBuffer {
        /// Names it in the mode block.
        id: u32,
        /// Bytes, as the producer says.
        size: u64,
    },
    /// `CARAWAY_MSG_REFUSED`: one sentence, then the sender closes.
    Refused(String),
    /// `CARAWAY_MSG_SET_MONITORS`.
    SetMonitors {
        /// Heads that are to be on; those not named are switched off.
        heads: Vec<Head>,
        /// Dots per inch of the screen; 0 for the driver's own.
        dpi: u32,
    },
}

/// `struct caraway_hello`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// [`layout::MAGIC`].
    pub magic: u32,
    /// [`layout::ABI_VERSION`].
    pub abi_version: u32,
    /// Bytes of the ring memfd; 0 from the server.
    pub ring_size: u32,
    /// The frame buffer sent with it; 0 from the server.
    pub framebuffer_id: u32,
}

impl Hello {
    /// What the server answers.
    pub const fn from_server() -> Self {
        Self {
            magic: layout::MAGIC,
            abi_version: layout::ABI_VERSION,
            ring_size: 0,
            framebuffer_id: 0,
        }
    }
}

/// A datagram that is no message: the other side broke the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// It ends early.
    #[error(transparent)]
    Truncated(#[from] Truncated),
    /// Bytes are left behind the message.
    #[error("{0} bytes behind the message")]
    Trailing(usize),
    /// A type that the contract does not know.
    #[error("message type {0} is unknown")]
    Type(u32),
    /// More heads or text than the message holds.
    #[error("a count of {0} in a message that holds less")]
    Count(u32),
}

impl ControlMessage {
    /// Bytes of the longest message.
    pub const SIZE_MAX: usize = refused::SIZE;

    /// The message as one datagram. Text is cut to what REFUSED holds, heads to [`layout::HEADS_MAX`].
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(Self::SIZE_MAX);
        let mut writer = ByteWriter::new(&mut out);
        match self {
            Self::Hello(hello) => {
                writer.u32(layout::MSG_HELLO);
                writer.u32(hello.magic);
                writer.u32(hello.abi_version);
                writer.u32(hello.ring_size);
                writer.u32(hello.framebuffer_id);
                writer.u32(0);
            }
            Self::FrameBuffer { id, size } => {
                writer.u32(layout::MSG_FRAMEBUFFER);
                writer.u32(*id);
                writer.u64(*size);
            }
            Self::Refused(text) => {
                let text = cut_text(text);
                writer.u32(layout::MSG_REFUSED);
                writer.u32(u32::try_from(text.len()).unwrap_or(0));
                writer.bytes(text.as_bytes());
                writer.bytes(&[0; refused::TEXT_MAX][text.len()..]);
            }
            Self::SetMonitors { heads, dpi } => {
                writer.u32(layout::MSG_SET_MONITORS);
                monitors::write_config(&mut writer, heads);
                writer.u32(*dpi);
            }
        }
        out
    }

    /// The message of a datagram.
    pub fn decode(datagram: &[u8]) -> Result<Self, ControlError> {
        let mut reader = ByteReader::new(datagram);
        let message = match reader.u32()? {
            layout::MSG_HELLO => Self::Hello(decode_hello(&mut reader)?),
            layout::MSG_FRAMEBUFFER => Self::FrameBuffer {
                id: reader.u32()?,
                size: reader.u64()?,
            },
            layout::MSG_REFUSED => Self::Refused(decode_text(&mut reader)?),
            layout::MSG_SET_MONITORS => {
                let config = reader.bytes(layout::monitors_config::SIZE)?;
                let heads = monitors::parse_config(config).map_err(ControlError::Count)?;
                let dpi = reader.u32()?;
                Self::SetMonitors { heads, dpi }
            }
            other => return Err(ControlError::Type(other)),
        };
        match reader.remaining() {
            0 => Ok(message),
            left => Err(ControlError::Trailing(left)),
        }
    }
}

fn decode_hello(reader: &mut ByteReader<'_>) -> Result<Hello, Truncated> {
    let (magic, abi_version) = (reader.u32()?, reader.u32()?);
    if (magic, abi_version) != (layout::MAGIC, layout::ABI_VERSION) {
        reader.rest();
        return Ok(Hello {
            magic,
            abi_version,
            ring_size: 0,
            framebuffer_id: 0,
        });
    }
    let (ring_size, framebuffer_id, _reserved) = (reader.u32()?, reader.u32()?, reader.u32()?);
    Ok(Hello {
        magic,
        abi_version,
        ring_size,
        framebuffer_id,
    })
}

/// The text of a REFUSED, fit for a log line.
fn decode_text(reader: &mut ByteReader<'_>) -> Result<String, ControlError> {
    let length = reader.u32()?;
    let field = reader.bytes(reader.remaining().min(refused::TEXT_MAX))?;
    let text = usize::try_from(length)
        .ok()
        .and_then(|length| field.get(..length));
    let text = text.ok_or(ControlError::Count(length))?;
    let text = String::from_utf8_lossy(text);
    Ok(text
        .trim_end_matches('\0')
        .replace(|c: char| c.is_control(), " "))
}

/// As much of `text` as REFUSED holds, whole characters.
fn cut_text(text: &str) -> &str {
    let end = (0..=refused::TEXT_MAX.min(text.len()))
        .rev()
        .find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// The newest lock LEDs in a datagram of the input socket (`CARAWAY_INPUT_LEDS`); `None` when it holds none.
pub fn decode_leds(datagram: &[u8]) -> Result<Option<Leds>, ControlError> {
    let mut leds = None;
    let mut reader = ByteReader::new(datagram);
    while reader.remaining() != 0 {
        let mut record = ByteReader::new(reader.bytes(layout::input::SIZE)?);
        match record.u32()? {
            layout::INPUT_LEDS => leds = Some(Leds::from_bits(record.u32()?)),
            other => return Err(ControlError::Type(other)),
        }
    }
    Ok(leds)
}

/// An INPUT_LEDS record, as the producer sends it.
pub fn encode_leds(leds: Leds) -> [u8; layout::input::SIZE] {
    let mut record = [0; layout::input::SIZE];
    record[..4].copy_from_slice(&layout::INPUT_LEDS.to_le_bytes());
    record[4..8].copy_from_slice(&u32::from(leds.bits()).to_le_bytes());
    record
}

const _: () = assert!(hello::SIZE <= ControlMessage::SIZE_MAX);
const _: () = assert!(layout::set_monitors::SIZE <= ControlMessage::SIZE_MAX);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rect;
    use proptest::prelude::*;

    fn heads() -> Vec<Head> {
        vec![
            Head {
                id: 0,
                rect: Rect::at(0, 0, 800, 600),
            },
            Head {
                id: 3,
                rect: Rect::at(800, 0, 1024, 768),
            },
        ]
    }

    fn set_monitors() -> ControlMessage {
        ControlMessage::SetMonitors {
            heads: heads(),
            dpi: 163,
        }
    }

    #[test]
    fn each_message_has_its_size_and_comes_back() {
        let hello = Hello {
            ring_size: 1,
            framebuffer_id: 2,
            ..Hello::from_server()
        };
        let cases = [
            (ControlMessage::Hello(hello), hello::SIZE),
            (
                ControlMessage::FrameBuffer {
                    id: 7,
                    size: 1 << 40,
                },
                layout::framebuffer::SIZE,
            ),
            (
                ControlMessage::Refused("too old: \u{e9}".into()),
                refused::SIZE,
            ),
            (set_monitors(), layout::set_monitors::SIZE),
        ];
        for (message, size) in cases {
            let datagram = message.encode();
            assert_eq!(datagram.len(), size);
            assert_eq!(ControlMessage::decode(&datagram), Ok(message.clone()));
            for end in 0..size {
                let cut = ControlMessage::decode(&datagram[..end]);
                if !matches!(message, ControlMessage::Refused(_)) || end < refused::TEXT + 11 {
                    assert!(cut.is_err(), "{message:?} cut to {end}");
                }
            }
            let longer = [datagram.as_slice(), &[0]].concat();
            assert_eq!(
                ControlMessage::decode(&longer),
                Err(ControlError::Trailing(1))
            );
        }
    }

    #[test]
    fn a_hello_of_another_version_is_read_up_to_its_version() {
        let mut datagram = ControlMessage::Hello(Hello::from_server()).encode();
        datagram[8..12].copy_from_slice(&9u32.to_le_bytes());
        for length in [12, 24, 200] {
            datagram.resize(length, 9);
            let Ok(ControlMessage::Hello(hello)) = ControlMessage::decode(&datagram) else {
                panic!("no hello");
            };
            assert_eq!((hello.magic, hello.abi_version), (layout::MAGIC, 9));
        }
    }

    #[test]
    fn long_text_is_cut_at_a_character_and_odd_text_is_cleaned() {
        let text = "a".repeat(refused::TEXT_MAX - 1) + "\u{e9}bc";
        let datagram = ControlMessage::Refused(text).encode();
        let expected = ControlMessage::Refused("a".repeat(refused::TEXT_MAX - 1));
        assert_eq!(ControlMessage::decode(&datagram), Ok(expected));
        let mut odd = ControlMessage::Refused("one\ntwo\x1b\u{e9}".into()).encode();
        odd[refused::TEXT + 9] = 0xff;
        let Ok(ControlMessage::Refused(text)) = ControlMessage::decode(&odd) else {
            panic!("no text");
        };
        assert_eq!(text, "one two \u{fffd}\u{fffd}");
        odd[refused::LENGTH..refused::TEXT].copy_from_slice(&249u32.to_le_bytes());
        assert_eq!(ControlMessage::decode(&odd), Err(ControlError::Count(249)));
    }

    #[test]
    fn too_many_heads_are_refused() {
        let mut datagram = set_monitors().encode();
        datagram[4..6].copy_from_slice(&5u16.to_le_bytes());
        assert_eq!(
            ControlMessage::decode(&datagram),
            Err(ControlError::Count(5))
        );
    }

    #[test]
    fn the_newest_leds_count() {
        let datagram = [encode_leds(Leds::CAPS), encode_leds(Leds::NUM)].concat();
        assert_eq!(decode_leds(&datagram), Ok(Some(Leds::NUM)));
        assert_eq!(decode_leds(&[]), Ok(None));
        assert!(decode_leds(&datagram[..31]).is_err());
        let key = super::super::InputRecord::Key {
            code: 30,
            down: true,
        }
        .encode();
        assert_eq!(
            decode_leds(&key),
            Err(ControlError::Type(layout::INPUT_KEY))
        );
    }

    proptest! {
        #[test]
        fn any_datagram_decodes_or_is_refused(
            kind in 0u32..6, rest in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let datagram = [kind.to_le_bytes().as_slice(), &rest].concat();
            if let Ok(message) = ControlMessage::decode(&datagram) {
                let again = ControlMessage::decode(&message.encode());
                match (&message, again) {
                    (ControlMessage::SetMonitors { heads, .. }, _) => prop_assert!(heads.len() <= 4),
                    (ControlMessage::Hello(hello), Ok(ControlMessage::Hello(same))) => {
                        prop_assert_eq!(hello.abi_version, same.abi_version);
                    }
                    (_, again) => prop_assert_eq!(again, Ok(message)),
                }
            }
            let _ = decode_leds(&rest);
        }
    }
}
