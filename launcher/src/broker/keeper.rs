//! The process of the user's that stays with a desktop as long as there is one: it keeps what its launcher cannot have
//! again, and starts another launcher when one is killed or hangs. Xorg, the server and all programs live on meanwhile.
//!
//! It is to the launcher what systemd is to that of `caraway@.service`, by the same protocol (sd_notify(3),
//! sd_listen_fds_with_names(3)): here the desktop has to stay in the session that PAM has opened, and systemd's units
//! are in none.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, recvmsg};
use tokio::io::Interest;
use tokio::net::UnixDatagram;
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, sleep_until};

use super::daemon::OURSELVES;
use super::desktop::DesktopArgs;
use super::{notice, places, user};

/// Descriptors that are kept, as for a unit.
const KEPT_MAX: usize = 128;

/// Bytes of the longest message that a launcher sends.
const MESSAGE_BYTES_MAX: usize = 4096;

/// Descriptors of one message.
const DESCRIPTORS_MAX: usize = 4;

/// A launcher that says nothing for so long hangs. It speaks twice in this time; less would wake an idle host.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Before another launcher is started.
const RESTART_PAUSE: Duration = Duration::from_millis(100);

/// Launchers that may be killed within [`RESTARTS_WITHIN`]; with one more the desktop is given up.
const RESTARTS_MAX: usize = 10;

/// See [`RESTARTS_MAX`].
const RESTARTS_WITHIN: Duration = Duration::from_secs(60);

/// Where a launcher's handover lies; without one a desktop is not far enough to be taken over.
const HANDOVER: &str = "caraway-kept-state-";

/// The first number of what is passed (sd_listen_fds(3)).
const FIRST_FD: i32 = 3;

/// Keeps the user's desktop; returns when it has ended, with the launcher's exit status.
///
/// # Errors
/// When there cannot be one, or it is given up.
pub(super) fn run(args: &DesktopArgs) -> io::Result<u8> {
    let user = user::numbered(args.uid())?;
    user::become_user(&user)?;
    // What it keeps is nobody else's to take.
    prctl::set_dumpable(false)?;
    prctl::set_name(c"caraway-keeper")?;
    nix::unistd::setsid()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(keep(args))
}

async fn keep(args: &DesktopArgs) -> io::Result<u8> {
    let socket = bind(args.uid())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut kept = Kept::default();
    let mut starts = VecDeque::new();
    // The login process reads what the first one says of itself.
    let mut output = Stdio::inherit();
    loop {
        let mut launcher = start(args, &kept, output)?;
        output = Stdio::null();
        let mut silent_at = Instant::now() + WATCHDOG;
        let ended = loop {
            tokio::select! {
                // What was said last counts before the end.
                biased;
                heard = hear(&socket, &mut kept) => if heard? {
                    silent_at = Instant::now() + WATCHDOG;
                },
                // Who ends a session asks all of its processes. The launcher ends the desktop, and this one goes last.
                _ = terminate.recv() => {}
                ended = launcher.wait() => break ended?,
                () = sleep_until(silent_at) => {
                    notice("a launcher hangs, and is killed");
                    end(&launcher);
                    silent_at += WATCHDOG;
                }
            }
        };
        drain(&socket, &mut kept);
        if let Some(code) = ended.code() {
            return Ok(u8::try_from(code).unwrap_or(u8::MAX));
        }
        give_up_if_hopeless(&mut starts, &kept, ended)?;
        sleep(RESTART_PAUSE).await;
    }
}

/// Whether another launcher would do better.
fn give_up_if_hopeless(
    starts: &mut VecDeque<Instant>,
    kept: &Kept,
    ended: ExitStatus,
) -> io::Result<()> {
    let signal = ended.signal().unwrap_or_default();
    starts.push_back(Instant::now());
    starts.retain(|start| start.elapsed() < RESTARTS_WITHIN);
    if !kept.has_handover() || RESTARTS_MAX < starts.len() {
        return Err(io::Error::other(format!(
            "the launcher was ended by signal {signal}; the desktop is given up"
        )));
    }
    notice(&format!(
        "the launcher was ended by signal {signal}; the desktop lives, another launcher takes it over"
    ));
    Ok(())
}

