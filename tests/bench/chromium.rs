//! A real browser that scrolls a real page: Chromium, told what to do by the page's own script.
//!
//! The page comes from a small server of ours on loopback, asks it for orders and tells it when it has set which frame.
//! It looks to the rest like the program that draws (`load.c`): the same orders, the same answers. A frame's time is
//! that of the script, so that its age includes what Chromium takes to draw it, for each server the same.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::desktop::Desktop;
use crate::process::Running;
use crate::seat::{now_us, start_window_manager};

pub(crate) const PROGRAM: &str = "/usr/bin/chromium";

const PAGE: &str = include_str!("page.html");

/// The longest body that is read: the answers of a run are some kilobytes.
const BODY_MAX: u64 = 1 << 20;

/// Chromium with the page.
pub(crate) struct Browser {
    orders: Sender<String>,
    answers: Receiver<String>,
    chromium: Running,
    _window_manager: Running,
    _home: tempfile::TempDir,
}

impl Browser {
    /// Starts it over all of `desktop`.
    pub(crate) fn start(desktop: &Desktop, geometry: &str) -> Self {
        assert!(
            Path::new(PROGRAM).exists(),
            "Chromium is not installed: apt-get install chromium"
        );
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (orders, waiting_orders) = channel();
        let (answer, answers) = channel();
        let waiting_orders = Arc::new(Mutex::new(waiting_orders));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let (orders, answer) = (Arc::clone(&waiting_orders), answer.clone());
                // A browser that goes away in the midst of a request is its own affair.
                std::thread::spawn(move || serve(connection, &orders, &answer).ok());
            }
        });
        let home = tempfile::tempdir().unwrap();
        let window_manager = start_window_manager(home.path(), |command| {
            desktop.client(command);
        });
        let chromium = Running::start(Path::new(PROGRAM), Stdio::null(), |command| {
            let profile = format!("--user-data-dir={}", home.path().join("profile").display());
            let size = format!("--window-size={}", geometry.replace('x', ","));
            command.args([
                "--kiosk",
                "--no-first-run",
                "--disable-gpu",
                "--disable-sync",
            ]);
            command.args([
                "--disable-background-networking",
                "--disable-component-update",
            ]);
            command.args(["--password-store=basic", "--window-position=0,0"]);
            command.args(["--force-device-scale-factor=1", &size, &profile]);
            if nix::unistd::Uid::effective().is_root() {
                command.arg("--no-sandbox");
            }
            command
                .arg(format!("http://{address}/"))
                .env("HOME", home.path());
            desktop.client(command);
        });
        Self {
            orders,
            answers,
            chromium,
            _window_manager: window_manager,
            _home: home,
        }
    }

    /// Gives the page an order, as `load.c` takes them.
    pub(crate) fn send(&self, order: &str) {
        self.orders.send(order.to_owned()).unwrap();
    }

    /// The next line that the page has told, in the words of `load.c`; `None` when there is none in time.
    pub(crate) fn try_line(&self, timeout: Duration) -> Option<String> {
        match self.answers.recv_timeout(timeout) {
            Ok(line) => Some(in_monotonic_time(&line)),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => panic!("the page's server has ended"),
        }
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.chromium.is_running()
    }
}

/// The page knows the wall clock only.
fn in_monotonic_time(line: &str) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(line) else {
        return line.to_owned();
    };
    if let Some(wall_ms) = value["wall_ms"].as_f64() {
        let now_wall_us = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_micros();
        let ago_us = now_wall_us as f64 - wall_ms * 1000.0;
        value["at_us"] = json!(now_us() - ago_us as i64);
        value["x_us"] = json!(0);
    }
    value.to_string()
}

/// Answers the requests of one connection: `/` is the page, `/order` waits for the next order, `/told` takes lines.
fn serve(
    connection: TcpStream,
    orders: &Mutex<Receiver<String>>,
    answers: &Sender<String>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut writer = connection;
    loop {
        let (path, body) = request(&mut reader)?;
        let (kind, text) = match path.as_str() {
            "/" => ("text/html", PAGE.to_owned()),
            "/order" => {
                let order = orders.lock().unwrap().recv();
                // Nobody will give orders any more.
                let Ok(order) = order else { return Ok(()) };
                ("text/plain", order)
            }
            "/told" => {
                for line in body.lines() {
                    // Nobody listens any more, and the page will be gone soon.
                    let _ = answers.send(line.to_owned());
                }
                ("text/plain", String::new())
            }
            _ => ("text/plain", String::new()),
        };
        let length = text.len();
        write!(
            writer,
            "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\n\r\n{text}"
        )?;
    }
}

/// Path and body of the next request.
fn request(reader: &mut impl BufRead) -> std::io::Result<(String, String)> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = String::new();
    reader
        .take(length.min(BODY_MAX))
        .read_to_string(&mut body)?;
    Ok((path, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_one_after_another() {
        let text = "POST /told HTTP/1.1\r\nHost: a\r\ncontent-length: 4\r\n\r\nab\nc\
                    GET /order HTTP/1.1\r\n\r\n";
        let mut reader = BufReader::new(text.as_bytes());
        assert_eq!(
            request(&mut reader).unwrap(),
            ("/told".into(), "ab\nc".into())
        );
        assert_eq!(
            request(&mut reader).unwrap(),
            ("/order".into(), String::new())
        );
        assert!(request(&mut reader).is_err());
    }

    #[test]
    fn the_pages_times_become_monotonic() {
        let wall_ms = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs_f64()
            * 1000.0;
        let line = in_monotonic_time(&format!("{{\"event\":\"frame\",\"wall_ms\":{wall_ms}}}"));
        let value: Value = serde_json::from_str(&line).unwrap();
        let ago_us = now_us() - value["at_us"].as_i64().unwrap();
        assert!((0..100_000).contains(&ago_us), "{ago_us}");
    }
}
