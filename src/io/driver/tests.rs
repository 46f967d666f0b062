//! The attachment against a producer in the same process, over real sockets and memfds.

mod attaching;
mod producer;

use std::fs::File;
use std::os::fd::AsFd;
use std::time::Duration;

use super::*;
use crate::base::{Rect, Size};
use crate::ring::control::encode_leds;
use crate::ring::{Consumer, PixelSource, Record, SharedMemory};
use producer::{Producer, memfd, write_u32};

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(10);

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
        match tokio::time::timeout(SHORT, driver.next_event()).await {
            // Sent monitors are no event, input that was taken is one.
            Err(_) | Ok(DriverEvent::InputTaken) => {}
            Ok(other) => panic!("sending is {other:?}"),
        }
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
    assert_eq!(driver.input_room(), limits::INPUT_QUEUE_MAX);
}

#[tokio::test]
async fn input_takes_the_short_way_unless_some_waits() {
    let producer = Producer::new();
    let (_socket, mut driver) = producer.attach().await;
    let door = driver.input_door();
    let key = |code| InputRecord::Key { code, down: true };
    assert_eq!(door.pass(&[key(30), key(31)]), 2);
    assert_eq!(
        datagram(&producer.input),
        [key(30).encode(), key(31).encode()].concat()
    );
    let mut fits = 0;
    while door.pass(&[key(32)]) == 1 {
        fits += 1;
    }
    driver.send_input(&[key(33)]).unwrap();
    for _ in 0..fits {
        assert_eq!(datagram(&producer.input), key(32).encode());
    }
    assert_eq!(door.pass(&[key(34)]), 0, "nothing overtakes what waits");
    assert!(matches!(next(&mut driver).await, DriverEvent::InputTaken));
    assert_eq!(door.pass(&[key(35)]), 1);
    for code in [33, 35] {
        assert_eq!(datagram(&producer.input), key(code).encode());
    }
    drop(driver);
    assert_eq!(door.pass(&[key(36)]), 0, "the attachment is over");
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
    let asked = |width, dpi| ControlMessage::SetMonitors {
        heads: heads(width),
        dpi,
    };
    driver.set_monitors(&heads(800), 96).unwrap();
    assert_eq!(message(&socket), asked(800, 96));
    let mut width = 0;
    while driver.monitors.is_none() {
        width += 1;
        driver.set_monitors(&heads(width), 96).unwrap();
    }
    driver.set_monitors(&heads(7777), 163).unwrap();
    assert!(is_quiet(&mut driver).await);
    let last = everything(&socket, &mut driver).await.pop().unwrap();
    assert_eq!(last, asked(7777, 163).encode());
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
