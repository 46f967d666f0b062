//! What a service says to its manager: datagrams at the socket that NOTIFY_SOCKET names (sd_notify(3)).

use std::env;
use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

/// A manager that does not read for this long is not told.
const SEND_DEADLINE: Duration = Duration::from_secs(2);

/// The service manager that started this process.
#[derive(Debug)]
pub(crate) struct Manager(UnixDatagram);

impl Manager {
    /// The one that waits for word of this process, if there is one.
    pub(crate) fn find() -> Option<Self> {
        let socket = env::var_os("NOTIFY_SOCKET")?;
        match Self::at(&socket) {
            Ok(manager) => Some(manager),
            Err(error) => {
                crate::terminal::notice(format_args!(
                    "cannot tell systemd of the desktop: {error}"
                ));
                None
            }
        }
    }

    fn at(socket: &OsStr) -> io::Result<Self> {
        let address = match socket.as_bytes().strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(socket)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_write_timeout(Some(SEND_DEADLINE))?;
        Ok(Self(socket))
    }

    /// Says lines like `READY=1`.
    pub(crate) fn say(&self, lines: &str) -> io::Result<()> {
        self.0.send(lines.as_bytes()).map(drop)
    }

    /// Has it keep a duplicate of `fd` under `name`, for this process or the one in its place.
    pub(crate) fn store(&self, name: &str, fd: BorrowedFd<'_>) -> io::Result<()> {
        // Not polled: it would drop what can never be read, such as a bound socket that does not listen.
        let message = format!("FDSTORE=1\nFDNAME={name}\nFDPOLL=0\n");
        let fds = [fd.as_raw_fd()];
        sendmsg::<()>(
            self.0.as_fd().as_raw_fd(),
            &[IoSlice::new(message.as_bytes())],
            &[ControlMessage::ScmRights(&fds)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        )?;
        Ok(())
    }

    /// Has it close what it keeps under `name`.
    pub(crate) fn remove(&self, name: &str) -> io::Result<()> {
        self.say(&format!("FDSTOREREMOVE=1\nFDNAME={name}\n"))
    }
}

/// How often the manager wants to hear that this process is well, if it does (sd_watchdog_enabled(3)).
pub(crate) fn watchdog_period() -> Option<Duration> {
    let of = |name| env::var(name).ok()?.parse::<u64>().ok();
    let ours = of("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    // Twice in the time after which it would act.
    let period = Duration::from_micros(of("WATCHDOG_USEC")?) / 2;
    (ours && !period.is_zero()).then_some(period)
}

#[cfg(test)]
mod tests {
    use std::io::IoSliceMut;

    use nix::cmsg_space;
    use nix::sys::socket::recvmsg;

    use super::*;

    #[test]
    fn a_manager_is_told_by_path_or_by_name_and_gets_descriptors() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let manager = Manager::at(path.as_os_str()).unwrap();
        manager.say("READY=1\n").unwrap();
        let mut heard = [0; 64];
        let count = socket.recv(&mut heard).unwrap();
        assert_eq!(&heard[..count], b"READY=1\n");
        assert!(Manager::at(OsStr::new("@no such name here")).is_err());

        manager.store("kept", socket.as_fd()).unwrap();
        let mut space = cmsg_space!([std::os::fd::RawFd; 1]);
        let mut buffers = [IoSliceMut::new(&mut heard)];
        let fd = socket.as_raw_fd();
        let message = recvmsg::<()>(fd, &mut buffers, Some(&mut space), MsgFlags::empty()).unwrap();
        let rights = message.cmsgs().unwrap().count();
        let count = message.bytes;
        assert_eq!((rights, count), (1, heard[..count].len()));
        assert!(heard.starts_with(b"FDSTORE=1\nFDNAME=kept\n"));
    }
}
