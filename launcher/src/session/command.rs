//! COMMAND: what the user named, else the user's own session script, else a desktop of this host.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::join::Joinable;
use crate::mirror::MirrorArgs;
use crate::process::programs::{first_in, is_program, path_dirs};

/// Scripts in the user's home that start a session, if they may be executed.
const USER_SCRIPTS: [&str; 3] = [".xsession", ".Xsession", ".xinitrc"];

/// Sessions, best first. The host's own choice (Debian's alternative) leads, then whole desktops, then
/// window managers, then bare terminals, which at least let the user do something.
const SESSIONS: [&str; 21] = [
    "x-session-manager",
    "startxfce4",
    "startplasma-x11",
    "mate-session",
    "cinnamon-session",
    "startlxqt",
    "startlxde",
    "icewm-session",
    "openbox-session",
    "startfluxbox",
    "jwm",
    "wmaker",
    "i3",
    "x-window-manager",
    "openbox",
    "twm",
    "x-terminal-emulator",
    "xfce4-terminal",
    "konsole",
    "xterm",
    "st",
];

/// Why there is nothing to run.
#[derive(Debug, Error)]
pub(crate) enum CommandError {
    #[error("there is no program {0:?}; name one that is in PATH, or its whole path")]
    Missing(OsString),
    #[error(
        "no desktop is installed, and no COMMAND was given; install one: \
         apt install icewm xterm (small), or apt install xfce4 dbus-x11"
    )]
    NoDesktop,
}

/// A program that exists, and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionCommand {
    /// The program's path.
    pub(crate) program: PathBuf,
    /// Its arguments.
    pub(crate) arguments: Vec<OsString>,
    /// Whether it was chosen here and so starts in the user's home.
    pub(crate) in_home: bool,
}

impl SessionCommand {
    /// What shows a display that is there already.
    pub(crate) fn mirror(to: &Joinable) -> io::Result<Self> {
        Ok(Self {
            program: env::current_exe()?,
            arguments: MirrorArgs::words(to),
            in_home: false,
        })
    }

    /// What the user knows it by.
    pub(crate) fn name(&self) -> String {
        self.program
            .file_name()
            .unwrap_or(self.program.as_os_str())
            .display()
            .to_string()
    }
}

/// Takes the words that the `given` command has, or chooses.
pub(crate) fn choose(given: &[OsString]) -> Result<SessionCommand, CommandError> {
    choose_from(given, env::home_dir().as_deref(), &path_dirs())
}

fn choose_from(
    given: &[OsString],
    home: Option<&Path>,
    dirs: &[PathBuf],
) -> Result<SessionCommand, CommandError> {
    if let Some((program, arguments)) = given.split_first() {
        let missing = || CommandError::Missing(program.clone());
        let program = locate(program, dirs).ok_or_else(missing)?;
        return Ok(SessionCommand {
            program,
            arguments: arguments.to_vec(),
            in_home: false,
        });
    }
    let scripts = home
        .into_iter()
        .flat_map(|home| USER_SCRIPTS.map(|script| home.join(script)));
    let own = scripts.filter(|script| is_program(script));
    let installed = SESSIONS
        .iter()
        .filter_map(|name| locate(OsStr::new(name), dirs));
    let program = own.chain(installed).next().ok_or(CommandError::NoDesktop)?;
    Ok(SessionCommand {
        program,
        arguments: Vec::new(),
        in_home: true,
    })
}

fn locate(program: &OsStr, dirs: &[PathBuf]) -> Option<PathBuf> {
    if program.as_encoded_bytes().contains(&b'/') {
        return is_program(Path::new(program)).then(|| program.into());
    }
    first_in(dirs.iter().cloned(), program)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn program(path: PathBuf) -> PathBuf {
        fs::write(&path, "").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_users_script_comes_before_the_hosts_sessions_in_their_order() {
        let temp = tempfile::tempdir().unwrap();
        let (home, bin) = (temp.path().join("home"), temp.path().join("bin"));
        fs::create_dir_all(&home).unwrap();
        fs::create_dir_all(&bin).unwrap();
        let chosen =
            || choose_from(&[], Some(&home), std::slice::from_ref(&bin)).map(|c| c.program);
        assert!(matches!(chosen(), Err(CommandError::NoDesktop)));
        for name in ["xterm", "icewm-session", "x-session-manager"] {
            let path = program(bin.join(name));
            assert_eq!(chosen().unwrap(), path);
        }
        fs::write(home.join(".xsession"), "").unwrap();
        assert_eq!(
            chosen().unwrap(),
            bin.join("x-session-manager"),
            "it may not be executed"
        );
        let script = program(home.join(".xsession"));
        assert_eq!(chosen().unwrap(), script);
    }

    #[test]
    fn a_given_command_has_to_exist() {
        let temp = tempfile::tempdir().unwrap();
        let path = program(temp.path().join("tool"));
        let dirs = [temp.path().to_path_buf()];
        let words = ["tool".into(), "-x".into()];
        let command = choose_from(&words, None, &dirs).unwrap();
        assert_eq!(
            (command.program.clone(), command.arguments.len()),
            (path, 1)
        );
        assert_eq!(command.name(), "tool");
        let missing = choose_from(&["none".into()], None, &dirs);
        assert!(matches!(missing, Err(CommandError::Missing(_))));
    }
}
