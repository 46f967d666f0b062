//! Our Xorg draws what any Xorg draws: the same requests give the same pixels as on the dummy driver.

use std::process::Command;
use std::time::Duration;

use crate::desktop::Desktop;
use crate::process::Running;
use crate::watcher::Watcher;
use crate::x_client::XClient;

/// Draws the same on both and compares the root windows pixel by pixel.
fn draw_on_both(arguments: &[&str]) {
    let ours = Desktop::subject("1280x800");
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
