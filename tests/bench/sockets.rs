//! Bytes on the wire: what a server has sent on its connections, by the kernel's own count.
//!
//! Read with `ss` before and after. A relay that counted would stand between server and viewer and delay both.

use std::process::Command;

/// Bytes sent so far on all open connections of the server that listens on `port`; what was sent twice counts once.
pub(crate) fn bytes_sent(port: u16) -> u64 {
    let mut command = Command::new("ss");
    command.args([
        "-H",
        "-t",
        "-i",
        "-n",
        "-O",
        "state",
        "established",
        "sport",
        "=",
        &format!(":{port}"),
    ]);
    let result = command
        .output()
        .unwrap_or_else(|error| panic!("ss: {error}: see the packages of make bench"));
    let text = String::from_utf8_lossy(&result.stdout);
    let (connections, bytes) = sum(&text);
    assert!(
        connections > 0,
        "nobody is connected to port {port}: {text} {}",
        String::from_utf8_lossy(&result.stderr)
    );
    bytes
}

/// Connections in the output of `ss -tiO`, and the bytes sent on them.
fn sum(text: &str) -> (usize, u64) {
    let field = |line: &str, name: &str| {
        let word = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix(name));
        word.and_then(|value| value.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let bytes =
        |line: &str| field(line, "bytes_sent:").saturating_sub(field(line, "bytes_retrans:"));
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    (lines.clone().count(), lines.map(bytes).sum())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_are_added_up_without_what_was_sent_twice() {
        let text = "0 0 127.0.0.1:5900 127.0.0.1:40000 cubic wscale:7,7 bytes_sent:1500 bytes_retrans:500 segs_out:9\n\
                    0 0 127.0.0.1:5900 127.0.0.1:40002 cubic wscale:7,7 bytes_sent:24 bytes_acked:24 segs_out:3\n\
                    0 0 127.0.0.1:5900 127.0.0.1:40004 cubic wscale:7,7 segs_out:3\n";
        assert_eq!(sum(text), (3, 1024));
        assert_eq!(sum("\n"), (0, 0));
    }

    #[test]
    fn the_kernel_counts_what_was_written() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let before = bytes_sent(port);
        server.write_all(&[7; 12345]).unwrap();
        client.read_exact(&mut [0; 12345]).unwrap();
        client.write_all(&[7; 99]).unwrap();
        assert_eq!(bytes_sent(port) - before, 12345);
    }
}
