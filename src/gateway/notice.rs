//! A sentence in place of a desktop: why there is none, where the user sees it.
//!
//! A link result is a number, and clients show the same words for most of them. So a user whose password is right and
//! who gets no desktop is linked to this: a main channel, and a display with the sentence, drawn with DRAW_FILL, which
//! every client knows.

use super::font;
use crate::base::limits::CLIENT_MESSAGE_MAX;
use crate::base::{Rect, Size};
use crate::channel::inbox::{FramingError, Inbox};
use crate::wire::display::{self, Head, Mark, MonitorsConfig, SurfaceCreate};
use crate::wire::draw::DrawFill;
use crate::wire::header::write_message;
use crate::wire::link::ChannelType;
use crate::wire::main::{AttachChannels, ChannelId, ChannelsList, Init, MouseModes, Name};
use crate::wire::{Encode, Message};

/// Pixels of a dot.
const SCALE: i32 = 2;

/// From one character to the next, and from one line to the next, in dots.
const ADVANCE: i32 = font::SIDE;
const LINE: i32 = font::SIDE + 4;

/// Pixels around the sentence.
const MARGIN: i32 = 40;

/// Characters of a line.
const COLUMNS_MAX: usize = 48;

/// Lines that are drawn: more than the longest sentence takes.
const LINES_MAX: usize = 16;

const SIZE: Size = Size::new(
    (COLUMNS_MAX as i32 * ADVANCE * SCALE + 2 * MARGIN) as u32,
    (LINES_MAX as i32 * LINE * SCALE + 2 * MARGIN) as u32,
);

const PAPER: u32 = 0x00f4_f1ea;
const INK: u32 = 0x0022_2222;

/// One channel that tells a sentence.
#[derive(Debug)]
pub struct NoticeChannel {
    channel_type: ChannelType,
    mini_header: bool,
    sentence: String,
    inbox: Inbox,
    serial: u64,
    output: Vec<u8>,
    has_answered: bool,
}

impl NoticeChannel {
    /// A linked main or display channel; any other is silent. A main channel tells the client its connection id.
    pub fn new(
        channel_type: ChannelType,
        mini_header: bool,
        sentence: &str,
        connection_id: u32,
    ) -> Self {
        let mut channel = Self {
            channel_type,
            mini_header,
            sentence: sentence.to_owned(),
            inbox: Inbox::new(mini_header, CLIENT_MESSAGE_MAX),
            serial: 0,
            output: Vec::new(),
            has_answered: false,
        };
        if channel_type == ChannelType::MAIN {
            channel.send(&Init {
                session_id: connection_id,
                display_channels_hint: 1,
                supported_mouse_modes: u32::from(MouseModes::CLIENT.0),
                current_mouse_mode: u32::from(MouseModes::CLIENT.0),
                agent_connected: 0,
                agent_tokens: 0,
                multi_media_time: 0,
                ram_hint: 0,
            });
        }
        channel
    }

    /// Takes what the client says.
    ///
    /// # Errors
    /// [`FramingError`] ends the connection.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), FramingError> {
        self.inbox.push(bytes);
        while let Some((message_type, _)) = self.inbox.next_message()? {
            let asks = match self.channel_type {
                ChannelType::MAIN => AttachChannels::TYPE,
                ChannelType::DISPLAY => display::Init::TYPE,
                _ => continue,
            };
            // Once: whoever asks again and again gets no more.
            if message_type == asks && !std::mem::replace(&mut self.has_answered, true) {
                match self.channel_type {
                    ChannelType::MAIN => self.list(),
                    _ => self.draw(),
                }
            }
        }
        Ok(())
    }

    /// Bytes to be sent.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.output)
    }

    fn send<M: Message + Encode>(&mut self, message: &M) {
        self.serial += 1;
        let (mini, serial) = (self.mini_header, self.serial);
        write_message(&mut self.output, mini, serial, M::TYPE, |body| {
            message.encode(body)
        });
    }

    fn list(&mut self) {
        // Our reply to the link has announced that names are told.
        self.send(&Name {
            name: b"No desktop",
        });
        let display = ChannelId {
            channel_type: ChannelType::DISPLAY,
            id: 0,
        };
        self.send(&ChannelsList {
            channels: vec![display],
        });
    }

    fn draw(&mut self) {
        self.send(&SurfaceCreate::primary(SIZE));
        let fill = |rect, color| DrawFill {
            surface_id: 0,
            rect,
            color,
        };
        self.send(&fill(SIZE.rect(), PAPER));
        let lines = lines(&self.sentence);
        let height = i32::try_from(lines.len()).unwrap_or(0) * LINE * SCALE;
        let mut top = (i32::try_from(SIZE.height).unwrap_or(0) - height) / 2;
        for line in lines {
            let mut left = MARGIN;
            for character in line.chars() {
                for rect in dots(character, left, top) {
                    self.send(&fill(rect, INK));
                }
                left += ADVANCE * SCALE;
            }
            top += LINE * SCALE;
        }
        self.send(&MonitorsConfig {
            max_allowed: 1,
            heads: vec![Head::new(0, &SIZE.rect())],
        });
        self.send(&Mark {});
    }
}

