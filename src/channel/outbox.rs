//! Messages to a client, and what it says about having got them.
//!
//! - **SET_ACK / ACK**: the client acknowledges every [`ACK_WINDOW`] messages. While more than two windows are open
//!   nothing but answers is sent, and drawings up to [`DRAWINGS_OPEN_MAX`].
//! - **PING / PONG**: on every channel each [`limits::PING_INTERVAL`], which also keeps idle proxies awake, and as a
//!   fence behind pixels (see `display::pace`). Pongs come in order, behind everything that was sent before.
//!
//! Bodies are written straight into the output; whoever writes keeps it below [`limits::OUTPUT_BYTES_MAX`] by
//! asking [`is_full`](Outbox::is_full).

use std::collections::VecDeque;

use crate::base::limits::{self, OUTPUT_BYTES_MAX, PING_INTERVAL};
use crate::base::{ByteWriter, Micros};
use crate::wire::common::{ClientMessage, Ping, SetAck};
use crate::wire::header::write_message;
use crate::wire::{Message, WireError};

/// Messages for one acknowledgement (the reference server's).
pub const ACK_WINDOW: u32 = 20;

/// Drawings and what goes with them that a client has not acknowledged. Two windows were 40 messages in a round trip:
/// at 80 ms, 40 small fills were all that a line carried of 2 Mbit/s or of any other.
pub const DRAWINGS_OPEN_MAX: u32 = 16 * ACK_WINDOW;

/// Messages of sound that a client has not acknowledged: 800 ms of it. More is only older when it is heard; with less
/// a line of 400 ms and more would starve, since every twentieth message is acknowledged.
pub const SOUND_OPEN_MAX: u32 = 4 * ACK_WINDOW;

/// Pings that are remembered; a client that owes more answers is not measured by the oldest.
const PINGS_OPEN_MAX: usize = 32;

/// What a common message of a client means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing to do.
    Noted,
    /// PONG to the ping of this id; everything sent before that ping has been handled.
    Pong {
        /// Of the PING.
        id: u32,
        /// From ping to pong.
        rtt: Micros,
    },
    /// The client is about to close.
    Leaving,
}

/// Why a common message ends the connection; the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommonError {
    /// Not a message.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// There is no migration.
    #[error("migration is not served")]
    Migration,
}

/// The way to one channel of one client.
#[derive(Debug)]
pub struct Outbox {
    mini_header: bool,
    serial: u64,
    out: Vec<u8>,
    written_bytes: u64,
    ack_generation: u32,
    ack_synced: bool,
    unacked_messages: u32,
    ping_id: u32,
    pings: VecDeque<(u32, Micros)>,
    next_ping: Micros,
}

impl Outbox {
    /// The outbox of a channel that was linked at `now`; SET_ACK is its first message.
    pub fn new(mini_header: bool, now: Micros) -> Self {
        let mut outbox = Self {
            mini_header,
            serial: 0,
            out: Vec::new(),
            written_bytes: 0,
            ack_generation: 1,
            ack_synced: false,
            unacked_messages: 0,
            ping_id: 0,
            pings: VecDeque::new(),
            next_ping: now + PING_INTERVAL,
        };
        outbox.send(&SetAck {
            generation: outbox.ack_generation,
            window: ACK_WINDOW,
        });
        // The client counts from behind SET_ACK.
        outbox.unacked_messages = 0;
        outbox
    }

    /// Appends a message.
    pub fn send<M: Message>(&mut self, message: &M) {
        self.message(M::TYPE, |writer| message.encode(writer));
    }

