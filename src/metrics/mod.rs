//! Counters that status and benches read.
