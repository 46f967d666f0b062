//! The picture is exact: after any drawing, for who watched, for who joined half-way, beside a slow reader.

use std::time::Duration;

use crate::desktop::Desktop;
use crate::figure::at_most;
use crate::process::{Running, anonymous_bytes};
use crate::relay::Relay;
use crate::watcher::Watcher;

/// Operations of a random drawing, and the seconds that they are spread over.
#[derive(Clone, Copy)]
struct Amount {
    operations: u32,
    seconds: u32,
}

const MUCH: Amount = Amount {
    operations: 50_000,
    seconds: 5,
};

/// As fast, for more seeds.
const LESS: Amount = Amount {
    operations: 20_000,
    seconds: 2,
};

/// Milliseconds after the last drawing within which every client shall have the exact picture.
const EXACT_MS_MAX: f64 = 1000.0;

/// How long to wait before the picture counts as never exact.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bits per second of the slow reader's line.
const SLOW_LINE: u64 = 1_000_000;

/// What the server may grow by while one client does not read: its own output and what malloc keeps of the drawing; the
/// dictionary of each of the three clients whose line is taken for a slow one, as all are on a host that has no time
/// for them (`limits::GLZ_WINDOW_PIXELS_MAX` at 4 bytes each, and its tables); and the screens that it remembers
/// (`limits::SAVED_SCREENS_MAX`).
const GROWTH_MAX: u64 = (13 + 3 * 24 + 4 * 8) * 1024 * 1024;

/// Waits for the end of the drawing, sampling the server's memory; returns when it ended and the largest sample.
fn wait_for_drawing(desktop: &Desktop, drawing: &Running, amount: Amount) -> (i64, u64) {
    let mut largest = 0;
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        largest = largest.max(anonymous_bytes(
            desktop.server_pid().expect("the server runs"),
        ));
        let Some(line) = drawing.try_line(Duration::from_millis(100)) else {
            assert!(
                std::time::Instant::now() < deadline,
                "the drawing does not end"
            );
            continue;
        };
        let event: serde_json::Value = serde_json::from_str(&line).unwrap();
        if event["event"] == "done" {
            // Nobody may slow X: the drawing is to take the seconds that it is spread over.
            at_most(
                "time of the drawing",
                event["elapsed_us"].as_f64().unwrap() / 1e6,
                1.1 * f64::from(amount.seconds),
                "s",
            );
            return (event["at_us"].as_i64().unwrap(), largest);
        }
    }
}

fn expect_exact(who: &str, watcher: &mut Watcher, desktop: &Desktop, drawn_at_us: i64) {
    match watcher.wait_exact(PATIENCE) {
        Ok(exact) => {
            let milliseconds = (exact.exact_at_us - drawn_at_us).max(0) as f64 / 1000.0;
            at_most(
                &format!("{who}: exact after the last drawing"),
                milliseconds,
                EXACT_MS_MAX,
                "ms",
            );
        }
        Err(differing) => {
            let file = crate::instruments::output_folder()
                .join(format!("wrong-{}.ppm", who.replace(' ', "-")));
            watcher.ask(&format!("dump {}", file.display()));
            panic!(
                "{who}: {} wrong pixels: {}\n{}",
                differing.wrong,
                differing.answer,
                desktop.log()
            );
        }
    }
}

fn draw_and_compare(seed: u64, with_slow_reader: bool) {
    draw_on_and_compare("1920x1080", seed, MUCH, with_slow_reader);
}

fn draw(desktop: &Desktop, seed: u64, amount: Amount) -> Running {
    let numbers = [u64::from(amount.operations), u64::from(amount.seconds)];
    let [operations, seconds] = numbers.map(|number| number.to_string());
    desktop.draw(&["random", &seed.to_string(), &operations, &seconds])
}

fn draw_on_and_compare(size: &str, seed: u64, amount: Amount, with_slow_reader: bool) {
    let desktop = Desktop::subject(size);
    let mut first = Watcher::connect(&desktop);
    let relay = Relay::start(desktop.port(), SLOW_LINE);
    let mut slow = Watcher::new(&desktop);
    if with_slow_reader {
        slow.order(&format!("connect {} {}", relay.uri(), desktop.password));
    }
    first.idle(Duration::from_millis(500));
    let before = anonymous_bytes(desktop.server_pid().expect("the server runs"));
    let drawing = draw(&desktop, seed, amount);
    drawing.event("half", Duration::from_secs(30));
    let mut joined = Watcher::connect(&desktop);
    let (drawn_at_us, largest) = wait_for_drawing(&desktop, &drawing, amount);
    expect_exact("watched", &mut first, &desktop, drawn_at_us);
    expect_exact("joined half-way", &mut joined, &desktop, drawn_at_us);
    if !with_slow_reader {
        return;
    }
    let growth = largest.saturating_sub(before);
    eprintln!(
        "figure: server grew by {} KiB beside a slow reader",
        growth / 1024
    );
    assert!(
        growth < GROWTH_MAX,
        "the server grew by {growth} bytes beside a slow reader"
    );
    assert!(
        relay.bytes() > 100_000,
        "the slow reader read nothing: {}",
        relay.bytes()
    );
    // It gets newer pixels, not all the old ones, so it ends exact within what one picture of noise takes.
    let patience = Duration::from_secs(90);
    let exact = slow
        .wait_exact(patience)
        .unwrap_or_else(|wrong| panic!("slow reader: {}", wrong.answer));
    eprintln!(
        "figure: slow reader exact {} ms after the drawing",
        (exact.exact_at_us - drawn_at_us) / 1000
    );
}

#[test]
fn random_drawing_is_exact_to_the_last_pixel_seed_1() {
    let _alone = crate::alone();
    draw_and_compare(1, false);
}

#[test]
fn random_drawing_is_exact_to_the_last_pixel_seed_2() {
    let _alone = crate::alone();
    draw_and_compare(2, false);
}

#[test]
fn random_drawing_is_exact_to_the_last_pixel_seed_3() {
    let _alone = crate::alone();
    draw_and_compare(3, false);
}

#[test]
fn random_drawing_is_exact_to_the_last_pixel_seeds_4_to_10() {
    let _alone = crate::alone();
    for seed in 4..=10 {
        draw_on_and_compare("1920x1080", seed, LESS, false);
    }
}

#[test]
fn a_screen_of_3840x2160_is_exact_to_the_last_pixel() {
    let _alone = crate::alone();
    draw_on_and_compare("3840x2160", 11, MUCH, false);
}

#[test]
fn a_slow_reader_costs_the_server_little_and_the_others_nothing() {
    let _alone = crate::alone();
    for seed in [1, 2, 3] {
        draw_and_compare(seed, true);
    }
}

/// A client whose process hangs reads nothing at all: the server's socket to it is full for good.
#[test]
fn a_reader_that_hangs_is_forgotten_by_nobody_and_hinders_nobody() {
    let _alone = crate::alone();
    let desktop = Desktop::subject("1920x1080");
    let mut first = Watcher::connect(&desktop);
    let mut hanging = Watcher::connect(&desktop);
    hanging.begin("pause 8000");
    let drawing = draw(&desktop, 4, MUCH);
    let (drawn_at_us, _) = wait_for_drawing(&desktop, &drawing, MUCH);
    expect_exact("beside a hanging reader", &mut first, &desktop, drawn_at_us);
    hanging.answer(Duration::from_secs(10));
    let exact = hanging
        .wait_exact(PATIENCE)
        .unwrap_or_else(|wrong| panic!("hung: {}", wrong.answer));
    assert_eq!(exact.wrong, 0);
}
