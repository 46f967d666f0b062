//! The first start of a desktop: Xorg, then a server, then the session; and what happens meanwhile.

use std::env;
use std::io;
use std::pin::pin;
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::timeout;

use super::{Desktop, LAST_WORDS, Part};
use crate::control::Order;
use crate::logs::{Also, Kept};
use crate::process::bound;
use crate::process::reaper::Ended;
use crate::server::{Event, Link, ServerError};
use crate::session::environment;
use crate::sound::Sound;
use crate::start::{First, StartError, announce, start_directory};
use crate::ticket::Ticket;
use crate::xorg::{self, XorgError, failure, pid_of};

/// Time for Xorg to start on a busy host (0.1 s on an idle one).
const XORG_DEADLINE: Duration = Duration::from_secs(30);

/// Time for the first server to attach to the driver.
const SERVER_DEADLINE: Duration = Duration::from_secs(15);

impl Desktop {
    pub(super) async fn bring_up(&mut self, first: &First) -> Result<(), StartError> {
        self.bring_up_xorg(first).await?;
        self.bring_up_server().await?;
        self.start_session(first)?;
        self.is_up = true;
        self.save();
        let facts = self.facts.borrow();
        let new_password = facts
            .ticket
            .as_ref()
            .and_then(Ticket::password)
            .filter(|_| first.password_is_new);
        let certificate = self.plan.server.certificate.as_ref();
        let told = if first.json {
            announce::json(&facts.desktop, new_password, certificate)
        } else {
            announce::text(&facts.desktop, new_password, certificate)
        };
        if !self.plan.report.ready(&told) {
            return Err(StartError::Interrupted);
        }
        drop(facts);
        self.say_ready();
        Ok(())
    }

    async fn bring_up_xorg(&mut self, first: &First) -> Result<(), StartError> {
        let number = self.plan.display.number();
        let mut xorg = xorg::start(
            &first.installation,
            &self.plan.dir,
            &self.plan.logs,
            number,
            self.life(Signal::SIGTERM),
        )?;
        let pid = xorg.pid;
        self.started(Part::Xorg, pid);
        self.state.xorg = Some(pid.as_raw());
        self.write_state()?;
        let ready = self.unless_interrupted(async {
            if !xorg.ready().await? {
                // It has ended, or is about to: how it ended says more.
                std::future::pending::<()>().await;
            }
            io::Result::Ok(())
        });
        match timeout(XORG_DEADLINE, ready).await {
            Ok(Ok(ready)) => ready?,
            Ok(Err(Early::Interrupted)) => return Err(StartError::Interrupted),
            Ok(Err(Early::Ended(_, how))) => return Err(self.xorg_failed(how)),
            Err(_) => {
                let seconds = XORG_DEADLINE.as_secs();
                return Err(StartError::TooSlow {
                    what: "Xorg",
                    seconds,
                });
            }
        }
        self.facts.send_modify(|facts| {
            facts.desktop.display = Some(format!(":{number}"));
            facts.desktop.pids.xorg = Some(pid.as_raw());
        });
        Ok(())
    }

    fn xorg_failed(&self, how: Ended) -> StartError {
        self.plan.logs.settle_one(Kept::Xorg, LAST_WORDS);
        XorgError::Failed(failure::explain(&xorg::said(&self.plan.dir), how)).into()
    }

    async fn bring_up_server(&mut self) -> Result<(), StartError> {
        let mut link = self.start_server()?;
        let first = timeout(SERVER_DEADLINE, self.unless_interrupted(ready(&mut link))).await;
        let Ok(first) = first else {
            let seconds = SERVER_DEADLINE.as_secs();
            return Err(StartError::TooSlow {
                what: "caraway-server",
                seconds,
            });
        };
        match first {
            Ok(result) => result?,
            Err(Early::Interrupted) => return Err(StartError::Interrupted),
            Err(Early::Ended(Part::Server, how)) => {
                // It may have said why, and that may not have been read yet.
                let said = timeout(LAST_WORDS, ready(&mut link)).await;
                return Err(match said {
                    Ok(Err(fatal @ ServerError::Failed(_))) => fatal.into(),
                    _ => ServerError::Failed(format!("it ended ({how})")).into(),
                });
            }
            Err(Early::Ended(_, how)) => return Err(self.xorg_failed(how)),
        }
        self.link = Some(link);
        if let Some(ticket) = self.late_ticket.take() {
            self.set_ticket(ticket);
        }
        Ok(())
    }

