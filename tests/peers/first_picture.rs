//! How soon a person sees the desktop.

use std::time::Duration;

use crate::desktop::Desktop;
use crate::figure::{at_most, median};
use crate::watcher::Watcher;

/// Milliseconds from the start of connecting on loopback to the last piece of the exact picture, all channels' links
/// and the client's decoding included.
const PICTURE_MS_MAX: f64 = 25.0;
const FIRST_PICTURE_MS_MAX: f64 = 150.0;

const CONNECTIONS: usize = 15;

/// Nothing more comes after this long.
const QUIET: Duration = Duration::from_millis(400);

/// Milliseconds until the picture was there, for one connection.
fn picture_ms(desktop: &Desktop) -> f64 {
    let mut watcher = Watcher::connect(desktop);
    // Comparing while it still comes would slow its coming.
    watcher.idle(QUIET);
    let exact = watcher
        .wait_exact(Duration::from_secs(5))
        .unwrap_or_else(|wrong| panic!("{}", wrong.answer));
    exact.picture_us as f64 / 1000.0
}

fn measure(desktop: &Desktop) -> (f64, f64) {
    let drawing = desktop.draw(&["random", "8", "400", "1"]);
    drawing.event("done", Duration::from_secs(20));
    let first = picture_ms(desktop);
    let later: Vec<f64> = (0..CONNECTIONS).map(|_| picture_ms(desktop)).collect();
    (first, median(&later))
}

#[test]
fn the_first_picture_comes_at_once() {
    let _alone = crate::alone();
    let (first, later) = measure(&Desktop::subject("1920x1080"));
    at_most(
        "first picture of the first connection",
        first,
        FIRST_PICTURE_MS_MAX,
        "ms",
    );
    at_most("first picture, median", later, PICTURE_MS_MAX, "ms");
}

#[test]
#[ignore = "a figure of the reference, for comparison: run by make bench"]
fn bench_first_picture_of_the_reference() {
    let _alone = crate::alone();
    let (first, later) = measure(&Desktop::xspice("1920x1080"));
    eprintln!("figure: Xspice: first connection {first:.1} ms, median {later:.1} ms");
}
