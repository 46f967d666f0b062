//! What lets another launcher go on with a desktop, and how this one does that itself.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use nix::unistd::Pid;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Adopted, Desktop, Handle, Part, StartError, host_clock_s, listener_name, notice};
use crate::control::UpgradeAsked;
use crate::process::adopted::Identity;
use crate::process::program_file::without_mark;
use crate::server;
use crate::start::resume::ticket;
use crate::units::handover::{Handover, KeptListener};
use crate::units::inherited;
use crate::units::notify::Manager;

/// Time in which whoever asked for an upgrade is told that it begins.
const TELL_DEADLINE: Duration = Duration::from_secs(1);

impl Desktop {
    /// Leaves word of the processes for whoever finds this desktop without a launcher.
    pub(super) fn write_state(&mut self) -> io::Result<()> {
        if self.plan.server.outlives_launcher {
            self.state.kept = self.identities().into_iter().map(|(_, of)| of).collect();
        }
        self.plan.dir.write_state(&self.state)
    }

    fn identities(&self) -> Vec<(Part, Identity)> {
        let identity = |(part, process): &(Part, Handle)| {
            let (Handle::Child(pid) | Handle::Adopted(pid, _)) = process;
            Some((*part, Identity::of(*pid)?))
        };
        self.processes.iter().filter_map(identity).collect()
    }

    /// Has everything kept that has changed. What cannot be kept costs no more than that: the desktop would end with a
    /// launcher that is killed.
    pub(super) fn save(&mut self) {
        if !self.is_up {
            return;
        }
        let saved = self.hold_all().and_then(|handover| {
            self.write_state()?;
            self.keeper.save(&handover)
        });
        if let Err(error) = saved {
            notice(format_args!(
                "the desktop would not outlive this launcher: {error}"
            ));
        }
    }

    /// Has the keeper hold the line to the server and the pipes of now, and tells what is needed beside them.
    fn hold_all(&mut self) -> io::Result<Handover> {
        let server = self.facts.borrow().desktop.pids.server;
        let link = match (&self.link, server) {
            (Some(link), Some(pid)) => {
                let name = format!("link-{pid}");
                if self.keeper.get(&name).is_err() {
                    self.keeper.hold(&name, link.socket())?;
                }
                Some(name)
            }
            _ => None,
        };
        let mut pipes = Vec::new();
        for (pipe, reader) in self.plan.logs.pipes()? {
            if self.keeper.get(&pipe.descriptor).is_err() {
                self.keeper
                    .hold(&pipe.descriptor, std::os::fd::AsFd::as_fd(&reader))?;
            }
            pipes.push(pipe);
        }
        self.keeper.release_unless(|name| {
            let is_of = |beginning: &str| name.starts_with(beginning);
            let is_pipe = || pipes.iter().any(|pipe| pipe.descriptor == name);
            !(is_of("link-") || is_of("pipe-")) || link.as_deref() == Some(name) || is_pipe()
        });
        let plan = &self.plan;
        let listeners = plan.server.listeners.iter().enumerate();
        Ok(Handover {
            words: plan.words.clone(),
            name: plan.dir.name().clone(),
            display: plan.display.number(),
            command: plan.command.clone(),
            has_bus: plan.has_bus,
            sound: plan.sound.clone(),
            since: plan.since.clone(),
            since_s: plan.since_s,
            uuid: format!("{:032x}", plan.server.uuid),
            ticket: self.facts.borrow().ticket.as_ref().map(|t| t.told()),
            view_only: self.facts.borrow().view_only.as_ref().map(|t| t.told()),
            written_s: host_clock_s(),
            server_program: plan.server.program.clone(),
            server_file: self.facts.borrow().server_file.clone(),
            listeners: listeners
                .map(|(at, listener)| KeptListener {
                    descriptor: listener_name(at),
                    tls_only: listener.is_tls_only(),
                    file: listener.file().cloned(),
                })
                .collect(),
            link,
            pipes,
            processes: self.identities(),
            folders: self.mounts.ports(),
            replaces_server: false,
            numbers: Default::default(),
        })
    }

