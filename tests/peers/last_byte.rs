//! From X's drawing to the last byte in the socket, on an idle line: what the server itself takes.
//!
//! The client is one that reads and answers at once and decodes nothing, so that only the server's time is measured.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt as _, CreateGCAux, ImageFormat, Pixmap, Window};
use x11rb::wrapper::ConnectionExt as _;

use crate::desktop::Desktop;
use crate::figure::{at_most, at_most_within, median};
use crate::link::{DISPLAY, LinkMessage, RawLink, message};
use crate::x_client::XClient;

const SMALL_MS_MAX: f64 = 2.0;
const PHOTOGRAPH_MS_MAX: f64 = 12.0;

/// On two slow processors that also run X and this reader it takes 12 to 20 ms, the first ones up to 27.
const PHOTOGRAPH_MARGIN: f64 = 6.0;

/// The first photographs: while each of them is remembered for the first time, its memory is made.
const FIRST_PHOTOGRAPHS: usize = 5;

/// Nothing more comes of a drawing after this long.
const QUIET: Duration = Duration::from_millis(120);

/// SPICE_DISPLAY_CAP_MONITORS_CONFIG, and not LZ4.
const CAPABILITIES: u32 = 1 << 1;

const SET_ACK: u16 = 3;
const PING: u16 = 4;
const ACK_SYNC: u16 = 1;
const ACK: u16 = 2;
const PONG: u16 = 3;
const INIT: u16 = 101;

/// When the last message of the display channel was read.
type LastByte = Arc<Mutex<Instant>>;

/// A display channel that is read and acknowledged for as long as the server keeps it.
fn read_display(desktop: &Desktop, session_id: u32) -> LastByte {
    let hello = LinkMessage {
        channel_caps: vec![CAPABILITIES],
        ..LinkMessage::good(DISPLAY, session_id)
    };
    let mut link = RawLink::open_with(desktop.port(), &hello);
    // A cache of 20 million pixels, and no dictionary.
    let mut init = vec![1];
    init.extend(20_000_000_i64.to_le_bytes());
    init.push(1);
    init.extend(0_i32.to_le_bytes());
    link.send(&message(INIT, 14, &init));
    let last = Arc::new(Mutex::new(Instant::now()));
    let shared = Arc::clone(&last);
    std::thread::spawn(move || {
        let (mut window, mut unacked) = (u32::MAX, 0);
        while let Ok((kind, body)) = link.try_message() {
            unacked += 1;
            match kind {
                SET_ACK => {
                    window = u32::from_le_bytes(body[4..8].try_into().unwrap());
                    unacked = 0;
                    link.send(&message(ACK_SYNC, 4, &body[..4]));
                }
                PING => link.send(&message(PONG, 12, &body[..12])),
                _ => *shared.lock().unwrap() = Instant::now(),
            }
            if window <= unacked {
                unacked = 0;
                link.send(&message(ACK, 0, &[]));
            }
        }
    });
    last
}

/// A pixmap whose pixels follow from their place and a number: soft shades with some grain.
fn photograph(x: &XClient, number: u32) -> Pixmap {
    let pixmap = x.connection.generate_id().unwrap();
    let (width, height) = (x.width, x.height);
    x.connection
        .create_pixmap(24, pixmap, x.root, width, height)
        .unwrap();
    let gc = graphics(x, pixmap);
    let mut random = number * 2 + 1;
    for top in (0..height).step_by(60) {
        let rows = 60.min(height - top);
        let mut pixels = Vec::with_capacity(usize::from(width) * usize::from(rows) * 4);
        for y in top..top + rows {
            for column in 0..width {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let (across, down) = (u32::from(column) / 9, u32::from(y) / 7);
                let shade = |a: u32, bit: u32| {
                    ((a + number * 31) % 200 + (random >> bit & 3)).to_le_bytes()[0]
                };
                pixels.extend([
                    shade(across + down, 30),
                    shade(down, 28),
                    shade(across, 26),
                    0,
                ]);
            }
        }
        let top = i16::try_from(top).unwrap();
        let kind = ImageFormat::Z_PIXMAP;
        x.connection
            .put_image(kind, pixmap, gc, width, rows, 0, top, 0, 24, &pixels)
            .unwrap();
    }
    x.connection.sync().unwrap();
    pixmap
}

fn graphics(x: &XClient, drawable: u32) -> u32 {
    let gc = x.connection.generate_id().unwrap();
    let quiet = CreateGCAux::new().graphics_exposures(0);
    x.connection.create_gc(gc, drawable, &quiet).unwrap();
    gc
}

/// Milliseconds from the end of `draw` to the last byte that came of it.
fn last_byte_ms(last: &LastByte, x: &XClient, draw: impl FnOnce()) -> f64 {
    std::thread::sleep(QUIET);
    draw();
    x.connection.sync().unwrap();
    let drawn = Instant::now();
    std::thread::sleep(QUIET);
    let last = *last.lock().unwrap();
    last.saturating_duration_since(drawn).as_secs_f64() * 1000.0
}

fn percentile_95(figures: &mut [f64]) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[(figures.len() * 95).div_ceil(100) - 1]
}

fn copy(x: &XClient, from: Pixmap, window: Window, gc: u32, side: Option<(u16, i16)>) {
    let (width, height) = side.map_or((x.width, x.height), |(side, _)| (side, side / 2));
    let at = side.map_or(0, |(_, at)| at);
    x.connection
        .copy_area(from, window, gc, at, at, at, at, width, height)
        .unwrap();
}

#[test]
fn the_last_byte_leaves_soon_after_the_drawing() {
    let _alone = crate::alone();
    let desktop = Desktop::subject("1920x1080");
    let x = XClient::connect(&desktop);
    let window = x.cover_screen();
    let gc = graphics(&x, window);
    let photographs: Vec<Pixmap> = (0..2).map(|number| photograph(&x, number)).collect();
    let (_main, session_id) = RawLink::open_main(desktop.port());
    let last = read_display(&desktop, session_id);
    std::thread::sleep(Duration::from_millis(500));
    let began = *last.lock().unwrap();

    let mut small: Vec<f64> = (0..40)
        .map(|step| {
            let spot = Some((40, 20 * (step % 30) + 1));
            last_byte_ms(&last, &x, || {
                copy(&x, photographs[step as usize % 2], window, gc, spot)
            })
        })
        .collect();
    assert!(began < *last.lock().unwrap(), "nothing came");
    at_most(
        "small drawing to last byte, p95",
        percentile_95(&mut small),
        SMALL_MS_MAX,
        "ms",
    );
    let mut whole: Vec<f64> = (0..FIRST_PHOTOGRAPHS as u32 + 12)
        .map(|step| {
            // Never the same twice: what the client remembers would come back by name.
            let number = 2 + step;
            let fresh = photograph(&x, number);
            last_byte_ms(&last, &x, || copy(&x, fresh, window, gc, None))
        })
        .collect();
    eprintln!("photographs of 1920x1080 to last byte, in ms: {whole:.1?}");
    let mut later = whole.split_off(FIRST_PHOTOGRAPHS);
    eprintln!(
        "figure: behind the first {FIRST_PHOTOGRAPHS} the median is {:.3} and p95 {:.3} ms",
        median(&later),
        percentile_95(&mut later)
    );
    whole.append(&mut later);
    assert!(1.0 < percentile_95(&mut whole), "no photograph came");
    at_most_within(
        "photograph of 1920x1080 to last byte, p95",
        percentile_95(&mut whole),
        PHOTOGRAPH_MS_MAX,
        "ms",
        PHOTOGRAPH_MARGIN,
    );
}
