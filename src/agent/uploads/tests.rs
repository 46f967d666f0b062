//! Uploads against a disk that takes its time and fails, and clients that keep to nothing.

use super::*;
use crate::agent::{Order, Outbound, Part};
use crate::wire::agent::{AgentMessage, AgentType};
use proptest::prelude::*;

const NOW: Micros = Micros(1_000_000);

fn uploads() -> Uploads {
    let mut uploads = Uploads::default();
    uploads.serve(true);
    uploads
}

/// Bytes whose values tell where in the file they belong.
fn piece(from: u64, length: u64) -> SharedBytes {
    let bytes: Box<[u8]> = (from..from + length).map(|at| (at % 251) as u8).collect();
    bytes.into_vec().into()
}

fn start(id: u32, size: u64) -> FileStart {
    let text = format!("[vdagent-file-xfer]\nname=f{id}\nsize={size}\n\0");
    FileStart {
        id,
        about: text.into_bytes().into(),
    }
}

fn data(id: u32, from: u64, length: u64) -> FileData {
    FileData {
        id,
        data: piece(from, length),
    }
}

const fn gives_up(id: u32) -> FileStatus {
    FileStatus {
        id,
        result: FileResult::CANCELLED,
        detail: FileDetail::None,
    }
}

fn client(number: u64) -> ClientId {
    ClientId::new(number)
}

/// What clients were told, as (client, id, result, detail).
fn told(uploads: &mut Uploads) -> Vec<(u64, u32, FileResult, FileDetail)> {
    let statuses = uploads.statuses.drain(..);
    statuses
        .map(|(client, status)| (client.number(), status.id, status.result, status.detail))
        .collect()
}

fn results(uploads: &mut Uploads) -> Vec<(u32, FileResult)> {
    let all = told(uploads).into_iter();
    all.map(|(_, id, result, _)| (id, result)).collect()
}

/// The upload of the only Open order.
fn opened(uploads: &mut Uploads) -> UploadKey {
    let orders: Vec<_> = uploads.orders.drain(..).collect();
    let [UploadOrder::Open { upload, .. }] = orders[..] else {
        panic!("{orders:?}");
    };
    uploads.heard(NOW, UploadNews::Opened(upload));
    upload
}

#[test]
fn a_file_goes_its_way() {
    let mut uploads = uploads();
    uploads.start(client(1), &start(7, 10));
    let upload = opened(&mut uploads);
    assert_eq!(results(&mut uploads), [(7, FileResult::CAN_SEND_DATA)]);
    uploads.data(NOW, client(1), data(7, 0, 6));
    uploads.data(NOW, client(1), data(7, 6, 4));
    let bytes = |from, length| UploadOrder::Write {
        upload,
        bytes: piece(from, length),
    };
    let finish = UploadOrder::Finish { upload };
    let orders: Vec<_> = uploads.orders.drain(..).collect();
    assert_eq!(orders, [bytes(0, 6), bytes(6, 4), finish]);
    // One answer for both.
    uploads.heard(NOW, UploadNews::Written(upload, 10 + 2 * PIECE_BYTES));
    assert_eq!(told(&mut uploads), []);
    uploads.heard(NOW, UploadNews::Finished(upload));
    assert_eq!(results(&mut uploads), [(7, FileResult::SUCCESS)]);
    assert_eq!(uploads.queued_bytes, 0);
}

#[test]
fn an_empty_file_is_whole_with_its_empty_piece() {
    let mut uploads = uploads();
    uploads.start(client(1), &start(7, 0));
    let upload = opened(&mut uploads);
    assert!(uploads.orders.drain(..).next().is_none());
    uploads.data(NOW, client(1), data(7, 0, 0));
    let orders: Vec<_> = uploads.orders.drain(..).collect();
    assert_eq!(orders, [UploadOrder::Finish { upload }]);
}

