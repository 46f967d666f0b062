//! The fastest that a file can leave a client: a relay in front of a desktop that throws a file away as it comes. It
//! takes what there is once a millisecond, so the client never wakes it, and always has tokens to go on.
//!
//! What the library's own reading and writing allow is a figure of the machine and the minute, so an upload to the
//! server is measured beside one to this.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use caraway_server::os::tcp::wake_at;

use crate::figure::median;
use crate::upload::{Place, begin, uploaded_rate};
use crate::watcher::Watcher;

const MB: u64 = 1 << 20;
const FILE_BYTES: u64 = 1024 * MB;

/// A client that has said so much sends a file: from there it is thrown away, and measured.
const THROWN_AWAY_AFTER: u64 = MB;

/// Bytes that are measured.
const MEASURED_BYTES: u64 = 800 * MB;

/// Where a link message has its channel's type, and the main channel's.
const CHANNEL_TYPE_AT: usize = 20;
const MAIN: u8 = 1;

/// Bytes that cost the client a token, at least: the last chunk of each 64 KB has 32.
const BYTES_A_TOKEN: u64 = 1900;

/// `SPICE_MSG_MAIN_AGENT_TOKEN`.
const AGENT_TOKEN: u16 = 110;

/// Tokens that are given back at once.
const TOKENS: u32 = 512;

const PATIENCE: Duration = Duration::from_secs(60);

/// A port that leads to the desktop. The rate of a file that came this way arrives at `rates`, in MB/s.
struct Sink {
    port: u16,
    rates: Receiver<f64>,
}

impl Sink {
    fn start(desktop_port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (tell, rates) = channel();
        // It ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", desktop_port)).unwrap();
                for socket in [&client, &server] {
                    socket.set_nodelay(true).unwrap();
                }
                let (from, to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || pass(from, to, None));
                let tell = tell.clone();
                std::thread::spawn(move || pass(client, server, Some(&tell)));
            }
        });
        Self { port, rates }
    }
}

/// One direction, until either side closes or `tell` wants to know how quickly a file comes.
fn pass(mut from: TcpStream, mut to: TcpStream, tell: Option<&Sender<f64>>) {
    let (mut buffer, mut passed, mut is_main) = (vec![0; 64 * 1024], 0, false);
    while let Ok(count) = from.read(&mut buffer)
        && count != 0
        && to.write_all(&buffer[..count]).is_ok()
    {
        if passed == 0 {
            is_main = buffer[..count].get(CHANNEL_TYPE_AT) == Some(&MAIN);
        }
        passed += count as u64;
        if let Some(tell) = tell.filter(|_| is_main && THROWN_AWAY_AFTER < passed) {
            let _ = tell.send(throw_away(&mut from));
            return;
        }
    }
    for socket in [from, to] {
        let _ = socket.shutdown(std::net::Shutdown::Both);
    }
}

/// Takes what comes, and gives the rate of it.
fn throw_away(from: &mut TcpStream) -> f64 {
    from.set_nonblocking(true).unwrap();
    // What is not read is acknowledged all the same.
    wake_at(&*from, MB as u32).unwrap();
    let begun = Instant::now();
    let (mut buffer, mut thrown, mut given) = (vec![0; MB as usize], 0, 0);
    while thrown < MEASURED_BYTES {
        match from.read(&mut buffer) {
            Ok(0) => panic!("the client closed after {thrown} bytes"),
            Ok(count) => thrown += count as u64,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => panic!("{error}"),
        }
        if given + u64::from(TOKENS) <= thrown / BYTES_A_TOKEN {
            given += u64::from(TOKENS);
            let mut message = AGENT_TOKEN.to_le_bytes().to_vec();
            message.extend(4_u32.to_le_bytes());
            message.extend(TOKENS.to_le_bytes());
            from.write_all(&message).unwrap();
        }
    }
    thrown as f64 / 1e6 / begun.elapsed().as_secs_f64()
}

/// A file that takes no room on its disk, and is all in memory: how quickly the client's disk reads is not measured.
pub(crate) fn sparse(path: &Path, bytes: u64) {
    let file = File::create(path).unwrap();
    file.set_len(bytes).unwrap();
    for at in (0..bytes).step_by(37_000_001) {
        file.write_at(&at.to_le_bytes(), at).unwrap();
    }
    std::io::copy(&mut File::open(path).unwrap(), &mut std::io::sink()).unwrap();
}

/// MB/s of the library when nothing is done with what it sends.
fn thrown_away_rate(place: &Place, file: &Path) -> f64 {
    let sink = Sink::start(place.desktop.port());
    let uri = format!("spice://127.0.0.1:{}", sink.port);
    let mut sender = Watcher::connect_through(&place.desktop, &uri);
    begin(&mut sender, &[file]);
    sink.rates.recv_timeout(PATIENCE).unwrap()
}

#[test]
#[ignore = "takes a minute, and says something of a quiet machine only"]
fn bench_uploads_beside_what_the_client_can() {
    let _alone = crate::alone();
    let place = Place::new();
    let file = place.outside.path().join("big.bin");
    sparse(&file, FILE_BYTES);
    let (mut served, mut thrown_away) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        let mut sender = Watcher::connect(&place.desktop);
        served.push(uploaded_rate(&mut sender, &place, &file));
        drop(sender);
        thrown_away.push(thrown_away_rate(&place, &file));
    }
    eprintln!("figure: upload to the server, MB/s: {served:.0?}");
    eprintln!("figure: upload to a sink, MB/s: {thrown_away:.0?}");
    let (served, sink) = (median(&served), median(&thrown_away));
    eprintln!(
        "figure: medians {served:.0} and {sink:.0} MB/s: {:.2} of what the client can",
        served / sink
    );
}
