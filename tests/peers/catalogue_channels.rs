//! The catalogue's rows about clients that have logged in (docs/security-tests.md): what they send, how they stop, and
//! what it costs the others.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use x11rb::connection::Connection;
use x11rb::protocol::xproto::{ConnectionExt as _, ImageFormat};

use crate::catalogue_door::Dice;
use crate::desktop::Desktop;
use crate::hostile::Bystander;
use crate::link::{
    CURSOR, DISPLAY, INPUTS, LinkMessage, MAIN, Outcome, PLAYBACK, RECORD, RawLink, WEBDAV,
    full_message, message,
};
use crate::process::{anonymous_bytes, open_files, signal, wait_until};
use crate::watcher::Watcher;
use crate::x_client::XClient;

const GEOMETRY: &str = "1024x768";

const CHANNELS: [u8; 7] = [MAIN, DISPLAY, INPUTS, CURSOR, PLAYBACK, RECORD, WEBDAV];

/// Who breaks the rules is out by then.
const OUT_WITHIN: Duration = Duration::from_millis(100);

/// The same on a machine that does other things meanwhile.
const OUT_WITHIN_BUSY: Duration = Duration::from_secs(1);

/// What all of them together may leave in the server's memory.
const GROWTH_MAX: u64 = 4 << 20;

/// A channel of a new client; its main channel is the other one, unless it is that itself.
fn open(desktop: &Desktop, channel_type: u8, mini: bool) -> (RawLink, Option<RawLink>) {
    let hello = |channel_type, connection_id| {
        let mut hello = LinkMessage::good(channel_type, connection_id);
        hello.common_caps = vec![if mini { 0b1011 } else { 0b0011 }];
        hello
    };
    let mut main = RawLink::open_with(desktop.port(), &hello(MAIN, 0));
    if channel_type == MAIN {
        return (main, None);
    }
    let connection_id = main.session_id(mini);
    let link = RawLink::open_with(desktop.port(), &hello(channel_type, connection_id));
    (link, Some(main))
}

/// A message that is nearly right. Numbers of clients' messages are at most 115 on every channel.
fn nearly_right(dice: &mut Dice, mini: bool) -> Vec<u8> {
    const SIZES: [usize; 9] = [0, 1, 2, 4, 8, 9, 12, 14, 20];
    let number = match dice.roll(4) {
        0 => dice.pick(&[1, 2, 3, 6]),
        _ => 101 + dice.roll(15) as u16,
    };
    let body: Vec<u8> = (0..dice.pick(&SIZES))
        .map(|_| dice.pick(&[0, 1, 2, 0x1e, 0xff]))
        .collect();
    let mut size = u32::try_from(body.len()).unwrap();
    match dice.roll(40) {
        0 => size = size.wrapping_sub(1),
        1 => size += 1,
        _ => {}
    }
    if mini {
        message(number, size, &body)
    } else {
        full_message(number, size, &body)
    }
}

/// What came of many mutated messages.
#[derive(Debug, Default)]
struct Mutated {
    messages: usize,
    offenders: usize,
    slowest: Duration,
}

/// Sends so many to one kind of channel, by as many clients as that takes.
fn mutate(desktop: &Desktop, channel_type: u8, count: usize, outcome: &mut Mutated) {
    let mut dice = Dice(0xd1ce ^ u64::from(channel_type) << 32 ^ count as u64);
    let mut sent = 0;
    while sent < count {
        let mini = dice.roll(2) == 0;
        let (mut link, _main) = open(desktop, channel_type, mini);
        for _ in 0..100.min(count - sent) {
            link.send(&nearly_right(&mut dice, mini));
            sent += 1;
            if link.has_ended() {
                break;
            }
        }
        // Whoever got away with it says what nobody gets away with.
        let last = if mini {
            message(60_000, 0, &[])
        } else {
            full_message(60_000, 0, &[])
        };
        link.send(&last);
        let start = Instant::now();
        assert_eq!(
            link.end(),
            Outcome::Closed,
            "channel {channel_type} after {sent}"
        );
        outcome.slowest = outcome.slowest.max(start.elapsed());
        outcome.offenders += 1;
    }
    outcome.messages += sent;
}

