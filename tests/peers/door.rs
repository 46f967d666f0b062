//! Guessing passwords from an address that is not this host's loopback.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::desktop::Desktop;
use crate::instruments::product;
use crate::link::{LINK_OK, LinkMessage, MAIN, Outcome, PERMISSION_DENIED, RawLink};
use crate::process::wait_until;
use crate::watcher::Watcher;

/// What the product promises: see the limits of `base::limits`.
const FAILURES: usize = 5;
const ANSWERED_AFTER: Duration = Duration::from_millis(600);

/// An address of this host that others would use, if it has one.
pub(crate) fn outer_address() -> Option<IpAddr> {
    // Nothing is sent: the kernel only says which address it would use.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback()).then_some(address)
}

/// A10.
#[test]
fn an_address_that_guesses_is_shut_out() {
    let _others = crate::beside_others();
    let Some(address) = outer_address() else {
        eprintln!("skipped: this host has no address beside loopback");
        return;
    };
    let listen = SocketAddr::new(address, 0).to_string();
    let desktop = Desktop::caraway_with(&["-g", "640x480", "-l", &listen, "--insecure"], |_| ());
    let port: u16 = desktop.uri.rsplit(':').next().unwrap().parse().unwrap();
    let knock = || {
        let mut link = RawLink::connect_to(SocketAddr::new(address, port));
        link.send(&LinkMessage::good(MAIN, 0).bytes());
        (link.link_reply(), link)
    };
    for guess in 0..FAILURES {
        let (reply, mut link) = knock();
        assert_eq!(reply, Outcome::Link(LINK_OK), "guess {guess}");
        let (ticket, start) = (link.empty_ticket(), Instant::now());
        assert_eq!(link.ticket(&ticket), Outcome::Link(PERMISSION_DENIED));
        let took = start.elapsed();
        assert!(ANSWERED_AFTER <= took, "answered after {took:?}");
    }
    assert_eq!(knock().0, Outcome::Closed, "{}", desktop.log());
    let failed = desktop.await_in_log("authentication failed", FAILURES);
    let log = desktop.log();
    assert_eq!(failed, FAILURES, "{log}");
    assert!(log.contains("shut out"), "{log}");
}

/// A desktop of that name, which no other desktop of this user has.
fn named() -> (Desktop, String) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("door-{}-{number}", std::process::id());
    let desktop = Desktop::caraway_with(&["-g", "640x480", "--name", &name], |_| ());
    (desktop, name)
}

/// What `caraway password` answers for the desktop.
fn password(name: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(product("caraway"));
    let command = command.args(["password", name]).args(arguments);
    let result = command.output().unwrap();
    let told = String::from_utf8(result.stdout).unwrap();
    result.status.success().then(|| told.trim().to_owned())
}

fn opens(desktop: &Desktop, password: &str) -> Option<Watcher> {
    let mut watcher = Watcher::new(desktop);
    let answer = watcher.open(&desktop.uri, password);
    (answer["ok"] == true).then_some(watcher)
}

#[test]
fn a_password_is_replaced_while_the_desktop_runs() {
    let _others = crate::beside_others();
    let (desktop, name) = named();
    let first = password(&name, &[]).unwrap();
    assert_eq!(first, desktop.password);
    let mut connected = opens(&desktop, &first).expect("the first password opens");
    let second = password(&name, &["--new"]).unwrap();
    assert!(second != first && password(&name, &[]).as_ref() == Some(&second));
    assert!(opens(&desktop, &first).is_none(), "the old one");
    assert!(opens(&desktop, &second).is_some(), "the new one");
    assert_eq!(connected.compare().wrong, 0, "who was in stays in");
    let short = password(&name, &["--expires-in", "2s"]).unwrap();
    assert!(opens(&desktop, &short).is_some());
    std::thread::sleep(Duration::from_secs(2));
    assert!(opens(&desktop, &short).is_none(), "expired");
    assert_eq!(password(&name, &[]), None);
}

#[test]
fn a_password_for_one_lets_in_one_even_after_the_server_was_killed() {
    let _others = crate::beside_others();
    let (desktop, name) = named();
    let once = password(&name, &["--once"]).unwrap();
    let mut first = opens(&desktop, &once).expect("the first client, with all its channels");
    assert_eq!(first.compare().wrong, 0);
    assert!(opens(&desktop, &once).is_none(), "the second");
    let spent = wait_until(Duration::from_secs(5), || password(&name, &[]).is_none());
    assert!(spent, "the launcher knows");
    let server = desktop.server_pid().unwrap();
    let pid = nix::unistd::Pid::from_raw(server);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
    let back = wait_until(Duration::from_secs(10), || {
        desktop.server_pid().is_some_and(|pid| pid != server)
    });
    assert!(back, "{}", desktop.log());
    std::thread::sleep(Duration::from_millis(500));
    assert!(
        opens(&desktop, &once).is_none(),
        "the next server knows, too"
    );
    let another = password(&name, &["--new"]).unwrap();
    assert!(opens(&desktop, &another).is_some());
}
