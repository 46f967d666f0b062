//! A client far away on a slow line: what is typed beside a page that never rests is shown soon.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ChangeGCAux, ConnectionExt, CreateGCAux, ImageFormat};
use x11rb::wrapper::ConnectionExt as _;

use crate::desktop::Desktop;
use crate::figure;
use crate::relay::Relay;
use crate::watcher::Watcher;
use crate::x_client::XClient;

const BITS_PER_SECOND: u64 = 2_000_000;

/// Of a round trip of 80 ms.
const ONE_WAY: Duration = Duration::from_millis(40);

/// From the key's arrival at the server; its own way there is 40 ms more.
const TYPING_MS_MAX: f64 = 250.0 + 40.0;

const LETTERS: usize = 24;

/// The letter A.
const KEY: u32 = 0x1e;

/// Scrolls a page of noise by copies: a new line of 4 kB every 33 ms is half of the line.
fn scroll(x: &XClient, stopped: &AtomicBool) {
    let (left, width, height, line) = (500_i16, 400_u16, 700_u16, 4_u16);
    let page = x.cover_spot(left, 0, width, height, 0x00ff_ffff);
    let gc = x.connection.generate_id().unwrap();
    x.connection
        .create_gc(gc, page, &CreateGCAux::new().graphics_exposures(0))
        .unwrap();
    let (mut seed, mut step) = (1_u32, 0_u32);
    while !stopped.load(Ordering::Relaxed) {
        let started = Instant::now();
        step += 1;
        x.connection
            .copy_area(
                page,
                page,
                gc,
                0,
                i16::try_from(line).unwrap(),
                0,
                0,
                width,
                height - line,
            )
            .unwrap();
        let mut noise = Vec::new();
        for _ in 0..u32::from(width) * u32::from(line) {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise.extend((seed >> 8).to_le_bytes());
        }
        let bottom = i16::try_from(height - line).unwrap();
        x.connection
            .put_image(
                ImageFormat::Z_PIXMAP,
                page,
                gc,
                width,
                line,
                0,
                bottom,
                0,
                24,
                &noise,
            )
            .unwrap();
        x.connection
            .change_gc(gc, &ChangeGCAux::new().foreground(step))
            .unwrap();
        x.connection.sync().unwrap();
        std::thread::sleep(Duration::from_millis(33).saturating_sub(started.elapsed()));
    }
}

#[test]
fn letters_beside_a_scrolling_page_are_shown_soon_on_a_slow_line() {
    let _alone = crate::alone();
    let desktop = Desktop::subject("1024x768");
    let typing = desktop.draw(&["typing"]);
    let relay = Relay::far(desktop.port(), BITS_PER_SECOND, ONE_WAY);
    let mut watcher = Watcher::connect_through(&desktop, &relay.uri());
    watcher.idle(Duration::from_secs(1));
    let stopped = Arc::new(AtomicBool::new(false));
    let scrolling = {
        let (x, stopped) = (XClient::connect(&desktop), Arc::clone(&stopped));
        std::thread::spawn(move || scroll(&x, &stopped))
    };
    watcher.idle(Duration::from_secs(2));
    let before = relay.bytes();
    let started = Instant::now();
    let mut ages = Vec::new();
    for _ in 0..LETTERS {
        let command = format!("key-to-pixel {KEY} 200 200 3000");
        let answer = watcher.ask_for(&command, Duration::from_secs(3));
        assert_eq!(answer["ok"], true, "{answer}\n{}", desktop.log());
        ages.push(
            answer["key_to_pixel_us"]
                .as_f64()
                .unwrap_or_else(|| panic!("{answer}"))
                / 1000.0,
        );
        watcher.idle(Duration::from_millis(70));
    }
    let rate = (relay.bytes() - before) as f64 * 8.0 / started.elapsed().as_secs_f64();
    stopped.store(true, Ordering::Relaxed);
    scrolling.join().unwrap();
    drop(typing);
    assert!(
        rate > 0.25 * BITS_PER_SECOND as f64,
        "the page did not scroll: {rate:.0} bit/s"
    );
    eprintln!(
        "figure: median letter: {:.1} ms, {rate:.0} bit/s",
        figure::median(&ages)
    );
    let oldest = ages.iter().copied().fold(0.0, f64::max);
    figure::at_most(
        "letter on 2 Mbit/s 80 ms, key to pixel, oldest",
        oldest,
        TYPING_MS_MAX,
        "ms",
    );
}
