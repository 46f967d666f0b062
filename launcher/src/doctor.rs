//! `caraway doctor`: what `caraway start` would meet on this host, each with what to do about it.

use std::fmt::Display;
use std::path::Path;

use crate::detach::systemd;
use crate::runtime_dir::Base;
use crate::sound::Sound;
use crate::terminal::answer;
use crate::{DONE, FAILED, beside, config, server, session, view, xorg};

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
    if needed.iter().all(|&there| there) {
        DONE
    } else {
        FAILED
    }
}

fn say(what: &str, found: Result<String, impl Display>) -> bool {
    match &found {
        Ok(where_it_is) => answer(format_args!("ok       {what}: {where_it_is}")),
        Err(advice) => answer(format_args!("missing  {what}: {advice}")),
    }
    found.is_ok()
}
