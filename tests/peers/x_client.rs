//! X clients inside the test program: pictures of the root window, a window that tells its events, lock lights.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xkb::{self, ConnectionExt as _};
use x11rb::protocol::xproto::{
    ConnectionExt as _, CreateWindowAux, EventMask, ImageFormat, InputFocus, ModMask, Rectangle,
    Window, WindowClass,
};
use x11rb::rust_connection::{DefaultStream, RustConnection};
use x11rb::wrapper::ConnectionExt as _;

use crate::desktop::Desktop;

/// Rows of one GetImage, so that no reply is larger than what a connection likes.
const ROWS: u16 = 120;

/// A connection to a display's only screen.
pub(crate) struct XClient {
    pub(crate) connection: RustConnection,
    pub(crate) root: Window,
    pub(crate) width: u16,
    pub(crate) height: u16,
}

impl XClient {
    /// Connects to `desktop` with its cookie.
    pub(crate) fn connect(desktop: &Desktop) -> Self {
        Self::open(&desktop.display, &desktop.xauthority)
    }

    /// Connects to `display` with the first cookie of the file `xauthority`, if that is not empty.
    pub(crate) fn open(display: &str, xauthority: &Path) -> Self {
        let socket = UnixStream::connect(format!("/tmp/.X11-unix/X{}", &display[1..])).unwrap();
        let (stream, _) = DefaultStream::from_unix_stream(socket).unwrap();
        let (name, data) = first_cookie(xauthority).unwrap_or_default();
        let connection = RustConnection::connect_to_stream_with_auth_info(stream, 0, name, data)
            .unwrap_or_else(|error| panic!("display {display}: {error}"));
        connection.xkb_use_extension(1, 0).unwrap().reply().unwrap();
        let screen = &connection.setup().roots[0];
        let (root, width, height) = (screen.root, screen.width_in_pixels, screen.height_in_pixels);
        Self {
            connection,
            root,
            width,
            height,
        }
    }

    /// The root window and all on it: one `0x00RRGGBB` per pixel, row by row.
    pub(crate) fn picture(&self) -> Vec<u32> {
        let mut pixels = Vec::with_capacity(usize::from(self.width) * usize::from(self.height));
        for top in (0..self.height).step_by(usize::from(ROWS)) {
            pixels.extend(self.area(0, top, self.width, ROWS.min(self.height - top)));
        }
        pixels
    }

    /// A rectangle of the root window.
    pub(crate) fn area(&self, x: u16, y: u16, width: u16, height: u16) -> Vec<u32> {
        let (x, y) = (i16::try_from(x).unwrap(), i16::try_from(y).unwrap());
        let request =
            self.connection
                .get_image(ImageFormat::Z_PIXMAP, self.root, x, y, width, height, !0);
        let image = request.unwrap().reply().unwrap();
        image
            .data
            .chunks_exact(4)
            .map(|pixel| u32::from_le_bytes(pixel.try_into().unwrap()) & 0x00ff_ffff)
            .collect()
    }

    /// One pixel of the root window.
    pub(crate) fn pixel(&self, x: u16, y: u16) -> u32 {
        self.area(x, y, 1, 1)[0]
    }

    /// A window over the whole screen that has the focus and reports keys, buttons and motion.
    pub(crate) fn cover_screen(&self) -> Window {
        let events = EventMask::KEY_PRESS
            | EventMask::KEY_RELEASE
            | EventMask::BUTTON_PRESS
            | EventMask::BUTTON_RELEASE
            | EventMask::POINTER_MOTION
            | EventMask::EXPOSURE;
        let look = CreateWindowAux::new()
            .background_pixel(0x0020_2020)
            .override_redirect(1)
            .event_mask(events);
        let screen = Rectangle {
            x: 0,
            y: 0,
            width: self.width,
            height: self.height,
        };
        let window = self.open_window(screen, &look);
        let exposed = self.wait_for(Duration::from_secs(5), |event| {
            matches!(event, Event::Expose(_)).then_some(())
        });
        assert!(exposed.is_some(), "the window did not come up");
        // Repeats then come as presses alone, as toolkits have it.
        let detectable = xkb::PerClientFlag::DETECTABLE_AUTO_REPEAT;
        self.connection
            .xkb_per_client_flags(
                0x100,
                detectable,
                detectable,
                xkb::BoolCtrl::default(),
                xkb::BoolCtrl::default(),
                xkb::BoolCtrl::default(),
            )
            .unwrap()
            .reply()
            .unwrap();
        self.focus(window);
        window
    }

