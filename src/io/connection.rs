//! One connection: its handshake, then its channel, until either side ends it.
//!
//! A connection is one task. It writes only when the socket takes bytes and asks the session for more only when all
//! is written, so pixels are encoded as late as they can be. After each image the other tasks get their turn.

use std::rc::Rc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::host::{Bell, Host, WaitingPlace};
use super::kernel::Kernel;
use crate::base::Micros;
use crate::base::limits::{HANDSHAKE_DEADLINE, UNAUTHENTICATED_MAX};
use crate::channel::link::{Link, LinkError, Linked, Step};
use crate::os::ticket_key::TicketKey;
use crate::session::{AdmitError, ChannelError, ChannelKey, Origin};
use crate::wire::link::ChannelType;

/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;

/// Bytes after which what is to be sent is written: a frame of a page that scrolls, and less than a socket takes.
const BURST_BYTES: usize = 64 * 1024;

/// Time after which it is written: input waits no longer for what others are sent.
const BURST_TIME: Micros = Micros(1000);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// The handshake failed.
    #[error("link: {0}")]
    Link(#[from] LinkError),
    /// It did not finish its handshake in time.
    #[error("link: not finished after {} s", HANDSHAKE_DEADLINE.as_millis() / 1000)]
    HandshakeDeadline,
    /// It waited longest when too many waited.
    #[error("link: given up for a newer one, {UNAUTHENTICATED_MAX} have not authenticated")]
    Evicted,
    /// The client closed while it linked.
    #[error("link: closed by the client")]
    ClosedEarly,
    /// No ticket key or random number can be made.
    #[error("this server cannot make keys")]
    NoKeys,
    /// The client broke the rules of its channel.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The socket failed.
    #[error(transparent)]
    Socket(#[from] std::io::Error),
}

/// Serves one connection to its end. The caller logs the error.
///
/// # Errors
/// [`ConnectionError`] says why it ended, unless the client simply closed it.
pub(super) async fn serve<S>(
    host: &Rc<Host>,
    mut stream: S,
    kernel: Kernel,
    origin: Origin,
    place: WaitingPlace,
) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let deadline = std::time::Duration::from_micros(HANDSHAKE_DEADLINE.0);
    let (guard, linked) = tokio::select! {
        linked = handshake(host, &mut stream) => linked?,
        () = place.evicted() => return Err(ConnectionError::Evicted),
        () = tokio::time::sleep(deadline) => return Err(ConnectionError::HandshakeDeadline),
    };
    drop(place);
    let key = guard.key;
    let is_inputs = linked.message.channel_type == ChannelType::INPUTS;
    tracing::info!(peer = %origin.peer, channel = ?linked.message.channel_type, "channel linked");
    host.with(|session| session.start(key, host.now(), linked, origin))?;
    if let Some(rtt) = kernel.rtt() {
        host.with(|session| session.kernel_rtt(key, rtt));
    }
    run(host, &guard, stream, kernel, is_inputs).await
}

/// An admitted channel; it is closed when this is dropped, however that comes.
struct Admitted {
    host: Rc<Host>,
    key: ChannelKey,
    bell: Rc<Bell>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.host.take_bell(self.key);
        self.host.with(|session| session.close(self.key));
    }
}

async fn handshake<S>(
    host: &Rc<Host>,
    stream: &mut S,
) -> Result<(Admitted, Linked), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut link = Link::new().decoding_opus(host.with(|session| session.decodes_opus()));
    let mut ticket_key: Option<TicketKey> = None;
    let mut admitted = None;
    let mut buffer = [0; 1024];
    loop {
        let step = link.step();
        let output = link.take_output();
        if !output.is_empty() {
            stream.write_all(&output).await?;
        }
        match step {
            Step::NeedsBytes => {
                let count = stream.read(&mut buffer).await?;
                if count == 0 {
                    return Err(ConnectionError::ClosedEarly);
                }
                link.push(buffer.get(..count).unwrap_or_default());
            }
            Step::NeedsKey => {
                let key = host
                    .keys
                    .lock()
                    .await
                    .take()
                    .await
                    .ok_or(ConnectionError::NoKeys)?;
                link.give_key(key.public_key_der());
                ticket_key = Some(key);
            }
            Step::CheckTicket(ticket) => {
                let plaintext = ticket_key.take().and_then(|key| key.decrypt(&ticket));
                let admits = host
                    .policy
                    .admits(host.now(), plaintext.as_ref().map(|text| text.as_slice()));
                let verdict = if admits {
                    admit(host, &link)?
                } else {
                    Err(LinkError::PermissionDenied)
                };
                link.decide(verdict.map(|guard| admitted = Some(guard)));
            }
            Step::Linked(linked) => {
                let guard = admitted.take().ok_or(LinkError::Refused)?;
                return Ok((guard, *linked));
            }
            Step::Failed(error) => return Err(error.into()),
        }
    }
}

