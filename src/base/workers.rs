//! Work that other processors may help with, without saying how.

use std::fmt;

/// One piece of work. It is done exactly once.
pub type Job<'a> = Box<dyn FnOnce() + Send + 'a>;

/// Whoever does several jobs at the same time.
pub trait Workers: fmt::Debug {
    /// How many jobs would run at the same time right now, the caller's own included; at least 1.
    fn free(&self) -> usize;

    /// Does all jobs and returns when they are done. The caller does them, too.
    fn run(&self, jobs: Vec<Job<'_>>);
}

/// The caller alone, one job after the other.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Workers for Alone {
    fn free(&self) -> usize {
        1
    }

    fn run(&self, jobs: Vec<Job<'_>>) {
        for job in jobs {
            job();
        }
    }
}
