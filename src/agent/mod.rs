//! What an agent inside the desktop does, as pure state machines: selections, monitors, files.
//!
//! Each part takes in what clients say and what the desktop's side reports ([`News`]), and gives messages for clients
//! and [`Order`]s for whoever can touch the desktop (`io::agent`). `docs/agent.md` shows the way of a message.

pub mod clipboard;
pub mod resize;
pub mod resize_layout;
pub mod upload_name;
pub mod upload_start;
pub mod uploads;

use crate::base::{ClientId, Micros};
use crate::wire::agent::{AgentMessage, AgentType};
use crate::wire::caps::Caps;

/// Something to be done to the desktop.
#[derive(Debug)]
pub enum Order {
    /// To the selections.
    Clipboard(clipboard::ClipboardOrder),
    /// To the monitors.
    Resize(resize::ResizeOrder),
    /// To the files.
    Upload(uploads::UploadOrder),
    /// To the log.
    Note(ClientId, Note),
}

/// What was found out about the desktop, or became of an order.
#[derive(Debug)]
pub enum News {
    /// Of the selections.
    Clipboard(clipboard::ClipboardNews),
    /// Of the monitors.
    Resize(resize::ResizeNews),
    /// Of the files.
    Upload(uploads::UploadNews),
}

/// What people should know about a client's messages.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// A message is not taken.
    #[error("agent message {message_type:?} is passed over: {why}")]
    Skipped {
        /// Its kind.
        message_type: AgentType,
        /// Why.
        why: String,
    },
    /// A part refuses, or changes, what was asked.
    #[error("{0}")]
    Refused(String),
    /// The client takes nothing any more.
    #[error("the client does not take what the agent sends, and is closed")]
    NotTaking,
}

/// What a part gives, in order.
#[derive(Debug, Default)]
pub struct Outbound {
    /// For clients. What a client has not announced to understand is dropped on the way.
    pub messages: Vec<(ClientId, AgentMessage)>,
    /// For the desktop.
    pub orders: Vec<Order>,
    /// Clients that get no tokens back from now on, or do again: what they send cannot be put anywhere.
    pub holds: Vec<(ClientId, bool)>,
}

impl Outbound {
    /// A message for a client.
    pub fn say(&mut self, client: ClientId, message: AgentMessage) {
        self.messages.push((client, message));
    }

    /// An order for the desktop.
    pub fn order(&mut self, order: Order) {
        self.orders.push(order);
    }

    /// A line for the log; the same is not said over and over.
    pub fn note(&mut self, client: ClientId, note: Note) {
        self.orders.push(Order::Note(client, note));
    }

    /// Slows a client down, or lets it go on. It is slowed within [`crate::base::limits::AGENT_TOKENS`] chunks, which
    /// come all the same.
    pub fn hold(&mut self, client: ClientId, held: bool) {
        self.holds.push((client, held));
    }
}

/// One of the things that an agent does. Calls come in the order in which things happened.
pub trait Part {
    /// What the desktop's side reports to it.
    type News;

    /// A client has announced what it can ([`crate::wire::agent::caps`]). One that does so again begins anew.
    fn joined(&mut self, now: Micros, client: ClientId, caps: &Caps, out: &mut Outbound);

    /// A client is gone, or the agent is for it.
    fn left(&mut self, client: ClientId, out: &mut Outbound);

    /// A message of a client that is for this part.
    fn message(&mut self, now: Micros, client: ClientId, message: AgentMessage, out: &mut Outbound);

    /// A message of this kind from a client was too long or malformed, and is not taken.
    fn skipped(
        &mut self,
        now: Micros,
        client: ClientId,
        message_type: AgentType,
        out: &mut Outbound,
    );

    /// News from the desktop's side.
    fn news(&mut self, now: Micros, news: Self::News, out: &mut Outbound);

    /// When [`poll`](Self::poll) is to be called even if nothing happens.
    fn deadline(&self) -> Option<Micros>;

    /// Time has passed.
    fn poll(&mut self, now: Micros, out: &mut Outbound);
}
