//! What holds, and that a weaker protocol would not hold.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use loom::thread;

use super::wake::{self, Armed, PeerWord, Wait};

/// The words that both sides share, and the eventfd's counter.
#[derive(Debug)]
struct Shared {
    done: AtomicU64,
    idle_done: AtomicU64,
    waiting: AtomicU32,
    signals: AtomicU32,
    rules: Rules,
}

/// The parts of the protocol that a mutated model leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rules {
    All,
    /// The consumer sleeps without looking again.
    NoSecondLook,
    /// No fence between the consumer's arming and its second look.
    NoConsumerFence,
    /// No fence between the producer's publishing and its look at `waiting`.
    NoProducerFence,
    /// The producer tests and clears `waiting` in two steps.
    NoCompareAndSwap,
}

impl Shared {
    fn new(rules: Rules) -> Arc<Self> {
        Arc::new(Self {
            done: AtomicU64::new(0),
            idle_done: AtomicU64::new(0),
            waiting: AtomicU32::new(0),
            signals: AtomicU32::new(0),
            rules,
        })
    }

    /// The driver publishes one record.
    fn publish(&self) {
        let done = self.done.load(Ordering::Relaxed);
        self.done.store(done + 1, Ordering::Release);
        self.producer_fence();
        self.take(Wait::Record);
    }

    /// The driver's BlockHandler: all clients are served.
    fn block(&self) {
        self.idle_done
            .store(self.done.load(Ordering::Relaxed), Ordering::Release);
        self.producer_fence();
        self.take(Wait::Idle);
    }

    fn producer_fence(&self) {
        if self.rules != Rules::NoProducerFence {
            fence(Ordering::SeqCst);
        }
    }

    /// Takes the request back to NONE and writes the eventfd.
    fn take(&self, wait: Wait) {
        let taken = if self.rules == Rules::NoCompareAndSwap {
            let asked = self.waiting.load(Ordering::Relaxed) == wait.word();
            if asked {
                self.waiting.store(0, Ordering::Relaxed);
            }
            asked
        } else {
            let swap =
                self.waiting
                    .compare_exchange(wait.word(), 0, Ordering::AcqRel, Ordering::Relaxed);
            swap.is_ok()
        };
        if taken {
            self.signals.fetch_add(1, Ordering::Release);
        }
    }

    /// The server asks for a wake-up after having read up to `seen`.
    fn arm(&self, wait: Wait, seen: u64) -> Armed {
        wake::arm(&self, wait, || match wait {
            _ if self.rules == Rules::NoSecondLook => false,
            Wait::Record => self.done.load(Ordering::Acquire) != seen,
            Wait::Idle => {
                self.idle_done.load(Ordering::Acquire) == self.done.load(Ordering::Acquire)
            }
        })
    }
}

impl PeerWord for Shared {
    fn store_waiting(&self, value: u32) {
        // Weaker than the server's store: the fences alone must do.
        self.waiting.store(value, Ordering::Relaxed);
    }

    fn full_fence(&self) {
        if self.rules != Rules::NoConsumerFence {
            fence(Ordering::SeqCst);
        }
    }
}

/// The server arms once while the driver publishes `records`. If it sleeps, it must have been woken once by the
/// end; if records are there and it does not sleep, it knows.
fn a_record_wakes(rules: Rules, records: u32) {
    loom::model(move || {
        let shared = Shared::new(rules);
        let producer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || (0..records).for_each(|_| shared.publish()))
        };
        let seen = shared.done.load(Ordering::Acquire);
        let armed = shared.arm(Wait::Record, seen);
        producer.join().expect("the producer ends");
        let signals = shared.signals.load(Ordering::Acquire);
        assert!(signals <= 1, "one wake-up for one arming");
        if armed == Armed::Waiting {
            let lost = seen != shared.done.load(Ordering::Acquire) && signals == 0;
            assert!(!lost, "a record was published and the server sleeps on");
            let for_nothing = seen == shared.done.load(Ordering::Acquire) && signals != 0;
            assert!(!for_nothing, "woken though nothing changed");
        }
    });
}

