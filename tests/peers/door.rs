//! Guessing passwords from an address that is not this host's loopback.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use crate::desktop::Desktop;
use crate::link::{LINK_OK, LinkMessage, MAIN, Outcome, PERMISSION_DENIED, RawLink};

/// What the product promises: see the limits of `base::limits`.
const FAILURES: usize = 5;
const ANSWERED_AFTER: Duration = Duration::from_millis(600);

/// An address of this host that others would use, if it has one.
fn outer_address() -> Option<IpAddr> {
    // Nothing is sent: the kernel only says which address it would use.
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback()).then_some(address)
}

#[test]
fn an_address_that_guesses_is_shut_out() {
    let _alone = crate::alone();
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
    let log = desktop.log();
    assert_eq!(
        log.matches("authentication failed").count(),
        FAILURES,
        "{log}"
    );
    assert!(log.contains("shut out"), "{log}");
}
