//! A producer in the same process: real sockets, real memfds, no X.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;

use super::*;
use crate::os::seqpacket::SeqPacketListener;
use crate::ring::Hello;

/// What a driver has, before anybody attaches.
pub(super) struct Producer {
    _directory: tempfile::TempDir,
    pub(super) path: PathBuf,
    pub(super) listener: SeqPacketListener,
    pub(super) ring: File,
    pub(super) peer: File,
    pub(super) pixels: File,
    pub(super) wake: EventFd,
    pub(super) input: SeqPacket,
    pub(super) servers_input: SeqPacket,
}

pub(super) fn memfd(bytes: usize) -> File {
    let fd = memfd_create(c"test", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
    ftruncate(&fd, i64::try_from(bytes).unwrap()).unwrap();
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    fd.into()
}

pub(super) fn write_u32(file: &File, offset: usize, value: u32) {
    file.write_at(&value.to_le_bytes(), offset as u64).unwrap();
}

/// The header fields in order, as the contract says.
pub(super) fn header() -> [u32; 12] {
    let size = |bytes: usize| u32::try_from(bytes).unwrap();
    [
        layout::MAGIC,
        layout::ABI_VERSION,
        size(layout::RING_OFFSET),
        layout::RING_SLOTS,
        size(layout::record::SIZE),
        size(layout::CURSOR_IMAGES_OFFSET),
        size(layout::CURSOR_SLOT_SIZE),
        layout::CURSOR_SLOTS,
        layout::CURSOR_SIDE_MAX,
        layout::SIDE_MAX,
        layout::HEADS_MAX,
        size(layout::RING_MEMFD_SIZE),
    ]
}

impl Producer {
    /// With a mode of 16x16 in frame buffer 5.
    pub(super) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("driver");
        let (input, servers_input) = SeqPacket::pair().unwrap();
        let producer = Self {
            listener: SeqPacketListener::bind(&path).unwrap(),
            path,
            ring: memfd(layout::RING_MEMFD_SIZE),
            peer: memfd(layout::PEER_MEMFD_SIZE),
            pixels: memfd(16 * 64),
            wake: EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).unwrap(),
            input,
            servers_input,
            _directory: directory,
        };
        for (index, field) in header().into_iter().enumerate() {
            write_u32(&producer.ring, index * 4, field);
        }
        producer.set_mode(1, 5);
        producer
    }

    pub(super) fn set_mode(&self, generation: u32, framebuffer_id: u32) {
        let fields = [
            generation,
            16,
            16,
            64,
            layout::FORMAT_32_XRGB,
            framebuffer_id,
        ];
        for (index, field) in fields.into_iter().enumerate() {
            write_u32(&self.ring, layout::MODE_OFFSET + 4 + index * 4, field);
        }
    }

    /// Publishes damage of row `position` and wakes who armed for it.
    pub(super) fn publish(&self, position: u32) {
        let words = [
            position + 1,
            u32::from(layout::DAMAGE),
            position,
            0,
            position + 1,
            16,
        ];
        let slot = layout::RING_OFFSET + position as usize * layout::record::SIZE;
        for (index, word) in words.into_iter().enumerate() {
            write_u32(&self.ring, slot + index * 4, word);
        }
        write_u32(
            &self.ring,
            layout::PROGRESS_OFFSET + layout::progress::DONE,
            position + 1,
        );
        if self.waiting() == layout::WAIT_RECORD {
            write_u32(&self.peer, layout::peer::WAITING, layout::WAIT_NONE);
            self.wake.write(1).unwrap();
        }
    }

    pub(super) fn waiting(&self) -> u32 {
        let mut word = [0; 4];
        self.peer.read_at(&mut word, 0).unwrap();
        u32::from_le_bytes(word)
    }

    pub(super) fn hello() -> ControlMessage {
        let ring_size = u32::try_from(layout::RING_MEMFD_SIZE).unwrap();
        ControlMessage::Hello(Hello {
            ring_size,
            framebuffer_id: 5,
            ..Hello::from_server()
        })
    }

    pub(super) fn descriptors(&self) -> Vec<OwnedFd> {
        let all = [
            self.ring.as_fd(),
            self.peer.as_fd(),
            self.wake.as_fd(),
            self.servers_input.as_fd(),
            self.pixels.as_fd(),
        ];
        all.map(|fd| fd.try_clone_to_owned().unwrap()).into()
    }

    /// Accepts, says this, and returns its end with the result of the attachment.
    pub(super) async fn attach_saying(
        &self,
        datagram: &[u8],
        descriptors: &[OwnedFd],
    ) -> (SeqPacket, Result<Driver, AttachError>) {
        let said = async {
            let socket = loop {
                match self.listener.accept() {
                    Ok(socket) => break socket,
                    Err(_) => tokio::time::sleep(Duration::from_millis(1)).await,
                }
            };
            let borrowed: Vec<_> = descriptors.iter().map(OwnedFd::as_fd).collect();
            socket.send_with_descriptors(datagram, &borrowed).unwrap();
            socket
        };
        tokio::join!(said, attach::connect(&self.path, LONG))
    }

    pub(super) async fn attach(&self) -> (SeqPacket, Driver) {
        let (socket, driver) = self
            .attach_saying(&Self::hello().encode(), &self.descriptors())
            .await;
        let driver = driver.unwrap();
        assert_eq!(
            message(&socket),
            ControlMessage::Hello(Hello::from_server())
        );
        (socket, driver)
    }

    pub(super) async fn refusal(
        &self,
        datagram: &[u8],
        descriptors: &[OwnedFd],
    ) -> (SeqPacket, String) {
        let (socket, driver) = self.attach_saying(datagram, descriptors).await;
        (socket, driver.unwrap_err().to_string())
    }
}
