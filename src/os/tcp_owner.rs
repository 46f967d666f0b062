//! Which user a TCP connection on this machine belongs to, as the kernel says in `/proc/net/tcp`.
//!
//! A socket on loopback is open to every user of the host, and TCP has no peer credentials. The kernel's table of
//! connections names the user of each socket. Only an *established* socket counts: one that its process has closed
//! is shown with user 0, whoever opened it.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4};

use nix::unistd::Uid;

/// `TCP_ESTABLISHED`, as the table writes it.
const ESTABLISHED: &str = "01";

/// Whether the socket at the other end of a connection on this machine belongs to this process's own user: `peer` is
/// its address, `own` the one that it connected to. Reads the table, which may take milliseconds on a busy host.
///
/// # Errors
/// When the kernel's tables cannot be read.
pub fn is_own_user(peer: SocketAddrV4, own: SocketAddrV4) -> io::Result<bool> {
    // A socket of IPv6 that was told an IPv4 address lies in the other table.
    let found = match find("/proc/net/tcp", &short(peer), &short(own))? {
        None => find("/proc/net/tcp6", &mapped(peer), &mapped(own))?,
        found => found,
    };
    Ok(found == Some(Uid::effective().as_raw()))
}

fn find(table: &str, local: &str, remote: &str) -> io::Result<Option<u32>> {
    let file = match File::open(table) {
        // A kernel without IPv6.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    for line in BufReader::with_capacity(64 * 1024, file).lines() {
        if let Some(user) = user_of(&line?, local, remote) {
            return Ok(Some(user));
        }
    }
    Ok(None)
}

/// The user in a line of the table, if it is the established socket from `local` to `remote`.
fn user_of(line: &str, local: &str, remote: &str) -> Option<u32> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let is_it = fields.next() == Some(local)
        && fields.next() == Some(remote)
        && fields.next() == Some(ESTABLISHED);
    // Queues, timer and retransmissions stand between the state and the user.
    is_it.then(|| fields.nth(3)?.parse().ok()).flatten()
}

/// Each word of an address is written as this machine's own number.
fn words(bytes: &[u8]) -> String {
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|word| format!("{:08X}", u32::from_ne_bytes(*word)))
        .collect()
}

fn short(address: SocketAddrV4) -> String {
    format!("{}:{:04X}", words(&address.ip().octets()), address.port())
}

fn mapped(address: SocketAddrV4) -> String {
    let ip: Ipv4Addr = *address.ip();
    let octets = ip.to_ipv6_mapped().octets();
    format!("{}:{:04X}", words(&octets), address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};

    fn v4(address: SocketAddr) -> SocketAddrV4 {
        match address {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(address) => {
                SocketAddrV4::new(address.ip().to_ipv4_mapped().unwrap(), address.port())
            }
        }
    }

    #[test]
    fn our_own_connections_are_ours_and_closed_ones_nobodys() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let own = v4(listener.local_addr().unwrap());
        for through in [
            own.into(),
            SocketAddr::new(own.ip().to_ipv6_mapped().into(), own.port()),
        ] {
            let client = TcpStream::connect(through).unwrap();
            let (server, peer) = listener.accept().unwrap();
            let peer = v4(peer);
            assert!(is_own_user(peer, own).unwrap(), "{through}");
            let stranger = SocketAddrV4::new(*peer.ip(), own.port());
            assert!(!is_own_user(stranger, own).unwrap());
            client.shutdown(Shutdown::Write).unwrap();
            drop(client);
            assert!(
                !is_own_user(peer, own).unwrap(),
                "its process has closed it"
            );
            drop(server);
        }
    }

    #[test]
    fn lines_are_read_by_their_fields() {
        let line = " 1: 0100007F:A170 0100007F:01BB 01 00000000:00000000 00:00000000 00000000  1000        0 7 1";
        assert_eq!(user_of(line, "0100007F:A170", "0100007F:01BB"), Some(1000));
        assert_eq!(user_of(line, "0100007F:A171", "0100007F:01BB"), None);
        let closing = line.replace(" 01 ", " 04 ");
        assert_eq!(user_of(&closing, "0100007F:A170", "0100007F:01BB"), None);
        assert_eq!(user_of("1: 0100007F:A170", "0100007F:A170", ""), None);
    }
}
