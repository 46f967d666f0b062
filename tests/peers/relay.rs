//! A slow line: passes TCP connections on, but reads from the server only so many bits a second.
//!
//! What a slow client does to a server is that the server's socket stays full. Small receive buffers on this side make
//! that happen after kilobytes, as on a real line, and not after megabytes of loopback buffer.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// Bytes of the relay's receive buffer (the kernel doubles it).
const RECEIVE_BUFFER: usize = 16 * 1024;

/// One read; at 1 Mbit/s this is 16 ms of line.
const CHUNK: usize = 2 * 1024;

/// A relay on a loopback port of its own; ends with its handle.
pub(crate) struct Relay {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
}

impl Relay {
    /// Relays to `port` on loopback; all connections together read `bits_per_second` from the server.
    pub(crate) fn start(port: u16, bits_per_second: u64) -> Self {
        Self::far(port, bits_per_second, Duration::ZERO)
    }

    /// The same, and whatever comes arrives `delay` later, in both directions.
    pub(crate) fn far(port: u16, bits_per_second: u64, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = Arc::new(AtomicBool::new(false));
        let bytes = Arc::new(AtomicU64::new(0));
        let free_at = Mutex::new(Instant::now());
        let line = Arc::new(Line {
            bits_per_second,
            free_at,
            bytes: Arc::clone(&bytes),
        });
        let accepting = Arc::clone(&stopped);
        std::thread::spawn(move || {
            for near in listener.incoming().flatten() {
                if accepting.load(Ordering::Relaxed) {
                    break;
                }
                let Some(far) = connect_with_small_buffer(port) else {
                    continue;
                };
                near.set_nodelay(true).unwrap();
                far.set_nodelay(true).unwrap();
                let (up_from, up_to) = (near.try_clone().unwrap(), far.try_clone().unwrap());
                std::thread::spawn(move || pass(up_from, up_to, delay, None));
                let line = Arc::clone(&line);
                std::thread::spawn(move || pass(far, near, delay, Some(&line)));
            }
        });
        Self {
            address,
            stopped,
            bytes,
        }
    }

    /// Where a client connects instead of to the desktop.
    pub(crate) fn uri(&self) -> String {
        format!("spice://{}", self.address)
    }

    /// Bytes that came down the line so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the accepting thread; the passing ones end with their sockets.
        let _ = TcpStream::connect(self.address);
    }
}

/// Chunks that are delayed at the same time: beyond them nothing is read.
const CHUNKS_ON_THE_WAY: usize = 256;

struct Line {
    bits_per_second: u64,
    /// When the line has carried all that was put on it: an idle line saves nothing up.
    free_at: Mutex<Instant>,
    bytes: Arc<AtomicU64>,
}

impl Line {
    /// Takes `count` bytes off the line: sleeps as long as it needs for them.
    fn carry(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        let time = Duration::from_nanos(count as u64 * 8 * 1_000_000_000 / self.bits_per_second);
        let due = {
            let mut free_at = self.free_at.lock().unwrap();
            *free_at = (*free_at).max(Instant::now()) + time;
            *free_at
        };
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

fn connect_with_small_buffer(port: u16) -> Option<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
    // Before the connection: later the window would have been offered already.
    socket.set_recv_buffer_size(RECEIVE_BUFFER).ok()?;
    socket
        .connect(&SocketAddr::from(([127, 0, 0, 1], port)).into())
        .ok()?;
    Some(socket.into())
}

/// One direction: what was read, and carried by the line, is written after the delay.
fn pass(mut from: TcpStream, to: TcpStream, delay: Duration, line: Option<&Line>) {
    let (on_the_way, arriving) = std::sync::mpsc::sync_channel(CHUNKS_ON_THE_WAY);
    let reading = from.try_clone();
    let arrival = std::thread::spawn(move || arrive(&arriving, to));
    let mut chunk = [0; CHUNK];
    while let Ok(count) = from.read(&mut chunk) {
        if count == 0 {
            break;
        }
        if let Some(line) = line {
            line.carry(count);
        }
        let arrives = Instant::now() + delay;
        if on_the_way.send((arrives, chunk[..count].to_vec())).is_err() {
            break;
        }
    }
    drop(on_the_way);
    let _ = arrival.join();
    if let Ok(reading) = reading {
        let _ = reading.shutdown(Shutdown::Both);
    }
}

fn arrive(arriving: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    while let Ok((arrives, chunk)) = arriving.recv() {
        std::thread::sleep(arrives.saturating_duration_since(Instant::now()));
        if to.write_all(&chunk).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
