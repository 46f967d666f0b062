//! The desktop is as large as the window of who uses it, with a monitor for each window; and what nobody can mean
//! changes nothing.

use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use x11rb::connection::Connection;
use x11rb::protocol::randr::ConnectionExt as _;
use x11rb::protocol::xproto::{ConfigureWindowAux, ConnectionExt as _};

use crate::desktop::Desktop;
use crate::figure::at_most_within;
use crate::instruments::output_folder;
use crate::process::{Running, wait_until};
use crate::viewer::{Viewer, save};
use crate::watcher::Watcher;
use crate::x_client::XClient;

const PATIENCE: Duration = Duration::from_secs(10);

/// From a client's wish to the exact picture in the new size.
const PICTURE_BACK_MS_MAX: f64 = 200.0;

/// A key that does nothing: the left shift.
const KEY: &str = "key 0x2a down";

/// A desktop with a window manager that follows the size of its screen.
fn desktop_with_windows(arguments: &[&str]) -> (Desktop, Vec<Running>) {
    let desktop = Desktop::caraway_with(&[&["--auth", "none"], arguments].concat(), |_| ());
    let programs: [&[&str]; 2] = [&["icewm"], &["xterm", "-geometry", "60x20+30+40"]];
    let running = programs.map(|words| {
        let path = std::path::Path::new("/usr/bin").join(words[0]);
        Running::start(&path, std::process::Stdio::null(), |command| {
            desktop.client(command.args(&words[1..]));
        })
    });
    (desktop, running.into())
}

fn user(desktop: &Desktop) -> Watcher {
    let mut watcher = Watcher::connect(desktop);
    watcher.order("wait-agent 5000");
    watcher
}

/// Width and height of the X screen.
fn screen(desktop: &Desktop) -> (u16, u16) {
    let x = XClient::connect(desktop);
    (x.width, x.height)
}

fn expect_screen(desktop: &Desktop, width: u16, height: u16) {
    let reached = wait_until(PATIENCE, || screen(desktop) == (width, height));
    let is = screen(desktop);
    assert!(reached, "{is:?} is not {width}x{height}\n{}", desktop.log());
}

/// Number, place and size of the heads that a client was told of.
fn heads(watcher: &mut Watcher) -> Vec<[u64; 5]> {
    let answer = watcher.order("heads");
    let heads = answer["heads"].as_array().unwrap().iter();
    let numbers = |head: &Value| std::array::from_fn(|index| head[index].as_u64().unwrap());
    heads.map(numbers).collect()
}

fn primaries(watcher: &mut Watcher) -> u64 {
    watcher.order("heads")["primaries"].as_u64().unwrap()
}

fn expect_exact(watcher: &mut Watcher) -> i64 {
    let exact = watcher.wait_exact(PATIENCE);
    exact
        .unwrap_or_else(|wrong| panic!("{}", wrong.answer))
        .exact_at_us
}

/// Asks, and gives the milliseconds until the picture is exact in the new size.
fn picture_back_ms(watcher: &mut Watcher, desktop: &Desktop, width: u16, height: u16) -> f64 {
    let asked = watcher.order(&format!("monitors 0:{width}x{height}+0+0"));
    expect_screen(desktop, width, height);
    let exact_at_us = expect_exact(watcher);
    (exact_at_us - asked["at_us"].as_i64().unwrap()) as f64 / 1000.0
}

#[test]
fn forty_sizes_in_two_seconds_are_one_or_two_changes() {
    let _alone = crate::alone();
    let (desktop, _windows) = desktop_with_windows(&["-g", "1280x800"]);
    let mut watcher = user(&desktop);
    expect_exact(&mut watcher);
    let before = primaries(&mut watcher);
    for step in 0..40 {
        watcher.order(&format!(
            "monitors 0:{}x{}+0+0",
            901 + 7 * step,
            701 + 3 * step
        ));
        watcher.idle(Duration::from_millis(45));
    }
    expect_screen(&desktop, 901 + 7 * 39, 701 + 3 * 39);
    expect_exact(&mut watcher);
    let changes = primaries(&mut watcher) - before;
    assert!((1..=2).contains(&changes), "{changes} changes");
}

#[test]
fn the_picture_is_back_in_no_time() {
    let _alone = crate::alone();
    let (desktop, _windows) = desktop_with_windows(&["-g", "1280x800"]);
    let mut watcher = user(&desktop);
    let mut figures = Vec::new();
    for (width, height) in [
        (1920, 1080),
        (1367, 771),
        (800, 1200),
        (2560, 1440),
        (1280, 800),
    ] {
        watcher.idle(Duration::from_millis(700));
        figures.push(picture_back_ms(&mut watcher, &desktop, width, height));
    }
    eprintln!("figure: picture back after {figures:.0?} ms");
    let median = crate::figure::median(&figures);
    at_most_within("picture back", median, PICTURE_BACK_MS_MAX, "ms", 2.0);
}