fn bind(uid: u32) -> io::Result<UnixDatagram> {
    let path = places::keeper(uid);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixDatagram::bind(path)
}

/// Starts a launcher, with all that is kept from the first number on.
fn start(args: &DesktopArgs, kept: &Kept, output: Stdio) -> io::Result<Child> {
    let mut command = Command::new(OURSELVES);
    command.arg0("caraway-broker").arg("__launcher");
    command.args(args.words());
    let mut mappings = Vec::new();
    for (fd, number) in kept.descriptors.values().zip(FIRST_FD..) {
        mappings.push(FdMapping {
            parent_fd: fd.try_clone()?,
            child_fd: number,
        });
    }
    command
        .env("NOTIFY_SOCKET", places::keeper(args.uid()))
        .env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string())
        .env("LISTEN_FDS", mappings.len().to_string())
        .env("LISTEN_FDNAMES", kept.names());
    command.fd_mappings(mappings).map_err(io::Error::other)?;
    command.stdin(Stdio::null()).stdout(output);
    tokio::process::Command::from(command).spawn()
}

fn end(launcher: &Child) {
    let pid = launcher.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid {
        // It has not been waited for, so the number is its own; it may have ended.
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}

/// The next message, when there is one; whether it says that the launcher is well.
async fn hear(socket: &UnixDatagram, kept: &mut Kept) -> io::Result<bool> {
    loop {
        socket.readable().await?;
        match receive(socket, kept) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            heard => return heard,
        }
    }
}

/// All that a launcher has said.
fn drain(socket: &UnixDatagram, kept: &mut Kept) {
    while receive(socket, kept).is_ok() {}
}