    /// A small window of one colour on top of everything.
    pub(crate) fn cover_spot(
        &self,
        x: i16,
        y: i16,
        width: u16,
        height: u16,
        colour: u32,
    ) -> Window {
        let look = CreateWindowAux::new()
            .background_pixel(colour)
            .override_redirect(1);
        let spot = Rectangle {
            x,
            y,
            width,
            height,
        };
        self.open_window(spot, &look)
    }

    fn open_window(&self, place: Rectangle, look: &CreateWindowAux) -> Window {
        let window = self.connection.generate_id().unwrap();
        let Rectangle {
            x,
            y,
            width,
            height,
        } = place;
        let (depth, visual) = (x11rb::COPY_DEPTH_FROM_PARENT, x11rb::COPY_FROM_PARENT);
        let kind = WindowClass::INPUT_OUTPUT;
        self.connection
            .create_window(
                depth, window, self.root, x, y, width, height, 0, kind, visual, look,
            )
            .unwrap();
        self.connection.map_window(window).unwrap();
        self.connection.sync().unwrap();
        window
    }

    /// Gives `window` the keyboard.
    pub(crate) fn focus(&self, window: Window) {
        self.connection
            .set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME)
            .unwrap();
        self.connection.sync().unwrap();
    }

    /// The first event from which `pick` makes something, or `None` after `timeout`.
    pub(crate) fn wait_for<T>(
        &self,
        timeout: Duration,
        mut pick: impl FnMut(Event) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + timeout;
        loop {
            while let Some(event) = self.connection.poll_for_event().unwrap() {
                if let Some(picked) = pick(event) {
                    return Some(picked);
                }
            }
            if deadline < Instant::now() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Throws away the events that came so far.
    pub(crate) fn forget_events(&self) {
        self.connection.sync().unwrap();
        while self.connection.poll_for_event().unwrap().is_some() {}
    }

    /// Where the pointer is.
    pub(crate) fn pointer(&self) -> (i16, i16) {
        let reply = self
            .connection
            .query_pointer(self.root)
            .unwrap()
            .reply()
            .unwrap();
        (reply.root_x, reply.root_y)
    }

    /// Lock keys as SPICE counts them: scroll 1, num 2, caps 4.
    pub(crate) fn locks(&self) -> u32 {
        // Core X: light 1 is Caps Lock, 2 Num Lock, 3 Scroll Lock.
        let lights = self
            .connection
            .get_keyboard_control()
            .unwrap()
            .reply()
            .unwrap()
            .led_mask;
        (lights >> 2 & 1) | (lights >> 1 & 1) << 1 | (lights & 1) << 2
    }

    /// Locks or unlocks Caps Lock from within the session, as an accessibility tool would.
    pub(crate) fn lock_caps(&self, locked: bool) {
        let modifiers = if locked {
            ModMask::LOCK
        } else {
            ModMask::default()
        };
        self.connection
            .xkb_latch_lock_state(
                0x100,
                ModMask::LOCK,
                modifiers,
                false,
                xkb::Group::M1,
                ModMask::default(),
                false,
                0,
            )
            .unwrap();
        self.connection.sync().unwrap();
    }
}

/// Name and data of the first entry of an Xauthority file: family u16, then address, display number, name and data,
/// each with its length before it, all big-endian.
fn first_cookie(path: &Path) -> Option<(Vec<u8>, Vec<u8>)> {
    let bytes = std::fs::read(path).ok()?;
    let mut rest = bytes.get(2..)?;
    let mut field = || {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let (value, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        rest = tail;
        Some(value.to_vec())
    };
    let (_address, _number) = (field()?, field()?);
    Some((field()?, field()?))
}
