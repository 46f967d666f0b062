//! The catalogue's rows about those who have not logged in (docs/security-tests.md): they cost little, they end soon,
//! and nobody else waits for them.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::desktop::Desktop;
use crate::door::outer_address;
use crate::link::{LINK_OK, LinkMessage, MAIN, Outcome, RawLink};
use crate::process::{anonymous_bytes, cpu_time, open_files, wait_until};
use crate::secure_link::{SecureLink, client_hello};

const GEOMETRY: &str = "640x480";

/// What many refused connections may leave behind in the server's memory.
const GROWTH_MAX: u64 = 2 << 20;

/// A connection with bad bytes is over by then; a wrong ticket is answered after 600 ms.
const CLOSED_WITHIN: Duration = Duration::from_secs(1);

/// Who comes from elsewhere during a flood is in by then, also on a busy machine; the goal is a second.
const OTHERS_WITHIN_BUSY: Duration = Duration::from_secs(3);

/// Connections that a flood has at a time: the last ones are there when the server comes to look at them.
const STAYING: usize = 64;

/// Bad beginnings that are under way at a time: fewer than the server has places for.
const AT_ONCE: u64 = 16;

/// Numbers that look random and are the same each time.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % sides.max(1)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.roll(256) as u8
    }

    pub(crate) fn pick<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.roll(values.len())]
    }
}

/// A desktop with a ticket that takes plain bytes and TLS at one port. It is silent, so that the server opens nothing
/// for itself once it is ready.
fn ticketed() -> (Desktop, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = certificate(&folder);
    let files = [certificate.to_str().unwrap(), key.to_str().unwrap()];
    let arguments = [
        "-g",
        GEOMETRY,
        "--sound",
        "off",
        "--tls-cert",
        files[0],
        "--tls-key",
        files[1],
    ];
    (Desktop::caraway_with(&arguments, |_| ()), folder)
}

fn certificate(folder: &tempfile::TempDir) -> [PathBuf; 2] {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    let files = ["cert.pem", "key.pem"].map(|name| folder.path().join(name));
    std::fs::write(&files[0], made.cert.pem()).unwrap();
    std::fs::write(&files[1], made.signing_key.serialize_pem()).unwrap();
    files
}

/// A beginning that is nearly right: its bytes, wholly or spoilt in one way or several.
fn beginning(dice: &mut Dice) -> Vec<u8> {
    const SIZES: [u32; 10] = [
        0,
        1,
        17,
        18,
        19,
        4096,
        4097,
        1 << 31,
        u32::MAX - 15,
        u32::MAX,
    ];
    let mut link = LinkMessage::good(MAIN, 0);
    link.common_caps = vec![0b1101; dice.pick(&[0, 1, 2, 100])];
    match dice.roll(8) {
        0 => link.size = Some(dice.pick(&SIZES)),
        1 => link.common_count = Some(dice.pick(&SIZES)),
        2 => link.channel_count = Some(dice.pick(&SIZES)),
        3 => link.caps_offset = dice.pick(&SIZES),
        4 => link.major = dice.pick(&SIZES),
        5 => link.connection_id = dice.pick(&SIZES),
        6 => link.channel_type = dice.byte(),
        _ => {}
    }
    let mut bytes = link.bytes();
    bytes.extend(dice.pick(&[0_u32, 1, 2, 77]).to_le_bytes());
    bytes.extend((0..dice.roll(160)).map(|_| dice.byte()));
    for _ in 0..dice.roll(3) {
        let at = dice.roll(bytes.len());
        bytes[at] ^= 1 << dice.roll(8);
    }
    bytes.truncate(1 + dice.roll(bytes.len()));
    bytes
}

