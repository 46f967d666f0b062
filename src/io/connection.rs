//! One connection: its handshake, then its channel, until either side ends it.
//!
//! A connection is one task. It writes only when the socket takes bytes and asks the session for more only when all
//! is written, so pixels are encoded as late as they can be. After each image the other tasks get their turn.

use std::rc::Rc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::door::{OpeningError, WaitingPlace};
use super::host::{Bell, Host};
use super::kernel::Kernel;
use super::key_pool::LentKey;
use super::sasl::Attempt;
use super::tls::Encryption;
use super::transport::Transport;
use super::unsent::Unsent;
use crate::auth::doorkeeper::{Source, Tried};
use crate::base::{Access, Micros};
use crate::channel::link::{Link, LinkError, Linked, Step};
use crate::channel::link_sasl::{SaslAnswer, SaslTurn};
use crate::session::{AdmitError, ChannelError, ChannelKey, Origin};
use crate::wire::caps;
use crate::wire::link::ChannelType;

/// Bytes that are read at once.
const READ_BYTES: usize = 16 * 1024;

/// Bytes that are read at once while a client sends a file.
const FILE_READ_BYTES: usize = 64 * 1024;

/// Bytes after which what is to be sent is written: a frame of a page that scrolls, and less than a socket takes.
const BURST_BYTES: usize = 64 * 1024;

/// Time after which it is written: input waits no longer for what others are sent.
const BURST_TIME: Micros = Micros(1000);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    /// Its client has not got as far as a login.
    #[error(transparent)]
    Opening(#[from] OpeningError),
    /// The client broke the rules of its channel.
    #[error(transparent)]
    Channel(#[from] ChannelError),
    /// The socket failed.
    #[error(transparent)]
    Socket(#[from] std::io::Error),
}

/// A connection that has just been accepted.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) stream: Transport,
    /// Who has to answer for it; none for this host's own.
    pub(super) source: Option<Source>,
    /// The user whose word on the client's address is believed.
    pub(super) gateway: Option<u32>,
    pub(super) encryption: Encryption,
    pub(super) kernel: Kernel,
    pub(super) origin: Origin,
}

/// Serves one connection to its end; `peer` is who it comes from, better known here. The caller logs the error.
///
/// # Errors
/// [`ConnectionError`] says why it ended, unless the client simply closed it.
pub(super) async fn serve(
    host: &Rc<Host>,
    arrival: Arrival,
    place: WaitingPlace,
    peer: &mut String,
) -> Result<(), ConnectionError> {
    let Arrival {
        stream,
        source,
        gateway,
        encryption,
        kernel,
        mut origin,
    } = arrival;
    let linking = async {
        if let Some(address) = stream.forwarded(gateway).await? {
            *peer = address.to_string();
        }
        handshake(host, stream, source, &encryption, peer).await
    };
    let (stream, mut guard, linked) = place.open(linking).await?;
    let key = guard.key;
    origin.peer.clone_from(peer);
    origin.user = guard.user.take();
    let is_inputs = linked.message.channel_type == ChannelType::INPUTS;
    let tls = stream.is_tls();
    let unsent = Unsent::new(&stream, linked.mini_header);
    tracing::info!(peer = %origin.peer, tls, channel = ?linked.message.channel_type, "channel linked");
    host.with(|session| session.start(key, host.now(), linked, origin))?;
    if let Some(rtt) = kernel.rtt() {
        host.with(|session| session.kernel_rtt(key, rtt));
    }
    run(host, &guard, stream, unsent, kernel, is_inputs).await
}

/// An admitted channel; it is closed when this is dropped, however that comes.
struct Admitted {
    host: Rc<Host>,
    key: ChannelKey,
    bell: Rc<Bell>,
    /// Who has authenticated.
    user: Option<String>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.host.take_bell(self.key);
        let now = self.host.now();
        self.host.with(|session| {
            session.close(self.key);
            session.note_departure(now);
        });
    }
}

