//! The client's end of one channel: reads all that a session sends, and believes nothing that a client would not.

use std::collections::BTreeMap;

use crate::base::limits::GLZ_WINDOW_PIXELS_MAX;
use crate::base::{ByteReader, Point, Rect, Size};
use crate::channel::Inbox;
use crate::channel::outbox::ACK_WINDOW;
use crate::image::glz_decode::GlzDecoder;
use crate::image::{bitmap, lz, lz_palette, lz4, quic, zlib_glz};
use crate::wire::common::{AckSync, LAST_TYPE, Pong, ServerMessage};
use crate::wire::display::{InvalList, Mark, MonitorsConfig, SurfaceCreate, SurfaceDestroy};
use crate::wire::draw::{CopyBits, DrawFill, ImageFlags, ImageType, ReceivedCopy};
use crate::wire::link::ChannelType;
use crate::wire::stream::{StreamActivateReport, StreamCreate, StreamData, StreamDestroy};
use crate::wire::{Decode, Message, cursor, inputs, main, playback, port, record};

/// What a client has of its display: surfaces with their pixels.
type Surfaces = BTreeMap<u32, (Size, Vec<u32>)>;

/// One channel as its client sees it.
#[derive(Debug)]
pub(super) struct Viewer {
    channel_type: ChannelType,
    inbox: Inbox,
    messages: u32,
    /// What MAIN_INIT said.
    pub(super) connection_id: Option<u32>,
    pub(super) surfaces: Surfaces,
    /// Images that it was told to keep.
    kept: BTreeMap<u64, Vec<u32>>,
    dictionary: GlzDecoder,
    /// The screen may be shown.
    pub(super) marked: bool,
    /// Streams by their numbers, with their places on the screen.
    streams: BTreeMap<u32, Rect>,
    /// Answers that the session waits for.
    owed: Vec<Answer>,
    unacked: Option<u32>,
}

/// An answer to what every channel asks.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    AckSync(AckSync),
    Ack,
    Pong(Pong),
}

impl Viewer {
    pub(super) const fn new(channel_type: ChannelType, mini_header: bool) -> Self {
        Self {
            channel_type,
            inbox: Inbox::new(mini_header, u32::MAX),
            messages: 0,
            connection_id: None,
            surfaces: Surfaces::new(),
            kept: BTreeMap::new(),
            dictionary: GlzDecoder::new(GLZ_WINDOW_PIXELS_MAX as usize),
            marked: false,
            streams: BTreeMap::new(),
            owed: Vec::new(),
            unacked: None,
        }
    }

    /// Whether answers are due.
    pub(super) const fn owes(&self) -> bool {
        !self.owed.is_empty()
    }

