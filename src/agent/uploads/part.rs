//! Uploads as a part of the agent: what clients and the disk say comes in, what they are to be told goes out.

use super::{State, UploadNews, Uploads};
use crate::agent::{Order, Outbound, Part};
use crate::base::{ClientId, Micros};
use crate::wire::agent::{AgentMessage, AgentType, FileDetail, FileResult, caps};
use crate::wire::caps::Caps;

impl Part for Uploads {
    type News = UploadNews;

    fn joined(&mut self, _: Micros, client: ClientId, theirs: &Caps, out: &mut Outbound) {
        // A client that begins anew has forgotten its files.
        self.disconnected(client);
        self.announced(client, theirs.has(caps::FILE_XFER_DETAILED_ERRORS));
        self.give(out);
    }

    fn left(&mut self, client: ClientId, out: &mut Outbound) {
        self.disconnected(client);
        self.give(out);
    }

    fn message(
        &mut self,
        now: Micros,
        client: ClientId,
        message: AgentMessage,
        out: &mut Outbound,
    ) {
        match message {
            AgentMessage::FileStart(start) => self.start(client, &start),
            AgentMessage::FileData(data) => self.data(now, client, data),
            AgentMessage::FileStatus(status) => self.status(client, status),
            _ => {}
        }
        self.give(out);
    }

    fn skipped(
        &mut self,
        _: Micros,
        client: ClientId,
        message_type: AgentType,
        out: &mut Outbound,
    ) {
        if message_type == AgentType::FILE_XFER_DATA {
            self.lost_piece(client);
            self.give(out);
        }
    }

    fn news(&mut self, now: Micros, news: UploadNews, out: &mut Outbound) {
        self.heard(now, news);
        self.give(out);
    }

    fn deadline(&self) -> Option<Micros> {
        self.stalled_at()
    }

    fn poll(&mut self, now: Micros, out: &mut Outbound) {
        self.give_up_stalled(now);
        self.give(out);
    }
}

impl Uploads {
    /// A piece was not taken, and of which file is not known: none that could miss it will ever be whole.
    fn lost_piece(&mut self, client: ClientId) {
        let uploads = self.clients.get(&client).map(|one| &one.uploads);
        let receiving = uploads.into_iter().flatten();
        let receiving = receiving.filter(|upload| upload.state == State::Receiving);
        for id in receiving.map(|upload| upload.id).collect::<Vec<_>>() {
            self.drop_file(client, id);
            self.tell(client, id, FileResult::ERROR, FileDetail::None);
        }
        self.open_next();
    }

    fn give(&mut self, out: &mut Outbound) {
        out.orders.extend(self.orders.drain(..).map(Order::Upload));
        for (client, status) in self.statuses.drain(..) {
            out.say(client, AgentMessage::FileStatus(status));
        }
        for (client, held) in self.holds.drain(..) {
            out.hold(client, held);
        }
    }
}
