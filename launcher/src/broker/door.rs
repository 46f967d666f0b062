//! The user's own process at the gateway's line: it connects to the user's desktop, again for each channel, and hands
//! the connections over. The desktop's server asks the kernel who connects, and so does this who listens.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use caraway_server::gateway::broker::Request;
use caraway_server::os::PeerCredentials;
use nix::sys::prctl;
use nix::unistd::User;

use super::daemon::OURSELVES;
use super::line::{Line, ready};
use super::{places, user};

/// Time for a desktop that is there to take a connection.
const DEADLINE: Duration = Duration::from_secs(10);

/// What a door says to its login when the desktop is there.
const OPEN: &[u8] = b"1";

/// Starts a door for the user. Whether the desktop is there; if not, nobody has been told anything.
pub(super) fn open(user: &User, line: &Line) -> io::Result<bool> {
    let mut command = Command::new(OURSELVES);
    command.arg0("caraway-broker").args(["__door", "--uid"]);
    command.arg(user.uid.to_string());
    command
        .stdin(Stdio::from(line.duplicate()?))
        .stdout(Stdio::piped());
    command.env_clear().process_group(0);
    let mut door = command.spawn()?;
    let mut said = door.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    // A desktop that neither takes connections nor refuses them is stopped or overloaded.
    let is_heard = ready(said.as_fd(), Some(Instant::now() + DEADLINE))?;
    let mut word = [0];
    let is_open = is_heard && said.read(&mut word)? == OPEN.len();
    if !is_open {
        door.kill()?;
        door.wait()?;
    }
    Ok(is_open)
}

/// Is the door.
///
/// # Errors
/// When there is no desktop at first, or the gateway breaks the rules.
pub(super) fn run(uid: u32) -> io::Result<()> {
    let user = user::numbered(uid)?;
    user::become_user(&user)?;
    prctl::set_dumpable(false)?;
    prctl::set_name(c"caraway-door")?;
    let line = Line::of_stdin()?;
    let Ok(first) = connect(uid) else {
        return Ok(());
    };
    line.hand_over(first.as_fd())?;
    drop(first);
    let mut login = io::stdout();
    login.write_all(OPEN)?;
    login.flush()?;
    while let Some(request) = line.hear(None)? {
        if request != Request::Connect {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // Without a desktop the line ends, and the client comes again.
        line.hand_over(connect(uid)?.as_fd())?;
    }
    Ok(())
}

fn connect(uid: u32) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(places::socket(uid))?;
    match PeerCredentials::of(&stream)?.uid == uid {
        true => Ok(stream),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}
