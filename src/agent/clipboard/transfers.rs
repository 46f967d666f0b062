//! Pastes under way: each is answered once.
//!
//! ```text
//! Fetching ── content ──▶ (an image of another kind: Converting ── image ──▶) answered
//!    └──────── refused, owner gone, deadline, too large, who asked is gone ───▶ answered with nothing
//! ```
//!
//! A client's pastes are answered in the order of its requests, one at a time for each selection, because the
//! protocol's answers carry no number. A program's pastes have numbers, and go side by side.

use std::collections::{BTreeMap, VecDeque};

use super::asks::{Answer, Asks};
use super::{Clipboard, ClipboardOrder, Owner, PasteId, Refusal, SELECTIONS, TransferId};
use super::{offer, place};
use crate::base::{ClientId, Micros, SharedBytes};
use crate::wire::agent::{AgentMessage, ClipboardData, ClipboardRequest};
use crate::wire::agent::{ClipboardType, Selection};

/// A client that owns a selection has sent its content by then, or at least another piece of it.
pub(super) const CLIENT_DEADLINE: Micros = Micros::from_secs(15);

/// A client that has just let a question about the same offer pass gets no more than this: programs that are refused
/// one kind of text ask for the next.
pub(super) const SILENT_DEADLINE: Micros = Micros::from_secs(1);

/// The X side, which has deadlines of its own, has answered by then.
pub(super) const FETCH_DEADLINE: Micros = Micros::from_secs(120);

/// An image has been converted by then.
pub(super) const CONVERT_DEADLINE: Micros = Micros::from_secs(60);

/// Pastes in the desktop that wait at once; further ones get nothing.
pub(super) const PASTES_MAX: usize = 32;

/// Requests of one client that wait at once for each selection; further ones get nothing.
pub(super) const REQUESTS_MAX: usize = 8;

/// Who gets the content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sink {
    Client(ClientId),
    Paste(PasteId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Asked of the X side.
    FromDesktop,
    /// Asked of a client.
    FromClient(ClientId),
    Converting,
}

#[derive(Debug)]
struct Transfer {
    sink: Sink,
    at: usize,
    wanted: ClipboardType,
    /// What the owner was asked for.
    fetched: ClipboardType,
    stage: Stage,
    bytes_max: usize,
    deadline: Micros,
}

/// What one client wants of one selection.
#[derive(Debug, Default)]
struct Wishes {
    under_way: Option<TransferId>,
    waiting: VecDeque<ClipboardType>,
}

/// All pastes under way.
#[derive(Debug, Default)]
pub(super) struct Transfers {
    under_way: BTreeMap<TransferId, Transfer>,
    last: u64,
    asks: BTreeMap<(ClientId, usize), Asks>,
    wishes: BTreeMap<(ClientId, usize), Wishes>,
}

impl Transfers {
    pub(super) fn deadline(&self) -> Option<Micros> {
        self.under_way.values().map(|one| one.deadline).min()
    }
}

impl Clipboard {
    /// Pastes that wait for content.
    pub fn transfers_under_way(&self) -> usize {
        self.transfers.under_way.len()
    }

    /// A piece of a message of this client has arrived: content that is on its way is not late.
    pub fn client_is_sending(&mut self, client: ClientId, now: Micros) {
        for at in 0..SELECTIONS.len() {
            let Some(asks) = self.transfers.asks.get(&(client, at)) else {
                continue;
            };
            for transfer in asks.awaited() {
                if let Some(one) = self.transfers.under_way.get_mut(transfer) {
                    one.deadline = now + CLIENT_DEADLINE;
                }
            }
        }
    }

    /// A program wants what a client offers.
    pub(super) fn handle_paste(
        &mut self,
        paste: PasteId,
        selection: Selection,
        kind: ClipboardType,
        now: Micros,
    ) {
        let Some(at) = place(selection) else {
            return self.answer_paste(paste, None);
        };
        let pastes = self.transfers.under_way.values();
        let waiting = pastes.filter(|one| matches!(one.sink, Sink::Paste(_)));
        if PASTES_MAX <= waiting.count() {
            self.refuse(Refusal::TooMany);
            return self.answer_paste(paste, None);
        }
        // A program owns it by now, or a client's release is not yet believed: nobody would answer.
        let Owner::Client(client, types) = &self.shared[at].owner else {
            return self.answer_paste(paste, None);
        };
        let source = offer::source_of(kind, types);
        let Some(fetched) = source.filter(|_| self.shared[at].release_at.is_none()) else {
            return self.answer_paste(paste, None);
        };
        let client = *client;
        self.begin(
            Transfer {
                sink: Sink::Paste(paste),
                at,
                wanted: kind,
                fetched,
                stage: Stage::FromClient(client),
                bytes_max: self.policy.bytes_max,
                deadline: now + CLIENT_DEADLINE,
            },
            now,
        );
    }