/// Plays so many bad beginnings, some at a time; `play` says how long one lasted, or that it was let in.
fn play_all(count: u64, play: impl Fn(Vec<u8>) -> Option<Duration> + Sync) {
    std::thread::scope(|scope| {
        for player in 0..AT_ONCE {
            let play = &play;
            scope.spawn(move || {
                for number in (player..count).step_by(AT_ONCE as usize) {
                    let mut dice = Dice(0x9e37_79b9_7f4a_7c15 ^ (number + 1) << 20);
                    let bytes = beginning(&mut dice);
                    let lasted = play(bytes.clone());
                    let lasted = lasted.unwrap_or_else(|| panic!("{number} was let in: {bytes:?}"));
                    let limit = CLOSED_WITHIN + Duration::from_secs(1);
                    assert!(lasted < limit, "{number} lasted {lasted:?}: {bytes:?}");
                }
            });
        }
    });
}

/// A1: malformed beginnings before a login, plain and in TLS, and A2 for TLS: cut off and reset in its handshake.
#[test]
fn bad_beginnings_end_soon_and_leave_nothing() {
    let _others = crate::beside_others();
    let (desktop, _folder) = ticketed();
    let (port, server) = (desktop.port(), desktop.server_pid().unwrap());
    let plain = |bytes: Vec<u8>| {
        let mut link = RawLink::connect(port);
        link.send(&bytes);
        link.finish();
        let start = Instant::now();
        (link.end() == Outcome::Closed).then(|| start.elapsed())
    };
    let secure = |bytes: Vec<u8>| {
        let mut link = SecureLink::connect(port).unwrap();
        link.send(&bytes);
        link.finish();
        let start = Instant::now();
        link.is_closed().then(|| start.elapsed())
    };
    let files = open_files(server);
    // The first ones bring the memory that all need.
    play_all(64, plain);
    play_all(32, secure);
    let memory = anonymous_bytes(server);
    play_all(500, plain);
    play_all(100, secure);
    let hello = client_hello();
    for length in (1..hello.len()).step_by(5) {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(&hello[..length]).unwrap();
        if length % 2 == 0 {
            reset(stream);
        }
    }
    let is_over = wait_until(Duration::from_secs(20), || open_files(server) <= files);
    assert!(is_over, "{:?} files, {files:?} before", open_files(server));
    let growth = anonymous_bytes(server).saturating_sub(memory);
    assert!(growth <= GROWTH_MAX, "grew by {growth} bytes");
    assert_eq!(desktop.server_pid(), Some(server), "{}", desktop.log());
    assert_eq!(desktop.count_in_log("channel linked"), 0);
    eprintln!("A1: 600 bad beginnings, {growth} bytes more");
}

/// Ends a connection with RST in place of FIN.
fn reset(stream: TcpStream) {
    let socket = socket2::Socket::from(stream);
    socket.set_linger(Some(Duration::ZERO)).unwrap();
}

/// A6 and A8: an address that floods the door is held back, others come in meanwhile, and it does afterwards.
#[test]
fn a_flood_from_one_address_keeps_nobody_else_out() {
    let _others = crate::beside_others();
    let Some(address) = outer_address() else {
        eprintln!("skipped: this host has no address beside loopback");
        return;
    };
    let (desktop, outer, inner) = two_doors(address);
    let flooding = AtomicBool::new(true);
    let (opened, worst) = std::thread::scope(|scope| {
        let floods: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| flood(outer, STAYING, &flooding)))
            .collect();
        let mut worst = Duration::ZERO;
        for _ in 0..20 {
            worst = worst.max(login_time(inner, &desktop.password).expect("another source"));
        }
        flooding.store(false, Ordering::Relaxed);
        let opened: usize = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
        (opened, worst)
    });
    assert!(worst < OTHERS_WITHIN_BUSY, "{worst:?} for another source");
    let refused = "more than 10 connections a second from this address";
    assert!(0 < desktop.await_in_log(refused, 1), "{}", desktop.log());
    // One more each tenth of a second.
    let back = wait_until(Duration::from_secs(5), || {
        login_time(outer, &desktop.password).is_some()
    });
    assert!(back, "the same source, afterwards: {}", desktop.log());
    let again = (0..10).filter(|_| {
        std::thread::sleep(Duration::from_millis(120));
        login_time(outer, &desktop.password).is_some()
    });
    assert_eq!(again.count(), 10, "the same source, afterwards");
    eprintln!("A6: {opened} connections of a flood, others {worst:?} at worst");
}