#[test]
fn what_nobody_can_mean_is_cut_or_refused_and_logged() {
    let _others = crate::beside_others();
    let (desktop, _windows) = desktop_with_windows(&["-g", "1280x800", "--dpi", "client"]);
    let mut watcher = user(&desktop);
    watcher.order("monitors 0:100000x100000+0+0");
    watcher.idle(Duration::from_millis(1200));
    assert_eq!(screen(&desktop), (1280, 800));
    watcher.order("monitors 0:1x1+0+0");
    expect_screen(&desktop, 320, 200);
    expect_exact(&mut watcher);
    // The log takes a line a second.
    watcher.idle(Duration::from_millis(1200));
    // Millimetres as a division by zero would leave them.
    watcher.order("monitors 0:1000x700+0+0/32760x1");
    expect_screen(&desktop, 1000, 700);
    expect_exact(&mut watcher);
    let told = ["100000x100000", "1x1 becomes 320x200", "32760 mm by 1 mm"];
    for words in told {
        let logged = wait_until(PATIENCE, || desktop.log().contains(words));
        assert!(logged, "no {words}: {}", desktop.log());
    }
}

#[test]
fn monitors_come_and_go_sparse_and_wherever_they_stand() {
    let _others = crate::beside_others();
    let (desktop, _windows) = desktop_with_windows(&["-g", "1280x800"]);
    let mut watcher = user(&desktop);
    // The library's places are not negative.
    watcher.order("monitors 0:800x600+0+100 2:641x481+800+0 3:700x500+5000+100");
    expect_screen(&desktop, 800 + 641 + 700, 700);
    expect_exact(&mut watcher);
    let expected = [
        [0, 0, 100, 800, 600],
        [2, 800, 0, 641, 481],
        [3, 1441, 100, 700, 500],
    ];
    assert_eq!(heads(&mut watcher), expected);
    let x = XClient::connect(&desktop);
    let monitors = x.connection.randr_get_monitors(x.root, true).unwrap();
    let monitors = monitors.reply().unwrap().monitors;
    let places: Vec<_> = monitors
        .iter()
        .map(|one| (one.x, one.y, one.width))
        .collect();
    assert_eq!(places, [(0, 100, 800), (800, 0, 641), (1441, 100, 700)]);
    // The library says position X Y of display 0; its monitor begins where it stands.
    watcher.order("position 10 20 0");
    let arrived = wait_until(PATIENCE, || x.pointer() == (10, 120));
    assert!(arrived, "the pointer is at {:?}", x.pointer());
    watcher.idle(Duration::from_millis(700));
    watcher.order("monitors 1:1000x700+0+0");
    expect_screen(&desktop, 1000, 700);
    expect_exact(&mut watcher);
    assert_eq!(heads(&mut watcher), [[1, 0, 0, 1000, 700]]);
    watcher.idle(Duration::from_millis(700));
    watcher.order(
        "monitors 0:640x480+0+0 1:640x480+640+0 2:640x480+0+480 3:640x480+640+480 4:640x480+0+960",
    );
    expect_screen(&desktop, 1280, 960);
    expect_exact(&mut watcher);
    assert_eq!(heads(&mut watcher).len(), 4);
    let is_told = || desktop.log().contains("monitor 4 is left out");
    assert!(wait_until(PATIENCE, is_told), "{}", desktop.log());
}

#[test]
fn who_acts_decides_and_who_watches_does_not() {
    let _others = crate::beside_others();
    let (desktop, _windows) = desktop_with_windows(&["-g", "1280x800"]);
    let mut first = user(&desktop);
    first.order("monitors 0:1000x700+0+0");
    expect_screen(&desktop, 1000, 700);
    let mut second = user(&desktop);
    second.order("monitors 0:900x600+0+0");
    second.idle(Duration::from_secs(1));
    assert_eq!(screen(&desktop), (1000, 700), "it only watches");
    second.order(KEY);
    expect_screen(&desktop, 900, 600);
    expect_exact(&mut first);
    expect_exact(&mut second);
    first.order("monitors 0:1010x710+0+0");
    first.idle(Duration::from_secs(1));
    assert_eq!(screen(&desktop), (900, 600));
    second.order("disconnect");
    expect_screen(&desktop, 1010, 710);
}