    /// The program that wanted it is gone.
    pub(super) fn paste_gone(&mut self, paste: PasteId, now: Micros) {
        let mut all = self.transfers.under_way.iter();
        let found = all.find(|(_, one)| one.sink == Sink::Paste(paste));
        if let Some(transfer) = found.map(|(id, _)| *id) {
            self.drop_transfer(transfer, now);
        }
    }

    /// A client wants what the desktop or another client offers.
    pub(super) fn handle_request(
        &mut self,
        client: ClientId,
        selection: Selection,
        kind: ClipboardType,
        now: Micros,
    ) {
        let Some(at) = place(selection) else {
            return self.answer_client(client, selection, None);
        };
        let wishes = self.transfers.wishes.entry((client, at)).or_default();
        if REQUESTS_MAX <= wishes.waiting.len() {
            self.refuse(Refusal::TooMany);
            return self.answer_client(client, selection, None);
        }
        wishes.waiting.push_back(kind);
        self.grant_wishes(client, at, now);
    }

    /// Starts what the client waits for until something is under way.
    fn grant_wishes(&mut self, client: ClientId, at: usize, now: Micros) {
        loop {
            let Some(wishes) = self.transfers.wishes.get_mut(&(client, at)) else {
                return;
            };
            if wishes.under_way.is_some() {
                return;
            }
            let Some(kind) = wishes.waiting.pop_front() else {
                return;
            };
            match self.start_for_client(client, at, kind, now) {
                Ok(transfer) => {
                    if let Some(wishes) = self.transfers.wishes.get_mut(&(client, at)) {
                        wishes.under_way = Some(transfer);
                    }
                }
                Err(why) => {
                    self.refuse(why);
                    self.answer_client(client, SELECTIONS[at], None);
                }
            }
        }
    }

    fn start_for_client(
        &mut self,
        client: ClientId,
        at: usize,
        wanted: ClipboardType,
        now: Micros,
    ) -> Result<TransferId, Refusal> {
        if !self.policy.lets_out() {
            return Err(Refusal::Direction);
        }
        let known = self.clients.get(&client).ok_or(Refusal::NotGiven)?;
        let (bytes_max, owner) = (known.bytes_max, &self.shared[at].owner);
        // It has no way to another's folder.
        let has_way = !matches!(owner, Owner::Client(..)) && self.has_folder(client);
        let may_have = !owner.is_client(client) && (has_way || wanted != ClipboardType::FileList);
        let source = offer::source_of(wanted, owner.types()).filter(|_| may_have);
        let fetched = source.ok_or(Refusal::NotGiven)?;
        let (stage, deadline) = match owner {
            Owner::Nobody => return Err(Refusal::NotGiven),
            Owner::Desktop(_) => (Stage::FromDesktop, now + FETCH_DEADLINE),
            Owner::Client(other, _) => (Stage::FromClient(*other), now + CLIENT_DEADLINE),
        };
        Ok(self.begin(
            Transfer {
                sink: Sink::Client(client),
                at,
                wanted,
                fetched,
                stage,
                bytes_max,
                deadline,
            },
            now,
        ))
    }

    fn begin(&mut self, mut transfer: Transfer, now: Micros) -> TransferId {
        self.transfers.last += 1;
        let id = TransferId(self.transfers.last);
        let (at, kind, bytes_max) = (transfer.at, transfer.fetched, transfer.bytes_max);
        match transfer.stage {
            Stage::FromClient(client) => {
                let turn = self.shared[at].turn;
                let asks = self.transfers.asks.entry((client, at)).or_default();
                if asks.is_silent(turn, now) {
                    transfer.deadline = now + SILENT_DEADLINE;
                }
                asks.add(kind, turn, id);
                self.ask(client, at);
            }
            Stage::FromDesktop | Stage::Converting => self.orders.push(ClipboardOrder::Fetch {
                transfer: id,
                selection: SELECTIONS[at],
                kind,
                bytes_max,
            }),
        }
        self.transfers.under_way.insert(id, transfer);
        id
    }

