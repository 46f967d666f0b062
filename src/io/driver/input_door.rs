//! The short way for input: whoever has read a key sends it to the driver at once, without waiting for the turn of the
//! task that owns the attachment. That turn costs 25 to 50 µs of a key's way when the processor's caches are cold.

use std::cell::Cell;
use std::rc::{Rc, Weak};

use super::send;
use crate::os::{SeqPacket, Watched};
use crate::ring::{InputRecord, layout};

/// A way to the driver's input socket beside its [`Driver`](super::Driver), for as long as that lives.
#[derive(Debug)]
pub struct InputDoor {
    pub(super) socket: Weak<Watched<SeqPacket>>,
    /// The driver took no more, and input waits that came before.
    pub(super) is_blocked: Rc<Cell<bool>>,
}

impl InputDoor {
    /// Sends as many of the first `records` as the driver takes, and says how many. The others are to go by
    /// [`Driver::send_input`](super::Driver::send_input), as is all that comes until those have gone. A broken socket
    /// takes none: the attachment finds that out by itself.
    pub fn pass(&self, records: &[InputRecord]) -> usize {
        let Some(socket) = self.socket.upgrade() else {
            return 0;
        };
        let mut taken = 0;
        for batch in records.chunks(layout::INPUT_BATCH_MAX) {
            let datagram: Vec<u8> = batch.iter().flat_map(|record| record.encode()).collect();
            if self.is_blocked.get() || !matches!(send(&socket, &datagram), Ok(true)) {
                break;
            }
            taken += batch.len();
        }
        taken
    }
}