#[test]
fn programs_of_the_desktop_set_modes_too() {
    let _others = crate::beside_others();
    let (desktop, _windows) = desktop_with_windows(&["-g", "1280x800"]);
    let mut watcher = user(&desktop);
    watcher.order("monitors 0:1001x701+0+0");
    expect_screen(&desktop, 1001, 701);
    let set = desktop
        .client(Command::new("xrandr").args(["-s", "1024x768"]))
        .status();
    assert!(set.unwrap().success());
    expect_screen(&desktop, 1024, 768);
    expect_exact(&mut watcher);
    assert_eq!(heads(&mut watcher), [[0, 0, 0, 1024, 768]]);
    watcher.idle(Duration::from_secs(3));
    assert_eq!(screen(&desktop), (1024, 768), "nobody sets it back");
    watcher.order("monitors 0:1001x701+0+0");
    expect_screen(&desktop, 1001, 701);
    expect_exact(&mut watcher);
}

#[test]
fn dots_per_inch_are_the_clients_where_that_is_asked_for() {
    let _others = crate::beside_others();
    let width_mm = |arguments: &[&str]| {
        let desktop = Desktop::caraway_with(&[&["--auth", "none"], arguments].concat(), |_| ());
        let mut watcher = user(&desktop);
        watcher.order("monitors 0:1920x1200+0+0/344x215");
        expect_screen(&desktop, 1920, 1200);
        let x = XClient::connect(&desktop);
        let monitors = x.connection.randr_get_monitors(x.root, true).unwrap();
        let of_output = monitors.reply().unwrap().monitors[0].width_in_millimeters;
        let of_screen = x.connection.setup().roots[0].width_in_millimeters;
        (of_output, of_screen)
    };
    // 142 dots per inch, and 96.
    assert_eq!(width_mm(&["--dpi", "client"]), (343, 343));
    assert_eq!(width_mm(&[]), (508, 508));
}

#[test]
fn a_desktop_that_is_to_keep_its_size_keeps_it() {
    let _others = crate::beside_others();
    let desktop = Desktop::caraway_with(
        &["--auth", "none", "-g", "1280x800", "--resize", "off"],
        |_| (),
    );
    let mut watcher = Watcher::connect(&desktop);
    let agent = watcher.ask_for("wait-agent 1000", Duration::from_secs(1));
    assert_eq!(agent["ok"], false, "{agent}");
    watcher.ask("monitors 0:1000x700+0+0");
    watcher.idle(Duration::from_secs(1));
    assert_eq!(screen(&desktop), (1280, 800));
}

#[test]
fn remote_viewers_window_makes_the_desktop_as_large() {
    let _others = crate::beside_others();
    let (desktop, _windows) = desktop_with_windows(&["-g", "1024x768"]);
    let viewer = Viewer::start(&desktop.uri);
    for (width, height) in [(1101, 903), (800, 640)] {
        // With a size of its own first: it shows the desktop's, which becomes its window's.
        wait_until(PATIENCE, || {
            !viewer.screen.picture().iter().all(|pixel| *pixel == 0)
        });
        std::thread::sleep(Duration::from_secs(2));
        let window = viewer.windows()[0].1;
        let size = ConfigureWindowAux::new()
            .x(0)
            .y(0)
            .width(width)
            .height(height);
        let connection = &viewer.screen.connection;
        connection.configure_window(window, &size).unwrap();
        connection.flush().unwrap();
        // All but the decoration that GTK draws itself.
        let follows = |is: (u16, u16)| {
            let (is_width, is_height) = (u32::from(is.0), u32::from(is.1));
            (width - 60..=width).contains(&is_width) && (height - 120..height).contains(&is_height)
        };
        let followed = wait_until(PATIENCE, || follows(screen(&desktop)));
        save(
            &output_folder().join("remote-viewer-resized.ppm"),
            &viewer.screen,
        );
        assert!(
            followed,
            "{width}x{height}: the desktop is {:?}",
            screen(&desktop)
        );
        // Unscaled, so a row of the terminal is somewhere in the window.
        let client = XClient::connect(&desktop);
        let columns = usize::from(screen(&desktop).0);
        let shown = wait_until(PATIENCE, || {
            // Read each time: the terminal draws itself anew at its new size.
            let picture = client.picture();
            let row = &picture[60 * columns..61 * columns];
            let seen = viewer.screen.picture();
            seen.windows(row.len()).any(|pixels| pixels == row)
        });
        save(
            &output_folder().join("remote-viewer-resized.ppm"),
            &viewer.screen,
        );
        assert!(shown, "see target/peers/remote-viewer-resized.ppm");
    }
}