#[test]
fn no_record_is_missed() {
    a_record_wakes(Rules::All, 2);
}

#[test]
#[should_panic(expected = "the server sleeps on")]
fn without_the_second_look_a_record_is_missed() {
    a_record_wakes(Rules::NoSecondLook, 1);
}

#[test]
#[should_panic(expected = "the server sleeps on")]
fn without_the_consumers_fence_a_record_is_missed() {
    a_record_wakes(Rules::NoConsumerFence, 1);
}

#[test]
#[should_panic(expected = "the server sleeps on")]
fn without_the_producers_fence_a_record_is_missed() {
    a_record_wakes(Rules::NoProducerFence, 1);
}

/// The server waits for the driver to be idle: it has published a record and will reach its BlockHandler.
fn idleness_wakes(rules: Rules) {
    loom::model(move || {
        let shared = Shared::new(rules);
        shared.publish();
        let producer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                shared.publish();
                shared.block();
            })
        };
        let armed = shared.arm(Wait::Idle, 1);
        producer.join().expect("the producer ends");
        let signals = shared.signals.load(Ordering::Acquire);
        assert!(signals <= 1, "one wake-up for one arming");
        assert!(
            armed == Armed::Changed || signals == 1,
            "the driver is idle and the server sleeps on"
        );
    });
}

#[test]
fn idleness_is_not_missed() {
    idleness_wakes(Rules::All);
}

#[test]
#[should_panic(expected = "the server sleeps on")]
fn without_the_second_look_idleness_is_missed() {
    idleness_wakes(Rules::NoSecondLook);
}

#[test]
#[should_panic(expected = "the server sleeps on")]
fn without_fences_idleness_is_missed() {
    idleness_wakes(Rules::NoProducerFence);
}

/// The driver publishes in two threads of its own: records in the main thread, the cursor in the input thread. A
/// cursor change is a record here; what counts is that both may take the same arming.
fn two_threads_wake_once(rules: Rules) {
    loom::model(move || {
        let shared = Shared::new(rules);
        let seen = 0;
        let threads: Vec<_> = [(); 2]
            .iter()
            .map(|()| {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    shared.done.fetch_add(1, Ordering::Release);
                    shared.producer_fence();
                    shared.take(Wait::Record);
                })
            })
            .collect();
        let armed = shared.arm(Wait::Record, seen);
        threads
            .into_iter()
            .for_each(|one| one.join().expect("the producer ends"));
        let signals = shared.signals.load(Ordering::Acquire);
        assert!(signals <= 1, "one wake-up for one arming");
        assert!(
            armed == Armed::Changed || signals == 1,
            "the server sleeps on"
        );
    });
}

#[test]
fn two_threads_of_the_driver_wake_once() {
    two_threads_wake_once(Rules::All);
}

#[test]
#[should_panic(expected = "one wake-up for one arming")]
fn without_the_compare_and_swap_two_threads_wake_twice() {
    two_threads_wake_once(Rules::NoCompareAndSwap);
}

/// The life of a server: it reads, arms, sleeps until woken, reads, until it has seen everything.
#[test]
fn a_server_that_sleeps_between_sees_everything() {
    const RECORDS: u64 = 2;
    loom::model(|| {
        let shared = Shared::new(Rules::All);
        let producer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || (0..RECORDS).for_each(|_| shared.publish()))
        };
        let (mut armings, mut woken) = (0, 0);
        loop {
            let seen = shared.done.load(Ordering::Acquire);
            if seen == RECORDS {
                break;
            }
            armings += 1;
            if shared.arm(Wait::Record, seen) == Armed::Waiting {
                while shared.signals.load(Ordering::Acquire) == woken {
                    thread::yield_now();
                }
            }
            woken = shared.signals.load(Ordering::Acquire);
        }
        producer.join().expect("the producer ends");
        assert!(
            shared.signals.load(Ordering::Acquire) <= armings,
            "one wake-up for one arming"
        );
    });
}