/// A desktop that listens on an outer address and on loopback.
fn two_doors(address: IpAddr) -> (Desktop, SocketAddr, SocketAddr) {
    let outer = SocketAddr::new(address, crate::desktop::free_port());
    let inner = SocketAddr::new([127, 0, 0, 1].into(), crate::desktop::free_port());
    let texts = [outer.to_string(), inner.to_string()];
    let arguments = [
        "-g",
        GEOMETRY,
        "--insecure",
        "-l",
        &texts[0],
        "-l",
        &texts[1],
    ];
    (Desktop::caraway_with(&arguments, |_| ()), outer, inner)
}

/// Connects for as long as it may, and leaves when it has so many more connections; how often.
fn flood(address: SocketAddr, stays_for: usize, goes_on: &AtomicBool) -> usize {
    let mut count = 0;
    let mut staying = VecDeque::new();
    while goes_on.load(Ordering::Relaxed) {
        if let Ok(mut stream) = TcpStream::connect(address) {
            let _ = stream.write_all(&LinkMessage::good(MAIN, 0).bytes());
            count += 1;
            staying.push_back(stream);
            while stays_for < staying.len() {
                staying.pop_front();
            }
        }
        // Ports of this host would run out.
        std::thread::sleep(Duration::from_micros(200));
    }
    count
}

/// How long a good client takes from its first byte to its main channel; none if it is not let in.
fn login_time(address: SocketAddr, password: &str) -> Option<Duration> {
    let start = Instant::now();
    let mut link = RawLink::connect_to(address);
    link.send(&LinkMessage::good(MAIN, 0).bytes());
    if link.link_reply() != Outcome::Link(LINK_OK) {
        return None;
    }
    let ticket = link.ticket_of(password);
    if link.ticket(&ticket) != Outcome::Link(LINK_OK) {
        return None;
    }
    link.try_message().ok()?;
    Some(start.elapsed())
}

/// A9: without descriptors the server rests, says little, and takes clients again as soon as there are some.
#[test]
fn a_server_out_of_descriptors_rests_and_comes_back() {
    let _alone = crate::alone();
    let desktop = Desktop::caraway_with(&["-g", GEOMETRY], |_| ());
    let (port, server) = (desktop.port(), desktop.server_pid().unwrap());
    let limit = |files: u64| {
        let status = std::process::Command::new("prlimit")
            .args([
                "--pid",
                &server.to_string(),
                &format!("--nofile={files}:4096"),
            ])
            .status();
        assert!(status.unwrap().success());
    };
    // It makes its first keys.
    let is_calm = || {
        let before = cpu_time(server);
        std::thread::sleep(Duration::from_millis(200));
        cpu_time(server) - before < Duration::from_millis(2)
    };
    wait_until(Duration::from_secs(10), is_calm);
    let logged = desktop.log_bytes();
    // What is open stays so.
    limit(3);
    let mut waiting: Vec<RawLink> = (0..20).map(|_| RawLink::connect(port)).collect();
    let is_out = wait_until(Duration::from_secs(3), || {
        desktop.log().contains("cannot accept a client")
    });
    assert!(is_out, "{}", desktop.log());
    let (span, before) = (Duration::from_secs(2), cpu_time(server));
    std::thread::sleep(span);
    let share = (cpu_time(server) - before).as_secs_f64() / span.as_secs_f64();
    waiting.clear();
    limit(1024);
    let start = Instant::now();
    let address = SocketAddr::new([127, 0, 0, 1].into(), port);
    assert!(login_time(address, &desktop.password).is_some());
    let back = start.elapsed();
    let log = desktop.log_bytes() - logged;
    eprintln!(
        "A9: {:.1} % CPU, {log} bytes of log, back after {back:?}",
        share * 100.0
    );
    assert!(share <= 0.05, "{share}");
    assert!(log <= 10 * 1024, "{log} bytes of log");
    assert!(back <= Duration::from_secs(1), "{back:?}");
}

