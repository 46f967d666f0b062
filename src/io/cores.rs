//! Encoding on the processors that are free.
//!
//! The server's own thread takes part, so nothing is lost where there is no second processor, and nobody is waited for
//! who has not begun. The other threads are made at the first photograph and sleep between batches. Whether a
//! processor is free is the kernel's word at that moment: an X server or an application that wants to run comes first.

use std::cell::{Cell, OnceCell};
use std::time::{Duration, Instant};

use rayon_core::{ThreadPool, ThreadPoolBuilder};

use crate::base::{Job, Workers};

/// Threads of one batch; more would find nothing to do in it.
pub const THREADS_MAX: usize = 4;

/// So long the load is taken for what it was: the first piece of a picture wakes who reads it, and the first batch
/// wakes these threads, which says nothing of what else the processors have to do.
const LOAD_HOLDS_FOR: Duration = Duration::from_millis(10);

/// Where the kernel says how many threads run or want to.
const LOAD: &str = "/proc/loadavg";

/// The processors of this machine.
#[derive(Debug)]
pub struct Cores {
    count: usize,
    /// How many were free, and when.
    seen: Cell<Option<(Instant, usize)>>,
    /// None where no threads can be made.
    pool: OnceCell<Option<ThreadPool>>,
}

impl Cores {
    /// As many as this process may use. To be used by the thread that makes them.
    pub fn new() -> Self {
        Self::of(std::thread::available_parallelism().map_or(1, usize::from))
    }

    const fn of(count: usize) -> Self {
        Self {
            count,
            seen: Cell::new(None),
            pool: OnceCell::new(),
        }
    }

    fn pool(&self) -> Option<&ThreadPool> {
        let make = || {
            let builder = ThreadPoolBuilder::new()
                .num_threads(self.count.min(THREADS_MAX))
                .thread_name(|_| "encode".into())
                .use_current_thread();
            builder
                .build()
                .inspect_err(|error| tracing::warn!(%error, "encoding on one processor"))
                .ok()
        };
        self.pool.get_or_init(make).as_ref()
    }
}

impl Default for Cores {
    fn default() -> Self {
        Self::new()
    }
}

impl Workers for Cores {
    fn free(&self) -> usize {
        if self.count == 1 {
            return 1;
        }
        let now = Instant::now();
        if let Some((at, free)) = self.seen.get()
            && now.duration_since(at) < LOAD_HOLDS_FOR
        {
            return free;
        }
        let load = std::fs::read_to_string(LOAD).unwrap_or_default();
        // This thread is one of those that run.
        let others = running(&load).unwrap_or(self.count).saturating_sub(1);
        let free = self.count.saturating_sub(others).clamp(1, THREADS_MAX);
        self.seen.set(Some((now, free)));
        free
    }

    fn run(&self, jobs: Vec<Job<'_>>) {
        let mut jobs = jobs.into_iter();
        let Some(own) = jobs.next() else {
            return;
        };
        let pool = if jobs.len() == 0 { None } else { self.pool() };
        let Some(pool) = pool else {
            own();
            jobs.for_each(|job| job());
            return;
        };
        pool.in_place_scope(|scope| {
            for job in jobs {
                scope.spawn(|_| job());
            }
            own();
        });
    }
}

/// Threads that run or want to, of the fourth field of /proc/loadavg (`2/345`).
fn running(load: &str) -> Option<usize> {
    load.split(' ').nth(3)?.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_job_is_done_once() {
        for count in [1, 2, 16] {
            let cores = Cores::of(count);
            let done: Vec<AtomicUsize> = (0..40).map(|_| AtomicUsize::new(0)).collect();
            let count = |done: &AtomicUsize| {
                done.fetch_add(1, Ordering::Relaxed);
            };
            cores.run(
                done.iter()
                    .map(|done| Box::new(move || count(done)) as Job<'_>)
                    .collect(),
            );
            assert!(done.iter().all(|done| done.load(Ordering::Relaxed) == 1));
            cores.run(Vec::new());
        }
    }

    #[test]
    fn what_runs_already_is_left_its_processor() {
        assert_eq!(running("0.26 0.91 1.13 3/345 12345\n"), Some(3));
        assert_eq!(running("nonsense"), None);
        let free = Cores::of(4).free();
        assert!((1..=THREADS_MAX).contains(&free));
        assert_eq!(Cores::of(1).free(), 1);
    }
}
