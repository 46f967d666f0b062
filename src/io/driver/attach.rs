//! The hello exchange: connect, check everything that the driver hands over, map it, answer.

use std::io::{Error as IoError, ErrorKind};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::flood_gate::FloodGate;
use super::{Driver, DriverError, receive, send};
use crate::base::limits;
use crate::os::{
    EventFd, MemoryError, PeerCredentials, PeerPage, ReadOnlyMapping, SeqPacket, Watched,
};
use crate::ring::{ControlMessage, Hello, InputQueue, SharedMemory, layout};

/// Time between two tries while the driver's backlog of connections is full.
const RETRY: Duration = Duration::from_millis(20);

/// Why there is no attachment.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Nobody listens there.
    #[error("connecting to the driver at {path}: {error}")]
    Connect {
        /// The socket.
        path: PathBuf,
        /// Why.
        error: IoError,
    },
    /// Another user listens there: not our X server.
    #[error("the driver's socket belongs to user {0}, not to this server's user")]
    ForeignUser(u32),
    /// It said nothing in time.
    #[error("the driver did not say hello within {} s", .0.as_secs_f32())]
    Deadline(Duration),
    /// Something else listens there.
    #[error("the peer is no Caraway driver (magic {0:#010x})")]
    Magic(u32),
    /// The two were built from different versions.
    #[error(
        "driver speaks ABI {driver}, this server {server}: install matching versions",
        server = layout::ABI_VERSION
    )]
    Version {
        /// The driver's.
        driver: u32,
    },
    /// `CARAWAY_MSG_REFUSED`.
    #[error("the driver refused this server: {0}")]
    Refused(String),
    /// The conversation went wrong.
    #[error(transparent)]
    Conversation(#[from] DriverError),
    /// A hello without its five descriptors.
    #[error("the driver's hello carries {0} descriptors instead of {DESCRIPTORS}")]
    Descriptors(usize),
    /// A descriptor of the wrong kind.
    #[error("the driver's {what} cannot be used: {why}")]
    Unusable {
        /// Which.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// The ring's header says otherwise than the contract.
    #[error("the driver's ring has {field} {found} instead of {expected}")]
    Header {
        /// The field of `caraway_header`.
        field: &'static str,
        /// What it says.
        found: u32,
        /// What this version of the contract says.
        expected: u32,
    },
}

/// Descriptors of a hello: ring, peer, eventfd, input socket, frame buffer.
const DESCRIPTORS: usize = 5;

/// Attaches within `deadline`.
pub(super) async fn connect(path: &Path, deadline: Duration) -> Result<Driver, AttachError> {
    let attached = tokio::time::timeout(deadline, attach(path)).await;
    attached.unwrap_or(Err(AttachError::Deadline(deadline)))
}

async fn attach(path: &Path) -> Result<Driver, AttachError> {
    let control = open(path).await?;
    let (hello, descriptors) = receive_hello(&control).await?;
    if let Err(error) = check_version(&hello) {
        // The driver logs the same sentence; whether it still listens makes no difference.
        let _ = send(
            &control,
            &ControlMessage::Refused(error.to_string()).encode(),
        );
        return Err(error);
    }
    let driver = build(control, &hello, descriptors)?;
    let answer = ControlMessage::Hello(Hello::from_server()).encode();
    if !send(&driver.control, &answer)? {
        return Err(DriverError::from(IoError::from(ErrorKind::WouldBlock)).into());
    }
    Ok(driver)
}

/// A connection to the driver of this server's own user.
async fn open(path: &Path) -> Result<Watched<SeqPacket>, AttachError> {
    let failed = |error| AttachError::Connect {
        path: path.to_owned(),
        error,
    };
    let socket = loop {
        match SeqPacket::connect(path) {
            Ok(socket) => break socket,
            Err(error) if error.kind() == ErrorKind::WouldBlock => tokio::time::sleep(RETRY).await,
            Err(error) => return Err(failed(error)),
        }
    };
    let peer = PeerCredentials::of(&socket).map_err(failed)?;
    if !peer.is_own_user() && !peer.is_root() {
        return Err(AttachError::ForeignUser(peer.uid));
    }
    Watched::new(socket).map_err(failed)
}

async fn receive_hello(control: &Watched<SeqPacket>) -> Result<(Hello, Vec<OwnedFd>), AttachError> {
    let mut buffer = [0; ControlMessage::SIZE_MAX + 1];
    let (length, descriptors) = loop {
        let mut ready = control.readable().await.map_err(DriverError::from)?;
        ready.retain_ready();
        if let Some(received) = receive(control, &mut buffer)? {
            break received;
        }
    };
    let datagram = buffer.get(..length).unwrap_or_default();
    match ControlMessage::decode(datagram).map_err(DriverError::from)? {
        ControlMessage::Hello(hello) => Ok((hello, descriptors)),
        ControlMessage::Refused(text) => Err(AttachError::Refused(text)),
        _ => Err(DriverError::OutOfPlace.into()),
    }
}

fn check_version(hello: &Hello) -> Result<(), AttachError> {
    if hello.magic != layout::MAGIC {
        return Err(AttachError::Magic(hello.magic));
    }
    if hello.abi_version != layout::ABI_VERSION {
        return Err(AttachError::Version {
            driver: hello.abi_version,
        });
    }
    Ok(())
}

fn build(
    control: Watched<SeqPacket>,
    hello: &Hello,
    descriptors: Vec<OwnedFd>,
) -> Result<Driver, AttachError> {
    let [ring, peer, wake, input, pixels] = <[OwnedFd; DESCRIPTORS]>::try_from(descriptors)
        .map_err(|received| AttachError::Descriptors(received.len()))?;
    let memory = |what| move |error: MemoryError| unusable(what, &error);
    let watched = |what| move |error: IoError| unusable(what, &error);
    let ring =
        ReadOnlyMapping::new(&ring, layout::RING_MEMFD_SIZE as u64).map_err(memory("ring"))?;
    check_header(&ring)?;
    let peer = PeerPage::new(&peer).map_err(memory("peer page"))?;
    let wake = EventFd::new(wake).map_err(|error| unusable("eventfd", &error))?;
    let input = SeqPacket::from_fd(input).map_err(watched("input socket"))?;
    let pixels = ReadOnlyMapping::whole(&pixels, limits::FRAME_BUFFER_BYTES_MAX)
        .map_err(memory("frame buffer"))?;
    Ok(Driver {
        control,
        input: Rc::new(Watched::new(input).map_err(watched("input socket"))?),
        wake: Watched::new(wake).map_err(watched("eventfd"))?,
        ring: Arc::new(ring),
        peer,
        frame_buffers: vec![(hello.framebuffer_id, Arc::new(pixels))],
        queue: InputQueue::default(),
        is_blocked: Rc::default(),
        input_outlet: None,
        monitors: None,
        control_outlet: None,
        armed: false,
        gate: FloodGate::new(Instant::now()),
    })
}

fn unusable(what: &'static str, why: &dyn std::error::Error) -> AttachError {
    AttachError::Unusable {
        what,
        why: why.to_string(),
    }
}

/// With the version the layout is fixed: each field says what the mirror says, or one of the two is broken.
fn check_header(ring: &ReadOnlyMapping) -> Result<(), AttachError> {
    use layout::header;
    let size = |bytes: usize| u32::try_from(bytes).unwrap_or(u32::MAX);
    let fields = [
        ("magic", header::MAGIC, layout::MAGIC),
        ("abi_version", header::ABI_VERSION, layout::ABI_VERSION),
        (
            "ring_offset",
            header::RING_OFFSET,
            size(layout::RING_OFFSET),
        ),
        ("ring_slots", header::RING_SLOTS, layout::RING_SLOTS),
        (
            "record_size",
            header::RECORD_SIZE,
            size(layout::record::SIZE),
        ),
        (
            "cursor_offset",
            header::CURSOR_OFFSET,
            size(layout::CURSOR_IMAGES_OFFSET),
        ),
        (
            "cursor_slot_size",
            header::CURSOR_SLOT_SIZE,
            size(layout::CURSOR_SLOT_SIZE),
        ),
        ("cursor_slots", header::CURSOR_SLOTS, layout::CURSOR_SLOTS),
        (
            "cursor_side_max",
            header::CURSOR_SIDE_MAX,
            layout::CURSOR_SIDE_MAX,
        ),
        ("side_max", header::SIDE_MAX, layout::SIDE_MAX),
        ("heads_max", header::HEADS_MAX, layout::HEADS_MAX),
        (
            "total_size",
            header::TOTAL_SIZE,
            size(layout::RING_MEMFD_SIZE),
        ),
    ];
    for (field, offset, expected) in fields {
        let found = ring.load_u32(offset).unwrap_or(0);
        if found != expected {
            return Err(AttachError::Header {
                field,
                found,
                expected,
            });
        }
    }
    Ok(())
}
