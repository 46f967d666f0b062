//! Clipboard, as far as nothing serves it: what clients say is passed over.

use super::{Outbound, Part};
use crate::base::{ClientId, Micros};
use crate::wire::agent::{AgentMessage, AgentType};
use crate::wire::caps::Caps;

/// There is none.
#[derive(Debug)]
pub enum ClipboardOrder {}

/// There is none.
#[derive(Debug)]
pub enum ClipboardNews {}

/// The part's state.
#[derive(Debug, Default)]
pub struct Clipboard;

impl Part for Clipboard {
    type News = ClipboardNews;

    fn joined(&mut self, _: Micros, _: ClientId, _: &Caps, _: &mut Outbound) {}

    fn left(&mut self, _: ClientId, _: &mut Outbound) {}

    fn message(&mut self, _: Micros, _: ClientId, _: AgentMessage, _: &mut Outbound) {}

    fn skipped(&mut self, _: Micros, _: ClientId, _: AgentType, _: &mut Outbound) {}

    fn news(&mut self, _: Micros, news: ClipboardNews, _: &mut Outbound) {
        match news {}
    }

    fn deadline(&self) -> Option<Micros> {
        None
    }

    fn poll(&mut self, _: Micros, _: &mut Outbound) {}
}