/// A connection whose ticket is what comes next.
fn linked(port: u16) -> RawLink {
    let mut link = RawLink::connect(port);
    link.send(&LinkMessage::good(MAIN, 0).bytes());
    assert_eq!(link.link_reply(), Outcome::Link(LINK_OK));
    link
}

/// A4: what a thousand connections cost that leave after the link reply, in the server's own thread and in all.
#[test]
#[ignore = "measures CPU time for some seconds"]
fn bench_a_link_without_login_costs_little() {
    let _alone = crate::alone();
    let (desktop, _folder) = ticketed();
    let (port, server) = (desktop.port(), desktop.server_pid().unwrap());
    let link = || drop(linked(port));
    link();
    std::thread::sleep(Duration::from_secs(1));
    let before = cpu_time(server);
    (0..1000).for_each(|_| link());
    let each = (cpu_time(server) - before) / 1000;
    eprintln!("A4: {each:?} of server CPU for each link that stops before its ticket");
    let before = cpu_time(server);
    for _ in 0..1000 {
        assert!(SecureLink::connect(port).is_ok());
    }
    let secure = (cpu_time(server) - before) / 1000;
    eprintln!("A4: {secure:?} for each TLS handshake (ECDSA P-256 certificate)");
    assert!(each <= Duration::from_micros(300), "{each:?}");
}

/// A7: what a connection that waits costs in memory.
#[test]
#[ignore = "measures memory"]
fn bench_a_connection_that_waits_is_small() {
    let _alone = crate::alone();
    let (desktop, _folder) = ticketed();
    let (port, server) = (desktop.port(), desktop.server_pid().unwrap());
    let plain = || linked(port);
    let secure = || SecureLink::connect(port).unwrap();
    // Fewer than there are places, and more than once: the second time shows what is not kept for the next one.
    let per_link = |before: u64| anonymous_bytes(server).saturating_sub(before) / 60;
    let before = anonymous_bytes(server);
    let held: Vec<_> = (0..60).map(|_| plain()).collect();
    let plain_bytes = per_link(before);
    drop(held);
    std::thread::sleep(Duration::from_millis(500));
    let before = anonymous_bytes(server);
    let held: Vec<_> = (0..60).map(|_| secure()).collect();
    let secure_bytes = per_link(before);
    drop(held);
    eprintln!("A7: {plain_bytes} bytes for each plain connection, {secure_bytes} for TLS");
    assert!(plain_bytes <= 16 << 10 && secure_bytes <= 48 << 10);
}

/// A8: a flood of connections from this host and a good client each second, for a minute.
#[test]
#[ignore = "takes a minute"]
fn bench_a_good_client_comes_through_a_flood() {
    let _alone = crate::alone();
    let desktop = Desktop::caraway_with(&["-g", GEOMETRY], |_| ());
    let address = SocketAddr::new([127, 0, 0, 1].into(), desktop.port());
    let (logged, flooding) = (desktop.log_bytes(), AtomicBool::new(true));
    let (mut times, mut opened) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        let floods: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| flood(address, 0, &flooding)))
            .collect();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(60) {
            times.push(login_time(address, &desktop.password));
            std::thread::sleep(Duration::from_millis(500));
        }
        flooding.store(false, Ordering::Relaxed);
        opened = floods.into_iter().map(|flood| flood.join().unwrap()).sum();
    });
    let good = times.iter().flatten().count();
    let worst = times.iter().flatten().max().unwrap();
    let log = desktop.log_bytes() - logged;
    eprintln!(
        "A8: {opened} connections; {good} of {} good ones, {worst:?} at worst; {log} bytes of log",
        times.len()
    );
    assert!(times.len() * 99 <= good * 100);
    assert!(*worst <= Duration::from_secs(1), "{worst:?}");
}
