//! The small protocol between a desktop's launcher and other `caraway` commands of the same user.
//!
//! The socket is 0600 in a directory that only the user enters, and the kernel's word on who connected
//! is asked as well.

pub(crate) mod client;
pub(crate) mod lines;
pub(crate) mod messages;

use std::convert::Infallible;
use std::io;
use std::os::unix::net;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use self::lines::LineReader;
use self::messages::{Desktop, MESSAGE_BYTES_MAX, REQUEST_BYTES_MAX, Reply, Request, WayIn};
use crate::access::Access;
use crate::password::Password;
use crate::process::program_file::ProgramFile;
use crate::server::StatusOf;
use crate::ticket::{NewTicket, Ticket};

/// File name of the socket in a desktop's directory.
pub(crate) const SOCKET: &str = "control.sock";

/// Time in which who was sent to watch has to connect.
const SHADOW_EXPIRES_S: u64 = 60;

/// Connections at a time; more wait in the socket's queue.
const CONNECTIONS_MAX: usize = 16;

/// Time in which a request has to come, and in which its reply has to be taken.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// Pause after a failed accept, so that a full descriptor table costs no CPU.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// What is told to others; replaced whenever it changes.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    /// The desktop, without its server's status.
    pub(crate) desktop: Desktop,
    /// The program that this launcher is.
    pub(crate) launcher_file: Option<ProgramFile>,
    /// The one that its server is.
    pub(crate) server_file: Option<ProgramFile>,
    /// The server that runs now.
    pub(crate) server: Option<StatusOf>,
    /// The ticket.
    pub(crate) ticket: Option<Ticket>,
    /// The one of who only watches.
    pub(crate) view_only: Option<Ticket>,
    /// Clients on TCP are users: no ticket lets them in.
    pub(crate) by_users: bool,
    /// The certificate that clients are to trust for TLS, in PEM form, if it was made here.
    pub(crate) authority: Option<String>,
}

/// What others want of the desktop.
#[derive(Debug)]
pub(crate) enum Order {
    /// Its end.
    Stop,
    /// Another password.
    SetTicket(Ticket),
    /// The newest launcher and server.
    Upgrade(UpgradeAsked),
    /// Words for its clients and its user.
    Message(String),
}

/// Somebody who waits to hear whether an upgrade can begin.
#[derive(Debug)]
pub(crate) struct UpgradeAsked {
    answer: oneshot::Sender<Result<(), String>>,
    /// Closes when the asker has been told.
    told: oneshot::Receiver<Infallible>,
}

impl UpgradeAsked {
    /// It cannot, for this reason.
    pub(crate) fn refuse(self, reason: String) {
        let _ = self.answer.send(Err(reason));
    }

    /// It can; returns when that was said.
    pub(crate) async fn accept(self) {
        if self.answer.send(Ok(())).is_ok() {
            let _ = self.told.await;
        }
    }
}

/// Answers on `socket` until the runtime ends. `orders` gets what is wanted.
pub(crate) fn serve(
    socket: net::UnixListener,
    facts: watch::Receiver<Facts>,
    orders: mpsc::Sender<Order>,
) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let socket = UnixListener::from_std(socket)?;
    tokio::spawn(accept(socket, facts, orders));
    Ok(())
}

async fn accept(socket: UnixListener, facts: watch::Receiver<Facts>, orders: mpsc::Sender<Order>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let Ok((connection, _)) = socket.accept().await else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (facts, orders) = (facts.clone(), orders.clone());
        tokio::spawn(async move {
            let _ = converse(connection, &facts, &orders).await;
            drop(place);
        });
    }
}

async fn converse(
    mut connection: UnixStream,
    facts: &watch::Receiver<Facts>,
    orders: &mpsc::Sender<Order>,
) -> io::Result<()> {
    let peer = connection.peer_cred()?.uid();
    if peer != 0 && peer != nix::unistd::geteuid().as_raw() {
        let reason = "this desktop belongs to another user".into();
        return reply(&mut connection, &Reply::Refused { reason }).await;
    }
    loop {
        let mut lines = LineReader::new(&mut connection, REQUEST_BYTES_MAX);
        let Some(line) = timeout(REQUEST_DEADLINE, lines.next()).await?? else {
            return Ok(());
        };
        match serde_json::from_slice(&line) {
            Ok(Request::Describe) => {
                let desktop = describe(facts).await;
                reply(&mut connection, &Reply::Desktop(desktop)).await?;
            }
            Ok(Request::WayIn) => {
                let way_in = way_in(&facts.borrow(), |facts| facts.ticket.as_ref());
                reply(&mut connection, &Reply::WayIn(way_in)).await?;
            }
            Ok(Request::ViewOnlyWayIn) => {
                let way_in = way_in(&facts.borrow(), |facts| facts.view_only.as_ref());
                reply(&mut connection, &Reply::WayIn(way_in)).await?;
            }
            Ok(Request::Shadow) => {
                let result = shadow(facts, orders).await;
                let result = result.unwrap_or_else(|reason| Reply::Refused { reason });
                reply(&mut connection, &result).await?;
            }
            Ok(Request::Message { text }) => {
                let result = pass_on(text, orders).await;
                let result =
                    result.map_or_else(|reason| Reply::Refused { reason }, |()| Reply::Told);
                reply(&mut connection, &result).await?;
            }
            Ok(Request::SetTicket(ticket)) => {
                let result = set_ticket(ticket, facts, orders).await;
                let result =
                    result.map_or_else(|reason| Reply::Refused { reason }, |()| Reply::TicketSet);
                reply(&mut connection, &result).await?;
            }
            Ok(Request::Upgrade) => {
                // Dropped when the reply has been written.
                let (_telling, told) = oneshot::channel();
                let result = upgrade(told, orders).await;
                let result =
                    result.map_or_else(|reason| Reply::Refused { reason }, |()| Reply::Upgrading);
                reply(&mut connection, &result).await?;
            }
            Ok(Request::Stop) => {
                reply(&mut connection, &Reply::Stopping).await?;
                let _ = orders.send(Order::Stop).await;
                // Held open until this process ends: its end tells the asker that all is gone.
                std::future::pending::<()>().await;
            }
            Err(_) => {
                let reason = "that is no request; both caraway commands must be of one version";
                return reply(
                    &mut connection,
                    &Reply::Refused {
                        reason: reason.into(),
                    },
                )
                .await;
            }
        }
    }
}

