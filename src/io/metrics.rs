//! Monitoring: a unix socket that answers HTTP's GET with the desktop's figures.
//!
//! The socket is the launcher's, 0600 in a directory of the user's own, and who connects is asked of the kernel
//! besides: the user and root are answered. A request is read to the end of its head and no further; each gets one
//! answer.

use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::host::Host;
use crate::metrics::{CONTENT_TYPE, Exposition, seconds};
use crate::os::inherited::{InheritedListener, adopt_listener};
use crate::os::peer_credentials::PeerCredentials;

/// Requests at a time; more wait in the socket's queue.
const REQUESTS_MAX: usize = 4;

/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Time for a request and for taking its answer.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// After accept fails it is not tried again for this long.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Adopts an inherited unix listener. To be called inside a runtime.
///
/// # Errors
/// When the descriptor is no such thing.
pub fn adopt(fd: RawFd) -> std::io::Result<UnixListener> {
    match adopt_listener(fd).map_err(std::io::Error::other)? {
        InheritedListener::Unix(listener) => UnixListener::from_std(listener),
        InheritedListener::Tcp(_) => Err(std::io::ErrorKind::InvalidInput.into()),
    }
}

/// Answers on `listener` for ever.
pub async fn serve(host: Rc<Host>, listener: UnixListener) {
    let places = Arc::new(Semaphore::new(REQUESTS_MAX));
    while let Ok(place) = Arc::clone(&places).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let host = Rc::clone(&host);
                tokio::task::spawn_local(async move {
                    let answered = timeout(REQUEST_DEADLINE, answer(&host, stream)).await;
                    if !matches!(answered, Ok(Ok(()))) {
                        tracing::debug!("a request for metrics was not finished");
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a request for metrics");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer(host: &Host, mut stream: UnixStream) -> std::io::Result<()> {
    let peer = PeerCredentials::of(&stream)?;
    if !peer.is_own_user() && !peer.is_root() {
        tracing::warn!(?peer, "refused another user on the metrics socket");
        return Ok(());
    }
    let mut head = Vec::new();
    while !is_complete(&head) && head.len() < HEAD_BYTES_MAX {
        let mut piece = [0; 1024];
        let count = stream.read(&mut piece).await?;
        if count == 0 {
            break;
        }
        head.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
    let answer = match &head {
        head if is_complete(head) && head.starts_with(b"GET ") => response("200 OK", &text(host)),
        head if is_complete(head) => response("405 Method Not Allowed", "say GET\n"),
        _ => response("400 Bad Request", "that is no request of HTTP\n"),
    };
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

fn is_complete(head: &[u8]) -> bool {
    let ends = |end: &[u8]| head.windows(end.len()).any(|bytes| bytes == end);
    ends(b"\r\n\r\n") || ends(b"\n\n")
}

fn response(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The figures of the desktop and of this process.
fn text(host: &Host) -> String {
    let mut exposition = Exposition::new();
    let version = [(env!("CARGO_PKG_VERSION").to_owned(), 1)];
    let about = ("caraway_build_info", "The server's version.", "gauge");
    exposition.by_label(about, "version", version);
    host.expose(&mut exposition);
    let (cpu_us, memory_bytes) = of_process();
    let help = "Time on all processors.";
    exposition.counter("process_cpu_seconds_total", help, seconds(cpu_us));
    let help = "Memory held now, what is shared with others too.";
    exposition.gauge("process_resident_memory_bytes", help, memory_bytes);
    exposition.into_text()
}

/// Processor time in microseconds and memory in bytes of this process; nothing where the kernel does not tell.
fn of_process() -> (u64, u64) {
    use nix::sys::resource::{UsageWho, getrusage};
    let cpu_us = getrusage(UsageWho::RUSAGE_SELF).map_or(0, |usage| {
        let us = |time: nix::sys::time::TimeVal| time.tv_sec() * 1_000_000 + time.tv_usec();
        u64::try_from(us(usage.user_time()) + us(usage.system_time())).unwrap_or(0)
    });
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_ascii_whitespace().next()?.parse().ok());
    (cpu_us, kibibytes.unwrap_or(0u64).saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_end_where_http_says() {
        assert!(is_complete(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(!is_complete(b"GET / HTTP/1.1\r\nHost: x\r\n"));
        let text = response("200 OK", "abc\n");
        assert!(text.contains("Content-Length: 4\r\n") && text.ends_with("\r\n\r\nabc\n"));
    }

    #[test]
    fn this_process_has_used_something() {
        let (cpu_us, memory_bytes) = of_process();
        assert!(0 < cpu_us && 1024 * 1024 < memory_bytes);
    }
}
