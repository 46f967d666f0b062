//! Threads that work ahead while nobody waits for them.

#![expect(unsafe_code, reason = "the scheduler's calls are the C library's")]

use std::io;

/// Nice value of a thread that works ahead: a tenth of an ordinary thread's share where processors are scarce.
const NICE: i32 = 10;

/// Lets the calling thread take no processor from others: it preempts nobody when it is woken (`SCHED_BATCH`,
/// sched(7)) and gets a small share, but always some, where all processors are busy.
///
/// # Errors
/// When the kernel refuses; the thread goes on as before.
pub fn step_back() -> io::Result<()> {
    // SAFETY: all-zero bytes are a valid sched_param, a plain structure of integers.
    let parameter: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: 0 is the calling thread, and the kernel only reads the parameter during the call.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH, &raw const parameter) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: takes numbers only; for PRIO_PROCESS, 0 is the calling thread on Linux.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_steps_back_alone() {
        let policy = std::thread::spawn(|| {
            step_back().unwrap();
            std::fs::read_to_string("/proc/thread-self/sched").unwrap_or_default()
        });
        let told = policy.join().unwrap();
        let line = told.lines().find(|line| line.starts_with("policy"));
        assert!(line.is_none_or(|line| line.ends_with('3')), "{line:?}");
    }
}