    /// Sends the client its next question, unless it has one.
    fn ask(&mut self, client: ClientId, at: usize) {
        let asks = self.transfers.asks.get_mut(&(client, at));
        if let Some(kind) = asks.and_then(Asks::next) {
            self.send_request(client, at, kind);
        }
    }

    fn send_request(&mut self, client: ClientId, at: usize, kind: ClipboardType) {
        let selection = SELECTIONS[at];
        let request = ClipboardRequest { selection, kind };
        self.messages
            .push((client, AgentMessage::ClipboardRequest(request)));
    }

    /// Content that a client sends, which answers what it was asked.
    pub(super) fn handle_data(&mut self, client: ClientId, content: ClipboardData, now: Micros) {
        let ClipboardData {
            selection,
            kind,
            data,
        } = content;
        let Some(at) = place(selection) else { return };
        let Some(asks) = self.transfers.asks.get_mut(&(client, at)) else {
            return;
        };
        let (waited, is_right) = match asks.answered(kind, now) {
            Answer::Dropped => return,
            Answer::AskAgain(kind) => return self.send_request(client, at, kind),
            Answer::For(waited, is_right) => (waited, is_right),
        };
        for transfer in waited {
            // Nothing at all is how clients say that they cannot.
            let result = if is_right && !data.is_empty() {
                Ok(data.clone())
            } else {
                Err(Refusal::NotGiven)
            };
            self.arrived(transfer, result, now);
        }
        self.ask(client, at);
    }

    /// Content that a client sent was too much, or no content: whatever it was asked for is answered with nothing.
    pub(super) fn content_skipped(&mut self, client: ClientId, now: Micros) {
        for at in 0..SELECTIONS.len() {
            let asks = self.transfers.asks.get_mut(&(client, at));
            for transfer in asks.map(Asks::give_up).unwrap_or_default() {
                self.finish(transfer, Err(Refusal::NotGiven), now);
            }
            self.ask(client, at);
        }
    }

    /// The X side has read what a program offers.
    pub(super) fn fetched(
        &mut self,
        transfer: TransferId,
        result: Result<SharedBytes, Refusal>,
        now: Micros,
    ) {
        let one = self.transfers.under_way.get(&transfer);
        if one.is_some_and(|one| one.stage == Stage::FromDesktop) {
            self.arrived(transfer, result, now);
        }
    }

    /// The X side has converted an image.
    pub(super) fn converted(
        &mut self,
        transfer: TransferId,
        result: Result<SharedBytes, Refusal>,
        now: Micros,
    ) {
        let one = self.transfers.under_way.get(&transfer);
        if one.is_some_and(|one| one.stage == Stage::Converting) {
            self.finish(transfer, result, now);
        }
    }

    /// The owner has answered: what it sent is handed on, or converted first.
    fn arrived(&mut self, transfer: TransferId, result: Result<SharedBytes, Refusal>, now: Micros) {
        let Some(one) = self.transfers.under_way.get_mut(&transfer) else {
            return;
        };
        let bytes_max = one.bytes_max;
        let result = result.and_then(|data| {
            if bytes_max < data.len() {
                Err(Refusal::TooLarge(bytes_max))
            } else {
                Ok(data)
            }
        });
        match result {
            Ok(data) if one.fetched != one.wanted => {
                one.stage = Stage::Converting;
                one.deadline = now + CONVERT_DEADLINE;
                self.orders.push(ClipboardOrder::Convert {
                    transfer,
                    from: one.fetched,
                    to: one.wanted,
                    data,
                    bytes_max,
                });
            }
            result => self.finish(transfer, result, now),
        }
    }

