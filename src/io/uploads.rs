//! Uploads on disk: a thread of its own does the orders of [`crate::agent::uploads`], so that a disk that is slow, or
//! hangs, stops nothing else.
//!
//! What waits for the thread is counted by who orders; the queue to it has no limit of its own. Pieces of one file that
//! wait one behind the other are written, and reported, together.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::Error;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Instant;

use nix::errno::Errno;
use nix::sys::resource::{Resource, getrlimit};

use super::upload_folder::{Unnamed, UploadFolder, remove_left_behind};
use crate::agent::News;
use crate::agent::upload_name::UploadName;
use crate::agent::uploads::{UploadFailure, UploadKey, UploadNews, UploadOrder, queue_cost_bytes};
use crate::base::SharedBytes;

/// Bytes of pieces after which they are written, whatever waits behind them: their client gets tokens for them then.
const WRITTEN_AT_ONCE_BYTES: usize = 1024 * 1024;

/// Where files go, and how large they may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPolicy {
    /// The folder.
    pub folder: PathBuf,
    /// Bytes of the largest file.
    pub size_bytes_max: u64,
}

/// The thread, as who orders sees it. The thread ends when this is dropped; what is not whole then is gone.
#[derive(Debug)]
pub struct UploadWriter {
    orders: Sender<UploadOrder>,
}

impl UploadWriter {
    /// Starts the thread, which reports to `news`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(
        policy: UploadPolicy,
        news: tokio::sync::mpsc::Sender<News>,
    ) -> std::io::Result<Self> {
        let (orders, to_do) = std::sync::mpsc::channel();
        let work = move || {
            let folder = policy.folder.display();
            match remove_left_behind(&policy.folder) {
                Ok(()) => tracing::info!(%folder, "files from clients are taken"),
                Err(error) => {
                    tracing::warn!(%folder, %error, "the folder for files from clients cannot be read")
                }
            }
            Disk::new(policy, news).work(&to_do);
        };
        std::thread::Builder::new()
            .name("uploads".into())
            .spawn(work)?;
        Ok(Self { orders })
    }

    /// Gives an order. Never waits.
    pub fn order(&self, order: UploadOrder) {
        // The thread ends after this only.
        let _ = self.orders.send(order);
    }
}

/// A file that is being written.
#[derive(Debug)]
struct Upload {
    file: Unnamed,
    folder: UploadFolder,
    name: UploadName,
    size_bytes: u64,
    written_bytes: u64,
    begun: Instant,
}

/// The thread's side.
#[derive(Debug)]
struct Disk {
    policy: UploadPolicy,
    uploads: BTreeMap<UploadKey, Upload>,
    news: tokio::sync::mpsc::Sender<News>,
}

impl Disk {
    const fn new(policy: UploadPolicy, news: tokio::sync::mpsc::Sender<News>) -> Self {
        Self {
            policy,
            uploads: BTreeMap::new(),
            news,
        }
    }

    fn work(&mut self, orders: &Receiver<UploadOrder>) {
        while let Ok(order) = orders.recv() {
            let mut next = Some(order);
            while let Some(order) = next {
                next = self.obey(order, orders);
            }
        }
    }

    /// Carries out an order, and those behind it that can be done with it. Returns one that cannot.
    fn obey(&mut self, order: UploadOrder, behind: &Receiver<UploadOrder>) -> Option<UploadOrder> {
        match order {
            UploadOrder::Open {
                upload,
                name,
                size_bytes,
            } => self.open(upload, name, size_bytes),
            UploadOrder::Write { upload, bytes } => {
                let mut pieces = vec![bytes];
                let next = take_more(upload, &mut pieces, behind);
                self.write(upload, &pieces);
                let cost = pieces.iter().map(queue_cost_bytes).sum();
                drop(pieces);
                self.tell(UploadNews::Written(upload, cost));
                return next;
            }
            UploadOrder::Finish { upload } => self.finish(upload),
            UploadOrder::Abandon { upload } => {
                if let Some(upload) = self.uploads.remove(&upload) {
                    let (name, bytes) = (&upload.name, upload.written_bytes);
                    tracing::info!(%name, bytes, "upload given up");
                }
            }
        }
        None
    }