async fn set_ticket(
    new: NewTicket,
    facts: &watch::Receiver<Facts>,
    orders: &mpsc::Sender<Order>,
) -> Result<(), String> {
    let ticket = Ticket::of(new).map_err(|error| error.to_string())?;
    check(&ticket, &facts.borrow())?;
    let sent = orders.send(Order::SetTicket(ticket)).await;
    sent.map_err(|_| "it is ending".into())
}

async fn upgrade(
    told: oneshot::Receiver<Infallible>,
    orders: &mpsc::Sender<Order>,
) -> Result<(), String> {
    let (answer, answered) = oneshot::channel();
    let asked = UpgradeAsked { answer, told };
    let ending = || "it starts or ends just now".to_owned();
    let sent = orders.send(Order::Upgrade(asked)).await;
    sent.map_err(|_| ending())?;
    answered.await.map_err(|_| ending())?
}

/// What speaks against this ticket, as a sentence.
fn check(ticket: &Ticket, facts: &Facts) -> Result<(), String> {
    if !ticket.access().is_full() {
        let has_socket = || facts.desktop.uris.iter().any(|uri| is_unix(uri));
        if facts.by_users && !has_socket() {
            return Err("it lets users in (--auth sasl), who have no such password".into());
        }
        let is_taken = |other: &Ticket| other.is_same_word(ticket);
        return match facts.ticket.as_ref().is_some_and(is_taken) {
            true => Err("that is the password of who may do everything; take another".into()),
            false => Ok(()),
        };
    }
    match &facts.ticket {
        None => {
            Err("it was started with --auth none or sasl and has no password of its own".into())
        }
        Some(_)
            if facts
                .view_only
                .as_ref()
                .is_some_and(|other| other.is_same_word(ticket)) =>
        {
            Err("that is the password of who only watches; take another".into())
        }
        Some(_) => Ok(()),
    }
}

/// A way in for one client that watches, is let in within a minute, and is announced to the desktop's user.
async fn shadow(
    facts: &watch::Receiver<Facts>,
    orders: &mpsc::Sender<Order>,
) -> Result<Reply, String> {
    let password = Password::random().map_err(|error| error.to_string())?;
    let new = NewTicket {
        password: password.reveal().to_owned(),
        expires_s: Some(SHADOW_EXPIRES_S),
        once: true,
        access: Access::Shadow,
    };
    set_ticket(new, facts, orders).await?;
    let facts = facts.borrow();
    let mut way_in = way_in(&facts, |_| None);
    way_in.password = Some(password.reveal().to_owned());
    way_in.uris.retain(|uri| !facts.by_users || is_unix(uri));
    Ok(Reply::WayIn(way_in))
}

fn is_unix(uri: &str) -> bool {
    uri.starts_with("spice+unix:")
}

async fn pass_on(text: String, orders: &mpsc::Sender<Order>) -> Result<(), String> {
    if text.trim().is_empty() || MESSAGE_BYTES_MAX < text.len() {
        return Err(format!("a message has 1 to {MESSAGE_BYTES_MAX} bytes"));
    }
    let text = text.replace(char::is_control, " ");
    let sent = orders.send(Order::Message(text)).await;
    sent.map_err(|_| "it is ending".into())
}

async fn describe(facts: &watch::Receiver<Facts>) -> Desktop {
    let Facts {
        mut desktop,
        launcher_file,
        server_file,
        server,
        ..
    } = facts.borrow().clone();
    let mut programs = launcher_file.iter().chain(&server_file);
    desktop.outdated = Some(programs.any(ProgramFile::is_replaced));
    if let Some(server) = server {
        desktop.server = server.get().await;
    }
    desktop
}

fn way_in(facts: &Facts, ticket: fn(&Facts) -> Option<&Ticket>) -> WayIn {
    let password = ticket(facts).and_then(Ticket::password);
    let password = password.map(|password| password.reveal().to_owned());
    WayIn {
        uris: facts.desktop.uris.clone(),
        password,
        authority: facts.authority.clone(),
    }
}

async fn reply(connection: &mut UnixStream, reply: &Reply) -> io::Result<()> {
    let mut line = serde_json::to_vec(reply)?;
    line.push(b'\n');
    timeout(REQUEST_DEADLINE, connection.write_all(&line)).await?
}
