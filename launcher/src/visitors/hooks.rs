//! Commands that run when clients come and go.
//!
//! Each is a line for `sh`, as the desktop's user, with the client in its environment. They run in the order of events,
//! one at a time, so that a command for who goes never overtakes that for who came; one that takes too long is ended.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::task::AbortHandle;

use super::Visit;
use crate::process::bound;
use crate::terminal::notice;
use crate::xorg::pid_of;

/// Time that a command may take.
const TIME_MAX: Duration = Duration::from_secs(30);

/// Commands that wait for others. Of more, the newest are not run.
const WAITING_MAX: usize = 64;

const SHELL: &str = "/bin/sh";

/// The commands, and what of them runs and waits.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    on_connect: Option<String>,
    on_disconnect: Option<String>,
    /// What every command finds in its environment.
    environment: Vec<(&'static str, String)>,
    waiting: VecDeque<Run>,
    running: Option<(Pid, AbortHandle)>,
    is_skipping: bool,
}

/// One run of a command.
#[derive(Debug)]
struct Run {
    command: String,
    environment: Vec<(&'static str, String)>,
}

impl Hooks {
    /// These commands, with what every one finds in its environment.
    pub(crate) fn new(
        on_connect: Option<String>,
        on_disconnect: Option<String>,
        environment: Vec<(&'static str, String)>,
    ) -> Self {
        Self {
            on_connect,
            on_disconnect,
            environment,
            ..Self::default()
        }
    }

    /// A client has come or gone; `clients` are there now.
    pub(super) fn run(&mut self, visit: &Visit, clients: usize) {
        let command = match visit.has_come {
            true => &self.on_connect,
            false => &self.on_disconnect,
        };
        let Some(command) = command.clone() else {
            return;
        };
        let mut environment = self.environment.clone();
        environment.extend(of_visit(visit, clients));
        if self.waiting.len() < WAITING_MAX {
            self.is_skipping = false;
            self.waiting.push_back(Run {
                command,
                environment,
            });
        } else if !std::mem::replace(&mut self.is_skipping, true) {
            notice("commands of --on-connect and --on-disconnect are skipped: too many wait");
        }
        self.step();
    }

    /// A process that nobody else knows has ended.
    pub(super) fn ended(&mut self, pid: Pid) {
        if let Some((_, limit)) = self.running.take_if(|(running, _)| *running == pid) {
            limit.abort();
            self.step();
        }
    }

    fn step(&mut self) {
        while self.running.is_none()
            && let Some(run) = self.waiting.pop_front()
        {
            match start(&run) {
                Ok(pid) => {
                    let limit = tokio::spawn(async move {
                        tokio::time::sleep(TIME_MAX).await;
                        notice("a command of --on-connect or --on-disconnect takes too long");
                        // It leads a group of its own. When it is reaped, `ended` follows at once and stops this.
                        let _ = killpg(pid, Signal::SIGKILL);
                    });
                    self.running = Some((pid, limit.abort_handle()));
                }
                Err(error) => notice(format_args!("cannot run a command for a client: {error}")),
            }
        }
    }
}

fn start(run: &Run) -> io::Result<Pid> {
    let mut command = bound::command(Path::new(SHELL), Signal::SIGTERM);
    command.arg("-c").arg(&run.command);
    command
        .envs(run.environment.iter().map(|(name, value)| (name, value)))
        .stdout(Stdio::null());
    Ok(pid_of(&command.spawn()?))
}

fn of_visit(visit: &Visit, clients: usize) -> [(&'static str, String); 6] {
    let event = if visit.has_come {
        "connect"
    } else {
        "disconnect"
    };
    [
        ("CARAWAY_EVENT", event.into()),
        ("CARAWAY_CLIENT", visit.id.to_string()),
        ("CARAWAY_CLIENT_ADDRESS", environment_text(&visit.peer)),
        (
            "CARAWAY_CLIENT_USER",
            environment_text(visit.user.as_deref().unwrap_or_default()),
        ),
        ("CARAWAY_CLIENT_ACCESS", visit.access.word().into()),
        ("CARAWAY_CLIENTS", clients.to_string()),
    ]
}

/// What an environment can hold, on one line.
fn environment_text(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_limited_and_nothing_runs_where_nothing_is_asked_for() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let _inside = runtime.enter();
        let visit = Visit {
            has_come: true,
            ..Visit::default()
        };
        let mut hooks = Hooks::new(Some("true".into()), None, Vec::new());
        let limit = tokio::spawn(async {}).abort_handle();
        hooks.running = Some((Pid::from_raw(i32::MAX), limit));
        for _ in 0..2 * WAITING_MAX {
            hooks.run(&visit, 1);
        }
        assert_eq!(hooks.waiting.len(), WAITING_MAX);
        let left = Visit::default();
        let mut none = Hooks::new(Some("true".into()), None, Vec::new());
        none.run(&left, 0);
        assert!(none.waiting.is_empty() && none.running.is_none());
    }

    #[test]
    fn the_client_stands_in_the_environment() {
        let visit = Visit {
            id: 7,
            has_come: false,
            peer: "a\nb".into(),
            user: None,
            access: crate::access::Access::ViewOnly,
        };
        let found = of_visit(&visit, 2);
        assert!(found.contains(&("CARAWAY_EVENT", "disconnect".into())));
        assert!(found.contains(&("CARAWAY_CLIENT_ADDRESS", "a b".into())));
        assert!(found.contains(&("CARAWAY_CLIENT_ACCESS", "view-only".into())));
        assert!(found.contains(&("CARAWAY_CLIENTS", "2".into())));
    }
}
