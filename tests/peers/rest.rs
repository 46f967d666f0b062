//! What a desktop takes that rests with its clients after much work.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{
    ConnectionExt as _, CreateGCAux, CreateWindowAux, Gcontext, ImageFormat, Window, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

use crate::desktop::Desktop;
use crate::figure::at_most_within;
use crate::relay::Relay;
use crate::video::film;
use crate::watcher::Watcher;
use crate::x_client::XClient;

/// Of server, launcher and the driver's share of Xorg.
const SESSION_MIB: f64 = 40.0;

const REST: Duration = Duration::from_secs(120);

const PATIENCE: Duration = Duration::from_secs(60);

/// Lines of text go to the client by its dictionary below some 10 Mbit/s.
const SLOW_BITS_PER_S: u64 = 4_000_000;

/// A photograph for a screen of twice the size.
const PHOTOGRAPH: (u16, u16) = (3840, 2160);

/// Rows of one PutImage.
const ROWS: u16 = 16;

/// A window over the screen with soft shapes and some grain in it, not mapped.
fn photograph(x: &XClient, seed: u32) -> Window {
    let (width, height) = PHOTOGRAPH;
    let connection = &x.connection;
    let (pixmap, gc) = (
        connection.generate_id().unwrap(),
        connection.generate_id().unwrap(),
    );
    connection
        .create_pixmap(24, pixmap, x.root, width, height)
        .unwrap();
    connection
        .create_gc(gc, pixmap, &CreateGCAux::new())
        .unwrap();
    for top in (0..height).step_by(ROWS.into()) {
        put_rows(x, pixmap, gc, top, seed);
    }
    let window = connection.generate_id().unwrap();
    let look = CreateWindowAux::new()
        .background_pixmap(pixmap)
        .override_redirect(1);
    let (depth, class) = (x11rb::COPY_DEPTH_FROM_PARENT, WindowClass::INPUT_OUTPUT);
    connection
        .create_window(
            depth, window, x.root, 0, 0, width, height, 0, class, 0, &look,
        )
        .unwrap();
    connection.sync().unwrap();
    window
}

fn put_rows(x: &XClient, pixmap: u32, gc: Gcontext, top: u16, seed: u32) {
    let width = PHOTOGRAPH.0;
    let pixels = (0..u32::from(ROWS) * u32::from(width)).flat_map(|at| {
        let (row, column) = (
            u32::from(top) + at / u32::from(width),
            at % u32::from(width),
        );
        let grain = (row * 4099 + column + seed).wrapping_mul(0x9e37_79b1) >> 29;
        let level = (row / 9 + column / 13 * seed + grain) & 0xff;
        (level << 16 | (255 - level) << 8 | (row / 17 + grain) & 0xff).to_le_bytes()
    });
    let (data, top): (Vec<u8>, _) = (pixels.collect(), i16::try_from(top).unwrap());
    let format = ImageFormat::Z_PIXMAP;
    x.connection
        .put_image(format, pixmap, gc, width, ROWS, 0, top, 0, 24, &data)
        .unwrap();
}

/// Scrolls a window of text-like lines, and leaves it.
fn scroll(x: &XClient) {
    let (width, height, line) = (1200_u16, 900_u16, 20_u16);
    let page = x.cover_spot(300, 50, width, height, 0x00ff_ffff);
    let gc = x.connection.generate_id().unwrap();
    let plain = CreateGCAux::new().graphics_exposures(0);
    x.connection.create_gc(gc, page, &plain).unwrap();
    let bottom = height - line;
    for step in 0..150_u32 {
        let from = i16::try_from(line).unwrap();
        x.connection
            .copy_area(page, page, gc, 0, from, 0, 0, width, bottom)
            .unwrap();
        let ink = |at: u32| match (at / 3 + step).wrapping_mul(0x9e37_79b1) >> 30 {
            0 => 0_u32,
            _ => 0x00ff_ffff,
        };
        let pixels = (0..u32::from(width) * u32::from(line)).flat_map(|at| ink(at).to_le_bytes());
        let (data, top): (Vec<u8>, _) = (pixels.collect(), i16::try_from(bottom).unwrap());
        let format = ImageFormat::Z_PIXMAP;
        x.connection
            .put_image(format, page, gc, width, line, 0, top, 0, 24, &data)
            .unwrap();
        x.connection.sync().unwrap();
        std::thread::sleep(Duration::from_millis(33));
    }
}