fn receive(socket: &UnixDatagram, kept: &mut Kept) -> io::Result<bool> {
    socket.try_io(Interest::READABLE, || {
        let mut bytes = [0; MESSAGE_BYTES_MAX];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        let mut parts = [IoSliceMut::new(&mut bytes)];
        let message = recvmsg(socket, &mut parts, &mut control, flags)?;
        let rights = control.drain().filter_map(|control| match control {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        let descriptors: Vec<OwnedFd> = rights.flatten().collect();
        let is_whole = !message
            .flags
            .intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
        let text = bytes.get(..message.bytes).filter(|_| is_whole);
        let text = text.and_then(|text| str::from_utf8(text).ok());
        Ok(kept.obey(text.unwrap_or_default(), descriptors))
    })
}

/// What a launcher has had kept, by name.
#[derive(Debug, Default)]
struct Kept {
    descriptors: BTreeMap<String, OwnedFd>,
}

impl Kept {
    /// Does as a message says; whether it says that the launcher is well.
    fn obey(&mut self, message: &str, mut descriptors: Vec<OwnedFd>) -> bool {
        let says = |line: &str| message.lines().any(|said| said == line);
        let name = message
            .lines()
            .find_map(|line| line.strip_prefix("FDNAME="));
        // The names are passed in one variable.
        let name = name.filter(|name| !name.is_empty() && !name.contains(':'));
        if let Some(name) = name {
            if says("FDSTOREREMOVE=1") {
                self.descriptors.remove(name);
            } else if says("FDSTORE=1")
                && let Some(fd) = descriptors.pop()
                && (self.descriptors.len() < KEPT_MAX || self.descriptors.contains_key(name))
            {
                self.descriptors.insert(name.to_owned(), fd);
            }
        }
        says("WATCHDOG=1")
    }

    fn names(&self) -> String {
        let names: Vec<&str> = self.descriptors.keys().map(String::as_str).collect();
        names.join(":")
    }

    fn has_handover(&self) -> bool {
        let mut names = self.descriptors.keys();
        names.any(|name| name.starts_with(HANDOVER))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::net;

    fn descriptor() -> Vec<OwnedFd> {
        vec![File::open("/dev/null").unwrap().into()]
    }

    #[test]
    fn what_is_stored_is_kept_by_name_until_it_is_removed() {
        let mut kept = Kept::default();
        assert!(!kept.obey(
            "FDSTORE=1\nFDNAME=caraway-kept-lock\nFDPOLL=0\n",
            descriptor()
        ));
        assert!(!kept.has_handover());
        kept.obey("FDSTORE=1\nFDNAME=caraway-kept-state-7\n", descriptor());
        assert!(kept.has_handover());
        assert_eq!(kept.names(), "caraway-kept-lock:caraway-kept-state-7");
        kept.obey("FDSTOREREMOVE=1\nFDNAME=caraway-kept-lock\n", Vec::new());
        assert_eq!(kept.names(), "caraway-kept-state-7");
        for wrong in ["FDSTORE=1\n", "FDNAME=x\n", "FDSTORE=1\nFDNAME=a:b\n", ""] {
            kept.obey(wrong, descriptor());
        }
        kept.obey("FDSTORE=1\nFDNAME=none\n", Vec::new());
        assert_eq!(kept.names(), "caraway-kept-state-7");
        assert!(kept.obey("WATCHDOG=1\n", Vec::new()));
    }

    #[test]
    fn there_is_an_end_of_what_is_kept() {
        let mut kept = Kept::default();
        for at in 0..2 * KEPT_MAX {
            kept.obey(&format!("FDSTORE=1\nFDNAME={at}\n"), descriptor());
        }
        assert_eq!(kept.descriptors.len(), KEPT_MAX);
        kept.obey("FDSTORE=1\nFDNAME=0\n", descriptor());
        assert_eq!(kept.descriptors.len(), KEPT_MAX);
    }

    #[test]
    fn a_desktop_is_given_up_that_is_not_far_or_falls_again_and_again() {
        let killed = ExitStatus::from_raw(9);
        let mut starts = VecDeque::new();
        let mut kept = Kept::default();
        assert!(give_up_if_hopeless(&mut starts, &kept, killed).is_err());
        kept.obey("FDSTORE=1\nFDNAME=caraway-kept-state-1\n", descriptor());
        starts.clear();
        for _ in 0..RESTARTS_MAX {
            assert!(give_up_if_hopeless(&mut starts, &kept, killed).is_ok());
        }
        assert!(give_up_if_hopeless(&mut starts, &kept, killed).is_err());
    }

    #[tokio::test]
    async fn messages_arrive_with_their_descriptors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keeper.sock");
        let socket = UnixDatagram::bind(&path).unwrap();
        let launcher = net::UnixDatagram::unbound().unwrap();
        launcher.connect(&path).unwrap();
        let sent = File::open("/dev/null").unwrap();
        nix::sys::socket::sendmsg::<()>(
            std::os::fd::AsRawFd::as_raw_fd(&launcher.as_fd()),
            &[io::IoSlice::new(
                b"FDSTORE=1\nFDNAME=caraway-kept-state-1\n",
            )],
            &[nix::sys::socket::ControlMessage::ScmRights(&[
                std::os::fd::AsRawFd::as_raw_fd(&sent),
            ])],
            nix::sys::socket::MsgFlags::empty(),
            None,
        )
        .unwrap();
        launcher.send(&[b'x'; 2 * MESSAGE_BYTES_MAX]).unwrap();
        launcher.send(b"WATCHDOG=1\n").unwrap();
        let mut kept = Kept::default();
        assert!(!hear(&socket, &mut kept).await.unwrap());
        assert!(kept.has_handover());
        assert!(!hear(&socket, &mut kept).await.unwrap(), "too long");
        assert!(hear(&socket, &mut kept).await.unwrap());
        drain(&socket, &mut kept);
    }
}