fn mutate_all(each: usize) -> (Mutated, u64) {
    let desktop = Desktop::subject(GEOMETRY);
    let mut bystander = Bystander::of(&desktop);
    let server = desktop.server_pid().unwrap();
    // The first clients bring the memory that all need.
    for channel_type in CHANNELS {
        mutate(&desktop, channel_type, 1, &mut Mutated::default());
    }
    let (memory, ended) = (
        anonymous_bytes(server),
        desktop.count_in_log("connection ended"),
    );
    let mut outcome = Mutated::default();
    for channel_type in CHANNELS {
        mutate(&desktop, channel_type, each, &mut outcome);
    }
    let growth = anonymous_bytes(server).saturating_sub(memory);
    bystander.never_noticed(&desktop, "mutated messages");
    let told = || desktop.count_in_log("connection ended") - ended;
    // Each has one line, and the line of its main channel that went with it is not an error's.
    let all_told = wait_until(Duration::from_secs(5), || outcome.offenders <= told());
    assert!(
        all_told,
        "{} lines of {} offenders",
        told(),
        outcome.offenders
    );
    assert!(told() <= outcome.offenders * 2, "{} lines", told());
    (outcome, growth)
}

/// B1: mutated messages on every channel, with both kinds of headers: each offender is out at once, with one line.
#[test]
fn mutated_messages_end_their_own_client_and_no_other() {
    let _others = crate::beside_others();
    let (outcome, growth) = mutate_all(100);
    eprintln!("B1: {outcome:?}, {growth} bytes more");
    assert!(outcome.slowest <= OUT_WITHIN_BUSY, "{outcome:?}");
    assert!(growth <= GROWTH_MAX, "{growth} bytes");
}

/// B1, thousands of each.
#[test]
#[ignore = "makes some thousand ticket keys"]
fn bench_five_thousand_mutated_messages_on_each_channel() {
    let _alone = crate::alone();
    let (outcome, growth) = mutate_all(5000);
    eprintln!("B1: {outcome:?}, {growth} bytes more");
    assert!(outcome.slowest <= OUT_WITHIN, "{outcome:?}");
    assert!(growth <= GROWTH_MAX, "{growth} bytes");
}

/// B2: who claims 1 GiB is out at the header, whatever comes behind it; B5: so is whoever speaks of migration.
#[test]
fn claims_of_a_gigabyte_and_migration_end_a_client_at_once() {
    let _others = crate::beside_others();
    let desktop = Desktop::subject(GEOMETRY);
    let mut bystander = Bystander::of(&desktop);
    let server = desktop.server_pid().unwrap();
    drop(open(&desktop, DISPLAY, true));
    for channel_type in CHANNELS {
        let (mut link, _main) = open(&desktop, channel_type, true);
        let memory = anonymous_bytes(server);
        link.send(&message(101, 1 << 30, &[]));
        let taken = link.push(64 << 20);
        let growth = anonymous_bytes(server).saturating_sub(memory);
        assert!(
            taken <= 4 << 20,
            "channel {channel_type} took {taken} bytes"
        );
        assert!(
            growth <= 1 << 20,
            "channel {channel_type} cost {growth} bytes"
        );
        // MIGRATE_FLUSH_MARK and MIGRATE_DATA are every channel's.
        for number in [4, 5] {
            let (mut link, _main) = open(&desktop, channel_type, true);
            link.send(&message(number, 0, &[]));
            assert_eq!(
                link.end(),
                Outcome::Closed,
                "{number} on channel {channel_type}"
            );
        }
    }
    for (number, size) in [(102, 0), (103, 0), (109, 0), (110, 4), (111, 0)] {
        let (mut main, _) = open(&desktop, MAIN, true);
        main.send(&message(number, size, &vec![0; size as usize]));
        assert_eq!(main.end(), Outcome::Closed, "{number} on the main channel");
    }
    bystander.never_noticed(&desktop, "large claims and migration");
}

