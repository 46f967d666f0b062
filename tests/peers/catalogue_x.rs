//! The catalogue's rows about programs of the desktop that mean harm (docs/security-tests.md): they may spoil their own
//! desktop's day, but clients still come in, the server stays small, and all is well when they are gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, CreateGCAux, CreateWindowAux,
    EventMask, PropMode, Property, Rectangle, SELECTION_NOTIFY_EVENT, SelectionNotifyEvent,
    SelectionRequestEvent, Window, WindowClass,
};
use x11rb::wrapper::ConnectionExt as _;

use crate::catalogue_door::Dice;
use crate::desktop::Desktop;
use crate::process::{anonymous_bytes, cpu_time, is_alive};
use crate::watcher::Watcher;
use crate::x_client::XClient;

/// A SPICE client is in by then, whatever programs do.
const IN_WITHIN: Duration = Duration::from_secs(2);

/// The same on a machine that does other things meanwhile.
const IN_WITHIN_BUSY: Duration = Duration::from_secs(8);

/// What all attacks together may leave in the server's memory.
const GROWTH_MAX: u64 = 64 << 20;

/// Requests that a program makes before it waits for X: more would only lie in its own socket.
const BATCH: usize = 500;

/// One batch of an attack.
type Attack = fn(&XClient, &mut Dice);

const ATTACKS: [(&str, Attack); 8] = [
    ("rectangles", rectangles),
    ("copies", copies),
    ("huge windows", huge_windows),
    ("cursors", cursors),
    ("owners of the clipboard", owners),
    ("the pointer", pointer),
    ("a grabbed server", grab),
    ("properties", properties),
];

fn coordinate(dice: &mut Dice) -> i16 {
    i16::try_from(dice.roll(1024)).unwrap()
}

fn rectangles(x: &XClient, dice: &mut Dice) {
    for _ in 0..BATCH {
        let gc = x.connection.generate_id().unwrap();
        let color = CreateGCAux::new().foreground(dice.roll(1 << 24) as u32);
        x.connection.create_gc(gc, x.root, &color).unwrap();
        let rectangle = Rectangle {
            x: coordinate(dice),
            y: coordinate(dice),
            width: coordinate(dice) as u16,
            height: coordinate(dice) as u16,
        };
        x.connection
            .poly_fill_rectangle(x.root, gc, &[rectangle])
            .unwrap();
        x.connection.free_gc(gc).unwrap();
    }
}

fn copies(x: &XClient, dice: &mut Dice) {
    let gc = x.connection.generate_id().unwrap();
    x.connection
        .create_gc(gc, x.root, &CreateGCAux::new())
        .unwrap();
    for _ in 0..BATCH {
        let [from_x, from_y, to_x, to_y] = [(); 4].map(|()| coordinate(dice));
        x.connection
            .copy_area(x.root, x.root, gc, from_x, from_y, to_x, to_y, 800, 600)
            .unwrap();
    }
    x.connection.free_gc(gc).unwrap();
}

fn huge_windows(x: &XClient, dice: &mut Dice) {
    let windows: Vec<Window> = (0..20)
        .map(|_| {
            let window = x.connection.generate_id().unwrap();
            let look = CreateWindowAux::new()
                .background_pixel(dice.roll(1 << 24) as u32)
                .override_redirect(1);
            let depth = x11rb::COPY_DEPTH_FROM_PARENT;
            let (left, top) = (-coordinate(dice) * 16, -coordinate(dice) * 16);
            x.connection
                .create_window(
                    depth,
                    window,
                    x.root,
                    left,
                    top,
                    32767,
                    32767,
                    0,
                    WindowClass::INPUT_OUTPUT,
                    0,
                    &look,
                )
                .unwrap();
            x.connection.map_window(window).unwrap();
            window
        })
        .collect();
    for window in windows {
        x.connection.destroy_window(window).unwrap();
    }
}

fn cursors(x: &XClient, dice: &mut Dice) {
    let pixmap = x.connection.generate_id().unwrap();
    let size = 64 + dice.roll(64) as u16;
    x.connection
        .create_pixmap(1, pixmap, x.root, size, size)
        .unwrap();
    for _ in 0..BATCH {
        let cursor = x.connection.generate_id().unwrap();
        let color = dice.roll(65536) as u16;
        x.connection
            .create_cursor(cursor, pixmap, pixmap, color, 0, 0, 0, color, 0, 1, 1)
            .unwrap();
        let change = ChangeWindowAttributesAux::new().cursor(cursor);
        x.connection
            .change_window_attributes(x.root, &change)
            .unwrap();
        x.connection.free_cursor(cursor).unwrap();
    }
    x.connection.free_pixmap(pixmap).unwrap();
}