async fn handshake(
    host: &Rc<Host>,
    stream: Transport,
    source: Option<Source>,
    encryption: &Encryption,
    peer: &str,
) -> Result<(Transport, Admitted, Linked), OpeningError> {
    let mut stream = stream.open(encryption.tls()).await?;
    // Clients do no SASL without TLS: not the mechanisms that there are here, and not on a unix socket either.
    let sasl = host.sasl.as_ref().filter(|_| stream.is_tls());
    let mut attempt = sasl.map(|sasl| Attempt::new(sasl.judge()));
    let is_tls_needed = encryption.is_required() || host.sasl.is_some();
    let link = match &attempt {
        _ if is_tls_needed && !stream.is_secure() => Link::refusing_plain(),
        Some(attempt) => attempt.link(),
        None => Link::new(),
    };
    let mut link = link.decoding_opus(host.with(|session| session.decodes_opus()));
    let mut ticket_key: Option<LentKey> = None;
    let mut admitted = None;
    let mut buffer = zeroize::Zeroizing::new([0; 1024]);
    loop {
        let step = link.step();
        let output = link.take_output();
        if !output.is_empty() {
            stream.write_all(&output).await?;
            stream.flush().await?;
        }
        match step {
            Step::NeedsBytes => {
                let count = stream.read(&mut *buffer).await?;
                if count == 0 {
                    return Err(OpeningError::ClosedEarly);
                }
                link.push(buffer.get(..count).unwrap_or_default());
            }
            Step::NeedsKey => {
                let key = host.keys.lend().await.ok_or(OpeningError::NoKeys)?;
                link.give_key(key.public_key_der());
                ticket_key = Some(key);
            }
            Step::CheckTicket(ticket) => {
                let plaintext = ticket_key.take().and_then(|key| key.decrypt(&ticket));
                let text = plaintext.as_ref().map(|text| text.as_slice());
                let verdict = match access(host, &link, text, (source, peer)).await {
                    Some(access) => admit(host, &link, access, None)?,
                    None => Err(LinkError::PermissionDenied),
                };
                link.decide(verdict.map(|guard| admitted = Some(guard)));
            }
            Step::Sasl(turn) => {
                let (verdict, user) = sasl_answer(host, &mut attempt, &turn, (source, peer)).await;
                let is_accepted = matches!(verdict, SaslAnswer::Accepted(_));
                link.answer_sasl(verdict);
                if is_accepted {
                    let access = sasl.map_or(Access::ViewOnly, |sasl| sasl.access(user.as_deref()));
                    let verdict = admit(host, &link, access, user)?;
                    link.decide(verdict.map(|guard| admitted = Some(guard)));
                }
            }
            Step::Linked(linked) => {
                let guard = admitted.take().ok_or(LinkError::Refused)?;
                return Ok((stream, guard, *linked));
            }
            Step::Failed(error) => return Err(error.into()),
        }
    }
}

/// What a decrypted ticket gives; a wrong one is counted, and judged late.
async fn access(
    host: &Rc<Host>,
    link: &Link,
    text: Option<&[u8]>,
    (source, peer): (Option<Source>, &str),
) -> Option<Access> {
    let asked = tokio::time::Instant::now();
    let connection_id = link.message().map_or(0, |message| message.connection_id);
    let is_shut = host.door.is_shut(source);
    let access = host.access(text, connection_id).filter(|_| !is_shut);
    match access {
        Some(access) if access.acts() => host.door.succeeded(source, Tried::of(None)),
        // Who may only watch has no right to guess at more.
        Some(_) => {}
        None => {
            host.door
                .failed(&peer, source, Tried::of(None), asked)
                .await
        }
    }
    access
}

/// What the server's mechanism says to the client's, and whom it accepts; what it denies is counted, and said late.
async fn sasl_answer(
    host: &Rc<Host>,
    attempt: &mut Option<Attempt>,
    turn: &SaslTurn,
    (source, peer): (Option<Source>, &str),
) -> (SaslAnswer, Option<String>) {
    let asked = tokio::time::Instant::now();
    let (answer, user) = match (&host.sasl, attempt.as_mut()) {
        (Some(sasl), Some(attempt)) => sasl.answer(attempt, turn, peer).await,
        _ => (SaslAnswer::Denied(None), None),
    };
    let answer = match answer {
        SaslAnswer::Accepted(_) if host.door.is_shut(source) => SaslAnswer::Denied(None),
        answer => answer,
    };
    let tried = Tried::of(attempt.as_ref().and_then(Attempt::user));
    match &answer {
        SaslAnswer::Continue(_) => {}
        SaslAnswer::Accepted(_) => {
            host.door.succeeded(source, tried);
            tracing::info!(peer, user = ?user.as_deref().unwrap_or_default(), "authenticated");
        }
        SaslAnswer::Denied(_) => host.door.failed(&peer, source, tried, asked).await,
    }
    (answer, user)
}

