//! `caraway doctor`: what `caraway start` would meet on this host, each with what to do about it.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::statvfs::statvfs;

use crate::control::client;
use crate::detach::systemd;
use crate::runtime_dir::{Base, DESKTOPS_MAX};
use crate::sound::Sound;
use crate::terminal::answer;
use crate::{DONE, FAILED, beside, config, listen, server, session, view, visitors, xorg};

/// Descriptors of a server with as many clients as it takes, each with all of its channels, and what programs do with
/// shared folders.
const OPEN_FILES_MIN: u64 = 1024;

/// What a desktop's logs take at most.
const ROOM_BYTES_MIN: u64 = 8 << 20;

/// Checks everything that a desktop needs, and what it can do without.
pub(crate) fn run(program: Option<&Path>) -> u8 {
    let beside = beside();
    let installation = xorg::find::installation(program, &beside);
    let xorg = installation.map(|found| found.program.display().to_string());
    let server = server::find(&beside).map(|path| path.display().to_string());
    let command = session::command::choose(&[]).map(|found| found.program.display().to_string());
    let sockets = xorg::socket_dir::ensure().map(|()| xorg::socket_dir::SOCKET_DIR.to_owned());
    let runtime_dir = Base::create().map(|base| {
        base.remove_if_empty();
        base.path().display().to_string()
    });
    let needed = [
        say("Xorg and driver", xorg),
        say("caraway-server", server),
        say("X socket directory", sockets),
        say("runtime directory", runtime_dir),
        say("desktop", command),
        say("configuration", config::advice()),
        say("port for clients", port()),
        say("open files", files()),
        say("room for files", room(runtime_room_path().as_deref())),
        say("running desktops", desktops()),
    ];
    let bus = session::find_bus().map(|path| path.display().to_string());
    let viewer = view::find_viewer().map(|path| path.display().to_string());
    say(
        "D-Bus (optional)",
        bus.ok_or("no dbus-daemon; apt install dbus"),
    );
    say(
        "viewer (optional)",
        viewer.ok_or("no remote-viewer here; apt install virt-viewer"),
    );
    let sound = Sound::find().map(|sound| match sound {
        Sound::Users(socket) => format!("yours, {}", socket.display()),
        Sound::Own(program) => format!("one for each desktop, {}", program.display()),
    });
    say(
        "sound (optional)",
        sound.ok_or("no sound daemon runs, and none to start; apt install pulseaudio"),
    );
    say("systemd (optional)", systemd::advice());
    say(
        "notifications (optional)",
        visitors::find_gdbus()
            .map(|path| path.display().to_string())
            .ok_or("who watches is in the log alone; apt install libglib2.0-bin"),
    );
    if needed.iter().all(|&there| there) {
        DONE
    } else {
        FAILED
    }
}

/// A port that `caraway start` would take.
fn port() -> Result<String, String> {
    let bound = listen::bind_all(&[], &[], None).map_err(|error| error.to_string())?;
    let uris: Vec<String> = bound.iter().map(|listener| listener.uri()).collect();
    Ok(uris.join(" "))
}

/// Whether a server may have a descriptor for every channel of every client.
fn files() -> Result<String, String> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| error.to_string())?;
    match OPEN_FILES_MIN <= soft {
        true => Ok(soft.to_string()),
        false => Err(format!(
            "only {soft} may be open at once, {OPEN_FILES_MIN} are needed for many clients; say \
             ulimit -n {OPEN_FILES_MIN}, or LimitNOFILE= in the unit"
        )),
    }
}

/// Where sockets, logs and cookies lie.
fn runtime_room_path() -> Option<PathBuf> {
    let base = Base::create().ok()?;
    let parent = base.path().parent().map(Path::to_path_buf);
    base.remove_if_empty();
    parent
}

fn room(path: Option<&Path>) -> Result<String, String> {
    let path = path.ok_or("there is no runtime directory")?;
    let room = statvfs(path).map_err(|error| error.to_string())?;
    let bytes = room.blocks_available().saturating_mul(room.fragment_size());
    match ROOM_BYTES_MIN <= bytes {
        true => Ok(format!("{} MiB in {}", bytes >> 20, path.display())),
        false => Err(format!(
            "{} is full; its {} KiB do not hold a desktop's logs: remove something, or set \
             XDG_RUNTIME_DIR to another directory of your own",
            path.display(),
            bytes >> 10
        )),
    }
}

/// Whether those that run answer, and have a server.
fn desktops() -> Result<String, String> {
    let names = client::names();
    for name in &names {
        let desktop = client::describe(name).map_err(|error| {
            format!("{error}; see: caraway logs {name}, and end it: caraway stop {name}")
        })?;
        if desktop.server.is_none() {
            return Err(format!(
                "the server of '{name}' does not run or does not answer; see: caraway logs {name}"
            ));
        }
    }
    let limit = config::desktops_max(DESKTOPS_MAX).map_err(|error| error.to_string())?;
    match names.len() < usize::from(limit) {
        true => Ok(format!("{} of at most {limit}", names.len())),
        false => Err(format!(
            "{} run, as many as may; end one: caraway stop NAME",
            names.len()
        )),
    }
}

fn say(what: &str, found: Result<String, impl Display>) -> bool {
    match &found {
        Ok(where_it_is) => answer(format_args!("ok       {what}: {where_it_is}")),
        Err(advice) => answer(format_args!("missing  {what}: {advice}")),
    }
    found.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_is_said_with_its_measure() {
        let dir = tempfile::tempdir().unwrap();
        let told = room(Some(dir.path())).unwrap();
        assert!(told.contains(&dir.path().display().to_string()), "{told}");
        assert!(room(Some(Path::new("/nowhere"))).is_err());
        assert!(room(None).is_err());
        assert!(port().unwrap().starts_with("spice://127.0.0.1:"));
    }
}
