//! The operating system: shared memory, file descriptors, socket options. The only unsafe code.
//!
//! Each file wraps one thing so that its callers need no care: bounds are checked, descriptors are owned, memory of
//! other processes is copied and never borrowed. What another process hands over is checked before it is used in
//! a way that could block or kill us (`docs/threat-model.md`).

pub mod event_fd;
pub mod folder_watch;
pub mod frame_buffer;
#[cfg(feature = "kerberos")]
pub mod gssapi;
pub mod hardening;
pub mod inherited;
pub mod memory;
pub mod notify;
pub mod opus;
pub mod pam;
pub mod peer_credentials;
pub mod seqpacket;
pub mod shared_memory;
pub mod syscalls;
pub mod tcp;
pub mod tcp_owner;
pub mod thread_priority;
pub mod ticket_key;
pub mod turbojpeg;
pub mod watched;

pub use event_fd::EventFd;
pub use folder_watch::FolderWatch;
pub use frame_buffer::FrameBuffer;
pub use opus::Opus;
pub use peer_credentials::PeerCredentials;
pub use seqpacket::{Outlet, ReceiveError, Received, SeqPacket};
pub use shared_memory::{MemoryError, PeerPage, ReadOnlyMapping};
pub use tcp::TcpStatus;
pub use ticket_key::{TicketKey, TicketKeyError};
pub use turbojpeg::JpegBackends;
pub use watched::Watched;