/// B6: clients that stop after any step, while X draws.
#[test]
fn clients_that_stop_at_any_step_leave_nothing() {
    let _others = crate::beside_others();
    let desktop = Desktop::subject(GEOMETRY);
    let mut bystander = Bystander::of(&desktop);
    let server = desktop.server_pid().unwrap();
    let (files, mut memory) = (open_files(server), u64::MAX);
    let drawing = desktop.draw(&["random", "11", "1000000", "600"]);
    for round in 0..80 {
        if round == 30 {
            memory = anonymous_bytes(server);
        }
        stop_after(&desktop, round % 10, round / 10);
    }
    drop(drawing);
    let is_over = wait_until(Duration::from_secs(5), || open_files(server) <= files);
    assert!(is_over, "{:?} files, {files:?} before", open_files(server));
    // What the server remembers of a picture that changes everywhere grows for a while; the bench of D1 tells leaks.
    let growth = anonymous_bytes(server).saturating_sub(memory);
    assert!(growth <= 16 << 20, "{growth} bytes");
    bystander.is_still_served(&desktop, "clients that stopped");
}

/// Does so many steps of a client's beginning and goes, in one way or another.
fn stop_after(desktop: &Desktop, steps: usize, way: usize) {
    let (mut main, session_id) = RawLink::open_main(desktop.port());
    let mut links = Vec::new();
    for step in 0..steps {
        match step {
            0 => main.send(&message(104, 0, &[])),
            1 => links.push(RawLink::open(desktop.port(), DISPLAY, session_id)),
            2 => links[0].send(&message(101, 14, &[0; 14])),
            3 => links.push(RawLink::open(desktop.port(), INPUTS, session_id)),
            4 => links[1].send(&message(101, 4, &[0x1e, 0, 0, 0])),
            5..=7 => drop(links[0].try_message()),
            _ => links[0].send(&message(2, 0, &[])),
        }
    }
    if way.is_multiple_of(2) {
        links.drain(..).for_each(RawLink::reset);
        main.reset();
    } else if way == 1 {
        main.finish();
        main.send(&[1]);
    }
}

/// An X client that draws what does not hide each other, and cannot be made small.
struct Noise {
    x: XClient,
    gc: u32,
    dice: Dice,
}

impl Noise {
    fn new(desktop: &Desktop) -> Self {
        let x = XClient::connect(desktop);
        let gc = x.connection.generate_id().unwrap();
        let look = x11rb::protocol::xproto::CreateGCAux::new();
        x.connection.create_gc(gc, x.root, &look).unwrap();
        Self {
            x,
            gc,
            dice: Dice(99),
        }
    }

    /// Draws for so long: tiles, and the longest that X kept it waiting.
    fn draw(&mut self, time: Duration) -> (usize, Duration) {
        let Self { x, gc, dice } = self;
        let (start, mut tiles, mut worst) = (Instant::now(), 0, Duration::ZERO);
        while start.elapsed() < time {
            for tile in 0..8_i16 {
                let data: Vec<u8> = (0..128 * 128 * 4).map(|_| dice.byte()).collect();
                let (left, top) = (tile * 128, i16::try_from(dice.roll(900)).unwrap());
                let (format, depth) = (ImageFormat::Z_PIXMAP, 24);
                x.connection
                    .put_image(format, x.root, *gc, 128, 128, left, top, 0, depth, &data)
                    .unwrap();
                tiles += 1;
            }
            let asked = Instant::now();
            x.connection.get_input_focus().unwrap().reply().unwrap();
            worst = worst.max(asked.elapsed());
        }
        (tiles, worst)
    }
}

/// What a reader that stops costs the others while the whole screen changes.
/// The same goes on for `before` without it.
fn stall(before: Duration, seconds: u64, waits_max: Duration) {
    let desktop = Desktop::subject("1920x1080");
    let mut bystander = Bystander::of(&desktop);
    let server = desktop.server_pid().unwrap();
    let mut noise = Noise::new(&desktop);
    // What the server needs for such a picture anyway, and how long X keeps a client waiting by itself.
    let (_, usual) = noise.draw(before);
    let memory = anonymous_bytes(server);
    let (mut stalled, _main) = open(&desktop, DISPLAY, true);
    stalled.send(&message(101, 14, &[0; 14]));
    let (drawn, worst) = noise.draw(Duration::from_secs(seconds));
    let growth = anonymous_bytes(server).saturating_sub(memory);
    let login = Instant::now();
    let _other = RawLink::open_main(desktop.port());
    let login = login.elapsed();
    eprintln!(
        "C1: {drawn} tiles in {seconds} s, an X client waits {worst:?} at worst ({usual:?} without it), {} MiB, \
         others in after {login:?}",
        growth >> 20
    );
    assert!(growth <= 32 << 20, "{growth} bytes");
    assert!(login <= Duration::from_secs(1), "{login:?}");
    assert!(worst <= waits_max, "{worst:?}");
    bystander.is_still_served(&desktop, "a reader that stopped");
}

