//! The cursor channel of one client: the look and place of the pointer, newest only.
//!
//! What the client shows is compared with what the desktop shows whenever the socket can take bytes, so whatever came
//! between is never sent. What clients make of the messages decides the rest:
//! - INIT comes once, first. spice-gtk refuses a second, and looks at the cursor in it; spice-html5 does not, so the
//!   shape follows in a SET. While the pointer is hidden INIT has no shape: spice-gtk would show it once its window is
//!   there.
//! - spice-gtk ignores `visible` in SET: HIDE hides. In client mode SET shows the pointer again, in server mode MOVE
//!   does. spice-html5 knows no MOVE, so SET goes first in either mode.
//! - spice-gtk takes the place from MOVE alone. In client mode the place is the client's own, and none is sent.

use std::sync::Arc;

use super::cursor_cache::CursorCache;
use super::cursor_shape::CursorShape;
use super::outbox::Outbox;
use super::pointer::MouseMode;
use crate::base::Point;
use crate::ring::{CursorImage, CursorState};
use crate::wire::cursor::{Cursor, CursorFlags, CursorPosition, Hide, Init, Move, Set};

/// The pointer of a desktop as all its clients shall show it.
#[derive(Clone, Debug)]
pub struct SharedCursor {
    shape: Arc<CursorShape>,
    shape_serial: u32,
    position: Point,
    visible: bool,
}

impl SharedCursor {
    /// No pointer.
    pub fn new() -> Self {
        Self {
            shape: Arc::new(CursorShape::blank()),
            shape_serial: 0,
            position: Point::default(),
            visible: false,
        }
    }

    /// Takes in the driver's newest state. Whether the image of that state is to be read for
    /// [`reshape`](Self::reshape); until then the pointer looks as before.
    pub fn update(&mut self, state: &CursorState) -> bool {
        self.position = state.position;
        self.visible = state.visible;
        state.visible && state.shape_serial != self.shape_serial
    }

    /// Takes in a look.
    pub fn reshape(&mut self, image: &CursorImage) {
        self.shape_serial = image.shape_serial;
        let shape = CursorShape::new(image);
        if shape != *self.shape {
            self.shape = Arc::new(shape);
        }
    }
}

impl Default for SharedCursor {
    fn default() -> Self {
        Self::new()
    }
}

/// The channel of one client.
#[derive(Debug)]
pub struct CursorChannel {
    cache: Option<CursorCache>,
    is_initialised: bool,
    /// The shape that was set last.
    shape: Option<Arc<CursorShape>>,
    visible: bool,
    /// The place that was told last, in server mode.
    position: Option<Point>,
}

impl CursorChannel {
    /// A channel that was linked just now. `cache`: whether the client keeps shapes; spice-html5 does not.
    pub fn new(cache: bool) -> Self {
        Self {
            cache: cache.then(CursorCache::new),
            is_initialised: false,
            shape: None,
            visible: false,
            position: None,
        }
    }

    /// Sends what the client does not show yet. To be polled when the socket can take bytes, after every change and
    /// change of mode. Whether anything was sent.
    pub fn transmit(
        &mut self,
        cursor: &SharedCursor,
        mode: MouseMode,
        outbox: &mut Outbox,
    ) -> bool {
        if outbox.is_full() || !outbox.is_window_open() {
            return false;
        }
        let before = outbox.written_bytes();
        if !self.is_initialised {
            self.is_initialised = true;
            self.init(cursor, outbox);
        }
        if mode == MouseMode::Client {
            self.position = None;
        }
        if cursor.visible {
            self.show(cursor, mode, outbox);
        } else if self.visible {
            self.visible = false;
            outbox.send(&Hide {});
        }
        outbox.written_bytes() != before
    }

    fn init(&mut self, cursor: &SharedCursor, outbox: &mut Outbox) {
        self.visible = cursor.visible;
        let shape = cursor.visible.then_some(&cursor.shape);
        let flags = shape.map(|shape| self.place(shape, outbox));
        let look = shape.zip(flags).map(|(shape, flags)| look(shape, flags));
        outbox.send(&Init {
            position: position(cursor.position),
            trail_length: 0,
            trail_frequency: 0,
            visible: u8::from(cursor.visible),
            cursor: look.unwrap_or(Cursor::NONE),
        });
    }