    /// Answers that are due now.
    pub(super) fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.owed)
    }

    /// Bytes of the session.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        self.inbox.push(bytes);
        let mut messages = Vec::new();
        while let Some((number, body)) = next(&mut self.inbox) {
            messages.push((number, body));
        }
        for (number, body) in messages {
            self.messages += 1;
            self.count_for_ack();
            if number <= LAST_TYPE {
                self.common(number, &body);
            } else {
                self.own(number, &body);
            }
        }
    }

    fn count_for_ack(&mut self) {
        if let Some(unacked) = &mut self.unacked {
            *unacked += 1;
            if *unacked == ACK_WINDOW {
                *unacked = 0;
                self.owed.push(Answer::Ack);
            }
        }
    }

    fn common(&mut self, number: u16, body: &[u8]) {
        let message = ServerMessage::decode(number, body);
        assert!(message.is_ok(), "{number} {message:?}");
        match message {
            Ok(ServerMessage::SetAck(set)) => {
                assert_eq!(
                    (self.messages, set.window),
                    (1, ACK_WINDOW),
                    "comes first, once"
                );
                self.unacked = Some(0);
                let generation = set.generation;
                self.owed.push(Answer::AckSync(AckSync { generation }));
            }
            Ok(ServerMessage::Ping(ping)) => {
                let (id, timestamp) = (ping.id, ping.timestamp);
                self.owed.push(Answer::Pong(Pong { id, timestamp }));
            }
            _ => {}
        }
    }

    fn own(&mut self, number: u16, body: &[u8]) {
        match self.channel_type {
            ChannelType::MAIN => self.main(number, body),
            ChannelType::DISPLAY => self.display(number, body),
            ChannelType::INPUTS => {
                let message = inputs::ServerMessage::decode(number, body);
                let is_init = matches!(message, Ok(inputs::ServerMessage::Init(_)));
                assert!(message.is_ok(), "{number} {message:?}");
                assert_eq!(is_init, self.messages == 2, "INIT comes first, once");
            }
            ChannelType::PLAYBACK => {
                let message = playback::ServerMessage::decode(number, body);
                assert!(message.is_ok(), "{number} {message:?}");
            }
            ChannelType::RECORD => {
                let message = record::ServerMessage::decode(number, body);
                assert!(message.is_ok(), "{number} {message:?}");
            }
            ChannelType::WEBDAV => {
                let message = port::ServerMessage::decode(number, body);
                assert!(message.is_ok(), "{number} {message:?}");
                let is_init = matches!(message, Ok(port::ServerMessage::Init(_)));
                assert_eq!(is_init, self.messages == 2, "INIT comes first, once");
            }
            _ => self.cursor(number, body),
        }
    }

    fn main(&mut self, number: u16, body: &[u8]) {
        let message = main::ServerMessage::decode(number, body);
        assert!(message.is_ok(), "{number} {message:?}");
        if let Ok(main::ServerMessage::Init(init)) = message {
            assert_eq!(self.messages, 2, "INIT comes first, once");
            self.connection_id = Some(init.session_id);
        }
    }

    fn cursor(&mut self, number: u16, body: &[u8]) {
        let message = cursor::ServerMessage::decode(number, body);
        assert!(message.is_ok(), "{number} {message:?}");
        let (is_init, cursor) = match message {
            Ok(cursor::ServerMessage::Init(init)) => (true, Some(init.cursor)),
            Ok(cursor::ServerMessage::Set(set)) => (false, Some(set.cursor)),
            _ => (false, None),
        };
        if let Some(cursor::Cursor {
            header: Some(header),
            data,
            ..
        }) = cursor
        {
            let pixels = usize::from(header.width) * usize::from(header.height);
            assert!(
                data.is_empty() || data.len() == 4 * pixels,
                "{header:?} {}",
                data.len()
            );
            assert!(
                header.hot_x < header.width && header.hot_y < header.height,
                "{header:?}"
            );
        }
        assert!(
            is_init || self.messages > 2 || number <= LAST_TYPE,
            "INIT comes first"
        );
    }

    fn display(&mut self, number: u16, body: &[u8]) {
        match number {
            SurfaceCreate::TYPE => self.create(&decoded(number, body)),
            SurfaceDestroy::TYPE => {
                let destroy: SurfaceDestroy = decoded(number, body);
                let gone = self.surfaces.remove(&destroy.surface_id);
                assert!(gone.is_some(), "{destroy:?}");
                let streams = self.streams.len();
                assert!(destroy.surface_id != 0 || streams == 0, "they point to it");
                self.marked &= destroy.surface_id != 0;
            }
            DrawFill::TYPE => {
                let fill: DrawFill = decoded(number, body);
                let area = vec![fill.color; fill.rect.area() as usize];
                self.put(fill.surface_id, &fill.rect, &area);
            }
            CopyBits::TYPE => {
                let copy: CopyBits = decoded(number, body);
                let source = copy.rect.translate(copy.source.minus(copy.rect.origin()));
                let pixels = self.get(copy.surface_id, &source);
                self.put(copy.surface_id, &copy.rect, &pixels);
            }
            304 => self.copy(body),
            InvalList::TYPE => {
                let list: InvalList = decoded(number, body);
                for id in &list.image_ids {
                    assert!(self.kept.remove(id).is_some(), "{id} in {list:?}");
                }
            }
            Mark::TYPE => {
                assert!(self.surfaces.contains_key(&0), "there is something to show");
                self.marked = true;
            }
            MonitorsConfig::TYPE => {
                let monitors: MonitorsConfig = decoded(number, body);
                let count = 1..=usize::from(monitors.max_allowed);
                assert!(count.contains(&monitors.heads.len()), "{monitors:?}");
            }
            StreamCreate::TYPE => {
                let create: StreamCreate = decoded(number, body);
                let known = self.streams.insert(create.id, create.rect);
                assert!(known.is_none() && self.marked, "{create:?}");
            }
            StreamActivateReport::TYPE => {
                let activate: StreamActivateReport = decoded(number, body);
                assert!(self.streams.contains_key(&activate.stream_id));
            }
            StreamData::TYPE => {
                let frame: StreamData<'_> = decoded(number, body);
                assert!(frame.data.starts_with(&[0xff, 0xd8]) && frame.multi_media_time != 0);
                let rect = self.streams[&frame.id];
                // The worst of all encoders: nothing of it may be left in the end.
                let pixels = vec![0x00ba_dbad; rect.area() as usize];
                self.put(0, &rect, &pixels);
            }
            StreamDestroy::TYPE => {
                let destroy: StreamDestroy = decoded(number, body);
                assert!(self.streams.remove(&destroy.id).is_some(), "{destroy:?}");
            }
            other => assert_eq!(other, 108, "INVAL_ALL_PALETTES is the last that is known"),
        }
    }

    fn create(&mut self, create: &SurfaceCreate) {
        let size = Size::new(create.width, create.height);
        assert!(0 < size.area(), "{create:?}");
        let known = self
            .surfaces
            .insert(create.surface_id, (size, vec![0; size.area() as usize]));
        assert!(known.is_none(), "{create:?} is there already");
        assert_eq!(
            create.surface_id == 0,
            create.flags.0 & 1 != 0,
            "{create:?}"
        );
    }

    fn copy(&mut self, body: &[u8]) {
        let decoded = ReceivedCopy::decode(body);
        assert!(decoded.is_ok(), "{decoded:?}");
        let Ok(copy) = decoded else { return };
        let (data, size) = (copy.data, copy.size);
        let pixels = match copy.image_type {
            ImageType::BITMAP => bitmap::decode(data, size),
            ImageType::LZ_RGB => lz::decode(data, size),
            ImageType::LZ4 => lz4::decode(data, size),
            ImageType::QUIC => quic::decode(data, size),
            ImageType::GLZ_RGB => self.dictionary.decode(data, size),
            ImageType::ZLIB_GLZ_RGB => zlib_glz::decode(data, size, &mut self.dictionary),
            // Anything may stand there until the exact pixels come.
            ImageType::JPEG => Ok(vec![0x000b_ad00; size.area() as usize]),
            ImageType::LZ_PLT => {
                let palette = copy
                    .palette(lz_palette::PALETTE_OFFSET_AT)
                    .unwrap_or_default();
                // Behind the image lies the palette: u64 id, u16 count, u32 colours.
                let image = data.len().saturating_sub(8 + 2 + 4 * palette.len());
                lz_palette::decode(&data[..image], &palette, size)
            }
            ImageType::FROM_CACHE => {
                let kept = self.kept.get(&copy.image_id);
                assert!(kept.is_some(), "a client would wait for ever: {copy:?}");
                Ok(kept.cloned().unwrap_or_default())
            }
            other => {
                assert_eq!(other, ImageType::SURFACE);
                let id = ByteReader::new(data).u32().unwrap_or(u32::MAX);
                Ok(self.get(id, &size.rect().translate(copy.source)))
            }
        };
        assert!(pixels.is_ok(), "{:?} {pixels:?}", copy.image_type);
        let pixels = pixels.unwrap_or_default();
        self.put(copy.surface_id, &copy.rect, &pixels);
        if copy.flags.contains(ImageFlags::CACHE_ME) {
            let before = self.kept.insert(copy.image_id, pixels);
            assert!(before.is_none(), "two images of one id: {copy:?}");
        }
    }

    fn get(&self, id: u32, rect: &Rect) -> Vec<u32> {
        let (size, pixels) = self.surface(id, rect);
        let places = places(*rect, size);
        places.map(|at| pixels[at]).collect()
    }

    fn put(&mut self, id: u32, rect: &Rect, new: &[u32]) {
        let (size, _) = self.surface(id, rect);
        assert_eq!(new.len() as u64, rect.area());
        let Some((_, pixels)) = self.surfaces.get_mut(&id) else {
            return;
        };
        for (at, pixel) in places(*rect, size).zip(new) {
            pixels[at] = *pixel;
        }
    }

    fn surface(&self, id: u32, rect: &Rect) -> (Size, &[u32]) {
        let surface = self.surfaces.get(&id);
        assert!(
            surface.is_some_and(|(size, _)| !rect.is_empty() && size.rect().contains(rect)),
            "{rect:?} on surface {id}: {:?}",
            surface.map(|(size, _)| size),
        );
        surface.map_or((Size::default(), &[]), |(size, pixels)| (*size, pixels))
    }
}

fn next(inbox: &mut Inbox) -> Option<(u16, Vec<u8>)> {
    let message = inbox.next_message();
    assert!(message.is_ok(), "{message:?}");
    message
        .ok()
        .flatten()
        .map(|(number, body)| (number, body.to_vec()))
}

#[expect(clippy::panic, reason = "an oracle's answer to what no client reads")]
fn decoded<'a, M: Decode<'a>>(number: u16, body: &'a [u8]) -> M {
    match M::decode(&mut ByteReader::new(body)) {
        Ok(message) => message,
        Err(error) => panic!("{number}: {error}"),
    }
}

/// Where the pixels of a rectangle lie in a surface of this size.
fn places(rect: Rect, size: Size) -> impl Iterator<Item = usize> {
    let Point { x: left, y: top } = rect.origin();
    let (width, height) = (rect.width(), rect.height());
    (0..height).flat_map(move |row| {
        let first = (top.unsigned_abs() + row) * size.width + left.unsigned_abs();
        (first..first + width).map(|at| at as usize)
    })
}