fn owners(x: &XClient, _: &mut Dice) {
    let selection = atom(x, "CLIPBOARD");
    for _ in 0..BATCH {
        let window = small_window(x);
        for selection in [selection, AtomEnum::PRIMARY.into()] {
            x.connection
                .set_selection_owner(window, selection, x11rb::CURRENT_TIME)
                .unwrap();
        }
        x.connection.destroy_window(window).unwrap();
    }
}

fn pointer(x: &XClient, dice: &mut Dice) {
    for _ in 0..BATCH {
        x.connection
            .warp_pointer(
                x11rb::NONE,
                x.root,
                0,
                0,
                0,
                0,
                coordinate(dice),
                coordinate(dice),
            )
            .unwrap();
    }
}

fn grab(x: &XClient, _: &mut Dice) {
    x.connection.grab_server().unwrap();
    x.connection.get_input_focus().unwrap().reply().unwrap();
    std::thread::sleep(Duration::from_millis(400));
    x.connection.ungrab_server().unwrap();
}

fn properties(x: &XClient, dice: &mut Dice) {
    let name = atom(x, "WM_NAME");
    for _ in 0..BATCH / 10 {
        let text = vec![dice.byte(); 60_000];
        x.connection
            .change_property8(PropMode::REPLACE, x.root, name, AtomEnum::STRING, &text)
            .unwrap();
    }
}

fn atom(x: &XClient, name: &str) -> u32 {
    let cookie = x.connection.intern_atom(false, name.as_bytes()).unwrap();
    cookie.reply().unwrap().atom
}

fn small_window(x: &XClient) -> Window {
    let window = x.connection.generate_id().unwrap();
    let (depth, look) = (x11rb::COPY_DEPTH_FROM_PARENT, CreateWindowAux::new());
    let look = look.event_mask(EventMask::PROPERTY_CHANGE);
    x.connection
        .create_window(
            depth,
            window,
            x.root,
            0,
            0,
            1,
            1,
            0,
            WindowClass::INPUT_OUTPUT,
            0,
            &look,
        )
        .unwrap();
    window
}

/// Lets each of the attacks go on for that long, and a client come in meanwhile. Returns the longest that one took.
fn attack(attacks: &[(&str, Attack)], span: Duration) -> Duration {
    let desktop = Desktop::subject("1024x768");
    let server = desktop.server_pid().unwrap();
    drop(Watcher::connect(&desktop));
    let (memory, mut slowest) = (anonymous_bytes(server), Duration::ZERO);
    for (name, batch) in attacks {
        let (attacking, start, before) = (AtomicBool::new(true), Instant::now(), cpu_time(server));
        let x = XClient::connect(&desktop);
        let (batches, took) = std::thread::scope(|scope| {
            let attacker = scope.spawn(|| {
                let (mut dice, mut batches) = (Dice(0xbad), 0_u64);
                while attacking.load(Ordering::Relaxed) {
                    batch(&x, &mut dice);
                    x.connection.get_input_focus().unwrap().reply().unwrap();
                    while x.connection.poll_for_event().unwrap().is_some() {}
                    batches += 1;
                }
                batches
            });
            let mut watcher = Watcher::new(&desktop);
            let begun = Instant::now();
            let answer = watcher.open(&desktop.uri, &desktop.password);
            let took = begun.elapsed();
            std::thread::sleep(span.saturating_sub(start.elapsed()));
            attacking.store(false, Ordering::Relaxed);
            assert_eq!(answer["ok"], true, "{name}: {answer}");
            (attacker.join().unwrap(), took)
        });
        // A flood that came to a stand says nothing about who holds it off.
        assert!(span.as_secs() <= batches, "{name}: {batches} batches");
        let share = (cpu_time(server) - before).as_secs_f64() / start.elapsed().as_secs_f64();
        let growth = anonymous_bytes(server).saturating_sub(memory) >> 20;
        eprintln!(
            "E1 {name}: {batches} batches, in after {took:?}, {share:.2} CPUs, {growth} MiB more"
        );
        slowest = slowest.max(took);
    }
    assert_eq!(desktop.server_pid(), Some(server), "{}", desktop.log());
    assert!(is_alive(desktop.xorg_pid));
    let growth = anonymous_bytes(server).saturating_sub(memory);
    assert!(growth <= GROWTH_MAX, "{growth} bytes");
    let exact = Watcher::connect(&desktop).wait_exact(Duration::from_secs(10));
    exact.unwrap_or_else(|wrong| panic!("{}", wrong.answer));
    slowest
}

/// E1: programs that flood X keep no client out, and the server stays as it was.
#[test]
fn programs_that_flood_x_keep_no_client_out() {
    let _others = crate::beside_others();
    let slowest = attack(&ATTACKS, Duration::from_millis(200));
    assert!(slowest <= IN_WITHIN_BUSY, "{slowest:?}");
}

