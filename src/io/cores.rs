//! Encoding on the processors that are free: threads that live for one batch of images.
//!
//! The server's own thread takes part, so nothing is lost where there is no second processor, and a batch is a few
//! milliseconds, so a thread that starts in a fiftieth of that is cheaper than one that is kept. Whether a processor is
//! free is the kernel's word at that moment: an X server or an application that wants to run comes first.

use std::sync::{Mutex, PoisonError};

use crate::base::{Job, Workers};

/// Threads of one batch; more would find nothing to do in it.
pub const THREADS_MAX: usize = 4;

/// Where the kernel says how many threads run or want to.
const LOAD: &str = "/proc/loadavg";

/// The processors of this machine.
#[derive(Debug)]
pub struct Cores {
    count: usize,
}

impl Cores {
    /// As many as this process may use.
    pub fn new() -> Self {
        Self {
            count: std::thread::available_parallelism().map_or(1, usize::from),
        }
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
        let load = std::fs::read_to_string(LOAD).unwrap_or_default();
        // This thread is one of those that run.
        let others = running(&load).unwrap_or(self.count).saturating_sub(1);
        self.count.saturating_sub(others).clamp(1, THREADS_MAX)
    }

    fn run(&self, jobs: Vec<Job<'_>>) {
        let threads = self.count.min(THREADS_MAX).min(jobs.len());
        let queue = Mutex::new(jobs.into_iter());
        let take = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || {
            while let Some(job) = take() {
                job();
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                let builder = std::thread::Builder::new().name("encode".into());
                // Without another thread this one does all.
                let _ = builder.spawn_scoped(scope, work);
            }
            work();
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
            let cores = Cores { count };
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
        let free = Cores { count: 4 }.free();
        assert!((1..=THREADS_MAX).contains(&free));
        assert_eq!(Cores { count: 1 }.free(), 1);
    }
}