    fn start_session(&mut self, first: &First) -> Result<(), StartError> {
        let mut command = bound::ourselves("__session");
        command.arg("--dir").arg(self.plan.dir.path());
        if self.plan.server.outlives_launcher {
            command.arg("--kept");
        }
        if let Some(bus) = &first.bus {
            command.arg("--bus").arg(bus);
        }
        if let Some(Sound::Own(program)) = &self.plan.sound {
            command.arg("--sound-daemon").arg(program);
        }
        command
            .arg("--")
            .arg(&first.command.program)
            .args(&first.command.arguments);
        if let Some(directory) = start_directory(&first.command) {
            command.current_dir(directory);
        }
        let display = self
            .facts
            .borrow()
            .desktop
            .display
            .clone()
            .unwrap_or_default();
        let cookie = self.plan.dir.file("xauth");
        let (dir, sound) = (&self.plan.dir, &self.plan.sound);
        let sound = sound
            .as_ref()
            .map(|sound| sound.environment(dir.path(), dir.name()));
        let sound = sound.as_deref().unwrap_or_default();
        let variables = environment::for_session(env::vars_os(), &display, &cookie, sound);
        command.env_clear().envs(variables);
        // The one object shall stay alone on stdout.
        let output = match first.json {
            true => Also::Stderr,
            false => Also::Stdout,
        };
        command.stdout(self.plan.logs.pipe(Kept::Session, output)?);
        command.stderr(self.plan.logs.pipe(Kept::Session, Also::Stderr)?);
        let pid = pid_of(&command.spawn()?);
        self.started(Part::Session, pid);
        self.write_state()?;
        Ok(())
    }

    /// Waits for `step`, unless a part ends or the user wants to end it all first.
    async fn unless_interrupted<T>(&mut self, step: impl Future<Output = T>) -> Result<T, Early> {
        let mut step = pin!(step);
        loop {
            tokio::select! {
                biased;
                done = &mut step => return Ok(done),
                (pid, how) = self.reaper.next() => {
                    if let Some(part) = self.forget(pid) {
                        self.supervisor.ended_early(part);
                        return Err(Early::Ended(part, how));
                    }
                }
                () = self.interrupts.next() => return Err(Early::Interrupted),
                order = self.orders.recv() => match order {
                    Some(Order::SetTicket(ticket)) => self.late_ticket = Some(ticket),
                    // Nobody is connected yet.
                    Some(Order::Message(_)) => {}
                    // There is nothing to replace yet: what starts is the newest.
                    Some(Order::Upgrade(_)) => {}
                    Some(Order::Stop) | None => return Err(Early::Interrupted),
                },
            }
        }
    }
}

/// Why a step of the start was not waited for.
enum Early {
    Ended(Part, Ended),
    Interrupted,
}

/// Waits until the server takes clients, or says why it cannot.
async fn ready(link: &mut Link) -> Result<(), ServerError> {
    match link.next().await {
        // Folders come with clients, which come later.
        Some(Event::Ready | Event::Folders(_) | Event::Visit(_)) => Ok(()),
        Some(Event::Fatal(message)) => Err(ServerError::Failed(message)),
        // A server that says anything else first is none of ours.
        Some(Event::Spent(_)) => Err(ServerError::Failed("it speaks out of turn".into())),
        // It has ended, or is about to: how it ended says more.
        None => std::future::pending().await,
    }
}