    fn show(&mut self, cursor: &SharedCursor, mode: MouseMode, outbox: &mut Outbox) {
        let appears = !std::mem::replace(&mut self.visible, true);
        let shown = self.shape.as_ref();
        let looks_right = shown
            .is_some_and(|shown| Arc::ptr_eq(shown, &cursor.shape) || **shown == *cursor.shape);
        if appears || !looks_right {
            let flags = self.place(&cursor.shape, outbox);
            outbox.send(&Set {
                position: position(cursor.position),
                visible: 1,
                cursor: look(&cursor.shape, flags),
            });
            self.shape = Some(Arc::clone(&cursor.shape));
        }
        if mode == MouseMode::Server && (appears || self.position != Some(cursor.position)) {
            self.position = Some(cursor.position);
            outbox.send(&Move {
                position: position(cursor.position),
            });
        }
    }

    fn place(&mut self, shape: &Arc<CursorShape>, outbox: &mut Outbox) -> CursorFlags {
        match &mut self.cache {
            Some(cache) => cache.place(shape, outbox),
            None => CursorFlags::NONE,
        }
    }
}

fn look(shape: &CursorShape, flags: CursorFlags) -> Cursor<'_> {
    let mut header = shape.header();
    if flags == CursorFlags::NONE {
        header.unique = 0;
    }
    let cached = flags.contains(CursorFlags::FROM_CACHE);
    Cursor {
        flags,
        header: Some(header),
        data: if cached { &[] } else { shape.pixels() },
    }
}

/// The place on the wire. The driver's places are near the screen, which fits.
fn position(point: Point) -> CursorPosition {
    let narrow = |at: i32| {
        let clamped = at.clamp(i32::from(i16::MIN), i32::from(i16::MAX));
        i16::try_from(clamped).unwrap_or_default()
    };
    CursorPosition {
        x: narrow(point.x),
        y: narrow(point.y),
    }
}

#[cfg(test)]
mod tests {
    use super::super::inbox::Inbox;
    use super::*;
    use crate::base::{Micros, Size};
    use crate::wire::cursor::{CursorType, ServerMessage};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    use MouseMode::{Client, Server};

    fn image(shape_serial: u32, blue: u32) -> CursorImage {
        CursorImage {
            shape_serial,
            size: Size::new(2, 1),
            hot_spot: Point::new(1, 0),
            pixels: vec![0xff00_0000 | blue, 0],
        }
    }

    fn state(shape_serial: u32, x: i32, visible: bool) -> CursorState {
        CursorState {
            shape_serial,
            position: Point::new(x, 7),
            visible,
            ..CursorState::default()
        }
    }

    /// A client that understands the messages as spice-gtk 0.42 does.
    #[derive(Debug, Default)]
    struct Gtk {
        is_initialised: bool,
        cache: BTreeMap<u64, Vec<u8>>,
        shown: Option<Vec<u8>>,
        hidden: bool,
        place: Option<CursorPosition>,
        mode: MouseMode,
        said: Vec<&'static str>,
    }

    impl Gtk {
        fn take(&mut self, cursor: &Cursor<'_>) -> bool {
            let Some(header) = cursor.header else {
                return false;
            };
            let pixels = if cursor.flags.contains(CursorFlags::FROM_CACHE) {
                self.cache[&header.unique].clone()
            } else {
                let area = usize::from(header.width) * usize::from(header.height);
                assert_eq!(
                    (cursor.data.len(), header.cursor_type),
                    (area * 4, CursorType::ALPHA)
                );
                cursor.data.to_vec()
            };
            if cursor.flags.contains(CursorFlags::CACHE_ME) {
                assert_ne!(header.unique, 0);
                self.cache.insert(header.unique, pixels.clone());
            }
            self.shown = Some(pixels);
            true
        }

