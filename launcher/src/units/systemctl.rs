//! systemctl for the units of this user.

use std::env;
use std::io;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const PROGRAM: &str = "systemctl";

/// The user's systemd.
#[derive(Debug)]
pub(super) struct Systemctl {
    runtime_dir: PathBuf,
}

/// Why systemd did not do it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SystemctlError {
    #[error(
        "no systemd of yours takes orders here: log in by ssh or at a console (su and sudo begin no session of yours), \
         or have root install it: apt install libpam-systemd dbus-user-session; \
         without systemd: caraway start --detach"
    )]
    NoManager,
    #[error("cannot run systemctl: {0}; it comes with the package systemd")]
    Run(#[from] io::Error),
    #[error("systemctl --user {words} failed: {said}")]
    Failed { words: String, said: String },
}

impl Systemctl {
    /// The systemd of this user, if it runs; also where the environment does not tell, as after su.
    pub(super) fn find() -> Result<Self, SystemctlError> {
        let uid = nix::unistd::geteuid();
        let named = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let usual = PathBuf::from(format!("/run/user/{uid}"));
        let dirs = named.into_iter().chain([usual]);
        let runs = |dir: &PathBuf| crate::sound::answers(&dir.join("systemd/private"));
        let runtime_dir = dirs
            .into_iter()
            .find(runs)
            .ok_or(SystemctlError::NoManager)?;
        Ok(Self { runtime_dir })
    }

    /// Runs it with `words`; gives what it said.
    pub(super) fn run(&self, words: &[&str]) -> Result<String, SystemctlError> {
        let output = Command::new(PROGRAM)
            .arg("--user")
            .args(words)
            .env("XDG_RUNTIME_DIR", &self.runtime_dir)
            .stdin(Stdio::null())
            .output()?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            return Ok(text(&output.stdout));
        }
        let said = text(&output.stderr);
        let line = said.lines().map(str::trim).find(|line| !line.is_empty());
        Err(SystemctlError::Failed {
            words: words.join(" "),
            said: line.unwrap_or("it gave no reason").into(),
        })
    }

    /// Whether a unit runs.
    pub(super) fn is_active(&self, unit: &str) -> bool {
        self.run(&["is-active", "--quiet", unit]).is_ok()
    }
}
