//! System calls that the server never needs are taken away from it at its start.
//!
//! Whoever found a way to run code in the server would use them next: start a program, look into other processes,
//! mount, load code into the kernel, or reach those parts of it that most of its holes are in. A filter that names
//! what is forbidden, and not what is allowed, breaks nothing when a library learns a new call; it costs each call
//! some ten nanoseconds. What is forbidden fails with EPERM, as it does in containers.

#![expect(unsafe_code, reason = "the filter is handed to the kernel by pointer")]

use nix::errno::Errno;

/// What nobody here calls.
const FORBIDDEN: [libc::c_long; 24] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_open_by_handle_at,
    libc::SYS_swapon,
    libc::SYS_quotactl,
    libc::SYS_acct,
];

/// What starts another program.
const STARTING: [libc::c_long; 2] = [libc::SYS_execve, libc::SYS_execveat];

/// The architecture that the numbers above are of (`AUDIT_ARCH_`, linux/audit.h).
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: Option<u32> = Some(0xc000_00b7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const ARCHITECTURE: Option<u32> = None;

/// Calls of x86-64 with this bit are those of its 32-bit pointers: other numbers for the same, and used by nobody.
const X32_BIT: u32 = 0x4000_0000;

/// Where `seccomp_data` has the call's number and its architecture.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;

/// Takes them away from the calling thread, and all threads and processes that it starts. The process has given up
/// new privileges before (PR_SET_NO_NEW_PRIVS). `starts_programs` keeps what starts others.
///
/// # Errors
/// When the kernel has no filters, or on an architecture without a list.
pub fn forbid_unused(starts_programs: bool) -> Result<(), Errno> {
    let architecture = ARCHITECTURE.ok_or(Errno::ENOSYS)?;
    let starting: &[_] = if starts_programs { &[] } else { &STARTING };
    let mut program = program(architecture, &[&FORBIDDEN, starting].concat());
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| Errno::E2BIG)?,
        filter: program.as_mut_ptr(),
    };
    // SAFETY: the kernel copies the filter, whose length is that of the vector, during the call.
    let result = unsafe {
        libc::prctl(
            libc::PR_SET_SECCOMP,
            libc::SECCOMP_MODE_FILTER,
            &raw const filter,
        )
    };
    Errno::result(result).map(drop)
}

/// Refuses other architectures, x32 and these calls.
fn program(architecture: u32, calls: &[libc::c_long]) -> Vec<libc::sock_filter> {
    let refuse = libc::SECCOMP_RET_ERRNO | Errno::EPERM as u32;
    let load = |at| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, at);
    let answer = |with| step(libc::BPF_RET | libc::BPF_K, 0, 0, with);
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let at_least = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
    let mut program = vec![
        load(ARCHITECTURE_AT),
        step(equal, 1, 0, architecture),
        answer(refuse),
        load(NUMBER_AT),
        step(at_least, 0, 1, X32_BIT),
        answer(refuse),
    ];
    for call in calls {
        // Numbers of system calls are small.
        program.push(step(equal, 0, 1, *call as u32));
        program.push(answer(refuse));
    }
    program.push(answer(libc::SECCOMP_RET_ALLOW));
    program
}

fn step(code: u32, jump_true: u8, jump_false: u8, value: u32) -> libc::sock_filter {
    libc::sock_filter {
        // All codes are below 256.
        code: code as u16,
        jt: jump_true,
        jf: jump_false,
        k: value,
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A filter holds for its own thread and what that starts: the others of this program keep their calls.
    fn filtered<R: Send + 'static>(
        starts_programs: bool,
        then: impl FnOnce() -> R + Send + 'static,
    ) -> R {
        let thread = std::thread::spawn(move || {
            nix::sys::prctl::set_no_new_privs().unwrap();
            forbid_unused(starts_programs).unwrap();
            then()
        });
        thread.join().unwrap()
    }

    #[test]
    fn no_program_is_started_and_nothing_is_mounted() {
        let result = filtered(false, || {
            let started = Command::new("true").status();
            let chroot = nix::unistd::chroot("/");
            let file = std::fs::read("/proc/self/status");
            (
                started.map_err(|error| error.raw_os_error()),
                chroot,
                file.is_ok(),
            )
        });
        assert_eq!(result.0.unwrap_err(), Some(libc::EPERM));
        assert_eq!((result.1, result.2), (Err(Errno::EPERM), true));
        assert!(Command::new("true").status().is_ok(), "only that thread");
    }

    #[test]
    fn who_asks_pam_still_starts_programs() {
        let started = filtered(true, || {
            Command::new("true").status().map(|status| status.success())
        });
        assert!(started.unwrap());
    }
}
