//! Takes a desktop's devices out of the user's sound daemon again.
//!
//! The modules that made them are known by their arguments, not by a number that somebody had to keep: so they are
//! found also when launcher and server were killed.

use std::ffi::{CStr, CString};
use std::io::{self, BufReader};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use pulseaudio::protocol::{
    AuthParams, AuthReply, Command, MAX_VERSION, ModuleInfoList, Prop, Props, ProtocolError,
    SetClientNameReply, read_ack_message, read_reply_message, write_command_message,
};

use super::{Names, answers};
use crate::name::DesktopName;

/// Time in which the daemon answers: a desktop's end does not wait longer for a daemon that hangs.
const ANSWER_DEADLINE: Duration = Duration::from_secs(1);

/// A cookie for daemons that ask for one and take any.
const NO_COOKIE: [u8; 256] = [0; 256];

/// Unloads the modules of the desktop `name` from the daemon at `socket`. One that is gone has taken them along.
pub(crate) fn release(socket: &Path, name: &DesktopName) {
    if answers(socket) {
        // What fails here leaves two devices that play to nobody; there is nothing else to be done about it.
        let _ = unload(socket, &Names::of(name));
    }
}

fn unload(socket: &Path, names: &Names) -> Result<(), ProtocolError> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
    stream.set_write_timeout(Some(ANSWER_DEADLINE))?;
    let mut daemon = Daemon {
        stream: BufReader::new(stream),
        version: MAX_VERSION,
        request: 0,
    };
    daemon.greet()?;
    daemon.say(&Command::GetModuleInfoList)?;
    let (_, modules): (_, ModuleInfoList) = read_reply_message(&mut daemon.stream, daemon.version)?;
    // The newest first: the microphone stands on its feed, the sink on its output.
    for module in modules.iter().rev() {
        if module
            .argument
            .as_deref()
            .is_some_and(|argument| is_of(argument, names))
        {
            daemon.say(&Command::UnloadModule(module.index))?;
            read_ack_message(&mut daemon.stream)?;
        }
    }
    Ok(())
}

/// Whether a module with these arguments is one of the desktop's.
fn is_of(argument: &CStr, names: &Names) -> bool {
    let own = [
        format!("sink_name={}", names.sink),
        format!("sink_name={}", names.output),
        format!("sink_name={}", names.feed),
        format!("source_name={}", names.microphone),
    ];
    let argument = argument.to_string_lossy();
    argument
        .split_ascii_whitespace()
        .any(|word| own.iter().any(|own| own == word))
}

struct Daemon {
    stream: BufReader<UnixStream>,
    version: u16,
    request: u32,
}

impl Daemon {
    fn greet(&mut self) -> Result<(), ProtocolError> {
        let cookie = pulseaudio::cookie_path_from_env().and_then(|path| std::fs::read(path).ok());
        let auth = AuthParams {
            version: MAX_VERSION,
            supports_shm: false,
            supports_memfd: false,
            cookie: cookie.unwrap_or_else(|| NO_COOKIE.to_vec()),
        };
        self.say(&Command::Auth(auth))?;
        let (_, reply): (_, AuthReply) = read_reply_message(&mut self.stream, self.version)?;
        self.version = MAX_VERSION.min(reply.version);
        let mut props = Props::new();
        let name = CString::new("Caraway").map_err(io::Error::from)?;
        props.set(Prop::ApplicationName, name);
        self.say(&Command::SetClientName(props))?;
        let _: (u32, SetClientNameReply) = read_reply_message(&mut self.stream, self.version)?;
        Ok(())
    }

    fn say(&mut self, command: &Command) -> Result<(), ProtocolError> {
        self.request += 1;
        write_command_message(self.stream.get_mut(), self.request, command, self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_of_other_desktops_are_left_alone() {
        let names = Names::of(&"desk".parse().unwrap());
        for own in [
            c"sink_name=caraway-desk rate=48000",
            c"rate=48000 sink_name=caraway-desk-microphone-feed",
            c"sink_name=caraway-desk-output rate=48000",
            c"master=caraway-desk-microphone-feed.monitor source_name=caraway-desk-microphone",
        ] {
            assert!(is_of(own, &names), "{own:?}");
        }
        for other in [
            c"sink_name=caraway-desk-2 rate=48000",
            c"sink_name=desk",
            c"master=caraway-desk-microphone-feed.monitor source_name=mine",
            c"",
        ] {
            assert!(!is_of(other, &names), "{other:?}");
        }
    }
}
