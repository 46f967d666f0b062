//! A desktop's processes: started in order, then kept by what `supervise` decides.

mod tickets;

use std::env;
use std::io;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};

use super::interrupts::Interrupts;
use super::{Plan, StartError, announce, start_directory};
use crate::certificate::Certificate;
use crate::control::messages::{self, Pids};
use crate::control::{self, Facts, Order};
use crate::listen::bind_private;
use crate::logs::{Also, Kept};
use crate::moment;
use crate::mounts::Mounts;
use crate::process::bound;
use crate::process::reaper::{Ended, Reaper};
use crate::process::strays;
use crate::runtime_dir::State;
use crate::server::{self, Event, Link, ServerError};
use crate::session::environment;
use crate::sound::{self, Sound};
use crate::supervise::{Action, Outcome, Part, Supervisor};
use crate::terminal::notice;
use crate::ticket::Ticket;
use crate::visitors::Visitors;
use crate::xorg::{self, XorgError, failure, pid_of};

/// Time for Xorg to start on a busy host (0.1 s on an idle one).
const XORG_DEADLINE: Duration = Duration::from_secs(30);

/// Time for the first server to attach to the driver.
const SERVER_DEADLINE: Duration = Duration::from_secs(15);

/// Time in which the last words of a part that has ended are still read.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// Time that inherited processes have to end when every part has.
const STRAYS_GRACE: Duration = Duration::from_millis(500);

/// The desktop that this process runs.
pub(super) struct Desktop {
    plan: Plan,
    supervisor: Supervisor,
    reaper: Reaper,
    interrupts: Interrupts,
    orders: mpsc::Receiver<Order>,
    facts: watch::Sender<Facts>,
    processes: Vec<(Part, Pid)>,
    link: Option<Link>,
    /// A password that was set while the desktop started.
    late_ticket: Option<Ticket>,
    mounts: Mounts,
    visitors: Visitors,
    state: State,
    start: Instant,
}

/// What happens to a desktop from outside.
enum Happening {
    Ended(Part, Ended),
    StopAsked,
    NewTicket(Ticket),
    Message(String),
    Server(Option<Event>),
    Due,
}

impl Desktop {
    /// Starts the desktop of `plan`, stays with it, and gives how it ended. Nothing is left then.
    pub(super) async fn run(plan: Plan) -> Result<Outcome, StartError> {
        let mut desktop = Self::prepare(plan)?;
        match desktop.bring_up().await {
            Ok(()) => {}
            Err(StartError::Interrupted) => desktop.stop(Outcome::Done),
            Err(error) => desktop.stop(Outcome::Failed(error.to_string())),
        }
        let outcome = desktop.stay().await;
        if let Some(Sound::Users(socket)) = &desktop.plan.sound {
            sound::release(socket, desktop.plan.dir.name());
        }
        strays::end(&mut desktop.reaper, &[], STRAYS_GRACE).await;
        desktop.plan.logs.settle(LAST_WORDS);
        Ok(outcome)
    }