#[test]
fn a_full_disk_is_told_with_its_free_space_to_who_understands() {
    for has_details in [true, false] {
        let mut uploads = uploads();
        uploads.announced(client(1), has_details);
        uploads.start(client(1), &start(7, 10));
        let upload = opened(&mut uploads);
        uploads.data(NOW, client(1), data(7, 0, 10));
        let _ = told(&mut uploads);
        let why = UploadFailure::NoSpace { free_bytes: 3 };
        uploads.heard(NOW, UploadNews::Failed(upload, why));
        uploads.heard(NOW, UploadNews::Written(upload, 10 + PIECE_BYTES));
        let expected = if has_details {
            (FileResult::NOT_ENOUGH_SPACE, FileDetail::FreeSpace(3))
        } else {
            (FileResult::ERROR, FileDetail::None)
        };
        assert_eq!(told(&mut uploads), [(1, 7, expected.0, expected.1)]);
        // What was under way when the client heard it is passed over, and so is its own word on it.
        uploads.data(NOW, client(1), data(7, 10, 10));
        uploads.status(client(1), gives_up(7));
        assert_eq!(told(&mut uploads), []);
        assert_eq!(uploads.queued_bytes, 0);
    }
}

/// A name, and what breaks the rules.
type Wrong = (&'static str, fn(&mut Uploads));

#[test]
fn wrong_messages_end_their_file_with_one_word() {
    let wrong: [Wrong; 5] = [
        ("too much", |uploads| {
            uploads.data(NOW, client(1), data(7, 0, 11));
        }),
        ("a second start", |uploads| {
            uploads.start(client(1), &start(7, 10));
        }),
        ("more than all", |uploads| {
            uploads.data(NOW, client(1), data(7, 0, 10));
            uploads.data(NOW, client(1), data(7, 10, 1));
        }),
        ("too much at last", |uploads| {
            uploads.data(NOW, client(1), data(7, 0, 9));
            uploads.data(NOW, client(1), data(7, 9, 2));
        }),
        ("a second start when all is there", |uploads| {
            uploads.data(NOW, client(1), data(7, 0, 10));
            uploads.start(client(1), &start(7, 1));
        }),
    ];
    for (what, act) in wrong {
        let mut uploads = uploads();
        uploads.start(client(1), &start(7, 10));
        let upload = opened(&mut uploads);
        let _ = told(&mut uploads);
        act(&mut uploads);
        assert_eq!(results(&mut uploads), [(7, FileResult::ERROR)], "{what}");
        let last = uploads.orders.pop();
        assert_eq!(last, Some(UploadOrder::Abandon { upload }), "{what}");
    }
    let mut uploads = uploads();
    uploads.start(client(1), &start(7, 10));
    uploads.data(NOW, client(1), data(7, 0, 1));
    assert_eq!(results(&mut uploads), [(7, FileResult::ERROR)], "too early");
    uploads.data(NOW, client(1), data(8, 0, 1));
    uploads.data(NOW, client(2), data(7, 0, 1));
    assert_eq!(results(&mut uploads), [], "of a file that never was");
}

#[test]
fn starts_are_refused_for_a_reason() {
    let refused = |is_served, about: &str, has_details| {
        let mut uploads = uploads();
        uploads.serve(is_served);
        uploads.announced(client(1), has_details);
        let about = about.as_bytes().to_vec().into();
        uploads.start(client(1), &FileStart { id: 7, about });
        assert!(uploads.orders.is_empty());
        let all = told(&mut uploads);
        assert_eq!(all.len(), 1);
        (all[0].2, all[0].3)
    };
    let good = "[vdagent-file-xfer]\nname=x\nsize=5\n";
    let nameless = "[vdagent-file-xfer]\nname=..\nsize=5\n";
    let plain_error = (FileResult::ERROR, FileDetail::None);
    assert_eq!(refused(false, good, true).0, FileResult::DISABLED);
    assert_eq!(refused(false, good, false), plain_error);
    assert_eq!(
        refused(true, nameless, true),
        (FileResult::ERROR, FileDetail::GioError(INVALID_FILENAME))
    );
    assert_eq!(refused(true, "size=5", true), plain_error);
}

#[test]
fn many_files_take_turns_and_more_are_refused() {
    let mut uploads = uploads();
    let all = u32::try_from(UPLOADS_AT_ONCE_MAX + UPLOADS_WAITING_MAX).unwrap();
    for id in 0..=all {
        uploads.start(client(1), &start(id, 1));
    }
    assert_eq!(results(&mut uploads), [(all, FileResult::ERROR)]);
    let mut finished = 0;
    loop {
        let orders: Vec<_> = uploads.orders.drain(..).collect();
        if orders.is_empty() {
            break;
        }
        let is_open = |order: &&UploadOrder| matches!(order, UploadOrder::Open { .. });
        assert!(orders.iter().filter(is_open).count() <= UPLOADS_AT_ONCE_MAX);
        for order in orders {
            match order {
                UploadOrder::Open { upload, .. } => uploads.heard(NOW, UploadNews::Opened(upload)),
                UploadOrder::Write { upload, .. } => {
                    uploads.heard(NOW, UploadNews::Written(upload, 1 + PIECE_BYTES));
                }
                UploadOrder::Finish { upload } => {
                    uploads.heard(NOW, UploadNews::Finished(upload));
                    finished += 1;
                }
                UploadOrder::Abandon { .. } => panic!("{order:?}"),
            }
        }
        for (id, result) in results(&mut uploads) {
            if result == FileResult::CAN_SEND_DATA {
                uploads.data(NOW, client(1), data(id, 0, 1));
            }
        }
    }
    assert_eq!(finished, all);
}

#[test]
fn a_slow_disk_holds_back_who_fills_its_queue() {
    let mut uploads = uploads();
    for number in [1, 2] {
        uploads.start(client(number), &start(7, 1 << 40));
        opened(&mut uploads);
    }
    let length = 65536;
    let mut sent = 0;
    while !uploads.clients[&client(1)].held {
        uploads.data(NOW, client(1), data(7, sent * length, length));
        sent += 1;
        assert!(sent * length <= UPLOAD_QUEUE_BYTES_MAX);
    }
    assert!(!uploads.clients[&client(2)].held);
    assert_eq!(uploads.holds, [(client(1), true)]);
    // A file that cannot go on is not stalled.
    assert!(uploads.stalled_at().is_some());
    uploads.disconnected(client(2));
    assert_eq!(uploads.stalled_at(), None);
    let writes: Vec<_> = uploads.orders.drain(..).collect();
    let later = Micros(NOW.0 + 2 * UPLOAD_STALLED_AFTER.0);
    uploads.give_up_stalled(later);
    let _ = told(&mut uploads);
    let mut written = 0;
    for order in writes {
        if let UploadOrder::Write { upload, bytes } = order {
            uploads.heard(later, UploadNews::Written(upload, queue_cost_bytes(&bytes)));
            written += 1;
            if !uploads.clients[&client(1)].held {
                break;
            }
        }
    }
    assert_eq!(uploads.holds, [(client(1), true), (client(1), false)]);
    assert!(sent / 2 <= written && written <= sent / 2 + 1, "{written}");
    assert_eq!(
        uploads.stalled_at(),
        Some(Micros(later.0 + UPLOAD_STALLED_AFTER.0))
    );
}

#[test]
fn who_leaves_or_begins_anew_is_not_held_any_more() {
    let mut uploads = uploads();
    uploads.start(client(1), &start(7, 1 << 40));
    opened(&mut uploads);
    let length = UPLOAD_QUEUE_BYTES_MAX;
    uploads.data(NOW, client(1), data(7, 0, length));
    uploads.disconnected(client(1));
    assert_eq!(uploads.holds, [(client(1), true), (client(1), false)]);
    assert_eq!(uploads.queued_bytes, length + PIECE_BYTES);
}

#[test]
fn a_piece_that_was_not_taken_spoils_what_it_may_belong_to() {
    let (mut uploads, mut out) = (uploads(), Outbound::default());
    for id in [7, 8] {
        uploads.start(client(1), &start(id, 10));
        opened(&mut uploads);
    }
    uploads.data(NOW, client(1), data(8, 0, 10));
    let _ = told(&mut uploads);
    let kind = AgentType::FILE_XFER_DATA;
    uploads.skipped(NOW, client(1), kind, &mut out);
    let spoilt = FileStatus {
        id: 7,
        result: FileResult::ERROR,
        detail: FileDetail::None,
    };
    assert_eq!(
        out.messages,
        [(client(1), AgentMessage::FileStatus(spoilt))]
    );
    assert!(matches!(
        out.orders.last(),
        Some(Order::Upload(UploadOrder::Abandon { .. }))
    ));
}

#[test]
fn a_piece_costs_the_message_that_it_is_part_of() {
    let mut uploads = uploads();
    uploads.start(client(1), &start(7, 1 << 40));
    opened(&mut uploads);
    let message = SharedBytes::from(vec![0; 1 << 20]);
    let mut sent = 0;
    while !uploads.clients[&client(1)].held {
        let data = message.clone().first(1);
        uploads.data(NOW, client(1), FileData { id: 7, data });
        sent += 1;
    }
    assert_eq!(sent, 4);
}

#[test]
fn what_stalls_is_cancelled() {
    let mut uploads = uploads();
    uploads.start(client(1), &start(7, 10));
    let upload = opened(&mut uploads);
    let _ = told(&mut uploads);
    let at = uploads.stalled_at().unwrap();
    uploads.give_up_stalled(Micros(at.0 - 1));
    assert_eq!(told(&mut uploads), []);
    uploads.give_up_stalled(at);
    assert_eq!(results(&mut uploads), [(7, FileResult::CANCELLED)]);
    let abandoned = uploads.orders.drain(..).next();
    assert_eq!(abandoned, Some(UploadOrder::Abandon { upload }));
    assert_eq!(uploads.stalled_at(), None);
}

#[test]
fn clients_that_come_and_go_while_the_disk_hangs_cost_nothing() {
    let mut uploads = uploads();
    let mut orders = 0;
    for number in 0..1000 {
        for id in 0..10 {
            uploads.start(client(number), &start(id, 10));
        }
        uploads.disconnected(client(number));
        orders += uploads.orders.drain(..).count();
    }
    assert_eq!(orders, 2 * UPLOADS_OPENING_MAX, "each opened and abandoned");
    assert!(uploads.clients.is_empty());
}

/// What may happen, in any order.
#[derive(Clone, Debug)]
enum Act {
    Start(u64, u32, u64),
    Data(u64, u32, u64),
    GiveUp(u64, u32),
    Disconnect(u64),
    Disk(u8, bool),
    Wait,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let (clients, ids) = (0..3_u64, 0..6_u32);
    let act = prop_oneof![
        3 => (clients.clone(), ids.clone(), 0..40_u64).prop_map(|(c, i, s)| Act::Start(c, i, s)),
        12 => (clients.clone(), ids.clone(), 0..20_u64).prop_map(|(c, i, n)| Act::Data(c, i, n)),
        1 => (clients.clone(), ids).prop_map(|(c, i)| Act::GiveUp(c, i)),
        1 => clients.prop_map(Act::Disconnect),
        10 => (1..6_u8, proptest::bool::weighted(0.05)).prop_map(|(n, fails)| Act::Disk(n, fails)),
        1 => Just(Act::Wait),
    ];
    proptest::collection::vec(act, 1..300)
}

/// A disk that does orders when it is told to, and checks that they make sense.
#[derive(Default)]
struct Disk {
    queue: VecDeque<UploadOrder>,
    open: BTreeMap<UploadKey, (u64, Vec<u8>)>,
    whole: Vec<(UploadKey, Vec<u8>)>,
    seen: Vec<UploadKey>,
}

impl Disk {
    fn obey(&mut self, fails: bool) -> Vec<UploadNews> {
        let why = UploadFailure::NoSpace { free_bytes: 1 };
        match self.queue.pop_front() {
            None => vec![],
            Some(UploadOrder::Open {
                upload, size_bytes, ..
            }) => {
                assert!(!self.seen.contains(&upload), "a key is used once");
                self.seen.push(upload);
                if fails {
                    return vec![UploadNews::Refused(upload, why)];
                }
                self.open.insert(upload, (size_bytes, Vec::new()));
                vec![UploadNews::Opened(upload)]
            }
            Some(UploadOrder::Write { upload, bytes }) => {
                assert!(self.seen.contains(&upload) && !bytes.is_empty());
                let mut news = vec![UploadNews::Written(upload, queue_cost_bytes(&bytes))];
                if fails && self.open.remove(&upload).is_some() {
                    news.insert(0, UploadNews::Failed(upload, why));
                }
                if let Some((_, content)) = self.open.get_mut(&upload) {
                    content.extend_from_slice(&bytes);
                }
                news
            }
            Some(UploadOrder::Finish { upload }) => {
                let Some((size, content)) = self.open.remove(&upload) else {
                    return vec![];
                };
                assert_eq!(size, content.len() as u64, "only what is whole is named");
                if fails {
                    return vec![UploadNews::Failed(upload, why)];
                }
                self.whole.push((upload, content));
                vec![UploadNews::Finished(upload)]
            }
            Some(UploadOrder::Abandon { upload }) => {
                assert!(self.seen.contains(&upload));
                self.open.remove(&upload);
                vec![]
            }
        }
    }
}

/// What a client knows of a file.
#[derive(Clone, Copy)]
struct Known {
    may_send: bool,
    sent: u64,
}

fn pump(uploads: &mut Uploads, disk: &mut Disk, known: &mut BTreeMap<(u64, u32), Known>) {
    disk.queue.extend(uploads.orders.drain(..));
    for (client, id, result, _) in told(uploads) {
        let file = known.get_mut(&(client, id));
        let file = file.unwrap_or_else(|| panic!("{result:?} of a file {id} that has ended"));
        if result == FileResult::CAN_SEND_DATA {
            assert!(!std::mem::replace(&mut file.may_send, true), "said twice");
        } else {
            known.remove(&(client, id));
        }
    }
    let queued: u64 = disk
        .queue
        .iter()
        .map(|order| match order {
            UploadOrder::Write { bytes, .. } => bytes.held_bytes() as u64 + PIECE_BYTES,
            _ => 0,
        })
        .sum();
    assert_eq!(uploads.queued_bytes, queued);
    assert!(uploads.opening <= UPLOADS_OPENING_MAX);
}

proptest! {
    #[test]
    fn any_order_of_things_ends_well(acts in acts()) {
        let (mut uploads, mut disk) = (uploads(), Disk::default());
        let mut known: BTreeMap<(u64, u32), Known> = BTreeMap::new();
        let mut now = NOW;
        for act in acts {
            now.0 += 1;
            match act {
                Act::Start(from, id, size) => {
                    known.entry((from, id)).or_insert(Known { may_send: false, sent: 0 });
                    uploads.start(client(from), &start(id, size));
                }
                Act::Data(from, id, length) => {
                    let file = known.get_mut(&(from, id));
                    let at = file.map_or(0, |file| {
                        file.sent += length;
                        file.sent - length
                    });
                    uploads.data(now, client(from), data(id, at, length));
                }
                Act::GiveUp(from, id) => {
                    known.remove(&(from, id));
                    uploads.status(client(from), gives_up(id));
                }
                Act::Disconnect(from) => {
                    known.retain(|(client, _), _| *client != from);
                    uploads.disconnected(client(from));
                }
                Act::Disk(steps, fails) => {
                    for _ in 0..steps {
                        for news in disk.obey(fails) {
                            uploads.heard(now, news);
                        }
                        pump(&mut uploads, &mut disk, &mut known);
                    }
                }
                Act::Wait => {
                    now.0 += UPLOAD_STALLED_AFTER.0;
                    uploads.give_up_stalled(now);
                }
            }
            pump(&mut uploads, &mut disk, &mut known);
        }
        for from in 0..3 {
            known.retain(|(client, _), _| *client != from);
            uploads.disconnected(client(from));
        }
        pump(&mut uploads, &mut disk, &mut known);
        while !disk.queue.is_empty() {
            for news in disk.obey(false) {
                uploads.heard(now, news);
            }
            pump(&mut uploads, &mut disk, &mut known);
        }
        prop_assert!(disk.open.is_empty(), "nothing is left open");
        prop_assert_eq!((uploads.opening, uploads.queued_bytes), (0, 0));
        for (_, content) in disk.whole {
            prop_assert_eq!(&content[..], &*piece(0, content.len() as u64), "in order, without a gap");
        }
    }
}
