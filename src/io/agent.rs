//! Carries out what the agent orders, and reports what happens on the desktop.
//!
//! One task takes the session's orders and hands them to whoever can do them: threads with an X connection or with
//! files of their own, so that nothing here waits. They report through one channel.

use std::convert::Infallible;
use std::mem::Discriminant;
use std::path::PathBuf;
use std::rc::Rc;

use tokio::sync::mpsc;

use super::connection::sleep_until;
use super::host::Host;
use super::refusals::Refusals;
use super::uploads::{UploadPolicy, UploadWriter};
use super::x11_clipboard::X11Clipboard;
use crate::agent::clipboard::{ClipboardDirection, ClipboardOrder, ClipboardPolicy, Refusal};
use crate::agent::resize::ResizeOrder;
use crate::agent::{News, Order};
use crate::channel::AgentServices;

/// News that wait for the session; a thread that has more waits itself.
const NEWS_WAITING_MAX: usize = 64;

/// Kinds of lines about what is refused.
#[derive(Debug, PartialEq)]
enum Refused {
    /// A paste.
    Paste(Discriminant<Refusal>),
    /// What a client asked; the text, for not every odd thing is the same.
    Asked(String),
}

/// Where the desktop's X server is.
#[derive(Clone, Debug)]
pub struct XDisplay {
    /// Like `:7`.
    pub name: String,
    /// The file with its cookie.
    pub authority: Option<PathBuf>,
}

/// Whoever does what the agent orders.
#[derive(Debug)]
pub struct Hands {
    services: AgentServices,
    clipboard: Option<X11Clipboard>,
    news: mpsc::Receiver<News>,
    /// Kept, so that the channel stays open when no thread has it.
    reporter: mpsc::Sender<News>,
    uploads: Option<UploadWriter>,
    refusals: Refusals<Refused>,
}

impl Hands {
    /// Starts what can be started on this desktop; without a display there are no selections.
    pub fn open(display: Option<&XDisplay>, clipboard: &ClipboardPolicy) -> Self {
        let (reporter, news) = mpsc::channel(NEWS_WAITING_MAX);
        let mut services = AgentServices::default();
        let clipboard = display.and_then(|display| open_clipboard(display, clipboard, &reporter));
        if let Some((_, bytes_max)) = &clipboard {
            services.clipboard = true;
            services.clipboard_bytes_max = *bytes_max;
        }
        Self {
            services,
            clipboard: clipboard.map(|(clipboard, _)| clipboard),
            news,
            reporter,
            uploads: None,
            refusals: Refusals::default(),
        }
    }

    /// Monitors follow clients' windows: by the driver, which needs no display for it.
    #[must_use]
    pub const fn following_windows(mut self, follow: bool) -> Self {
        self.services.resize = follow;
        self
    }

    /// Clients tell how loud they play; whoever serves the desktop's sound takes it over.
    #[must_use]
    pub const fn with_volumes(mut self, are_taken_over: bool) -> Self {
        self.services.volume_sync = are_taken_over;
        self
    }

    /// Takes files from clients, too.
    #[must_use]
    pub fn with_uploads(mut self, policy: UploadPolicy) -> Self {
        match UploadWriter::start(policy, self.reporter.clone()) {
            Ok(writer) => {
                self.uploads = Some(writer);
                self.services.uploads = true;
            }
            Err(error) => tracing::warn!(%error, "files from clients cannot be taken"),
        }
        self
    }

    /// Serves the session's agent for as long as the program runs.
    pub async fn serve(mut self, host: Rc<Host>) -> Infallible {
        let services = self.services;
        host.with(|session| session.serve_agent(services));
        let mut orders = Vec::new();
        loop {
            let deadline = host.with(|session| {
                session.take_orders(&mut orders);
                session.agent_deadline()
            });
            for order in orders.drain(..) {
                self.carry_out(&host, order);
            }
            let deadline = deadline.map(|at| host.instant(at));
            tokio::select! {
                () = host.agent.notified() => {}
                Some(news) = self.news.recv() => {
                    host.with(|session| session.agent_news(host.now(), news));
                }
                () = sleep_until(deadline) => host.with(|session| session.agent_poll(host.now())),
            }
        }
    }

    fn carry_out(&mut self, host: &Host, order: Order) {
        match order {
            Order::Clipboard(ClipboardOrder::Refused(why)) => {
                let kind = Refused::Paste(std::mem::discriminant(&why));
                if let Some(line) = self.refusals.admit(host.now(), kind) {
                    tracing::warn!(held_back = line.held_back(), "{why}");
                }
            }
            Order::Clipboard(order) => {
                if let Some(clipboard) = &self.clipboard {
                    clipboard.order(order);
                }
            }
            Order::Resize(ResizeOrder(layout)) => host.set_layout(layout),
            Order::Upload(order) => {
                if let Some(writer) = &self.uploads {
                    writer.order(order);
                }
            }
            Order::Note(client, note) => {
                let kind = Refused::Asked(note.to_string());
                if let Some(line) = self.refusals.admit(host.now(), kind) {
                    let (client, held_back) = (client.number(), line.held_back());
                    tracing::warn!(client, held_back, "{note}");
                }
            }
        }
    }
}

/// Starts sharing selections by this policy, if it lets anything pass. Returns the bytes that a client may send, too.
fn open_clipboard(
    display: &XDisplay,
    policy: &ClipboardPolicy,
    reporter: &mpsc::Sender<News>,
) -> Option<(X11Clipboard, u32)> {
    tracing::info!("{policy}");
    if policy.direction == ClipboardDirection::Off {
        return None;
    }
    let reporter = reporter.clone();
    let tell = move |news| reporter.blocking_send(News::Clipboard(news)).is_ok();
    match X11Clipboard::start(&display.name, display.authority.as_deref(), tell) {
        Ok(clipboard) => Some((
            clipboard,
            u32::try_from(policy.bytes_max).unwrap_or(u32::MAX),
        )),
        Err(error) => {
            tracing::warn!(%error, "there is no clipboard");
            None
        }
    }
}