    fn prepare(plan: Plan) -> Result<Self, StartError> {
        // The password is in our memory: no other process of the user shall read it there.
        prctl::set_dumpable(false).map_err(io::Error::from)?;
        prctl::set_child_subreaper(true).map_err(io::Error::from)?;
        let reaper = Reaper::new()?;
        let interrupts = Interrupts::new()?;
        let sockets = plan
            .server
            .listeners
            .iter()
            .filter_map(|l| l.file().cloned())
            .collect();
        let state = State {
            display: Some(plan.display.number()),
            launcher: Some(std::process::id()),
            xorg: None,
            sockets,
            sound: match &plan.sound {
                Some(Sound::Users(socket)) => Some(socket.clone()),
                _ => None,
            },
        };
        plan.dir.write_state(&state)?;
        let pids = Pids {
            launcher: nix::unistd::getpid().as_raw(),
            xorg: None,
            server: None,
        };
        let desktop = messages::Desktop {
            name: plan.dir.name().clone(),
            display: None,
            uris: plan
                .server
                .listeners
                .iter()
                .map(|listener| listener.uri())
                .collect(),
            since: moment::rfc3339(SystemTime::now()),
            pids,
            server: None,
        };
        let ticket = plan.server.ticket.clone();
        let authority = plan.server.certificate.as_ref();
        let authority = authority.and_then(Certificate::authority);
        let (facts, told) = watch::channel(Facts {
            desktop,
            server: None,
            ticket,
            view_only: None,
            by_users: plan.server.sasl.is_some(),
            authority,
        });
        let (order, orders) = mpsc::channel(1);
        control::serve(bind_private(&plan.dir.file(control::SOCKET))?, told, order)?;
        let bus_socket = plan.bus.as_ref().map(|_| plan.dir.file("bus"));
        Ok(Self {
            mounts: Mounts::new(bus_socket.as_deref()),
            visitors: Visitors::new(plan.dir.name(), plan.hooks(), bus_socket.as_deref()),
            supervisor: Supervisor::new(plan.command.name()),
            plan,
            reaper,
            interrupts,
            orders,
            facts,
            processes: Vec::new(),
            link: None,
            late_ticket: None,
            state,
            start: Instant::now(),
        })
    }

    async fn bring_up(&mut self) -> Result<(), StartError> {
        self.bring_up_xorg().await?;
        self.bring_up_server().await?;
        self.start_session()?;
        let facts = self.facts.borrow();
        let new_password = facts
            .ticket
            .as_ref()
            .and_then(Ticket::password)
            .filter(|_| self.plan.password_is_new);
        let certificate = self.plan.server.certificate.as_ref();
        let told = if self.plan.json {
            announce::json(&facts.desktop, new_password, certificate)
        } else {
            announce::text(&facts.desktop, new_password, certificate)
        };
        if self.plan.report.ready(&told) {
            Ok(())
        } else {
            Err(StartError::Interrupted)
        }
    }

