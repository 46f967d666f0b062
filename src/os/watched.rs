//! Descriptors that the event loop watches.

#![expect(unsafe_code, reason = "registering a descriptor with the event loop")]

use std::io;
use std::ops::Deref;
use std::os::fd::AsRawFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::event_fd::EventFd;
use super::folder_watch::FolderWatch;
use super::seqpacket::{Outlet, SeqPacket, SeqPacketListener};

/// A descriptor with its readiness. It only gives shared access, so what is watched stays what was registered.
#[derive(Debug)]
pub struct Watched<T: Watchable> {
    fd: AsyncFd<T>,
}

/// Types that own one descriptor for their whole life and always return that one.
pub trait Watchable: AsRawFd + private::Sealed {
    /// What is worth waiting for.
    const INTEREST: Interest;
}

impl<T: Watchable> Watched<T> {
    /// Begins to watch. Called inside a tokio runtime with its I/O driver on.
    pub fn new(inner: T) -> io::Result<Self> {
        // SAFETY: a `Watchable` owns its descriptor and returns the same one always; `Self` hands out nothing that
        // could replace or close it before the registration ends.
        let registered = unsafe { AsyncFd::register_with_interest(inner, T::INTEREST) };
        Ok(Self {
            fd: registered.map_err(io::Error::from)?,
        })
    }
}

impl<T: Watchable> Deref for Watched<T> {
    type Target = AsyncFd<T>;

    fn deref(&self) -> &AsyncFd<T> {
        &self.fd
    }
}

/// Not for writing: a unix socket is writable anew whenever its peer has read, and would wake us each time.
impl Watchable for SeqPacket {
    const INTEREST: Interest = Interest::READABLE;
}

impl Watchable for Outlet {
    const INTEREST: Interest = Interest::WRITABLE;
}

impl Watchable for SeqPacketListener {
    const INTEREST: Interest = Interest::READABLE;
}

impl Watchable for EventFd {
    const INTEREST: Interest = Interest::READABLE;
}

impl Watchable for FolderWatch {
    const INTEREST: Interest = Interest::READABLE;
}

/// Keeps [`Watchable`] to this module's promises.
mod private {
    pub trait Sealed {}

    impl Sealed for super::SeqPacket {}
    impl Sealed for super::Outlet {}
    impl Sealed for super::SeqPacketListener {}
    impl Sealed for super::EventFd {}
    impl Sealed for super::FolderWatch {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn readiness_follows_the_descriptor() {
        let (one, other) = SeqPacket::pair().unwrap();
        let other = Watched::new(other).unwrap();
        let waiting = std::time::Duration::from_millis(20);
        assert!(
            tokio::time::timeout(waiting, other.readable())
                .await
                .is_err()
        );
        one.send(b"x").unwrap();
        assert!(
            tokio::time::timeout(waiting, other.readable())
                .await
                .is_ok()
        );
    }

    #[tokio::test]
    async fn an_outlet_is_ready_when_the_peer_has_read() {
        let (one, other) = SeqPacket::pair().unwrap();
        while one.send(&[0; 1000]).is_ok() {}
        let outlet = Watched::new(one.outlet().unwrap()).unwrap();
        let waiting = std::time::Duration::from_millis(20);
        assert!(
            tokio::time::timeout(waiting, outlet.writable())
                .await
                .is_err()
        );
        while other.receive(&mut [0; 1000]).is_ok() {}
        assert!(
            tokio::time::timeout(waiting, outlet.writable())
                .await
                .is_ok()
        );
        assert!(one.send(b"x").is_ok());
    }
}
