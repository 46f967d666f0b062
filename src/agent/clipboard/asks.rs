//! What one client is asked for, of one selection.
//!
//! The protocol's answers carry no number: only their order and type tell what they are for. So a client has one
//! question at a time, pastes that want the same share it, and a client that let a question's time pass owes an answer,
//! which may come late and must not be taken for another's: then the question is asked again, for spice-gtk swallows
//! some (those that cross a grab), and what was dropped may have been the right one.

use std::collections::VecDeque;

use super::TransferId;
use crate::base::Micros;
use crate::wire::agent::ClipboardType;

/// How long a late answer is waited for, so that it is not taken for the next one's.
pub(super) const OWED_SPAN: Micros = Micros::from_secs(5);

/// What an answer of the client is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Of no use.
    Dropped,
    /// Perhaps that of an earlier question: ask again for this.
    AskAgain(ClipboardType),
    /// What these wait for; whether it has the type that was asked for.
    For(Vec<TransferId>, bool),
}

#[derive(Debug)]
struct Ask {
    kind: ClipboardType,
    /// The offer that is asked for: the turn of the selection.
    turn: u64,
    transfers: Vec<TransferId>,
}

/// The questions to one client about one selection.
#[derive(Debug, Default)]
pub(super) struct Asks {
    sent: Option<Ask>,
    waiting: VecDeque<Ask>,
    owed: VecDeque<(ClipboardType, u64, Micros)>,
}

impl Asks {
    /// Whether the client has let a question about the offer of this turn pass, just now.
    pub(super) fn is_silent(&self, turn: u64, now: Micros) -> bool {
        let mut owed = self.owed.iter();
        owed.any(|(_, of, until)| *of == turn && now < *until)
    }

    /// `transfer` waits for content of the offer of `turn`.
    pub(super) fn add(&mut self, kind: ClipboardType, turn: u64, transfer: TransferId) {
        let mut asks = self.sent.iter_mut().chain(&mut self.waiting);
        if let Some(same) = asks.find(|ask| ask.kind == kind && ask.turn == turn) {
            same.transfers.push(transfer);
            return;
        }
        self.waiting.push_back(Ask {
            kind,
            turn,
            transfers: vec![transfer],
        });
    }

    /// The question to send now, if any: it is taken for sent.
    pub(super) fn next(&mut self) -> Option<ClipboardType> {
        if self.sent.is_some() {
            return None;
        }
        self.sent = self.waiting.pop_front();
        self.sent.as_ref().map(|ask| ask.kind)
    }

    /// The client has answered with content of `kind` or none.
    pub(super) fn answered(&mut self, kind: ClipboardType, now: Micros) -> Answer {
        self.owed.retain(|(_, _, until)| now < *until);
        let sent = self.sent.as_ref();
        if let Some((owed_kind, owed_turn, _)) = self.owed.front()
            && (*owed_kind == kind || kind == ClipboardType::None)
            && sent.is_none_or(|ask| ask.kind != kind || ask.turn != *owed_turn)
        {
            let again = sent.map(|ask| (ask.kind, ask.turn));
            self.owed.pop_front();
            let Some((kind, turn)) = again else {
                return Answer::Dropped;
            };
            self.owed.push_back((kind, turn, now + OWED_SPAN));
            return Answer::AskAgain(kind);
        }
        match self.sent.take() {
            Some(ask) => Answer::For(ask.transfers, ask.kind == kind),
            None => Answer::Dropped,
        }
    }

    /// `transfer` waits no more. A question that nobody waits for any more is not sent, or its answer is owed.
    pub(super) fn remove(&mut self, transfer: TransferId, now: Micros) {
        for ask in self.sent.iter_mut().chain(&mut self.waiting) {
            ask.transfers.retain(|other| *other != transfer);
        }
        self.waiting.retain(|ask| !ask.transfers.is_empty());
        if let Some(ask) = self.sent.take_if(|ask| ask.transfers.is_empty()) {
            self.owed.push_back((ask.kind, ask.turn, now + OWED_SPAN));
        }
    }

    /// The questions that were not sent yet will not be: who waited for them.
    pub(super) fn forget_unsent(&mut self) -> Vec<TransferId> {
        let waiting = self.waiting.drain(..);
        waiting.flat_map(|ask| ask.transfers).collect()
    }

    /// The client is gone: who waited.
    pub(super) fn end(&mut self) -> Vec<TransferId> {
        let mut transfers = self.forget_unsent();
        transfers.append(&mut self.give_up());
        transfers
    }

    /// The answer to the question that was sent is of no use: who waited.
    pub(super) fn give_up(&mut self) -> Vec<TransferId> {
        self.sent.take().map_or(Vec::new(), |ask| ask.transfers)
    }

    /// Who waits for the answer that is on its way.
    pub(super) fn awaited(&self) -> &[TransferId] {
        self.sent.as_ref().map_or(&[], |ask| &ask.transfers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ClipboardType::{None as Nothing, Png, Utf8Text};

    const NOW: Micros = Micros::from_secs(1);

    #[test]
    fn one_question_at_a_time_and_shared_by_who_wants_the_same() {
        let mut asks = Asks::default();
        asks.add(Utf8Text, 1, TransferId(1));
        assert_eq!(asks.next(), Some(Utf8Text));
        asks.add(Utf8Text, 1, TransferId(2));
        asks.add(Png, 1, TransferId(3));
        assert_eq!(asks.next(), None);
        let both = vec![TransferId(1), TransferId(2)];
        assert_eq!(asks.answered(Utf8Text, NOW), Answer::For(both, true));
        assert_eq!(asks.next(), Some(Png));
        let third = vec![TransferId(3)];
        assert_eq!(asks.answered(Nothing, NOW), Answer::For(third, false));
        assert_eq!(asks.answered(Png, NOW), Answer::Dropped);
    }

    #[test]
    fn a_late_answer_is_not_taken_for_the_next() {
        let mut asks = Asks::default();
        asks.add(Utf8Text, 1, TransferId(1));
        asks.next();
        asks.remove(TransferId(1), NOW);
        // The same offer: whichever answer comes first has its content.
        asks.add(Utf8Text, 1, TransferId(2));
        assert_eq!(asks.next(), Some(Utf8Text));
        let second = vec![TransferId(2)];
        assert_eq!(asks.answered(Utf8Text, NOW), Answer::For(second, true));
        // Another offer: the first answer may be the old one's.
        asks.add(Utf8Text, 2, TransferId(3));
        asks.next();
        assert_eq!(asks.answered(Utf8Text, NOW), Answer::AskAgain(Utf8Text));
        let third = vec![TransferId(3)];
        assert_eq!(asks.answered(Utf8Text, NOW), Answer::For(third, true));
        // But not for ever.
        asks.add(Utf8Text, 3, TransferId(4));
        asks.next();
        asks.remove(TransferId(4), NOW);
        asks.add(Utf8Text, 4, TransferId(5));
        asks.next();
        let fifth = vec![TransferId(5)];
        assert_eq!(
            asks.answered(Utf8Text, NOW + OWED_SPAN),
            Answer::For(fifth, true)
        );
    }
}
