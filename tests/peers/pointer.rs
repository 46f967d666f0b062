//! The pointer goes where the client says, in both mouse modes, with every button that the protocol has.

use std::time::Duration;

use x11rb::protocol::Event;

use crate::desktop::Desktop;
use crate::process::wait_until;
use crate::watcher::Watcher;
use crate::x_client::XClient;

const TIMEOUT: Duration = Duration::from_secs(2);

/// SPICE buttons and X's: left, middle, right, wheel up and down, side, extra. X's 6 and 7 are the horizontal wheel,
/// which the protocol does not have.
const BUTTONS: [(u32, u8); 7] = [(1, 1), (2, 2), (3, 3), (4, 4), (5, 5), (6, 8), (7, 9)];

fn start(mode: &str) -> (Desktop, Watcher, XClient) {
    let desktop = Desktop::subject("1024x768");
    let x = XClient::connect(&desktop);
    x.cover_screen();
    let mut watcher = Watcher::connect(&desktop);
    watcher.order(&format!("mouse-mode {mode}"));
    let set = wait_until(TIMEOUT, || {
        watcher.idle(Duration::from_millis(20));
        watcher.stats()["mouse_mode"] == mode
    });
    assert!(
        set,
        "the mouse mode did not become {mode}: {}",
        watcher.stats()
    );
    x.forget_events();
    (desktop, watcher, x)
}

fn next_button(x: &XClient, timeout: Duration) -> Option<(bool, u8)> {
    x.wait_for(timeout, |event| match event {
        Event::ButtonPress(button) => Some((true, button.detail)),
        Event::ButtonRelease(button) => Some((false, button.detail)),
        _ => None,
    })
}

#[test]
fn in_client_mode_the_pointer_is_where_the_client_puts_it() {
    let _others = crate::beside_others();
    let (_desktop, mut watcher, x) = start("client");
    // The corners too: off by one there is how an absolute device is wrong.
    for (left, top) in [
        (0, 0),
        (1023, 767),
        (1023, 0),
        (0, 767),
        (511, 383),
        (1, 766),
    ] {
        watcher.order(&format!("position {left} {top} 0"));
        assert!(
            wait_until(TIMEOUT, || x.pointer() == (left, top)),
            "{left},{top}: {:?}",
            x.pointer()
        );
    }
}

#[test]
fn in_server_mode_the_pointer_moves_by_what_the_client_says() {
    let _others = crate::beside_others();
    let (_desktop, mut watcher, x) = start("server");
    let there = |x: &XClient| x.pointer();
    watcher.order("motion -3000 -3000 0");
    watcher.order("motion -3000 -3000 0");
    assert!(
        wait_until(TIMEOUT, || there(&x) == (0, 0)),
        "{:?}",
        there(&x)
    );
    for (dx, dy) in [(3, 2), (1, 0), (0, 1), (40, 25), (-5, -4)] {
        let before = there(&x);
        watcher.order(&format!("motion {dx} {dy} 0"));
        let after = (before.0 + dx, before.1 + dy);
        assert!(
            wait_until(TIMEOUT, || there(&x) == after),
            "{dx},{dy}: {before:?} became {:?}",
            there(&x)
        );
    }
}

#[test]
fn every_button_and_the_wheel_arrive_in_both_modes() {
    let _others = crate::beside_others();
    for mode in ["client", "server"] {
        let (_desktop, mut watcher, x) = start(mode);
        for (button, expected) in BUTTONS {
            watcher.order(&format!("press {button} 0"));
            assert_eq!(
                next_button(&x, TIMEOUT),
                Some((true, expected)),
                "{mode} mode, button {button}"
            );
            watcher.order(&format!("release {button} 0"));
            assert_eq!(
                next_button(&x, TIMEOUT),
                Some((false, expected)),
                "{mode} mode, button {button}"
            );
        }
        assert_eq!(
            next_button(&x, Duration::from_millis(200)),
            None,
            "more than was pressed"
        );
    }
}

#[test]
fn buttons_held_by_a_client_that_goes_are_released() {
    let _others = crate::beside_others();
    let (_desktop, mut watcher, x) = start("client");
    watcher.order("position 100 100 0");
    watcher.order("press 1 0");
    assert_eq!(next_button(&x, TIMEOUT), Some((true, 1)));
    drop(watcher);
    assert_eq!(next_button(&x, TIMEOUT), Some((false, 1)));
}

/// Motion is acknowledged when it is read, so a burst is taken at once and ends where it should.
#[test]
fn a_burst_of_motion_ends_at_its_end() {
    let _others = crate::beside_others();
    let (_desktop, mut watcher, x) = start("client");
    for step in 0..500 {
        watcher.begin(&format!("position {} {} 0", step * 2, step));
    }
    for _ in 0..500 {
        assert_eq!(watcher.answer(TIMEOUT)["ok"], true);
    }
    watcher.idle(Duration::from_millis(200));
    assert_eq!(x.pointer(), (998, 499));
}

#[test]
fn cursor_shapes_reach_the_client() {
    let _others = crate::beside_others();
    let (desktop, mut watcher, _x) = start("client");
    let mut seen = Vec::new();
    for shape in ["left_ptr", "xterm", "watch"] {
        let mut command = std::process::Command::new("xsetroot");
        // The cover window inherits the root's cursor.
        let status = desktop
            .client(command.args(["-cursor_name", shape]))
            .status()
            .unwrap();
        assert!(status.success());
        watcher.idle(Duration::from_millis(300));
        let cursor = watcher.stats()["cursor"].clone();
        assert!(cursor["width"].as_i64().unwrap() > 0, "{shape}: {cursor}");
        seen.push(cursor["hash"].as_str().unwrap().to_owned());
    }
    seen.dedup();
    assert_eq!(seen.len(), 3, "shapes that do not differ: {seen:?}");
}