/// E1, a minute of each.
#[test]
#[ignore = "takes eight minutes"]
fn bench_programs_that_flood_x_for_a_minute_each() {
    let _alone = crate::alone();
    let slowest = attack(&ATTACKS, Duration::from_secs(60));
    assert!(slowest <= IN_WITHIN, "{slowest:?}");
}

/// E1, the one that once made the server grow.
#[test]
#[ignore = "takes a minute"]
fn bench_owners_that_change_for_a_minute() {
    let _alone = crate::alone();
    let slowest = attack(
        &[("owners of the clipboard", owners)],
        Duration::from_secs(60),
    );
    assert!(slowest <= IN_WITHIN, "{slowest:?}");
}

/// E2: a program whose copied text never ends is given up at the limit, and costs no more than that.
#[test]
fn a_clipboard_that_never_ends_is_refused_at_the_limit() {
    let _others = crate::beside_others();
    let arguments = ["--auth", "none", "-g", "640x480", "--clipboard-max", "4"];
    let desktop = Desktop::caraway_with(&arguments, |_| ());
    let server = desktop.server_pid().unwrap();
    let mut client = Watcher::connect(&desktop);
    let x = XClient::connect(&desktop);
    let (window, selection) = (small_window(&x), atom(&x, "CLIPBOARD"));
    x.connection
        .set_selection_owner(window, selection, x11rb::CURRENT_TIME)
        .unwrap();
    x.connection.flush().unwrap();
    let memory = anonymous_bytes(server);
    let pasting = AtomicBool::new(true);
    let (answer, sent) = std::thread::scope(|scope| {
        let owner = scope.spawn(|| give_without_end(&x, &pasting));
        let heard = client.ask_for("clip-wait 0 1 10000", Duration::from_secs(10));
        assert_eq!(heard["ok"], true, "{heard}: {}", desktop.log());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pasted");
        let paste = format!("clip-paste 0 1 {} 15000", file.display());
        let answer = client.ask_for(&paste, Duration::from_secs(15));
        pasting.store(false, Ordering::Relaxed);
        (answer, owner.join().unwrap())
    });
    let growth = anonymous_bytes(server).saturating_sub(memory);
    eprintln!(
        "E2: {} MiB of an endless text, {} MiB more, {answer}",
        sent >> 20,
        growth >> 20
    );
    assert_eq!(answer["type"], 0, "{answer}");
    let refused = "larger than 4194304 bytes";
    assert!(0 < desktop.await_in_log(refused, 1), "{}", desktop.log());
    assert!(growth <= 20 << 20, "{growth} bytes");
    assert_eq!(client.stats()["error"], "");
}

/// Answers every request for the selection with INCR of 1 GiB and then pieces without end; bytes that were given.
fn give_without_end(x: &XClient, goes_on: &AtomicBool) -> usize {
    let (targets, text, incr) = (atom(x, "TARGETS"), atom(x, "UTF8_STRING"), atom(x, "INCR"));
    let piece = vec![b'x'; 200_000];
    let (mut reader, mut given) = (None, 0);
    while goes_on.load(Ordering::Relaxed) {
        let Some(event) = x.connection.poll_for_event().unwrap() else {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        match event {
            Event::SelectionRequest(request) => {
                let (window, property) = (request.requestor, request.property);
                if request.target == targets {
                    let kinds = [targets, text];
                    x.connection
                        .change_property32(
                            PropMode::REPLACE,
                            window,
                            property,
                            AtomEnum::ATOM,
                            &kinds,
                        )
                        .unwrap();
                } else {
                    let watch =
                        ChangeWindowAttributesAux::new().event_mask(EventMask::PROPERTY_CHANGE);
                    x.connection
                        .change_window_attributes(window, &watch)
                        .unwrap();
                    x.connection
                        .change_property32(PropMode::REPLACE, window, property, incr, &[1 << 30])
                        .unwrap();
                    reader = Some((window, property));
                }
                notify(x, &request);
            }
            Event::PropertyNotify(change) if change.state == Property::DELETE => {
                if let Some((window, property)) = reader
                    && (change.window, change.atom) == (window, property)
                {
                    x.connection
                        .change_property8(PropMode::REPLACE, window, property, text, &piece)
                        .unwrap();
                    given += piece.len();
                }
            }
            _ => {}
        }
        x.connection.flush().unwrap();
    }
    given
}

fn notify(x: &XClient, request: &SelectionRequestEvent) {
    let notice = SelectionNotifyEvent {
        response_type: SELECTION_NOTIFY_EVENT,
        sequence: 0,
        time: request.time,
        requestor: request.requestor,
        selection: request.selection,
        target: request.target,
        property: request.property,
    };
    x.connection
        .send_event(false, request.requestor, EventMask::NO_EVENT, notice)
        .unwrap();
}