/// C1: nobody waits for a client that reads nothing.
#[test]
fn a_reader_that_stops_costs_nobody_anything() {
    let _alone = crate::alone();
    // A busy machine holds up X by itself; a server that did would do so for seconds.
    stall(Duration::from_secs(1), 3, Duration::from_millis(250));
}

/// C1 for a minute.
#[test]
#[ignore = "takes a minute"]
fn bench_a_reader_that_stops_for_a_minute() {
    let _alone = crate::alone();
    // The same drawing where there is no server and no client: what X and this machine need for it by themselves.
    let dummy = Desktop::dummy("1920x1080");
    let (tiles, worst) = Noise::new(&dummy).draw(Duration::from_secs(30));
    eprintln!(
        "C1: {tiles} tiles in 30 s on Xorg's dummy driver, an X client waits {worst:?} at worst"
    );
    drop(dummy);
    stall(Duration::from_secs(30), 60, Duration::from_millis(50));
}

fn stopped_client(time: Duration) {
    let desktop = Desktop::subject(GEOMETRY);
    let mut stopped = Watcher::connect(&desktop);
    signal(stopped.pid(), nix::sys::signal::Signal::SIGSTOP);
    let drawing = desktop.draw(&["random", "12", "3000", "1"]);
    let login = Instant::now();
    let (main, _) = RawLink::open_main(desktop.port());
    let login = login.elapsed();
    drop(main);
    drawing.event("done", Duration::from_secs(20));
    std::thread::sleep(time);
    signal(stopped.pid(), nix::sys::signal::Signal::SIGCONT);
    let again = stopped.wait_exact(Duration::from_secs(10));
    again.unwrap_or_else(|wrong| panic!("{}", wrong.answer));
    eprintln!("C3: another came in after {login:?} while a client was stopped for {time:?}");
    assert!(login <= Duration::from_millis(500), "{login:?}");
}

/// C3: a client that is stopped keeps nobody out, and has the exact picture when it goes on.
#[test]
fn a_stopped_client_keeps_nobody_out_and_catches_up() {
    let _others = crate::beside_others();
    stopped_client(Duration::from_secs(1));
}

/// C3 for a minute.
#[test]
#[ignore = "takes a minute"]
fn bench_a_client_that_is_stopped_for_a_minute() {
    let _alone = crate::alone();
    stopped_client(Duration::from_secs(60));
}

/// D1: ten thousand clients come and go; a tenth of them look at the picture.
#[test]
#[ignore = "makes more than ten thousand ticket keys"]
fn bench_ten_thousand_clients_leave_nothing() {
    let _alone = crate::alone();
    let desktop = Desktop::subject(GEOMETRY);
    let server = desktop.server_pid().unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], desktop.port()));
    let visit = |number: usize| {
        let start = Instant::now();
        let (_main, session_id) = RawLink::open_main(address.port());
        let took = start.elapsed();
        if number.is_multiple_of(10) {
            let mut display = RawLink::open(address.port(), DISPLAY, session_id);
            display.send(&message(101, 14, &[0; 14]));
            (0..5).for_each(|_| drop(display.message()));
        }
        took
    };
    for number in 0..100 {
        visit(number);
    }
    std::thread::sleep(Duration::from_secs(1));
    let (memory, files) = (anonymous_bytes(server), open_files(server));
    let mut times: Vec<_> = (0..10_000).map(visit).collect();
    times.sort();
    let is_over = wait_until(Duration::from_secs(5), || open_files(server) <= files);
    let growth = anonymous_bytes(server).saturating_sub(memory);
    eprintln!(
        "D1: 10000 clients, {growth} bytes more, median {:?}, p99 {:?}",
        times[5000], times[9900]
    );
    assert!(is_over, "{:?} files, {files:?} before", open_files(server));
    assert!(growth <= 2 << 20, "{growth} bytes");
    assert!(
        times[9900] <= Duration::from_millis(100),
        "{:?}",
        times[9900]
    );
}
