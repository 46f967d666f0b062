//! Files from clients, as far as nothing takes them: every one is refused.

use super::{Outbound, Part};
use crate::base::{ClientId, Micros};
use crate::wire::agent::{AgentMessage, AgentType, FileDetail, FileResult, FileStatus};
use crate::wire::caps::Caps;

/// There is none.
#[derive(Debug)]
pub enum UploadOrder {}

/// There is none.
#[derive(Debug)]
pub enum UploadNews {}

/// The part's state.
#[derive(Debug, Default)]
pub struct Uploads;

impl Part for Uploads {
    type News = UploadNews;

    fn joined(&mut self, _: Micros, _: ClientId, _: &Caps, _: &mut Outbound) {}

    fn left(&mut self, _: ClientId, _: &mut Outbound) {}

    fn message(&mut self, _: Micros, client: ClientId, message: AgentMessage, out: &mut Outbound) {
        if let AgentMessage::FileStart(start) = message {
            let status = FileStatus {
                id: start.id,
                result: FileResult::DISABLED,
                detail: FileDetail::None,
            };
            out.say(client, AgentMessage::FileStatus(status));
        }
    }

    fn skipped(&mut self, _: Micros, _: ClientId, _: AgentType, _: &mut Outbound) {}

    fn news(&mut self, _: Micros, news: UploadNews, _: &mut Outbound) {
        match news {}
    }

    fn deadline(&self) -> Option<Micros> {
        None
    }

    fn poll(&mut self, _: Micros, _: &mut Outbound) {}
}