    /// Appends a message whose body is written by `body`, with offsets from the writer's start.
    pub fn message(&mut self, message_type: u16, body: impl FnOnce(&mut ByteWriter<'_>)) {
        self.serial += 1;
        self.unacked_messages = self.unacked_messages.saturating_add(1);
        let before = self.out.len();
        write_message(
            &mut self.out,
            self.mini_header,
            self.serial,
            message_type,
            body,
        );
        self.written_bytes += (self.out.len() - before) as u64;
    }

    /// Appends a PING and returns its id.
    pub fn ping(&mut self, now: Micros) -> u32 {
        self.ping_id = self.ping_id.wrapping_add(1);
        self.next_ping = now + PING_INTERVAL;
        self.send(&Ping {
            id: self.ping_id,
            timestamp: now.0,
            data: &[],
        });
        if PINGS_OPEN_MAX <= self.pings.len() {
            self.pings.pop_front();
        }
        self.pings.push_back((self.ping_id, now));
        self.ping_id
    }

    /// Sends the regular ping when it is due. Returns when to ask again.
    pub fn poll_ping(&mut self, now: Micros) -> Micros {
        // A client that reads nothing is not sent ever more pings.
        if self.next_ping <= now {
            if self.out.is_empty() {
                self.ping(now);
            } else {
                self.next_ping = now + PING_INTERVAL;
            }
        }
        self.next_ping
    }

    /// When [`poll_ping`](Self::poll_ping) wants to be asked.
    pub const fn ping_due(&self) -> Micros {
        self.next_ping
    }

    /// Takes in a message with a number of at most [`crate::wire::common::LAST_TYPE`].
    ///
    /// # Errors
    /// [`CommonError`] ends the connection.
    pub fn handle(&mut self, now: Micros, number: u16, body: &[u8]) -> Result<Answer, CommonError> {
        match ClientMessage::decode(number, body)? {
            ClientMessage::AckSync(sync) => {
                self.ack_synced |= sync.generation == self.ack_generation;
                Ok(Answer::Noted)
            }
            ClientMessage::Ack(_) => {
                if self.ack_synced {
                    self.unacked_messages = self.unacked_messages.saturating_sub(ACK_WINDOW);
                }
                Ok(Answer::Noted)
            }
            ClientMessage::Pong(pong) => Ok(self.pong(now, pong.id)),
            ClientMessage::Disconnecting(_) => Ok(Answer::Leaving),
            ClientMessage::MigrateFlushMark(_) | ClientMessage::MigrateData(_) => {
                Err(CommonError::Migration)
            }
        }
    }

    /// Whether the client has acknowledged enough to be sent more than answers.
    pub const fn is_window_open(&self) -> bool {
        self.unacked_messages < 2 * ACK_WINDOW
    }

    /// Whether the client has acknowledged enough to be sent drawings, whose bytes are paced besides.
    pub const fn takes_drawings(&self) -> bool {
        self.unacked_messages < DRAWINGS_OPEN_MAX
    }

    /// Messages that the client has not acknowledged.
    pub const fn unacked_messages(&self) -> u32 {
        self.unacked_messages
    }

    /// Whether the client has acknowledged enough to be sent sound.
    pub const fn takes_sound(&self) -> bool {
        self.unacked_messages < SOUND_OPEN_MAX && !self.is_full()
    }

    /// Whether as many bytes wait as may wait.
    pub const fn is_full(&self) -> bool {
        OUTPUT_BYTES_MAX <= self.out.len()
    }

    /// Bytes that wait.
    pub const fn waiting_bytes(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing waits.
    pub const fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// Bytes written since the channel began.
    pub const fn written_bytes(&self) -> u64 {
        self.written_bytes
    }

    /// Moves what waits to the end of `out`.
    pub fn take_into(&mut self, out: &mut Vec<u8>) {
        if self.out.is_empty() {
            return;
        }
        if out.is_empty() {
            std::mem::swap(out, &mut self.out);
        } else {
            out.append(&mut self.out);
        }
    }

    /// Gives up what the next message takes again.
    pub fn give_up_scratch(&mut self) {
        self.out.shrink_to_fit();
    }

    /// Bytes that it keeps, used or not.
    pub const fn held_bytes(&self) -> usize {
        self.out.capacity()
    }

    fn pong(&mut self, now: Micros, id: u32) -> Answer {
        let Some(index) = self.pings.iter().position(|(open, _)| *open == id) else {
            return Answer::Noted;
        };
        match self.pings.drain(..=index).next_back() {
            Some((_, sent_at)) => Answer::Pong {
                id,
                rtt: now.since(sent_at),
            },
            None => Answer::Noted,
        }
    }
}

const _: () = assert!(limits::IMAGE_PIXELS_MAX as usize * 4 <= OUTPUT_BYTES_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    fn ack(outbox: &mut Outbox) {
        assert_eq!(outbox.handle(Micros(0), 2, &[]), Ok(Answer::Noted));
    }

    #[test]
    fn the_window_opens_with_acknowledgements_of_our_generation() {
        let mut outbox = Outbox::new(true, Micros(0));
        for _ in 0..2 * ACK_WINDOW {
            assert!(outbox.is_window_open());
            outbox.message(101, |_| {});
        }
        assert!(!outbox.is_window_open());
        ack(&mut outbox);
        assert!(!outbox.is_window_open(), "an ack from before our SET_ACK");
        outbox.handle(Micros(0), 1, &[1, 0, 0, 0]).unwrap();
        ack(&mut outbox);
        assert!(outbox.is_window_open());
        (0..10).for_each(|_| ack(&mut outbox));
        assert_eq!(outbox.unacked_messages, 0);
    }

    #[test]
    fn pongs_measure_the_round_trip_once() {
        let mut outbox = Outbox::new(false, Micros(0));
        let id = outbox.ping(Micros(1000));
        let body = [&id.to_le_bytes()[..], &[0; 8]].concat();
        let answer = outbox.handle(Micros(3500), 3, &body);
        assert_eq!(
            answer,
            Ok(Answer::Pong {
                id,
                rtt: Micros(2500)
            })
        );
        assert_eq!(outbox.handle(Micros(9999), 3, &body), Ok(Answer::Noted));
        assert_eq!(
            outbox.handle(Micros(9999), 4, &[]),
            Err(CommonError::Migration)
        );
        assert!(matches!(
            outbox.handle(Micros(0), 3, &[1]),
            Err(CommonError::Wire(_))
        ));
    }

    #[test]
    fn idle_channels_are_pinged_and_stuck_ones_are_not_flooded() {
        let mut outbox = Outbox::new(true, Micros(0));
        outbox.take_into(&mut Vec::new());
        let due = outbox.poll_ping(Micros(5));
        assert!(outbox.is_empty());
        let next = outbox.poll_ping(due);
        assert!(!outbox.is_empty() && due < next);
        let waiting = outbox.out.len();
        for second in 0..1000 {
            outbox.poll_ping(Micros::from_secs(second * 20));
        }
        assert_eq!(outbox.out.len(), waiting);
    }
}