    async fn bring_up_xorg(&mut self) -> Result<(), StartError> {
        let number = self.plan.display.number();
        let mut xorg = xorg::start(
            &self.plan.installation,
            &self.plan.dir,
            &self.plan.logs,
            number,
        )?;
        let pid = xorg.pid;
        self.started(Part::Xorg, pid);
        self.state.xorg = Some(pid.as_raw());
        self.plan.dir.write_state(&self.state)?;
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

    fn start_session(&mut self) -> Result<(), StartError> {
        let mut command = bound::ourselves("__session");
        command.arg("--dir").arg(self.plan.dir.path());
        if let Some(bus) = &self.plan.bus {
            command.arg("--bus").arg(bus);
        }
        if let Some(Sound::Own(program)) = &self.plan.sound {
            command.arg("--sound-daemon").arg(program);
        }
        command
            .arg("--")
            .arg(&self.plan.command.program)
            .args(&self.plan.command.arguments);
        if let Some(directory) = start_directory(&self.plan.command) {
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
        let sound = sound.as_ref().map_or(&[][..], |variables| variables);
        let variables = environment::for_session(env::vars_os(), &display, &cookie, sound);
        command.env_clear().envs(variables);
        // The one object shall stay alone on stdout.
        let output = match self.plan.json {
            true => Also::Stderr,
            false => Also::Stdout,
        };
        command.stdout(self.plan.logs.pipe(Kept::Session, output)?);
        command.stderr(self.plan.logs.pipe(Kept::Session, Also::Stderr)?);
        let pid = pid_of(&command.spawn()?);
        self.started(Part::Session, pid);
        Ok(())
    }

    fn start_server(&mut self) -> Result<Link, ServerError> {
        let (pid, link) = server::start(&self.plan.server)?;
        self.started(Part::Server, pid);
        if let Some(ticket) = &self.facts.borrow().view_only {
            link.set_ticket(ticket)?;
        }
        self.facts.send_modify(|facts| {
            facts.desktop.pids.server = Some(pid.as_raw());
            facts.server = Some(link.status());
        });
        Ok(link)
    }

    fn started(&mut self, part: Part, pid: Pid) {
        self.supervisor.started(part, self.start.elapsed());
        self.processes.push((part, pid));
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
                    Some(Order::Stop) | None => return Err(Early::Interrupted),
                },
            }
        }
    }

    async fn stay(&mut self) -> Outcome {
        loop {
            if let Some(outcome) = self.supervisor.finished() {
                return outcome.clone();
            }
            match self.next_happening().await {
                Happening::Ended(part, how) => {
                    let actions = self.supervisor.ended(part, how, self.start.elapsed());
                    self.act(actions);
                }
                Happening::StopAsked => self.stop(Outcome::Done),
                Happening::Server(Some(Event::Fatal(message))) => {
                    notice(format_args!("caraway-server: {message}"));
                }
                Happening::Server(Some(Event::Ready)) => {}
                Happening::Server(Some(Event::Spent(access))) => self.spend_ticket(access),
                Happening::Server(Some(Event::Visit(visit))) => self.visitors.happened(&visit),
                Happening::NewTicket(ticket) => self.set_ticket(ticket),
                Happening::Message(text) => self.pass_on(&text),
                Happening::Server(Some(Event::Folders(ports))) => self.mounts.follow(&ports),
                Happening::Server(None) => {
                    self.link = None;
                    self.mounts.follow(&[]);
                    self.visitors.all_gone();
                }
                Happening::Due => {
                    let actions = self.supervisor.due(self.start.elapsed());
                    self.act(actions);
                }
            }
        }
    }

    async fn next_happening(&mut self) -> Happening {
        loop {
            let deadline = self.supervisor.deadline().map(|due| self.start + due);
            let due = async {
                match deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            let from_server = async {
                match &mut self.link {
                    Some(link) => link.next().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                (pid, how) = self.reaper.next() => {
                    if let Some(part) = self.forget(pid) {
                        return Happening::Ended(part, how);
                    }
                    self.mounts.ended(pid);
                    self.visitors.ended(pid);
                }
                () = self.interrupts.next() => return Happening::StopAsked,
                Some(order) = self.orders.recv() => return match order {
                    Order::Stop => Happening::StopAsked,
                    Order::SetTicket(ticket) => Happening::NewTicket(ticket),
                    Order::Message(text) => Happening::Message(text),
                },
                event = from_server => return Happening::Server(event),
                () = due => return Happening::Due,
            }
        }
    }

    fn stop(&mut self, outcome: Outcome) {
        let actions = self.supervisor.stop(outcome, self.start.elapsed());
        self.act(actions);
    }

    fn act(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Say(sentence) => notice(sentence),
                Action::Signal(part, signal) => self.signal(part, signal),
                Action::StartServer => self.restart_server(),
            }
        }
    }

    fn restart_server(&mut self) {
        match self.start_server() {
            Ok(link) => self.link = Some(link),
            Err(error) => {
                let now = self.start.elapsed();
                let actions = self.supervisor.server_gone(error.to_string(), now);
                self.act(actions);
            }
        }
    }

    fn signal(&self, part: Part, signal: Signal) {
        let of_part = self.processes.iter().filter(|(of, _)| *of == part);
        for &(_, pid) in of_part {
            // It is our child and not reaped yet, so the pid is its own. It may have ended: fine.
            let _ = kill(pid, signal);
            let _ = kill(pid, Signal::SIGCONT);
        }
    }

    /// The part that the reaped process was; the others are orphans that came to us.
    fn forget(&mut self, pid: Pid) -> Option<Part> {
        let index = self
            .processes
            .iter()
            .position(|(_, of_part)| *of_part == pid)?;
        let (part, _) = self.processes.swap_remove(index);
        if part == Part::Server {
            self.facts.send_modify(|facts| {
                facts.desktop.pids.server = None;
                facts.server = None;
            });
        }
        Some(part)
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