fn admit(host: &Rc<Host>, link: &Link) -> Result<Result<Admitted, LinkError>, ConnectionError> {
    let entropy = getrandom::u32().map_err(|_| ConnectionError::NoKeys)?;
    let Some(message) = link.message() else {
        return Ok(Err(LinkError::Refused));
    };
    let result = host.with(|session| session.admit(message, entropy));
    Ok(match result {
        Ok(key) => Ok(Admitted {
            host: Rc::clone(host),
            key,
            bell: host.hang_bell(key),
        }),
        Err(AdmitError::UnknownConnection) => Err(LinkError::UnknownConnection),
        Err(AdmitError::NoSuchChannel) => Err(LinkError::NoSuchChannel(
            message.channel_type,
            message.channel_id,
        )),
        Err(AdmitError::TooManyClients | AdmitError::AlreadyConnected) => Err(LinkError::Refused),
    })
}

async fn run<S>(
    host: &Rc<Host>,
    guard: &Admitted,
    stream: S,
    mut kernel: Kernel,
    is_inputs: bool,
) -> Result<(), ConnectionError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut input = vec![0; READ_BYTES];
    let (mut output, mut written) = (Vec::new(), 0);
    loop {
        let mut more = false;
        if written == output.len() {
            output.clear();
            written = 0;
            more = fill(host, guard.key, &mut output);
            if let Some(bytes) = host.with(|session| session.in_flight_max(guard.key)) {
                kernel.hold_unsent_for(bytes)?;
            }
        }
        let rest = output.get(written..).unwrap_or_default();
        let deadline = host
            .with(|session| session.deadline(guard.key))
            .map(|at| host.instant(at));
        let waits_for_driver = is_inputs && host.input_is_full();
        tokio::select! {
            biased;
            // What the client says comes first: its keys, and its word on what has arrived.
            count = reader.read(&mut input), if !waits_for_driver => {
                let count = count?;
                if count == 0 {
                    return Ok(());
                }
                let bytes = input.get(..count).unwrap_or_default();
                host.with(|session| session.receive(guard.key, host.now(), bytes))?;
            }
            count = writer.write(rest), if !rest.is_empty() => {
                let count = count?;
                if count == 0 {
                    return Ok(());
                }
                written += count;
                tokio::task::yield_now().await;
            }
            () = host.input_taken.notified(), if waits_for_driver => {}
            () = guard.bell.rung.notified() => {
                if guard.bell.closed.get() {
                    return Ok(());
                }
            }
            () = tokio::task::yield_now(), if more && rest.is_empty() => {}
            () = sleep_until(deadline), if rest.is_empty() => {}
        }
    }
}

/// Asks the channel for what it has to send, several messages for one write. Clients paint when they have read all
/// there is, so a frame in pieces would be shown in pieces, a refresh of their screen apart. Returns whether there is
/// more right now.
fn fill(host: &Host, key: ChannelKey, output: &mut Vec<u8>) -> bool {
    let begun = host.now();
    loop {
        let now = host.now();
        let more = host.with(|session| session.transmit(key, now, output));
        if !more || BURST_BYTES <= output.len() || BURST_TIME <= now.since(begun) {
            return more;
        }
    }
}

/// Sleeps until a moment that may never come.
pub(super) async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
