//! Where a desktop's sound goes: to the sound daemon that the user runs already, or to one of the desktop's own.
//!
//! PulseAudio, and PipeWire in its place, are reached at one socket and speak one protocol. In the user's daemon a
//! desktop has a sink and a microphone that are named after it; caraway-server makes them there (`io::sound::devices`)
//! and [`release`] takes them away. A daemon of the desktop's own has nothing else in it, and ends with the desktop.
//! Programs find either through their environment: those that speak PulseAudio's protocol, PipeWire's own, or ALSA.

mod alsa;
mod release;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use std::os::fd::AsRawFd;

use serde::{Deserialize, Serialize};

pub(crate) use self::release::release;
use crate::name::DesktopName;
use crate::process::programs;

/// The daemon that is started where none runs.
const PROGRAM: &str = "pulseaudio";

/// In the desktop's directory: the socket of its own daemon, and what that is told to do.
const SOCKET: &str = "sound.sock";
pub(crate) const SCRIPT: &str = "sound.pa";

/// Seconds of silence after which the daemon lets the sink sleep: nothing wakes up from then on.
const SUSPEND_AFTER_S: u32 = 1;

/// What a desktop's sound goes through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Sound {
    /// The user's daemon, at this socket.
    Users(PathBuf),
    /// A daemon to be started from this program.
    Own(PathBuf),
}

impl Sound {
    /// What this host has of it.
    pub(crate) fn find() -> Option<Self> {
        let running = sockets().into_iter().find(|socket| answers(socket));
        running.map(Self::Users).or_else(|| find().map(Self::Own))
    }

    /// The socket for the desktop in `dir`.
    pub(crate) fn socket(&self, dir: &Path) -> PathBuf {
        match self {
            Self::Users(socket) => socket.clone(),
            Self::Own(_) => dir.join(SOCKET),
        }
    }

    /// Variables that lead programs of the desktop to its devices.
    pub(crate) fn environment(
        &self,
        dir: &Path,
        name: &DesktopName,
    ) -> Vec<(&'static str, OsString)> {
        let mut server = OsString::from("unix:");
        server.push(self.socket(dir));
        let names = Names::of(name);
        let mut variables = vec![
            ("PULSE_SERVER", server),
            // Both ways: the microphone has this name as its path.
            ("PIPEWIRE_NODE", names.sink.clone().into()),
            ("PULSE_SINK", names.sink.into()),
            ("PULSE_SOURCE", names.microphone.into()),
        ];
        if let Some(path) = alsa::config_path(dir) {
            variables.push(("ALSA_CONFIG_PATH", path.into()));
        }
        variables
    }

    /// Writes what programs and the desktop's own daemon need to `dir`.
    pub(crate) fn write_files(&self, dir: &Path, name: &DesktopName) -> io::Result<()> {
        for (file, text) in alsa::files(dir) {
            write_new(&dir.join(file), &text)?;
        }
        match self {
            Self::Users(_) => Ok(()),
            Self::Own(_) => write_new(&dir.join(SCRIPT), &script(&dir.join(SOCKET), name)),
        }
    }
}

/// Names of a desktop's devices; caraway-server has the same.
struct Names {
    sink: String,
    /// What the sink plays to in PulseAudio.
    output: String,
    feed: String,
    microphone: String,
}

impl Names {
    fn of(desktop: &DesktopName) -> Self {
        let sink = format!("caraway-{desktop}");
        Self {
            output: format!("{sink}-output"),
            feed: format!("{sink}-microphone-feed"),
            microphone: format!("{sink}-microphone"),
            sink,
        }
    }
}

fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    io::Write::write_all(&mut options.open(path)?, text.as_bytes())
}

