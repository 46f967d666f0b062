//! Menus, windows and workspaces that come back cost next to nothing, and a real client shows them to the last pixel.

use std::time::Duration;

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    ConfigureWindowAux, ConnectionExt as _, CreateGCAux, CreateWindowAux, ImageFormat, StackMode,
    Window, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

use crate::desktop::Desktop;
use crate::figure::at_most_within;
use crate::watcher::Watcher;
use crate::x_client::XClient;

/// What coming or going may cost the second time, with pings and acknowledgements.
const SECOND_TIME_BYTES: f64 = 2048.0;

/// Rows of one PutImage.
const ROWS: u16 = 64;

/// Longer than content has to rest to be remembered.
const REST: Duration = Duration::from_millis(300);

const PATIENCE: Duration = Duration::from_secs(10);

/// A desktop with somebody who looks at it and somebody who draws.
struct Stage {
    x: XClient,
    watcher: Watcher,
    desktop: Desktop,
}

impl Stage {
    fn new() -> Self {
        let desktop = Desktop::subject("1280x720");
        let watcher = Watcher::connect(&desktop);
        let x = XClient::connect(&desktop);
        let mut stage = Self {
            x,
            watcher,
            desktop,
        };
        let page = stage.window(0, 0, 1280, 720, 1);
        stage.cost(&[Step::Map(page)]);
        stage
    }

    /// An override-redirect window with a picture of its own, not mapped.
    fn window(&self, x: i16, y: i16, width: u16, height: u16, seed: u32) -> Window {
        let connection = &self.x.connection;
        let pixmap = connection.generate_id().unwrap();
        connection
            .create_pixmap(24, pixmap, self.x.root, width, height)
            .unwrap();
        let gc = connection.generate_id().unwrap();
        let plain = CreateGCAux::new();
        connection.create_gc(gc, pixmap, &plain).unwrap();
        for top in (0..height).step_by(usize::from(ROWS)) {
            let rows = ROWS.min(height - top);
            let pixels = (0..u32::from(rows) * u32::from(width)).flat_map(|at| {
                let row = u32::from(top) + at / u32::from(width);
                let mixed = (seed << 24) ^ (row << 12) ^ (at % u32::from(width));
                let color = mixed.wrapping_mul(0x9e37_79b1) >> 8;
                color.wrapping_mul(0x85eb_ca6b).to_le_bytes()
            });
            let data: Vec<u8> = pixels.collect();
            let (format, y) = (ImageFormat::Z_PIXMAP, i16::try_from(top).unwrap());
            connection
                .put_image(format, pixmap, gc, width, rows, 0, y, 0, 24, &data)
                .unwrap();
        }
        let window = connection.generate_id().unwrap();
        let look = CreateWindowAux::new()
            .background_pixmap(pixmap)
            .override_redirect(1);
        let (depth, kind) = (x11rb::COPY_DEPTH_FROM_PARENT, WindowClass::INPUT_OUTPUT);
        connection
            .create_window(
                depth,
                window,
                self.x.root,
                x,
                y,
                width,
                height,
                0,
                kind,
                0,
                &look,
            )
            .unwrap();
        connection.sync().unwrap();
        window
    }

    /// Bytes on the display channel until the client shows to the last pixel what `steps` made, and a rest.
    fn cost(&mut self, steps: &[Step]) -> u64 {
        let before = self.bytes();
        let connection = &self.x.connection;
        // One after another without a pause between: the server shall see them as one change.
        for step in steps {
            match *step {
                Step::Map(window) => connection.map_window(window).unwrap(),
                Step::Unmap(window) => connection.unmap_window(window).unwrap(),
                Step::Raise(window) => {
                    let above = ConfigureWindowAux::new().stack_mode(StackMode::ABOVE);
                    connection.configure_window(window, &above).unwrap()
                }
            };
        }
        connection.sync().unwrap();
        let exact = self.watcher.wait_exact(PATIENCE);
        let wrong = exact.map_err(|differing| differing.answer);
        assert!(wrong.is_ok(), "{wrong:?}\n{}", self.desktop.log());
        self.watcher.idle(REST);
        self.bytes() - before
    }

    fn bytes(&mut self) -> u64 {
        let stats = self.watcher.stats();
        stats["channels"]["display"].as_u64().unwrap()
    }

    /// The steps of two states, again and again; none but the first round may cost more than little.
    fn there_and_back(&mut self, what: &str, there: &[Step], back: &[Step]) {
        let (first_there, first_back) = (self.cost(there), self.cost(back));
        eprintln!("figure: {what}, first time: {first_there} B and back {first_back} B");
        for _ in 0..3 {
            for (way, steps) in [("", there), (", back", back)] {
                let bytes = self.cost(steps) as f64;
                let what = format!("{what}{way}, second time");
                at_most_within(&what, bytes, SECOND_TIME_BYTES, "B", 1.0);
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Step {
    Map(Window),
    Unmap(Window),
    Raise(Window),
}

#[test]
fn what_comes_back_costs_next_to_nothing_and_is_exact() {
    let _alone = crate::alone();
    let mut stage = Stage::new();
    let menu = stage.window(203, 105, 220, 410, 2);
    stage.there_and_back("menu", &[Step::Map(menu)], &[Step::Unmap(menu)]);
    // Too small for a surface of its own: two images by name.
    let button = stage.window(600, 300, 60, 40, 7);
    stage.there_and_back("button", &[Step::Map(button)], &[Step::Unmap(button)]);
    let left = stage.window(40, 60, 700, 500, 3);
    let right = stage.window(400, 150, 760, 520, 4);
    stage.cost(&[Step::Map(left), Step::Map(right)]);
    stage.there_and_back("window", &[Step::Raise(left)], &[Step::Raise(right)]);
    let other = stage.window(0, 0, 1280, 720, 5);
    let others = stage.window(700, 100, 500, 300, 6);
    stage.there_and_back(
        "workspace",
        &[Step::Map(other), Step::Map(others)],
        &[Step::Unmap(others), Step::Unmap(other)],
    );
}
