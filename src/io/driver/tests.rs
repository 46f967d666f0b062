//! The attachment against a producer in the same process, over real sockets and memfds.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::ftruncate;

use super::*;
use crate::base::{Rect, Size};
use crate::os::seqpacket::SeqPacketListener;
use crate::ring::control::encode_leds;
use crate::ring::{Consumer, Hello, PixelSource, Record, SharedMemory};

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(10);

/// What a driver has, before anybody attaches.
struct Producer {
    _directory: tempfile::TempDir,
    path: PathBuf,
    listener: SeqPacketListener,
    ring: File,
    peer: File,
    pixels: File,
    wake: EventFd,
    input: SeqPacket,
    servers_input: SeqPacket,
}

fn memfd(bytes: usize) -> File {
    let fd = memfd_create(c"test", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING).unwrap();
    ftruncate(&fd, i64::try_from(bytes).unwrap()).unwrap();
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&fd, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    fd.into()
}

fn write_u32(file: &File, offset: usize, value: u32) {
    file.write_at(&value.to_le_bytes(), offset as u64).unwrap();
}

/// The header fields in order, as the contract says.
fn header() -> [u32; 12] {
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
    fn new() -> Self {
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

    fn set_mode(&self, generation: u32, framebuffer_id: u32) {
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
    fn publish(&self, position: u32) {
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

    fn waiting(&self) -> u32 {
        let mut word = [0; 4];
        self.peer.read_at(&mut word, 0).unwrap();
        u32::from_le_bytes(word)
    }

    fn hello() -> ControlMessage {
        let ring_size = u32::try_from(layout::RING_MEMFD_SIZE).unwrap();
        ControlMessage::Hello(Hello {
            ring_size,
            framebuffer_id: 5,
            ..Hello::from_server()
        })
    }

    fn descriptors(&self) -> Vec<OwnedFd> {
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
    async fn attach_saying(
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

    async fn attach(&self) -> (SeqPacket, Driver) {
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

    async fn refusal(&self, datagram: &[u8], descriptors: &[OwnedFd]) -> (SeqPacket, String) {
        let (socket, driver) = self.attach_saying(datagram, descriptors).await;
        (socket, driver.unwrap_err().to_string())
    }
}

/// The datagram that waits at this end.
fn datagram(socket: &SeqPacket) -> Vec<u8> {
    let mut buffer = [0; 2048];
    match socket.receive(&mut buffer).unwrap() {
        Received::Datagram { length, .. } => buffer[..length].to_vec(),
        Received::Closed => panic!("closed"),
    }
}

fn message(socket: &SeqPacket) -> ControlMessage {
    ControlMessage::decode(&datagram(socket)).unwrap()
}

/// All datagrams that wait at this end, and those that the driver side still keeps.
async fn everything(socket: &SeqPacket, driver: &mut Driver) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    loop {
        let kept = driver.monitors.is_some() || !driver.queue.is_empty();
        let mut buffer = [0; 2048];
        while let Ok(Received::Datagram { length, .. }) = socket.receive(&mut buffer) {
            all.push(buffer[..length].to_vec());
        }
        if !kept {
            return all;
        }
        assert!(is_quiet(driver).await, "sending is no event");
    }
}

async fn next(driver: &mut Driver) -> DriverEvent {
    tokio::time::timeout(LONG, driver.next_event())
        .await
        .expect("an event in time")
}

async fn is_quiet(driver: &mut Driver) -> bool {
    tokio::time::timeout(SHORT, driver.next_event())
        .await
        .is_err()
}

async fn gone(driver: &mut Driver) -> DriverError {
    match next(driver).await {
        DriverEvent::Gone(error) => error,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_attachment_reads_what_the_driver_draws() {
    let producer = Producer::new();
    let (_socket, driver) = producer.attach().await;
    let mode = Mode::read(driver.memory()).unwrap();
    assert_eq!(mode.size, Size::new(16, 16));
    let pixels = driver.frame_buffer(&mode).unwrap().unwrap();
    write_u32(&producer.pixels, 3 * 64 + 2 * 4, 0x0012_3456);
    let mut row = [0; 2];
    pixels.read_row(3, 2, &mut row);
    assert_eq!(row, [0x0012_3456, 0]);
    let mut consumer = Consumer::begin_at_end(driver.memory());
    producer.publish(0);
    let mut records = Vec::new();
    let drained = consumer.drain(driver.memory(), mode.size, 9, &mut |record| {
        records.push(record)
    });
    assert_eq!((drained.records, drained.overrun), (1, false));
    assert_eq!(records, [Record::Damage(Rect::at(0, 0, 16, 1))]);
}

#[tokio::test]
async fn one_sentence_tells_why_there_is_no_attachment() {
    let producer = Producer::new();
    let patched = |offset: usize, value: u32| {
        let mut datagram = Producer::hello().encode();
        datagram[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        datagram
    };
    let version = "driver speaks ABI 2, this server 1: install matching versions";
    let (socket, said) = producer
        .refusal(
            &patched(layout::hello::ABI_VERSION, 2),
            &producer.descriptors(),
        )
        .await;
    assert_eq!(said, version);
    assert_eq!(
        message(&socket),
        ControlMessage::Refused(version.into()),
        "both sides say it"
    );
    let cases: [(Vec<u8>, &str); 5] = [
        (
            patched(layout::hello::MAGIC, 7),
            "the peer is no Caraway driver (magic 0x00000007)",
        ),
        (
            ControlMessage::Refused("busy".into()).encode(),
            "the driver refused this server: busy",
        ),
        (
            patched(0, 9),
            "the driver sent a wrong message: message type 9 is unknown",
        ),
        (
            vec![1; 400],
            "the driver's message cannot be received: the message is longer than 257 bytes",
        ),
        (
            ControlMessage::SetMonitors(Vec::new()).encode(),
            "the driver sent a message out of place",
        ),
    ];
    for (datagram, sentence) in cases {
        assert_eq!(
            producer.refusal(&datagram, &producer.descriptors()).await.1,
            sentence
        );
    }
    let hello = Producer::hello().encode();
    let four = &producer.descriptors()[..4];
    let (_, said) = producer.refusal(&hello, four).await;
    assert_eq!(
        said,
        "the driver's hello carries 4 descriptors instead of 5"
    );
}

#[tokio::test]
async fn descriptors_of_the_wrong_kind_are_refused() {
    let producer = Producer::new();
    let hello = Producer::hello().encode();
    let whats = [
        "ring",
        "peer page",
        "eventfd",
        "input socket",
        "frame buffer",
    ];
    for (index, what) in whats.into_iter().enumerate() {
        let wrong: [OwnedFd; 4] = [
            File::open("/dev/zero").unwrap().into(),
            nix::unistd::pipe().unwrap().0,
            memfd(12345).into(),
            std::os::unix::net::UnixStream::pair().unwrap().0.into(),
        ];
        for (which, fd) in wrong.into_iter().enumerate() {
            if (what, which) == ("frame buffer", 2) {
                continue; // A sealed memfd is one; whether a mode fits is asked later.
            }
            let mut descriptors = producer.descriptors();
            descriptors[index] = fd;
            let (_, said) = producer.refusal(&hello, &descriptors).await;
            let start = format!("the driver's {what} cannot be used: ");
            assert!(said.starts_with(&start), "{what} {which}: {said}");
        }
    }
}

#[tokio::test]
async fn every_field_of_the_header_counts() {
    let producer = Producer::new();
    let hello = Producer::hello().encode();
    for (index, field) in header().into_iter().enumerate() {
        write_u32(&producer.ring, index * 4, field + 1);
        let (_, said) = producer.refusal(&hello, &producer.descriptors()).await;
        let end = format!("{} instead of {field}", field + 1);
        assert!(
            said.starts_with("the driver's ring has ") && said.ends_with(&end),
            "{said}"
        );
        write_u32(&producer.ring, index * 4, field);
    }
    producer.attach().await;
}

#[tokio::test]
async fn a_missing_or_silent_driver_is_given_up() {
    let producer = Producer::new();
    let silent = attach::connect(&producer.path, SHORT).await.unwrap_err();
    assert_eq!(
        silent.to_string(),
        "the driver did not say hello within 0.05 s"
    );
    let missing = producer.path.with_extension("none");
    let error = attach::connect(&missing, LONG)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("connecting to the driver at "), "{error}");
    let full: Vec<_> = std::iter::from_fn(|| SeqPacket::connect(&producer.path).ok())
        .take(100)
        .collect();
    assert!(full.len() < 100, "the backlog fills");
    let error = attach::connect(&producer.path, SHORT).await.unwrap_err();
    assert!(matches!(error, AttachError::Deadline(_)), "{error}");
    assert!(attach::connect(&missing, LONG).await.is_err());
}

#[tokio::test]
async fn arming_wakes_once() {
    let producer = Producer::new();
    let (_socket, mut driver) = producer.attach().await;
    let observed = Observed::now(driver.memory());
    producer.publish(0);
    assert_eq!(driver.arm_for_record(&observed), Armed::Changed);
    assert_eq!(producer.waiting(), layout::WAIT_NONE);
    let observed = Observed::now(driver.memory());
    assert_eq!(driver.arm_for_record(&observed), Armed::Waiting);
    assert!(is_quiet(&mut driver).await);
    producer.publish(1);
    assert!(matches!(next(&mut driver).await, DriverEvent::Wake));
    producer.publish(2);
    assert!(is_quiet(&mut driver).await, "not armed");
    assert_eq!(driver.arm_for_idle(), Armed::Waiting);
    assert_eq!(producer.waiting(), layout::WAIT_IDLE);
    driver.disarm();
    assert_eq!(producer.waiting(), layout::WAIT_NONE);
    write_u32(
        &producer.ring,
        layout::PROGRESS_OFFSET + layout::progress::IDLE_DONE,
        3,
    );
    assert_eq!(driver.arm_for_idle(), Armed::Changed);
}

#[tokio::test]
async fn a_driver_that_wakes_without_end_is_ended() {
    let producer = Producer::new();
    let (_socket, mut driver) = producer.attach().await;
    let flood = async {
        for _ in 0..=limits::DRIVER_UNASKED_MAX * 2 {
            producer.wake.write(1).unwrap();
            tokio::task::yield_now().await;
        }
        std::future::pending::<()>().await;
    };
    let error = tokio::select! {
        error = gone(&mut driver) => error,
        () = flood => panic!("endless"),
    };
    assert!(matches!(error, DriverError::Flood), "{error}");
}

#[tokio::test]
async fn input_arrives_in_batches_and_waits_when_nobody_reads() {
    let producer = Producer::new();
    let (_socket, mut driver) = producer.attach().await;
    let key = InputRecord::Key {
        code: 30,
        down: true,
    };
    driver
        .send_input(&[key; layout::INPUT_BATCH_MAX + 1])
        .unwrap();
    assert_eq!(
        datagram(&producer.input),
        key.encode().repeat(layout::INPUT_BATCH_MAX)
    );
    assert_eq!(datagram(&producer.input), key.encode());
    while driver.queue.is_empty() {
        driver
            .send_input(&[InputRecord::Relative { dx: 1, dy: 0 }])
            .unwrap();
    }
    for step in 0..100 {
        driver
            .send_input(&[InputRecord::Relative { dx: step, dy: 0 }])
            .unwrap();
    }
    driver.send_input(&[key]).unwrap();
    assert_eq!(driver.queue.len(), 2, "motion joined");
    assert!(is_quiet(&mut driver).await);
    let last = everything(&producer.input, &mut driver)
        .await
        .pop()
        .unwrap();
    let sum = InputRecord::Relative {
        dx: 1 + 4950,
        dy: 0,
    };
    assert_eq!(last, [sum.encode(), key.encode()].concat());
}

#[tokio::test]
async fn keys_that_nobody_reads_end_the_attachment() {
    let producer = Producer::new();
    let (_socket, mut driver) = producer.attach().await;
    let keys = [InputRecord::Key {
        code: 30,
        down: true,
    }; 64];
    let error = (0..10_000)
        .find_map(|_| driver.send_input(&keys).err())
        .unwrap();
    assert!(matches!(error, DriverError::InputStalled(_)), "{error}");
    assert!(driver.queue.len() <= limits::INPUT_QUEUE_MAX);
}

#[tokio::test]
async fn leds_and_frame_buffers_arrive() {
    let producer = Producer::new();
    let (socket, mut driver) = producer.attach().await;
    producer.input.send(&encode_leds(Leds::CAPS)).unwrap();
    assert!(matches!(
        next(&mut driver).await,
        DriverEvent::Leds(Leds::CAPS)
    ));
    assert_eq!(state::leds(driver.memory()), Leds::default());

    producer.set_mode(2, 6);
    let mode = Mode::read(driver.memory()).unwrap();
    assert!(
        driver.frame_buffer(&mode).unwrap().is_none(),
        "not arrived yet"
    );
    for (id, size) in [(6, 16 * 64), (7, 16 * 64 - 1)] {
        let file = memfd(size);
        let announced = ControlMessage::FrameBuffer {
            id,
            size: size as u64,
        };
        socket
            .send_with_descriptors(&announced.encode(), &[file.as_fd()])
            .unwrap();
        assert!(matches!(next(&mut driver).await, DriverEvent::FrameBuffer));
    }
    assert!(
        driver.frame_buffer(&mode).unwrap().is_some(),
        "the one before is kept"
    );
    assert_eq!(driver.frame_buffers.len(), FRAME_BUFFERS_KEPT);
    let small = Mode {
        framebuffer_id: 7,
        ..mode
    };
    assert!(driver.frame_buffer(&small).is_err(), "a byte too small");
    let gone_by = Mode {
        framebuffer_id: 5,
        ..mode
    };
    assert!(driver.frame_buffer(&gone_by).unwrap().is_none());
}

#[tokio::test]
async fn frame_buffers_that_lie_end_the_attachment() {
    let announced = |size| ControlMessage::FrameBuffer { id: 6, size }.encode();
    let cases = [
        (announced(4096), None, "out of place"),
        (
            announced(8192),
            Some(memfd(4096)),
            "4096 bytes instead of 8192",
        ),
        (announced(u64::MAX), Some(memfd(4096)), "bytes instead of"),
        (
            announced(4096),
            Some(File::open("/dev/zero").unwrap()),
            "no sealed memory file",
        ),
        (Producer::hello().encode(), None, "out of place"),
        (vec![2, 0, 0], None, "ends early"),
    ];
    for (datagram, file, part) in cases {
        let producer = Producer::new();
        let (socket, mut driver) = producer.attach().await;
        let descriptors: Vec<_> = file.iter().map(File::as_fd).collect();
        socket
            .send_with_descriptors(&datagram, &descriptors)
            .unwrap();
        let error = gone(&mut driver).await.to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[tokio::test]
async fn monitors_arrive_the_newest_last() {
    let producer = Producer::new();
    let (socket, mut driver) = producer.attach().await;
    let heads = |width| {
        vec![Head {
            id: 1,
            rect: Rect::at(0, 0, width, 600),
        }]
    };
    driver.set_monitors(&heads(800)).unwrap();
    assert_eq!(message(&socket), ControlMessage::SetMonitors(heads(800)));
    let mut width = 0;
    while driver.monitors.is_none() {
        width += 1;
        driver.set_monitors(&heads(width)).unwrap();
    }
    driver.set_monitors(&heads(7777)).unwrap();
    assert!(is_quiet(&mut driver).await);
    let last = everything(&socket, &mut driver).await.pop().unwrap();
    assert_eq!(last, ControlMessage::SetMonitors(heads(7777)).encode());
}

#[tokio::test]
async fn the_end_of_x_is_told() {
    let producer = Producer::new();
    let (socket, mut driver) = producer.attach().await;
    assert!(is_quiet(&mut driver).await);
    drop(socket);
    assert!(matches!(gone(&mut driver).await, DriverError::Closed));
    assert!(
        matches!(gone(&mut driver).await, DriverError::Closed),
        "again, if asked again"
    );

    let producer = Producer::new();
    let (_socket, mut driver) = producer.attach().await;
    drop((producer.input, producer.servers_input));
    assert!(matches!(gone(&mut driver).await, DriverError::Closed));

    let producer = Producer::new();
    let (socket, mut driver) = producer.attach().await;
    let sentence = ControlMessage::Refused("another server attached".into());
    socket.send(&sentence.encode()).unwrap();
    drop(socket);
    let error = gone(&mut driver).await.to_string();
    assert_eq!(
        error,
        "the driver ended the attachment: another server attached"
    );
    assert!(
        driver.memory().load_u32(0).is_some(),
        "the memory stays readable"
    );
}