/// The devices come before the socket, so that no program finds a daemon without them.
fn script(socket: &Path, name: &DesktopName) -> String {
    let Names {
        sink,
        output,
        feed,
        microphone,
    } = Names::of(name);
    let null = "load-module module-null-sink rate=48000 channels=2 norewinds=1";
    let desktop = format!("sink_properties=\"device.description='Caraway desktop {name}'\"");
    // The volume of a virtual sink is not in what is heard at its monitor; it is told to clients.
    format!(
        ".ifexists module-virtual-sink.so\n\
         {null} sink_name={output} sink_properties=\"device.description='Caraway output {name}'\"\n\
         load-module module-virtual-sink sink_name={sink} master={output} rate=48000 channels=2 \
         use_volume_sharing=no {desktop}\n\
         .else\n\
         {null} sink_name={sink} {desktop}\n\
         .endif\n\
         {null} sink_name={feed} sink_properties=\"device.description='Caraway microphone feed {name}'\"\n\
         load-module module-remap-source master={feed}.monitor source_name={microphone} \
         source_properties=\"device.description='Caraway microphone {name}'\"\n\
         set-default-sink {sink}\n\
         set-default-source {microphone}\n\
         load-module module-suspend-on-idle timeout={SUSPEND_AFTER_S}\n\
         load-module module-native-protocol-unix auth-anonymous=1 auth-cookie-enabled=0 socket={}\n",
        socket.display()
    )
}

/// The daemon of this host, to be started.
pub(crate) fn find() -> Option<PathBuf> {
    programs::of_host(PROGRAM)
}

/// Where programs of the user look for the user's daemon, first to last.
fn sockets() -> Vec<PathBuf> {
    if let Some(server) = env::var_os("PULSE_SERVER") {
        // Who names a daemon means that one and no other.
        let server = server.into_string().unwrap_or_default();
        return server
            .strip_prefix("unix:")
            .map(PathBuf::from)
            .into_iter()
            .collect();
    }
    let own = env::var_os("PULSE_RUNTIME_PATH").map(|dir| Path::new(&dir).join("native"));
    let users = env::var_os("XDG_RUNTIME_DIR").map(|dir| Path::new(&dir).join("pulse/native"));
    own.into_iter().chain(users).collect()
}

/// Whether somebody listens at `path`; does not wait for anybody.
pub(crate) fn answers(path: &Path) -> bool {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let attempt = socket(AddressFamily::Unix, SockType::Stream, flags, None)
        .and_then(|socket| connect(socket.as_raw_fd(), &UnixAddr::new(path)?));
    attempt.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_answers_as_long_as_somebody_listens() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("native");
        assert!(!answers(&path));
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(answers(&path));
        drop(listener);
        assert!(!answers(&path), "only the file is left");
    }

    #[test]
    fn programs_find_the_devices_of_their_desktop() {
        let (dir, name) = (Path::new("/run/x"), "desk".parse().unwrap());
        let own = Sound::Own("/usr/bin/pulseaudio".into());
        let variables = own.environment(dir, &name);
        assert_eq!(variables[0].1, "unix:/run/x/sound.sock");
        assert_eq!(variables[1].1, "caraway-desk");
        assert_eq!(variables[2].1, "caraway-desk");
        assert_eq!(variables[3].1, "caraway-desk-microphone");
        let users = Sound::Users("/run/user/1/pulse/native".into());
        let variables = users.environment(dir, &name);
        assert_eq!(variables[0].1, "unix:/run/user/1/pulse/native");
    }

    #[test]
    fn the_own_daemon_has_its_devices_before_its_socket() {
        let dir = tempfile::tempdir().unwrap();
        let name = "desk".parse().unwrap();
        let other = tempfile::tempdir().unwrap();
        Sound::Users("/x".into())
            .write_files(other.path(), &name)
            .unwrap();
        assert!(!other.path().join(SCRIPT).exists());
        let own = Sound::Own("/usr/bin/pulseaudio".into());
        own.write_files(dir.path(), &name).unwrap();
        let script = fs::read_to_string(dir.path().join(SCRIPT)).unwrap();
        assert!(dir.path().join("asound.conf").exists());
        let places = [
            "sink_name=caraway-desk-output ",
            "sink_name=caraway-desk ",
            "source_name=caraway-desk-microphone ",
            "sound.sock",
        ];
        let places = places.map(|text| script.find(text).unwrap());
        assert!(places.is_sorted(), "{script}");
    }
}
