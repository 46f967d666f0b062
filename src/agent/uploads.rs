//! Files that clients send into the desktop (VD_AGENT_FILE_XFER_START, STATUS, DATA), all clients and files at once.
//!
//! ```text
//!            START             the disk has opened          DATA up to the size         the disk has named it
//!   offered ───────▶ opening ───────────────────▶ receiving ───────────────────▶ finishing ─────────────▶ SUCCESS
//!      (waits for its turn)      CAN_SEND_DATA
//! ```
//!
//! From everywhere a file may go at once: cancelled or wrong (client), full or failing (disk), the client gone. A
//! client hears the end of each file once, and never of one that it gave up itself: its library takes a second word
//! for an error of ours. What it still sends of such a file is passed over; it cannot have known.
//!
//! Pieces go to the disk through a queue whose bytes are counted here. While the disk is slower than the client, the
//! client is held back ([`Outbound::hold`](super::Outbound::hold)), so memory stays bounded; what it has been allowed
//! to send comes on top.

use std::collections::{BTreeMap, VecDeque};

use super::upload_name::UploadName;
use super::upload_start::{StartError, UploadStart};
use crate::base::limits::{
    UPLOAD_QUEUE_BYTES_MAX, UPLOAD_STALLED_AFTER, UPLOADS_AT_ONCE_MAX, UPLOADS_OPENING_MAX,
    UPLOADS_QUEUE_BYTES_MAX, UPLOADS_WAITING_MAX,
};
use crate::base::{ClientId, Micros, SharedBytes};
use crate::wire::agent::{FileData, FileDetail, FileResult, FileStart, FileStatus};

mod part;
#[cfg(test)]
mod tests;

/// `G_IO_ERROR_INVALID_FILENAME`: the one detail of an error that spice-gtk tells its user.
const INVALID_FILENAME: u32 = 13;

/// What a piece costs beside its bytes, so that a queue of tiny ones is bounded too.
const PIECE_BYTES: u64 = 128;

/// One upload; never used again for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UploadKey {
    /// Who sends it.
    pub client: ClientId,
    number: u64,
}

/// Something for the disk to do, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UploadOrder {
    /// Make a file that has no name yet; answered by Opened or Refused.
    Open {
        /// Which.
        upload: UploadKey,
        /// Its name when it is whole.
        name: UploadName,
        /// Bytes that will come.
        size_bytes: u64,
    },
    /// Append a piece; answered by Written in any case, with Failed before it where it went wrong. One Written may
    /// answer several.
    Write {
        /// Which.
        upload: UploadKey,
        /// The piece.
        bytes: SharedBytes,
    },
    /// All has come: give it its name; answered by Finished or Failed.
    Finish {
        /// Which.
        upload: UploadKey,
    },
    /// Throw away what there is of it; not answered.
    Abandon {
        /// Which.
        upload: UploadKey,
    },
}

/// Memory that a piece takes while it waits for the disk. It may be a small part of a long message.
pub fn queue_cost_bytes(piece: &SharedBytes) -> u64 {
    piece.held_bytes() as u64 + PIECE_BYTES
}

/// What came of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadNews {
    /// Pieces can be written.
    Opened(UploadKey),
    /// There is no such file, and why.
    Refused(UploadKey, UploadFailure),
    /// Pieces that cost so much together ([`queue_cost_bytes`]) are no longer in memory.
    Written(UploadKey, u64),
    /// It has its name.
    Finished(UploadKey),
    /// Nothing is left of it, and why.
    Failed(UploadKey, UploadFailure),
}

/// Why the disk did not take a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadFailure {
    /// It does not fit into what is free, or allowed.
    NoSpace {
        /// Bytes that are free.
        free_bytes: u64,
    },
    /// Anything else; the log has it.
    Disk,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opening,
    Receiving,
    Finishing,
}

/// A file that the disk knows of.
#[derive(Debug)]
struct Upload {
    id: u32,
    key: UploadKey,
    state: State,
    left_bytes: u64,
    /// When something of it came last.
    active_at: Micros,
}

/// A file that waits for its turn.
#[derive(Debug)]
struct Offer {
    id: u32,
    start: UploadStart,
}

#[derive(Debug, Default)]
struct Client {
    has_details: bool,
    uploads: Vec<Upload>,
    offers: VecDeque<Offer>,
    queued_bytes: u64,
    held: bool,
}

/// All uploads of a desktop.
#[derive(Debug, Default)]
pub struct Uploads {
    is_served: bool,
    clients: BTreeMap<ClientId, Client>,
    next: u64,
    /// Open orders that are not answered, those of clients that have gone included.
    opening: usize,
    /// What is in the queue to the disk, of clients that have gone included.
    queued_bytes: u64,
    orders: Vec<UploadOrder>,
    statuses: Vec<(ClientId, FileStatus)>,
    /// Clients that are held back from now on, or no more.
    holds: Vec<(ClientId, bool)>,
}

