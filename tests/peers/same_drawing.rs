//! Our Xorg draws what any Xorg draws: the same requests give the same pixels as on the dummy driver.

use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use crate::desktop::Desktop;
use crate::process::Running;
use crate::watcher::Watcher;
use crate::x_client::XClient;

/// Colours that any drawing leaves, however much its last operations covered; Render ones clear most of the screen
/// again.
const COLOURS_MIN: usize = 16;

/// Draws the same on both; returns the pixels that differ and the place of the first. Panics when nothing was drawn.
fn draw_on_both(
    ours: &Desktop,
    theirs: &Desktop,
    arguments: &[&str],
) -> (usize, Option<(usize, usize)>) {
    let draw = |desktop: &Desktop| -> Running {
        let drawing = desktop.draw(arguments);
        drawing.event("done", Duration::from_secs(60));
        drawing
    };
    // Held until the end: a client that leaves takes its windows along.
    let _drawings = [draw(ours), draw(theirs)];
    let (ours, theirs) = (XClient::connect(ours), XClient::connect(theirs));
    let (our_picture, their_picture) = (ours.picture(), theirs.picture());
    assert_eq!(our_picture.len(), their_picture.len());
    let mut counts: HashMap<u32, usize> = HashMap::new();
    their_picture
        .iter()
        .for_each(|pixel| *counts.entry(*pixel).or_default() += 1);
    let commonest = counts.values().max().copied().unwrap_or(0);
    assert!(
        COLOURS_MIN < counts.len() && commonest < their_picture.len() / 100 * 99,
        "hardly anything was drawn: {} colours, {commonest} pixels of one",
        counts.len()
    );
    let pairs = || our_picture.iter().zip(&their_picture);
    let wrong = pairs().filter(|(ours, theirs)| ours != theirs).count();
    let first = pairs().position(|(ours, theirs)| ours != theirs);
    let width = usize::from(ours.width);
    (wrong, first.map(|at| (at % width, at / width)))
}

fn same_as_on_the_dummy_driver(arguments: &[&str]) {
    let ours = Desktop::subject("1280x800");
    // With a client, so that the recording is at work too.
    let mut watcher = Watcher::connect(&ours);
    let theirs = Desktop::dummy("1280x800");
    let (wrong, first) = draw_on_both(&ours, &theirs, arguments);
    assert_eq!(
        wrong, 0,
        "{arguments:?}: wrong pixels, the first at {first:?}"
    );
    watcher
        .wait_exact(Duration::from_secs(5))
        .unwrap_or_else(|wrong| panic!("{}", wrong.answer));
}

/// The instrument: the same seed draws the same twice, and another one something else.
#[test]
fn the_same_seed_draws_the_same_picture() {
    let _alone = crate::alone();
    for arguments in [
        ["random", "24", "8000", "2"].as_slice(),
        &["render", "34", "1500"],
    ] {
        let (one, other) = (Desktop::dummy("1280x800"), Desktop::dummy("1280x800"));
        assert_eq!(
            draw_on_both(&one, &other, arguments),
            (0, None),
            "{arguments:?}"
        );
    }
    let (one, other) = (Desktop::dummy("1280x800"), Desktop::dummy("1280x800"));
    let _drawings = [("35", &one), ("36", &other)].map(|(seed, desktop)| {
        let drawing = desktop.draw(&["render", seed, "1500"]);
        drawing.event("done", Duration::from_secs(60));
        drawing
    });
    assert_ne!(
        XClient::connect(&one).picture(),
        XClient::connect(&other).picture()
    );
}

#[test]
fn core_x_draws_the_same_as_on_the_dummy_driver() {
    let _alone = crate::alone();
    for seed in ["21", "22", "23"] {
        same_as_on_the_dummy_driver(&["random", seed, "8000", "2"]);
    }
}

/// The driver alone: nobody attaches to its ring, which is overrun all the time.
#[test]
fn without_a_server_everything_is_drawn_just_the_same() {
    let _alone = crate::alone();
    for arguments in [
        ["random", "25", "20000", "2"].as_slice(),
        &["render", "37", "1500"],
    ] {
        let (ours, theirs) = (
            Desktop::without_server("1280x800"),
            Desktop::dummy("1280x800"),
        );
        assert_eq!(
            draw_on_both(&ours, &theirs, arguments),
            (0, None),
            "{arguments:?}"
        );
    }
}

#[test]
fn render_draws_the_same_as_on_the_dummy_driver() {
    let _alone = crate::alone();
    for seed in ["31", "32", "33"] {
        same_as_on_the_dummy_driver(&["render", seed, "1500"]);
    }
}

/// rendercheck is not in Debian 12; its source is small: X.Org's app/rendercheck, `cc *.c -lX11 -lXext -lXrender`.
#[test]
#[ignore = "needs RENDERCHECK=path of the program, and minutes"]
fn bench_rendercheck_gives_the_same_answers_as_on_the_dummy_driver() {
    let _alone = crate::alone();
    let program = std::env::var_os("RENDERCHECK").expect("RENDERCHECK=path of the program");
    let answers = |desktop: &Desktop| {
        let mut command = Command::new(&program);
        // The formats that a screen and its windows have; all 32 would take hours.
        command.args(["-f", "a8r8g8b8,x8r8g8b8,a8"]);
        let output = desktop.client(&mut command).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let ours = Desktop::subject("1280x800");
    let mut watcher = Watcher::connect(&ours);
    let our_answers = answers(&ours);
    let their_answers = answers(&Desktop::dummy("1280x800"));
    let summary = their_answers.lines().last().unwrap_or_default();
    assert!(
        summary.contains("tests passed"),
        "rendercheck did not run: {their_answers}"
    );
    eprintln!("figure: rendercheck on the dummy driver: {summary}");
    assert_eq!(our_answers, their_answers);
    watcher
        .wait_exact(Duration::from_secs(5))
        .unwrap_or_else(|wrong| panic!("{}", wrong.answer));
}
