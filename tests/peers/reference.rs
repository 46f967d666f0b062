//! The instruments themselves, proved on the reference server: what they call exact is exact, and what they call wrong
//! is wrong. Without this a test of ours could pass because its instrument sees nothing.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt as _, CreateGCAux, Rectangle};
use x11rb::wrapper::ConnectionExt as _;

use crate::desktop::Desktop;
use crate::process::{Running, cpu_time};
use crate::relay::Relay;
use crate::watcher::Watcher;
use crate::x_client::XClient;

const PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn the_instruments_find_the_reference_exact_and_each_wrong_pixel() {
    let _alone = crate::alone();
    let desktop = Desktop::xspice("1024x768");
    let mut watcher = Watcher::connect(&desktop);
    // Xspice stands still under more than this.
    let drawing = desktop.draw(&["random", "1", "1500", "3"]);
    drawing.event("done", Duration::from_secs(60));
    let exact = watcher
        .wait_exact(PATIENCE)
        .unwrap_or_else(|wrong| panic!("{}", wrong.answer));
    assert_eq!(exact.wrong, 0);

    // While the client does not read, its picture is the old one: exactly six pixels of it.
    let before = watcher.compare();
    assert_eq!(before.wrong, 0, "{}", before.answer);
    watcher.begin("pause 600");
    watcher.begin(&format!("compare {}", desktop.display));
    std::thread::sleep(Duration::from_millis(100));
    let x = XClient::connect(&desktop);
    let window = x.cover_spot(500, 300, 3, 2, x.pixel(500, 300) ^ 0x00ff_ffff);
    watcher.answer(PATIENCE);
    let found = watcher.answer(PATIENCE);
    let area: Vec<u64> = found["box"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| edge.as_u64().unwrap())
        .collect();
    let wrong = found["wrong"].as_u64().unwrap();
    assert!((1..=6).contains(&wrong), "{found}");
    assert!(
        500 <= area[0] && 300 <= area[1] && area[2] <= 503 && area[3] <= 302,
        "{found}"
    );
    watcher
        .wait_exact(PATIENCE)
        .unwrap_or_else(|wrong| panic!("{}", wrong.answer));
    x.connection.destroy_window(window).unwrap();
    x.connection.sync().unwrap();
}

#[test]
fn the_slow_line_is_as_slow_as_it_says() {
    let _alone = crate::alone();
    let desktop = Desktop::xspice("1024x768");
    let x = XClient::connect(&desktop);
    let gc = x.connection.generate_id().unwrap();
    x.connection
        .create_gc(gc, x.root, &CreateGCAux::new().foreground(0x0012_3456))
        .unwrap();
    let all = Rectangle {
        x: 0,
        y: 0,
        width: x.width,
        height: x.height,
    };
    x.connection
        .poly_fill_rectangle(x.root, gc, &[all])
        .unwrap();
    x.connection.sync().unwrap();
    // The reference measures the line with 256 KB when a client connects: 2 s at 1 Mbit/s.
    let relay = Relay::start(desktop.port(), 1_000_000);
    let started = std::time::Instant::now();
    let mut watcher = Watcher::connect_through(&desktop, &relay.uri());
    watcher
        .wait_exact(PATIENCE)
        .unwrap_or_else(|wrong| panic!("{}", wrong.answer));
    let kilobits = relay.bytes() as f64 * 8.0 / 1000.0;
    let rate = kilobits / started.elapsed().as_secs_f64();
    assert!(
        relay.bytes() > 100_000,
        "too little to tell: {} bytes",
        relay.bytes()
    );
    assert!((300.0..1100.0).contains(&rate), "{rate:.0} kbit/s");
}

#[test]
fn cpu_time_is_counted() {
    let _alone = crate::alone();
    let spinning = Running::start(Path::new("/bin/sh"), Stdio::inherit(), |command| {
        command.args(["-c", "while :; do :; done"]);
    });
    let resting = Running::start(Path::new("/bin/sleep"), Stdio::inherit(), |command| {
        command.arg("60");
    });
    std::thread::sleep(Duration::from_millis(200));
    let before = [cpu_time(spinning.pid()), cpu_time(resting.pid())];
    std::thread::sleep(Duration::from_secs(1));
    let spent = [
        cpu_time(spinning.pid()) - before[0],
        cpu_time(resting.pid()) - before[1],
    ];
    assert!(
        Duration::from_millis(200) < spent[0],
        "a busy process used {:?}",
        spent[0]
    );
    assert!(
        spent[0] < Duration::from_millis(1200),
        "a busy process used {:?}",
        spent[0]
    );
    assert!(
        spent[1] < Duration::from_millis(1),
        "an idle process used {:?}",
        spent[1]
    );
}