impl Uploads {
    /// Whether files that are offered from now on are taken; at first none are.
    pub const fn serve(&mut self, is_served: bool) {
        self.is_served = is_served;
    }

    /// Whether the client is sending a file.
    pub fn is_receiving(&self, client: ClientId) -> bool {
        let uploads = self.clients.get(&client).map(|one| &one.uploads);
        let mut uploads = uploads.into_iter().flatten();
        uploads.any(|upload| upload.state == State::Receiving)
    }

    /// The client has announced whether it understands details (FILE_XFER_DETAILED_ERRORS).
    fn announced(&mut self, client: ClientId, has_details: bool) {
        self.clients.entry(client).or_default().has_details = has_details;
    }

    /// The client has gone: nothing is left of what was not whole.
    fn disconnected(&mut self, client: ClientId) {
        let gone = self.clients.remove(&client).unwrap_or_default();
        for upload in gone.uploads {
            self.abandon(upload.key);
        }
        if gone.held {
            self.holds.push((client, false));
        }
        self.open_next();
    }

    /// VD_AGENT_FILE_XFER_START.
    fn start(&mut self, client: ClientId, message: &FileStart) {
        let id = message.id;
        if self.drop_file(client, id) {
            // Two files under one number: it is not to be known which one any further message means.
            self.tell(client, id, FileResult::ERROR, FileDetail::None);
            return self.open_next();
        }
        let waiting = self.clients.entry(client).or_default().offers.len();
        match UploadStart::parse(&message.about) {
            _ if !self.is_served => {
                self.tell(client, id, FileResult::DISABLED, FileDetail::None);
            }
            Err(StartError::Name(_)) => {
                let detail = FileDetail::GioError(INVALID_FILENAME);
                self.tell(client, id, FileResult::ERROR, detail);
            }
            Err(_) => self.tell(client, id, FileResult::ERROR, FileDetail::None),
            Ok(_) if UPLOADS_WAITING_MAX <= waiting => {
                self.tell(client, id, FileResult::ERROR, FileDetail::None);
            }
            Ok(start) => {
                let offers = &mut self.clients.entry(client).or_default().offers;
                offers.push_back(Offer { id, start });
                self.open_next();
            }
        }
    }

    /// VD_AGENT_FILE_XFER_DATA.
    fn data(&mut self, now: Micros, client: ClientId, message: FileData) {
        let id = message.id;
        let Some(sender) = self.clients.get_mut(&client) else {
            return;
        };
        let length = message.data.len() as u64;
        let upload = sender.uploads.iter_mut().find(|upload| upload.id == id);
        match upload {
            Some(upload) if upload.state == State::Receiving && length <= upload.left_bytes => {
                upload.left_bytes -= length;
                upload.active_at = now;
                let key = upload.key;
                let is_whole = upload.left_bytes == 0;
                if is_whole {
                    upload.state = State::Finishing;
                }
                if 0 < length {
                    let cost = queue_cost_bytes(&message.data);
                    sender.queued_bytes += cost;
                    self.queued_bytes += cost;
                    let bytes = message.data;
                    self.orders.push(UploadOrder::Write { upload: key, bytes });
                }
                if is_whole {
                    self.orders.push(UploadOrder::Finish { upload: key });
                }
                self.hold_or_release(now);
            }
            // More than was announced, or before it may be sent.
            _ => {
                if self.drop_file(client, id) {
                    self.tell(client, id, FileResult::ERROR, FileDetail::None);
                    self.open_next();
                }
            }
        }
    }

    /// VD_AGENT_FILE_XFER_STATUS from a client: it gives a file up.
    fn status(&mut self, client: ClientId, message: FileStatus) {
        let gives_up = matches!(message.result, FileResult::CANCELLED | FileResult::ERROR);
        if gives_up && self.drop_file(client, message.id) {
            self.open_next();
        }
    }

    /// What came of an order.
    fn heard(&mut self, now: Micros, news: UploadNews) {
        match news {
            UploadNews::Opened(key) => {
                self.opening = self.opening.saturating_sub(1);
                if let Some(upload) = self.find(key) {
                    (upload.state, upload.active_at) = (State::Receiving, now);
                    let id = upload.id;
                    self.tell(key.client, id, FileResult::CAN_SEND_DATA, FileDetail::None);
                }
            }
            UploadNews::Refused(key, why) => {
                self.opening = self.opening.saturating_sub(1);
                self.ended(key, Err(why));
            }
            UploadNews::Written(key, cost) => {
                self.queued_bytes = self.queued_bytes.saturating_sub(cost);
                if let Some(client) = self.clients.get_mut(&key.client) {
                    client.queued_bytes = client.queued_bytes.saturating_sub(cost);
                }
                self.hold_or_release(now);
            }
            UploadNews::Finished(key) => self.ended(key, Ok(())),
            UploadNews::Failed(key, why) => self.ended(key, Err(why)),
        }
        self.open_next();
    }

