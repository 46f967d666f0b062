//! Files from clients over lines, with a disk of any speed behind the session.

use caraway_server::agent::uploads::{UploadKey, UploadNews, UploadOrder, queue_cost_bytes};
use caraway_server::agent::{News, Order};
use caraway_server::base::limits::{AGENT_TOKENS, UPLOAD_QUEUE_BYTES_MAX};
use caraway_server::base::{Micros, SharedBytes, Size};
use caraway_server::channel::AgentServices;
use caraway_server::wire::agent::{
    AgentMessage, CHUNK_BYTES_MAX, FileData, FileResult, FileStart, FileStatus,
};

use crate::client::Profile;
use crate::line::Line;
use crate::world::World;

const MS: fn(u64) -> Micros = Micros::from_millis;

/// Bytes of spice-gtk's pieces.
const PIECE_BYTES: usize = 64 * 1024;

/// What a disk has done.
#[derive(Default)]
struct Disk {
    waiting: Vec<UploadOrder>,
    written: Vec<u8>,
    finished: Vec<UploadKey>,
    abandoned: Vec<UploadKey>,
}

impl Disk {
    fn take_orders(&mut self, world: &mut World) {
        let mut orders = Vec::new();
        world.host.with(|session| session.take_orders(&mut orders));
        self.waiting
            .extend(orders.into_iter().map(|order| match order {
                Order::Upload(order) => order,
                other => unreachable!("{other:?}"),
            }));
    }

    /// Does what waits, at most `steps` of it.
    fn work(&mut self, world: &mut World, steps: usize) {
        self.take_orders(world);
        let count = steps.min(self.waiting.len());
        for order in self.waiting.drain(..count).collect::<Vec<_>>() {
            let news = match order {
                UploadOrder::Open { upload, .. } => UploadNews::Opened(upload),
                UploadOrder::Write { upload, bytes } => {
                    self.written.extend_from_slice(&bytes);
                    UploadNews::Written(upload, queue_cost_bytes(&bytes))
                }
                UploadOrder::Finish { upload } => {
                    self.finished.push(upload);
                    UploadNews::Finished(upload)
                }
                UploadOrder::Abandon { upload } => {
                    self.abandoned.push(upload);
                    continue;
                }
            };
            let now = world.now;
            let news = News::Upload(news);
            world.host.with(|session| session.agent_news(now, news));
        }
    }

    fn waiting_bytes(&self) -> usize {
        let sizes = self.waiting.iter().map(|order| match order {
            UploadOrder::Write { bytes, .. } => bytes.len(),
            _ => 0,
        });
        sizes.sum()
    }
}

fn world() -> World {
    let mut world = World::new(Size::new(160, 120));
    let services = AgentServices {
        uploads: true,
        ..AgentServices::default()
    };
    world.host.with(|session| session.serve_agent(services));
    let client = world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[client], MS(2000));
    world.run_for(MS(500));
    world
}

fn start(world: &mut World, disk: &mut Disk, size: usize) {
    let about = format!("[vdagent-file-xfer]\nname=x\nsize={size}\n\0");
    let about = about.into_bytes().into();
    let message = AgentMessage::FileStart(FileStart { id: 7, about });
    world.clients[0].say_agent(world.now, &message);
    world.run_for(MS(10));
    disk.work(world, usize::MAX);
    world.run_for(MS(10));
    assert_eq!(heard(world), [FileResult::CAN_SEND_DATA]);
}

fn heard(world: &mut World) -> Vec<FileResult> {
    let heard = world.clients[0].main.agent.heard.drain(..);
    heard
        .map(|message| match message {
            AgentMessage::FileStatus(FileStatus { id: 7, result, .. }) => result,
            other => unreachable!("{other:?}"),
        })
        .collect()
}

fn send(world: &mut World, content: &[u8]) {
    for piece in content.chunks(PIECE_BYTES) {
        let data = SharedBytes::from(piece.to_vec());
        let message = AgentMessage::FileData(FileData { id: 7, data });
        world.clients[0].say_agent(world.now, &message);
    }
}

fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| ((at * 31) >> 5) as u8).collect()
}

#[test]
fn a_file_arrives_as_it_was() {
    let (mut world, mut disk) = (world(), Disk::default());
    let content = noise(3_000_001);
    start(&mut world, &mut disk, content.len());
    send(&mut world, &content);
    for _ in 0..50 {
        world.run_for(MS(10));
        disk.work(&mut world, usize::MAX);
    }
    world.run_for(MS(10));
    assert_eq!(heard(&mut world), [FileResult::SUCCESS]);
    assert!(disk.written == content, "byte for byte");
    assert_eq!(disk.finished.len(), 1);
    world.verify_invariants();
    world.verify_rest();
}

/// The disk stands still, then goes on step by step: what waits never exceeds the queue and what tokens allow.
#[test]
fn a_slow_disk_slows_its_client_and_loses_nothing() {
    let (mut world, mut disk) = (world(), Disk::default());
    let content = noise(24 << 20);
    start(&mut world, &mut disk, content.len());
    send(&mut world, &content);
    let allowed = UPLOAD_QUEUE_BYTES_MAX as usize + AGENT_TOKENS as usize * CHUNK_BYTES_MAX;
    world.run_for(MS(2000));
    disk.take_orders(&mut world);
    let waiting = disk.waiting_bytes();
    assert!(waiting <= allowed, "{waiting} bytes wait");
    assert!(0 < world.clients[0].main.agent.waiting_bytes());
    let mut most = 0;
    for _ in 0..2000 {
        disk.work(&mut world, 3);
        most = most.max(disk.waiting_bytes());
        world.run_for(MS(1));
    }
    assert!(most <= allowed, "{most} bytes waited");
    assert_eq!(heard(&mut world), [FileResult::SUCCESS]);
    assert!(disk.written == content, "byte for byte");
}

#[test]
fn a_client_that_goes_leaves_its_file_to_nobody() {
    let (mut world, mut disk) = (world(), Disk::default());
    start(&mut world, &mut disk, 1 << 30);
    send(&mut world, &noise(1 << 20));
    world.run_for(MS(100));
    world.leave(0);
    disk.work(&mut world, usize::MAX);
    assert_eq!((disk.finished.len(), disk.abandoned.len()), (0, 1));
    world.verify_invariants();
}