    fn open(&mut self, key: UploadKey, name: UploadName, size_bytes: u64) {
        let made = UploadFolder::open(&self.policy.folder).and_then(|folder| {
            let room_bytes = folder.free_bytes()?.saturating_sub(self.promised_bytes());
            Ok((
                folder.create()?,
                folder,
                room_bytes.min(self.file_bytes_max()),
            ))
        });
        match made {
            Ok((_, _, free_bytes)) if free_bytes < size_bytes => {
                tracing::warn!(%name, size_bytes, free_bytes, "upload refused: it does not fit");
                let why = UploadFailure::NoSpace { free_bytes };
                self.tell(UploadNews::Refused(key, why));
            }
            Ok((file, folder, _)) => {
                tracing::debug!(%name, size_bytes, "upload begins");
                let upload = Upload {
                    file,
                    folder,
                    name,
                    size_bytes,
                    written_bytes: 0,
                    begun: Instant::now(),
                };
                self.uploads.insert(key, upload);
                self.tell(UploadNews::Opened(key));
            }
            Err(error) => {
                let folder = self.policy.folder.display();
                tracing::warn!(%name, %folder, %error, "upload refused: no file can be made");
                self.tell(UploadNews::Refused(key, failure(&error, None)));
            }
        }
    }

    fn write(&mut self, key: UploadKey, pieces: &[SharedBytes]) {
        let Some(upload) = self.uploads.get_mut(&key) else {
            return;
        };
        match upload.file.write(pieces) {
            Ok(bytes) => upload.written_bytes += bytes,
            Err(error) => self.fail(key, &error),
        }
    }

    fn finish(&mut self, key: UploadKey) {
        let Some(upload) = self.uploads.remove(&key) else {
            return;
        };
        match upload.file.name(&upload.name) {
            Ok(file) => {
                let ms = upload.begun.elapsed().as_millis();
                let (bytes, folder) = (upload.written_bytes, self.policy.folder.display());
                tracing::info!(%file, bytes, ms, %folder, "upload complete");
                self.tell(UploadNews::Finished(key));
            }
            Err(error) => {
                tracing::warn!(name = %upload.name, %error, "upload failed: it cannot be named");
                let why = failure(&error, Some(&upload.folder));
                self.tell(UploadNews::Failed(key, why));
            }
        }
    }

    fn fail(&mut self, key: UploadKey, error: &Error) {
        let Some(upload) = self.uploads.remove(&key) else {
            return;
        };
        let (name, bytes) = (&upload.name, upload.written_bytes);
        tracing::warn!(%name, bytes, %error, "upload failed");
        let Upload { file, folder, .. } = upload;
        // Given back before it is told how much is free.
        drop(file);
        self.tell(UploadNews::Failed(key, failure(error, Some(&folder))));
    }

    /// Bytes that files which are being written will still take.
    fn promised_bytes(&self) -> u64 {
        let left = |upload: &Upload| upload.size_bytes.saturating_sub(upload.written_bytes);
        self.uploads.values().map(left).fold(0, u64::saturating_add)
    }

    /// Bytes of a file that this process may write: beyond its limit the kernel ends it with SIGXFSZ.
    fn file_bytes_max(&self) -> u64 {
        let limit = getrlimit(Resource::RLIMIT_FSIZE).map_or(u64::MAX, |(soft, _)| soft);
        limit.min(self.policy.size_bytes_max)
    }

    fn tell(&self, news: UploadNews) {
        // Whoever does not listen any more is ending.
        let _ = self.news.blocking_send(News::Upload(news));
    }
}

/// Takes the pieces of a file that wait behind the first. Returns the order behind them, if that is known.
fn take_more(
    key: UploadKey,
    pieces: &mut Vec<SharedBytes>,
    behind: &Receiver<UploadOrder>,
) -> Option<UploadOrder> {
    let mut taken: usize = pieces.iter().map(|piece| piece.len()).sum();
    while taken < WRITTEN_AT_ONCE_BYTES {
        match behind.try_recv().ok()? {
            UploadOrder::Write { upload, bytes } if upload == key => {
                taken += bytes.len();
                pieces.push(bytes);
            }
            other => return Some(other),
        }
    }
    None
}

fn failure(error: &Error, folder: Option<&UploadFolder>) -> UploadFailure {
    let errno = error.raw_os_error().map(Errno::from_raw);
    match errno {
        Some(Errno::ENOSPC) => UploadFailure::NoSpace {
            free_bytes: folder.map_or(0, |folder| folder.free_bytes().unwrap_or(0)),
        },
        // What is free is not this user's.
        Some(Errno::EDQUOT) => UploadFailure::NoSpace { free_bytes: 0 },
        _ => UploadFailure::Disk,
    }
}