/// The horizontal runs of dots of a character, as rectangles.
fn dots(character: char, left: i32, top: i32) -> Vec<Rect> {
    let mut runs = Vec::new();
    for (row, y) in font::rows(character).into_iter().zip(0..) {
        let mut x = 0;
        while x < font::SIDE {
            let length = (x..font::SIDE).take_while(|x| row >> x & 1 == 1).count();
            let length = i32::try_from(length).unwrap_or(0);
            if 0 < length {
                runs.push(Rect::at(
                    left + x * SCALE,
                    top + y * SCALE,
                    length * SCALE,
                    SCALE,
                ));
            }
            x += length + 1;
        }
    }
    runs
}

/// The sentence in lines of whole words; a word that is longer than a line is cut.
fn lines(sentence: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in sentence.split_whitespace() {
        let word: String = word.chars().take(COLUMNS_MAX).collect();
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= COLUMNS_MAX => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines.truncate(LINES_MAX);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::ByteReader;
    use crate::wire::Decode;
    use proptest::prelude::*;

    /// The messages of a channel: numbers and bodies.
    fn messages(bytes: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let mut inbox = Inbox::new(true, 100_000);
        inbox.push(bytes);
        let mut all = Vec::new();
        while let Some((number, body)) = inbox.next_message().unwrap() {
            all.push((number, body.to_vec()));
        }
        all
    }

    fn asked(channel: &mut NoticeChannel, number: u16, body: &[u8]) -> Vec<(u16, Vec<u8>)> {
        let mut bytes = Vec::new();
        write_message(&mut bytes, true, 1, number, |writer| writer.bytes(body));
        channel.push(&bytes).unwrap();
        messages(&channel.take_output())
    }

    #[test]
    fn a_client_is_led_to_the_picture_of_the_sentence() {
        let mut main = NoticeChannel::new(ChannelType::MAIN, true, "No.", 77);
        let first = messages(&main.take_output());
        assert_eq!(first[0].0, Init::TYPE);
        let init = Init::decode(&mut ByteReader::new(&first[0].1)).unwrap();
        assert_eq!(init.session_id, 77);
        let listed = asked(&mut main, AttachChannels::TYPE, &[]);
        assert_eq!(listed.last().unwrap().0, ChannelsList::TYPE);
        assert!(
            asked(&mut main, AttachChannels::TYPE, &[]).is_empty(),
            "once"
        );

        let mut display = NoticeChannel::new(ChannelType::DISPLAY, true, "I.", 77);
        assert!(messages(&display.take_output()).is_empty());
        let drawn = asked(&mut display, display::Init::TYPE, &[0; 14]);
        let numbers: Vec<u16> = drawn.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers[..2], [SurfaceCreate::TYPE, DrawFill::TYPE]);
        assert_eq!(
            numbers[numbers.len() - 2..],
            [MonitorsConfig::TYPE, Mark::TYPE]
        );
        let fills: Vec<DrawFill> = drawn
            .iter()
            .filter(|(number, _)| *number == DrawFill::TYPE)
            .map(|(_, body)| DrawFill::decode(&mut ByteReader::new(body)).unwrap())
            .collect();
        // The paper, and each run of dots: as many as there are dots without one before them.
        let starts = |row: &u8| (row & !(row << 1)).count_ones() as usize;
        let runs = "I.".chars().flat_map(font::rows);
        assert_eq!(fills.len(), 1 + runs.map(|row| starts(&row)).sum::<usize>());
        assert!(
            fills
                .iter()
                .all(|fill| fill.rect.intersect(&SIZE.rect()) == fill.rect)
        );
    }

    #[test]
    fn sentences_are_broken_between_words() {
        let text = "one ".repeat(30) + &"x".repeat(100);
        let lines = lines(&text);
        assert!(lines.iter().all(|line| line.chars().count() <= COLUMNS_MAX));
        assert!(lines[0].ends_with("one") && lines.len() == 4, "{lines:?}");
        assert!(super::lines(&"a b".repeat(10_000)).len() <= LINES_MAX);
    }

    proptest! {
        #[test]
        fn no_client_is_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..300), sentence in ".{0,100}") {
            for channel_type in [ChannelType::MAIN, ChannelType::DISPLAY, ChannelType::INPUTS] {
                let mut channel = NoticeChannel::new(channel_type, true, &sentence, 1);
                let _ = channel.push(&bytes);
                drop(channel.take_output());
            }
        }
    }
}