fn admit(
    host: &Rc<Host>,
    link: &Link,
    access: Access,
    user: Option<String>,
) -> Result<Result<Admitted, LinkError>, OpeningError> {
    let entropy = getrandom::u32().map_err(|_| OpeningError::NoKeys)?;
    let Some(message) = link.message() else {
        return Ok(Err(LinkError::Refused));
    };
    let is_new = message.connection_id == 0;
    // Who wants less than it may have gets that.
    let wanted = match message.common_caps.has(caps::common::WATCHES_ONLY) && access.acts() {
        true => Access::ViewOnly,
        false => access,
    };
    let result = host.with(|session| {
        let key = session.admit(message, wanted, entropy)?;
        Ok((key, session.connection_id(key)))
    });
    Ok(match result {
        Ok((key, connection_id)) => {
            if let Some(connection_id) = connection_id.filter(|_| is_new) {
                host.let_in(access, connection_id);
            }
            Ok(Admitted {
                host: Rc::clone(host),
                key,
                bell: host.hang_bell(key),
                user,
            })
        }
        Err(AdmitError::UnknownConnection) => Err(LinkError::UnknownConnection),
        Err(AdmitError::NoSuchChannel) => Err(LinkError::NoSuchChannel(
            message.channel_type,
            message.channel_id,
        )),
        Err(
            AdmitError::TooManyClients | AdmitError::TooManyWatchers | AdmitError::AlreadyConnected,
        ) => Err(LinkError::Refused),
    })
}

async fn run(
    host: &Rc<Host>,
    guard: &Admitted,
    stream: Transport,
    mut unsent: Unsent,
    mut kernel: Kernel,
    is_inputs: bool,
) -> Result<(), ConnectionError> {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut input = vec![0; READ_BYTES];
    // Set anew only when the deadline moves, not at every key.
    let mut timer = std::pin::pin!(tokio::time::sleep_until(host.instant(host.now())));
    loop {
        let mut more = false;
        if unsent.is_empty() {
            more = fill(host, guard.key, unsent.refill());
            if let Some(bytes) = host.with(|session| session.in_flight_max(guard.key)) {
                kernel.hold_unsent_for(bytes)?;
            }
        }
        let is_idle = unsent.is_empty();
        if is_idle && !more {
            unsent.give_up_scratch();
        }
        let (deadline, is_held) =
            host.with(|session| (session.deadline(guard.key), session.is_held(guard.key)));
        let deadline = deadline.map(|at| host.instant(at));
        if let Some(deadline) = deadline.filter(|at| *at != timer.deadline()) {
            timer.as_mut().reset(deadline);
        }
        let waits_for_driver = is_inputs && host.input_is_full();
        tokio::select! {
            biased;
            // What the client says comes first: its keys, and its word on what has arrived.
            count = reader.read(&mut input), if !waits_for_driver && !is_held => {
                let count = count?;
                if count == 0 {
                    return Ok(());
                }
                let bytes = input.get(..count).unwrap_or_default();
                let is_file = host.with(|session| {
                    session.receive(guard.key, host.now(), bytes)?;
                    Ok::<_, ChannelError>(session.is_receiving_file(guard.key))
                })?;
                if is_file {
                    kernel.gather()?;
                }
                input.resize(if is_file { FILE_READ_BYTES } else { READ_BYTES }, 0);
            }
            () = sleep_until(kernel.gathers_until()) => kernel.let_go()?,
            goes_on = unsent.push(&mut writer), if !is_idle => {
                if !goes_on? {
                    return Ok(());
                }
                // With nothing left it waits anyway, and asks the kernel for news once.
                if more || !unsent.is_empty() {
                    tokio::task::yield_now().await;
                }
            }
            () = host.input_taken.notified(), if waits_for_driver => {}
            () = guard.bell.rung.notified() => {
                if guard.bell.closed.get() {
                    return Ok(());
                }
            }
            () = tokio::task::yield_now(), if more && is_idle => {}
            () = &mut timer, if is_idle && deadline.is_some() => {}
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
            if !output.is_empty() {
                let taken = host.now().since(begun);
                host.with(|session| session.encoded(key, taken));
            }
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