/// Proportional memory of a process in KiB, by what it is mapped for.
fn memory_kib(pid: i32) -> BTreeMap<String, f64> {
    let told = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let (mut memory, mut name) = (BTreeMap::new(), String::new());
    for line in told.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[0] == "Pss:" {
            *memory.entry(name.clone()).or_default() += words[1].parse::<f64>().unwrap();
        } else if !words[0].ends_with(':') {
            let path = words.get(5).copied().unwrap_or("anonymous");
            name = path.rsplit('/').next().unwrap().to_owned();
        }
    }
    memory
}

/// MiB of server, launcher and what of Xorg is the driver's.
fn session_mib(desktop: &Desktop) -> f64 {
    let is_drivers = |name: &String| name.starts_with("memfd:") || name.contains("caraway_drv");
    let mut of_driver = memory_kib(desktop.xorg_pid);
    of_driver.retain(|name, _| is_drivers(name));
    let parts = [
        ("server", memory_kib(desktop.server_pid().unwrap())),
        ("launcher", memory_kib(desktop.launcher_pid())),
        ("driver", of_driver),
    ];
    let mut sum = 0.0;
    for (part, memory) in parts {
        let of_part: f64 = memory.values().sum();
        let large = memory.iter().filter(|(_, kib)| 300.0 < **kib);
        let large: Vec<String> = large
            .map(|(name, kib)| format!("{name} {kib:.0}"))
            .collect();
        eprintln!("figure: KiB of {part}: {of_part:.0} ({})", large.join(", "));
        sum += of_part;
    }
    sum / 1024.0
}

#[test]
#[ignore = "takes four minutes"]
fn bench_a_desktop_that_rests_after_much_work_takes_little() {
    let _others = crate::beside_others();
    let desktop = Desktop::subject("1920x1080");
    let relay = Relay::start(desktop.port(), SLOW_BITS_PER_S);
    let mut near = Watcher::connect(&desktop);
    let mut far = Watcher::connect_through(&desktop, &relay.uri());
    let x = XClient::connect(&desktop);
    let playing = film(&desktop, "301 203 640 360", 300);
    playing.event("done", PATIENCE);
    drop(playing);
    scroll(&x);
    let photographs: Vec<Window> = (1..4).map(|seed| photograph(&x, seed)).collect();
    for window in photographs.iter().cycle().take(9) {
        let above = x11rb::protocol::xproto::ConfigureWindowAux::new()
            .stack_mode(x11rb::protocol::xproto::StackMode::ABOVE);
        x.connection.map_window(*window).unwrap();
        x.connection.configure_window(*window, &above).unwrap();
        x.connection.sync().unwrap();
        std::thread::sleep(Duration::from_millis(500));
    }
    scroll(&x);
    near.wait_exact(PATIENCE).expect("the near one's picture");
    far.wait_exact(PATIENCE).expect("the far one's picture");
    let busy = session_mib(&desktop);
    eprintln!("figure: a session behind much work: {busy:.1} MiB");
    near.begin(&format!("idle {}", REST.as_millis()));
    far.idle(REST);
    near.answer(PATIENCE);
    let resting = session_mib(&desktop);
    at_most_within("a session that rests", resting, SESSION_MIB, "MiB", 1.0);
    // What was given up is missed by nobody.
    scroll(&x);
    near.wait_exact(PATIENCE).expect("the near one's picture");
    far.wait_exact(PATIENCE).expect("the far one's picture");
}
