//! Our Xorg draws what any Xorg draws: the same requests give the same pixels as on the dummy driver.

use std::time::Duration;

use crate::desktop::Desktop;
use crate::process::Running;
use crate::watcher::Watcher;
use crate::x_client::XClient;

/// Draws the same on both and compares the root windows pixel by pixel.
fn draw_on_both(arguments: &[&str]) {
    let ours = Desktop::caraway("1280x800");
    // With a client, so that the recording is at work too.
    let mut watcher = Watcher::connect(&ours);
    let theirs = Desktop::dummy("1280x800");
    let draw = |desktop: &Desktop| -> Running {
        let drawing = desktop.draw(arguments);
        drawing.event("done", Duration::from_secs(60));
        drawing
    };
    // Held until the end: a client that leaves takes its windows along.
    let _drawings = [draw(&ours), draw(&theirs)];
    let (our_picture, their_picture) = (
        XClient::connect(&ours).picture(),
        XClient::connect(&theirs).picture(),
    );
    let distinct: std::collections::HashSet<u32> = their_picture.iter().copied().collect();
    assert!(
        distinct.len() > 100,
        "hardly anything was drawn: {} colours",
        distinct.len()
    );
    let pairs = || our_picture.iter().zip(&their_picture);
    let wrong = pairs().filter(|(ours, theirs)| ours != theirs).count();
    let first = pairs().position(|(ours, theirs)| ours != theirs);
    assert_eq!(
        wrong,
        0,
        "{arguments:?}: first at {:?}",
        first.map(|at| (at % 1280, at / 1280))
    );
    assert_eq!(our_picture.len(), their_picture.len());
    watcher
        .wait_exact(Duration::from_secs(5))
        .unwrap_or_else(|wrong| panic!("{}", wrong.answer));
}

#[test]
fn core_x_draws_the_same_as_on_the_dummy_driver() {
    let _alone = crate::alone();
    for seed in ["21", "22", "23"] {
        draw_on_both(&["random", seed, "8000", "2"]);
    }
}

#[test]
fn render_draws_the_same_as_on_the_dummy_driver() {
    let _alone = crate::alone();
    for seed in ["31", "32", "33"] {
        draw_on_both(&["render", seed, "4000"]);
    }
}