    /// Takes hold of what the launcher before this one had.
    pub(super) fn take_over(&mut self, handover: &Handover) -> Result<(), StartError> {
        for (part, identity) in &handover.processes {
            self.take_over_process(*part, *identity);
        }
        let display = format!(":{}", handover.display);
        let link = handover.link.as_ref();
        let link = link.filter(|_| self.facts.borrow().desktop.pids.server.is_some());
        let link = link.and_then(|name| server::resume(self.keeper.get(name).ok()?).ok());
        self.facts.send_modify(|facts| {
            facts.desktop.display = Some(display);
            facts.server = link.as_ref().map(server::Link::status);
            facts.server_file = handover.server_file.clone();
            facts.view_only = ticket(handover, handover.view_only.as_ref());
        });
        self.link = link;
        self.mounts.resume(&handover.folders);
        self.is_up = true;
        self.save();
        self.say_ready();
        let now = self.start.elapsed();
        let gone = [Part::Xorg, Part::Session, Part::Server];
        let gone = gone.map(|part| (part, self.processes.iter().any(|(of, _)| *of == part)));
        for (part, _) in gone.into_iter().filter(|(_, is_there)| !is_there) {
            self.supervisor.started(part, now);
            let actions = self
                .supervisor
                .ended(part, self.how_adopted_ended(part), now);
            self.act(actions);
        }
        if handover.replaces_server {
            let actions = self.supervisor.replace_server();
            self.act(actions);
        } else {
            notice("this launcher goes on with the desktop of one that ended");
        }
        Ok(())
    }

    fn take_over_process(&mut self, part: Part, identity: Identity) {
        let pid = Pid::from_raw(identity.pid);
        let Some(process) = Adopted::take(identity) else {
            return;
        };
        if identity.is_child() {
            self.started(part, pid);
        } else {
            let tell = self.tell_adopted_ended.clone();
            tokio::spawn(tell_end(part, process.clone(), tell));
            self.supervisor.started(part, self.start.elapsed());
            self.processes.push((part, Handle::Adopted(pid, process)));
        }
        match part {
            Part::Xorg => self.state.xorg = Some(identity.pid),
            Part::Session | Part::Server => {}
        }
        self.facts.send_modify(|facts| match part {
            Part::Xorg => facts.desktop.pids.xorg = Some(identity.pid),
            Part::Server => facts.desktop.pids.server = Some(identity.pid),
            Part::Session => {}
        });
    }

    /// Becomes the newest launcher, which starts the newest server.
    pub(super) async fn upgrade(&mut self, asked: UpgradeAsked) {
        let program = newest_program();
        let handover = self.hold_all();
        let (program, mut handover) = match (program, handover) {
            (Ok(program), Ok(handover)) => (program, handover),
            (Err(reason), _) => return asked.refuse(reason),
            (_, Err(error)) => return asked.refuse(error.to_string()),
        };
        let _ = timeout(TELL_DEADLINE, asked.accept()).await;
        handover.replaces_server = true;
        let error = self.keeper.become_program(&program, &handover);
        notice(format_args!(
            "this launcher stays, for it cannot become {}: {error}",
            program.display()
        ));
        let actions = self.supervisor.replace_server();
        self.act(actions);
    }

    /// Tells the service manager, if there is one, that the desktop can be used.
    pub(super) fn say_ready(&self) {
        let status = {
            let facts = self.facts.borrow();
            let display = facts.desktop.display.as_deref().unwrap_or("-");
            format!("display {display}, {}", facts.desktop.uris.join(" "))
        };
        self.say(&format!("READY=1\nSTATUS={status}\n"));
    }

    /// Tells the service manager something, if there is one.
    pub(super) fn say(&self, lines: &str) {
        let told = Manager::find().map(|manager| manager.say(lines));
        if let Some(Err(error)) = told {
            notice(format_args!("cannot tell systemd of the desktop: {error}"));
        }
    }
}

/// Waits for the end of a process that is no child; how it ended nobody can tell.
async fn tell_end(part: Part, process: Adopted, tell: mpsc::Sender<Part>) {
    if process.ended().await.is_ok() {
        let _ = tell.send(part).await;
    }
}

/// Where this program's file is now, also after a package has replaced it.
fn newest_program() -> Result<PathBuf, String> {
    if !inherited::is_possible() {
        return Err("this system lets no program take over descriptors".into());
    }
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let path = without_mark(&own);
    match crate::process::programs::is_program(&path) {
        true => Ok(path),
        false => Err(format!("there is no program {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_newest_program() {
        assert!(newest_program().is_ok());
    }
}
