//! The desktop's selections, through an X connection of its own in a thread of its own.
//!
//! The server gives orders ([`X11Clipboard::order`]) and is told news; neither waits for the other. In the thread one
//! poll waits for X, orders and deadlines. It ends with X, with the server's end of the news, or with its handle.

mod images;
mod incoming;
mod outgoing;
mod selections;
mod targets;
#[cfg(test)]
mod tests;
mod watched;

use std::io::Read as _;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use x11rb::connection::Connection;
use x11rb::errors::{ConnectionError, ReplyError, ReplyOrIdError};
use x11rb::protocol::xproto::{Atom, AtomEnum, Window};
use x11rb::rust_connection::RustConnection;

use super::x11_display::{self, DisplayError};
use crate::agent::clipboard::{ClipboardNews, ClipboardOrder, TransferId};
use crate::base::SharedBytes;
use crate::wire::agent::ClipboardType;
use selections::Selections;
use targets::Atoms;

/// Events that are handled before what they have changed is acted on, and orders are looked at: many, for those of a
/// program that changes owners without end cost nothing until then.
const EVENTS_AT_ONCE: usize = 4096;

/// Why there is no clipboard.
#[derive(Debug, thiserror::Error)]
pub enum X11ClipboardError {
    /// No connection.
    #[error(transparent)]
    Display(#[from] DisplayError),
    /// The connection is of no use.
    #[error("talking to the X server: {0}")]
    Connection(#[from] ConnectionError),
    /// An answer is an error.
    #[error("asking the X server: {0}")]
    Reply(#[from] ReplyError),
    /// No ids, or an answer that is an error.
    #[error("asking the X server: {0}")]
    ReplyOrId(#[from] ReplyOrIdError),
    /// No thread, or no pair of sockets.
    #[error("starting the clipboard: {0}")]
    Start(#[from] std::io::Error),
}

/// The connection and what belongs to it.
#[derive(Debug)]
struct Connected {
    connection: RustConnection,
    atoms: Atoms,
    root: Window,
    /// Owns selections.
    window: Window,
    /// Which bits of an id tell one thing of a program from another.
    id_mask: u32,
}

impl Connected {
    fn selection_atom(&self, at: usize) -> Atom {
        [self.atoms.CLIPBOARD, Atom::from(AtomEnum::PRIMARY)][at]
    }
}

/// What a reading is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// What the new owner of this selection offers.
    Targets(usize),
    /// Whether it is a secret.
    Hint(usize),
    /// Whether it is what we had offered.
    Echo(usize),
    /// A paste of a client.
    Fetch(TransferId),
}

#[derive(Debug)]
struct Conversion {
    transfer: TransferId,
    from: ClipboardType,
    to: ClipboardType,
    data: SharedBytes,
    bytes_max: usize,
}

/// The server's end of the thread. Dropping it ends the thread.
#[derive(Debug)]
pub struct X11Clipboard {
    orders: Sender<ClipboardOrder>,
    conversions: Sender<Conversion>,
    bell: UnixStream,
}

impl X11Clipboard {
    /// Connects to the display of this name with the cookie in the file `authority`, and starts. `tell` is called in
    /// threads of the clipboard's own; it may wait, and says whether anybody still listens.
    ///
    /// # Errors
    /// [`X11ClipboardError`]: there is no such display, or it cannot be used.
    pub fn start(
        display: &str,
        authority: Option<&Path>,
        tell: impl Fn(ClipboardNews) -> bool + Clone + Send + 'static,
    ) -> Result<Self, X11ClipboardError> {
        let (connection, screen) = x11_display::connect(display, authority)?;
        let (bell, rung) = UnixStream::pair()?;
        bell.set_nonblocking(true)?;
        rung.set_nonblocking(true)?;
        let (orders, orders_in) = channel();
        let (conversions, conversions_in) = channel();
        let teller = tell.clone();
        std::thread::Builder::new()
            .name("images".to_owned())
            .spawn(move || convert_images(&conversions_in, teller))?;
        let mut selections = Selections::open(connection, screen, Box::new(tell))?;
        std::thread::Builder::new()
            .name("clipboard".to_owned())
            .spawn(move || {
                if let Err(error) = serve(&mut selections, &orders_in, &rung) {
                    tracing::debug!(%error, "the clipboard ends");
                }
            })?;
        Ok(Self {
            orders,
            conversions,
            bell,
        })
    }

    /// Has something done. Never waits; once X is gone nothing comes of it.
    pub fn order(&self, order: ClipboardOrder) {
        use std::io::Write;
        let order = match order {
            ClipboardOrder::Convert {
                transfer,
                from,
                to,
                data,
                bytes_max,
            } => {
                // The thread ends after this handle.
                let _ = self.conversions.send(Conversion {
                    transfer,
                    from,
                    to,
                    data,
                    bytes_max,
                });
                return;
            }
            order => order,
        };
        if self.orders.send(order).is_ok() {
            // A bell that is full has been rung.
            let _ = (&self.bell).write(&[1]);
        }
    }
}

fn convert_images(conversions: &Receiver<Conversion>, tell: impl Fn(ClipboardNews) -> bool) {
    while let Ok(one) = conversions.recv() {
        let result = images::convert(one.from, one.to, &one.data, one.bytes_max);
        let is_heard = tell(ClipboardNews::Converted {
            transfer: one.transfer,
            result: result.map(SharedBytes::from),
        });
        if !is_heard {
            return;
        }
    }
}

/// Serves until X, the orders or whoever is told is gone.
fn serve(
    selections: &mut Selections,
    orders: &Receiver<ClipboardOrder>,
    rung: &UnixStream,
) -> Result<(), X11ClipboardError> {
    let mut bytes = [0; 64];
    while selections.is_heard() {
        loop {
            match orders.try_recv() {
                Ok(order) => selections.obey(order)?,
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
        selections.expire(Instant::now())?;
        let mut is_idle = true;
        for _ in 0..EVENTS_AT_ONCE {
            let Some(event) = selections.x.connection.poll_for_event()? else {
                break;
            };
            is_idle = false;
            selections.handle(event)?;
        }
        selections.follow_owners()?;
        selections.x.connection.flush()?;
        if !is_idle {
            // Replies that were waited for may have brought events along.
            continue;
        }
        wait(selections, rung)?;
        // Orders are looked at anyway.
        while matches!((&mut &*rung).read(&mut bytes), Ok(count) if count != 0) {}
    }
    Ok(())
}

fn wait(selections: &Selections, rung: &UnixStream) -> Result<(), X11ClipboardError> {
    let timeout = selections.deadline().map(|at| {
        // A little late rather than a little early and again.
        at.saturating_duration_since(Instant::now()) + Duration::from_millis(1)
    });
    let timeout = timeout.map_or(PollTimeout::NONE, |span| {
        PollTimeout::try_from(span).unwrap_or(PollTimeout::MAX)
    });
    let stream = selections.x.connection.stream();
    let mut descriptors = [
        PollFd::new(stream.as_fd(), PollFlags::POLLIN),
        PollFd::new(rung.as_fd(), PollFlags::POLLIN),
    ];
    match poll(&mut descriptors, timeout) {
        Ok(_) | Err(nix::errno::Errno::EINTR) => Ok(()),
        Err(error) => Err(std::io::Error::from(error).into()),
    }
}