    /// Answers whoever waits for the transfer.
    fn finish(&mut self, transfer: TransferId, result: Result<SharedBytes, Refusal>, now: Micros) {
        let Some(one) = self.transfers.under_way.remove(&transfer) else {
            return;
        };
        let result = result.and_then(|data| match (one.sink, one.wanted) {
            (Sink::Client(of), ClipboardType::FileList) => self.files_for_client(of, &data),
            _ => Ok(data),
        });
        let result = result.and_then(|data| {
            if one.bytes_max < data.len() {
                Err(Refusal::TooLarge(one.bytes_max))
            } else {
                Ok(data)
            }
        });
        if let Err(why) = &result {
            self.refuse(*why);
        }
        let data = result.ok();
        match one.sink {
            Sink::Paste(paste) => self.answer_paste(paste, data),
            Sink::Client(client) => {
                let content = data.map(|data| (one.wanted, data));
                self.answer_client(client, SELECTIONS[one.at], content);
                if let Some(wishes) = self.transfers.wishes.get_mut(&(client, one.at)) {
                    wishes.under_way = None;
                }
                self.grant_wishes(client, one.at, now);
            }
        }
    }

    /// Nobody waits for it any more: the owner need not answer.
    fn drop_transfer(&mut self, transfer: TransferId, now: Micros) {
        if let Some(one) = self.transfers.under_way.remove(&transfer) {
            self.recall(transfer, one.stage, one.at, now);
        }
    }

    /// Takes back what was asked for a transfer.
    fn recall(&mut self, transfer: TransferId, stage: Stage, at: usize, now: Micros) {
        match stage {
            Stage::FromClient(client) => {
                if let Some(asks) = self.transfers.asks.get_mut(&(client, at)) {
                    asks.remove(transfer, now);
                }
                self.ask(client, at);
            }
            Stage::FromDesktop | Stage::Converting => {
                self.orders.push(ClipboardOrder::Cancel { transfer });
            }
        }
    }

    /// Ends what has taken too long.
    pub(super) fn poll_transfers(&mut self, now: Micros) {
        let all = self.transfers.under_way.iter();
        let late: Vec<TransferId> = all
            .filter(|(_, one)| one.deadline <= now)
            .map(|(id, _)| *id)
            .collect();
        for transfer in late {
            let Some(one) = self.transfers.under_way.get(&transfer) else {
                continue;
            };
            let (stage, at) = (one.stage, one.at);
            self.recall(transfer, stage, at, now);
            let why = match stage {
                Stage::FromClient(_) => Refusal::ClientSilent,
                Stage::FromDesktop => Refusal::OwnerSilent,
                Stage::Converting => Refusal::BadImage,
            };
            self.finish(transfer, Err(why), now);
        }
    }

    /// The client owns the selection no more: what it was not asked yet it is not asked any more.
    pub(super) fn forget_unsent(&mut self, client: ClientId, selection: Selection, now: Micros) {
        let asks = place(selection).and_then(|at| self.transfers.asks.get_mut(&(client, at)));
        for transfer in asks.map(Asks::forget_unsent).unwrap_or_default() {
            self.finish(transfer, Err(Refusal::NotGiven), now);
        }
    }

    /// The client is gone: who waited for it gets nothing, and what it waited for is recalled.
    pub(super) fn abandon(&mut self, client: ClientId, now: Micros) {
        let all = self.transfers.under_way.iter();
        let own: Vec<TransferId> = all
            .filter(|(_, one)| one.sink == Sink::Client(client))
            .map(|(id, _)| *id)
            .collect();
        for transfer in own {
            self.drop_transfer(transfer, now);
        }
        for at in 0..SELECTIONS.len() {
            self.transfers.wishes.remove(&(client, at));
            let asks = self.transfers.asks.remove(&(client, at));
            for transfer in asks.map(|mut asks| asks.end()).unwrap_or_default() {
                self.finish(transfer, Err(Refusal::ClientSilent), now);
            }
        }
    }

    fn answer_paste(&mut self, paste: PasteId, data: Option<SharedBytes>) {
        self.orders.push(ClipboardOrder::Deliver { paste, data });
    }

    /// Answers a client; an answer there is always, for clients wait for it without end.
    fn answer_client(
        &mut self,
        client: ClientId,
        selection: Selection,
        content: Option<(ClipboardType, SharedBytes)>,
    ) {
        let (kind, data) = content.unwrap_or((ClipboardType::None, SharedBytes::default()));
        let content = ClipboardData {
            selection,
            kind,
            data,
        };
        self.messages
            .push((client, AgentMessage::ClipboardData(content)));
    }
}
