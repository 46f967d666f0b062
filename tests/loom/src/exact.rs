//! Fills and copies are believed only where the pixels are theirs.

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
use loom::thread;

use super::settled::{self, Progress};

/// The counters, and one pixel for each operation that the driver draws.
#[derive(Debug)]
struct Shared {
    begun: AtomicU64,
    done: AtomicU64,
    pixels: [AtomicU32; 2],
    rules: Rules,
}

/// The parts of the protocol that a mutated model leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rules {
    All,
    /// No fence between `begun` and the first pixel of a fill or copy.
    NoProducerFence,
    /// No fence between the last pixel and the look at `begun`.
    NoConsumerFence,
    /// Pixels are drawn before `begun` is raised.
    BegunLate,
}

/// What the driver draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    /// A fill or copy.
    Exact,
    /// Anything else, which the ring knows as damage.
    Plain,
}

impl Shared {
    fn new(rules: Rules) -> Arc<Self> {
        Arc::new(Self {
            begun: AtomicU64::new(0),
            done: AtomicU64::new(0),
            pixels: [AtomicU32::new(0), AtomicU32::new(0)],
            rules,
        })
    }

    /// `draw_begin` and `ring_publish` of the driver around the drawing of a pixel.
    fn draw(&self, number: usize, operation: Operation) {
        let after = number as u64 + 1;
        if operation == Operation::Exact && self.rules != Rules::BegunLate {
            self.begun.store(after, Ordering::Relaxed);
            if self.rules != Rules::NoProducerFence {
                fence(Ordering::SeqCst);
            }
        }
        self.pixels[number].store(1, Ordering::Relaxed);
        self.begun.store(after, Ordering::Relaxed);
        self.done.store(after, Ordering::Release);
    }
}

impl Progress for &Shared {
    fn load_begun(&self) -> Option<u64> {
        // Weaker than the server's load: the fence alone must do.
        Some(self.begun.load(Ordering::Relaxed))
    }

    fn full_fence(&self) {
        if self.rules != Rules::NoConsumerFence {
            fence(Ordering::SeqCst);
        }
    }
}

/// The server drains, reads and asks while the driver draws.
fn what_is_settled_is_exact(rules: Rules, operations: [Operation; 2]) {
    loom::model(move || {
        let shared = Shared::new(rules);
        let producer = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                for (number, operation) in operations.into_iter().enumerate() {
                    shared.draw(number, operation);
                }
            })
        };
        let position = shared.done.load(Ordering::Acquire);
        let seen = [0, 1].map(|number| shared.pixels[number].load(Ordering::Relaxed) != 0);
        let settled = settled::is_settled(&&*shared, position);
        producer.join().expect("the producer ends");
        for (number, operation) in operations.into_iter().enumerate() {
            let drained = (number as u64) < position;
            assert!(seen[number] || !drained, "a drained record has its pixels");
            // Damage before the first fill or copy may be seen early, for it is read again first of all.
            let after_exact = operations[..=number]
                .iter()
                .enumerate()
                .any(|(before, one)| *one == Operation::Exact && position <= before as u64);
            let is_early = settled && !drained && seen[number] && after_exact;
            assert!(
                !is_early,
                "settled, with a pixel from the future: {operation:?}"
            );
        }
    });
}

#[test]
fn no_pixel_of_a_later_copy_is_settled() {
    for first in [Operation::Exact, Operation::Plain] {
        for second in [Operation::Exact, Operation::Plain] {
            what_is_settled_is_exact(Rules::All, [first, second]);
        }
    }
}

#[test]
#[should_panic(expected = "a pixel from the future")]
fn without_the_driver_s_fence_one_may_be() {
    what_is_settled_is_exact(Rules::NoProducerFence, [Operation::Plain, Operation::Exact]);
}

#[test]
#[should_panic(expected = "a pixel from the future")]
fn without_the_server_s_fence_one_may_be() {
    what_is_settled_is_exact(Rules::NoConsumerFence, [Operation::Exact, Operation::Plain]);
}

#[test]
#[should_panic(expected = "a pixel from the future")]
fn with_begun_behind_the_pixels_one_may_be() {
    what_is_settled_is_exact(Rules::BegunLate, [Operation::Plain, Operation::Exact]);
}