    /// When the first file of which nothing more comes is given up.
    fn stalled_at(&self) -> Option<Micros> {
        let running = self.clients.values().filter(|client| !client.held);
        let receiving = running
            .flat_map(|client| &client.uploads)
            .filter(|upload| upload.state == State::Receiving);
        receiving.map(stalled_at).min()
    }

    /// Gives up the files of which nothing comes any more.
    fn give_up_stalled(&mut self, now: Micros) {
        let mut stalled = Vec::new();
        for (client, sender) in self.clients.iter().filter(|(_, sender)| !sender.held) {
            let late = sender
                .uploads
                .iter()
                .filter(|upload| upload.state == State::Receiving && stalled_at(upload) <= now);
            stalled.extend(late.map(|upload| (*client, upload.id)));
        }
        for (client, id) in stalled {
            self.drop_file(client, id);
            self.tell(client, id, FileResult::CANCELLED, FileDetail::None);
        }
        self.open_next();
    }

    fn find(&mut self, key: UploadKey) -> Option<&mut Upload> {
        let uploads = &mut self.clients.get_mut(&key.client)?.uploads;
        uploads.iter_mut().find(|upload| upload.key == key)
    }

    /// Opens what waits, as far as limits allow.
    fn open_next(&mut self) {
        for (client, sender) in &mut self.clients {
            while sender.uploads.len() < UPLOADS_AT_ONCE_MAX
                && self.opening < UPLOADS_OPENING_MAX
                && self.queued_bytes < UPLOADS_QUEUE_BYTES_MAX
                && let Some(offer) = sender.offers.pop_front()
            {
                let key = UploadKey {
                    client: *client,
                    number: self.next,
                };
                self.next += 1;
                self.opening += 1;
                sender.uploads.push(Upload {
                    id: offer.id,
                    key,
                    state: State::Opening,
                    left_bytes: offer.start.size_bytes,
                    active_at: Micros(0),
                });
                self.orders.push(UploadOrder::Open {
                    upload: key,
                    name: offer.start.name,
                    size_bytes: offer.start.size_bytes,
                });
            }
        }
    }

    /// Takes a client's file away, wherever it stands. Returns whether there was one.
    fn drop_file(&mut self, client: ClientId, id: u32) -> bool {
        let Some(sender) = self.clients.get_mut(&client) else {
            return false;
        };
        if let Some(at) = sender.uploads.iter().position(|upload| upload.id == id) {
            let upload = sender.uploads.remove(at);
            self.abandon(upload.key);
            return true;
        }
        let offers = sender.offers.len();
        sender.offers.retain(|offer| offer.id != id);
        sender.offers.len() < offers
    }

    fn abandon(&mut self, upload: UploadKey) {
        self.orders.push(UploadOrder::Abandon { upload });
    }

    /// The disk is done with a file.
    fn ended(&mut self, key: UploadKey, result: Result<(), UploadFailure>) {
        let Some(sender) = self.clients.get_mut(&key.client) else {
            return;
        };
        let Some(at) = sender.uploads.iter().position(|upload| upload.key == key) else {
            return;
        };
        let id = sender.uploads.remove(at).id;
        let (result, detail) = match result {
            Ok(()) => (FileResult::SUCCESS, FileDetail::None),
            Err(UploadFailure::NoSpace { free_bytes }) => (
                FileResult::NOT_ENOUGH_SPACE,
                FileDetail::FreeSpace(free_bytes),
            ),
            Err(UploadFailure::Disk) => (FileResult::ERROR, FileDetail::None),
        };
        self.tell(key.client, id, result, detail);
    }

    /// Results behind SUCCESS and all details came later than the message; who has not announced them gets a plain
    /// error.
    fn tell(&mut self, client: ClientId, id: u32, result: FileResult, detail: FileDetail) {
        let has_details = self.clients.get(&client).is_some_and(|one| one.has_details);
        let (result, detail) = match result {
            _ if has_details => (result, detail),
            FileResult::NOT_ENOUGH_SPACE | FileResult::DISABLED => {
                (FileResult::ERROR, FileDetail::None)
            }
            _ => (result, FileDetail::None),
        };
        let status = FileStatus { id, result, detail };
        self.statuses.push((client, status));
    }

    /// Holds clients back whose pieces fill the queue, and lets them go on when half of it is free again.
    fn hold_or_release(&mut self, now: Micros) {
        for (id, client) in &mut self.clients {
            let limit = |bytes: u64| if client.held { bytes / 2 } else { bytes };
            let held = 0 < client.queued_bytes
                && (limit(UPLOAD_QUEUE_BYTES_MAX) <= client.queued_bytes
                    || limit(UPLOADS_QUEUE_BYTES_MAX) <= self.queued_bytes);
            if client.held && !held {
                // It could not send until now.
                for upload in &mut client.uploads {
                    upload.active_at = now;
                }
            }
            if client.held != held {
                client.held = held;
                self.holds.push((*id, held));
            }
        }
    }
}

const fn stalled_at(upload: &Upload) -> Micros {
    Micros(upload.active_at.0.saturating_add(UPLOAD_STALLED_AFTER.0))
}