        fn hear(&mut self, message: &ServerMessage<'_>) {
            assert!(self.is_initialised != matches!(message, ServerMessage::Init(_)));
            match message {
                ServerMessage::Init(init) => {
                    self.is_initialised = true;
                    self.hidden = !self.take(&init.cursor) || init.visible == 0;
                    self.said.push("INIT");
                }
                ServerMessage::Set(set) => {
                    assert!(self.take(&set.cursor));
                    self.hidden &= self.mode == Server;
                    self.said.push("SET");
                }
                ServerMessage::Move(to) => {
                    assert_eq!(self.mode, Server);
                    self.hidden = false;
                    self.place = Some(to.position);
                    self.said.push("MOVE");
                }
                ServerMessage::Hide(_) => {
                    self.hidden = true;
                    self.said.push("HIDE");
                }
                ServerMessage::InvalOne(id) => {
                    assert!(self.cache.remove(&id.id).is_some());
                    self.said.push("INVAL_ONE");
                }
                other => panic!("{other:?}"),
            }
        }

        /// Polls the channel; gives what was said.
        fn poll(
            &mut self,
            channel: &mut CursorChannel,
            cursor: &SharedCursor,
            mode: MouseMode,
        ) -> Vec<&'static str> {
            self.mode = mode;
            let mut outbox = Outbox::new(true, Micros(0));
            let (mut bytes, mut inbox) = (Vec::new(), Inbox::new(true, 1 << 20));
            outbox.take_into(&mut bytes);
            bytes.clear();
            let sent = channel.transmit(cursor, mode, &mut outbox);
            outbox.take_into(&mut bytes);
            inbox.push(&bytes);
            while let Some((number, body)) = inbox.next_message().unwrap() {
                self.hear(&ServerMessage::decode(number, body).unwrap());
            }
            assert_eq!(sent, !self.said.is_empty());
            std::mem::take(&mut self.said)
        }
    }

    fn desktop(blue: u32) -> SharedCursor {
        let mut cursor = SharedCursor::new();
        assert!(cursor.update(&state(1, 5, true)));
        cursor.reshape(&image(1, blue));
        assert!(!cursor.update(&state(1, 5, true)));
        cursor
    }

    #[test]
    fn a_client_of_client_mode_hears_looks_and_no_places() {
        let (mut channel, mut gtk) = (CursorChannel::new(true), Gtk::default());
        let mut cursor = desktop(1);
        assert_eq!(gtk.poll(&mut channel, &cursor, Client), ["INIT", "SET"]);
        assert_eq!(gtk.shown.as_deref(), Some(&[1, 0, 0, 255, 0, 0, 0, 0][..]));
        cursor.update(&state(1, 6, true));
        assert!(gtk.poll(&mut channel, &cursor, Client).is_empty());
        // The same look under another serial, then another look.
        assert!(cursor.update(&state(2, 6, true)));
        cursor.reshape(&image(2, 1));
        assert!(gtk.poll(&mut channel, &cursor, Client).is_empty());
        cursor.reshape(&image(3, 2));
        assert_eq!(gtk.poll(&mut channel, &cursor, Client), ["SET"]);
        cursor.update(&state(3, 6, false));
        assert_eq!(gtk.poll(&mut channel, &cursor, Client), ["HIDE"]);
        assert!(gtk.poll(&mut channel, &cursor, Client).is_empty());
        cursor.update(&state(3, 6, true));
        assert_eq!(gtk.poll(&mut channel, &cursor, Client), ["SET"]);
        assert!(!gtk.hidden);
    }

    #[test]
    fn a_client_of_server_mode_hears_places_too() {
        let (mut channel, mut gtk) = (CursorChannel::new(true), Gtk::default());
        let mut cursor = desktop(1);
        let first = gtk.poll(&mut channel, &cursor, Server);
        assert_eq!(first, ["INIT", "SET", "MOVE"]);
        for x in 0..100 {
            cursor.update(&state(1, x, true));
        }
        assert_eq!(gtk.poll(&mut channel, &cursor, Server), ["MOVE"]);
        assert_eq!(gtk.place, Some(CursorPosition { x: 99, y: 7 }));
        cursor.update(&state(1, 99, false));
        assert_eq!(gtk.poll(&mut channel, &cursor, Server), ["HIDE"]);
        cursor.update(&state(1, 99, true));
        assert_eq!(gtk.poll(&mut channel, &cursor, Server), ["SET", "MOVE"]);
        assert!(gtk.poll(&mut channel, &cursor, Client).is_empty());
        // The client forgets the place with the mode.
        assert_eq!(gtk.poll(&mut channel, &cursor, Server), ["MOVE"]);
    }

    #[test]
    fn a_pointer_that_is_hidden_at_the_start_has_no_look() {
        let (mut channel, mut gtk) = (CursorChannel::new(true), Gtk::default());
        let mut cursor = SharedCursor::new();
        assert_eq!(gtk.poll(&mut channel, &cursor, Client), ["INIT"]);
        assert!(gtk.hidden && gtk.shown.is_none());
        assert!(!cursor.update(&state(9, 5, false)), "nobody sees its look");
        assert!(gtk.poll(&mut channel, &cursor, Client).is_empty());
        assert!(cursor.update(&state(9, 5, true)));
        cursor.reshape(&image(9, 4));
        assert_eq!(gtk.poll(&mut channel, &cursor, Client), ["SET"]);
        assert!(!gtk.hidden);
    }

    #[test]
    fn a_client_without_a_cache_gets_every_look_whole() {
        let (mut channel, mut gtk) = (CursorChannel::new(false), Gtk::default());
        for blue in [1, 2, 1, 2] {
            gtk.poll(&mut channel, &desktop(blue), Client);
            assert_eq!(gtk.shown.as_ref().unwrap()[0], u8::try_from(blue).unwrap());
        }
        assert!(gtk.cache.is_empty());
    }

    #[test]
    fn nothing_is_sent_into_a_closed_window() {
        let (mut channel, cursor) = (CursorChannel::new(true), desktop(1));
        let mut outbox = Outbox::new(true, Micros(0));
        while outbox.is_window_open() {
            outbox.message(1, |_| {});
        }
        assert!(!channel.transmit(&cursor, Server, &mut outbox));
        outbox.handle(Micros(0), 1, &[1, 0, 0, 0]).unwrap();
        outbox.handle(Micros(0), 2, &[]).unwrap();
        assert!(channel.transmit(&cursor, Server, &mut outbox));
    }

    #[test]
    fn places_fit_the_wire() {
        let expected = CursorPosition {
            x: i16::MIN,
            y: i16::MAX,
        };
        assert_eq!(position(Point::new(i32::MIN, 40_000)), expected);
    }

    proptest! {
        #[test]
        fn after_each_poll_the_client_shows_the_newest(
            cache in any::<bool>(),
            steps in prop::collection::vec(
                (0u32..300, 0i32..4, any::<bool>(), any::<bool>(), any::<bool>()), 1..150,
            ),
        ) {
            let (mut channel, mut gtk) = (CursorChannel::new(cache), Gtk::default());
            let mut cursor = SharedCursor::new();
            for (serial, (blue, x, visible, server, poll)) in (1u32..).zip(steps) {
                if cursor.update(&state(serial, x, visible)) {
                    cursor.reshape(&image(serial, blue));
                }
                if !poll {
                    continue;
                }
                let mode = if server { Server } else { Client };
                gtk.poll(&mut channel, &cursor, mode);
                prop_assert_eq!(gtk.hidden, !visible);
                if visible {
                    prop_assert_eq!(gtk.shown.as_deref(), Some(cursor.shape.pixels()));
                }
                if visible && server {
                    prop_assert_eq!(gtk.place, Some(position(cursor.position)));
                }
                let again = gtk.poll(&mut channel, &cursor, mode);
                prop_assert!(again.is_empty());
            }
        }
    }
}
