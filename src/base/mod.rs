//! The nouns that everything else is made of: geometry, regions, byte cursors, time, ids and limits.

pub mod access;
pub mod bytes;
pub mod client_id;
#[cfg(test)]
pub(crate) mod corpus;
pub mod geometry;
pub mod limits;
pub mod region;
#[cfg(any(test, fuzzing))]
pub mod script;
pub mod shared_bytes;
pub mod time;
pub mod workers;

pub use access::Access;
pub use bytes::{ByteReader, ByteWriter, Truncated};
pub use client_id::ClientId;
pub use geometry::{Point, Rect, Size};
pub use region::Region;
pub use shared_bytes::SharedBytes;
pub use time::Micros;
pub use workers::{Alone, Job, Workers};
