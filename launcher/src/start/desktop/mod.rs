//! A desktop's processes: started in order or taken over, then kept by what `supervise` decides.

mod bring_up;
mod keeping;
mod tickets;
mod watchdog;

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::interrupts::Interrupts;
use super::limits::{Limits, host_clock_s};
use super::{First, Plan, StartError};
use crate::certificate::Certificate;
use crate::control::messages::{self, Pids};
use crate::control::{self, Facts, Order, UpgradeAsked};
use crate::listen::bind_private;
use crate::mounts::Mounts;
use crate::process::adopted::Adopted;
use crate::process::bound::Life;
use crate::process::program_file::ProgramFile;
use crate::process::reaper::{Ended, Reaper};
use crate::process::strays;
use crate::runtime_dir::State;
use crate::server::{self, Event, Link, ServerError};
use crate::session;
use crate::sound::{self, Sound};
use crate::supervise::{Action, Outcome, Part, Supervisor};
use crate::terminal::notice;
use crate::ticket::Ticket;
use crate::units::handover::Handover;
use crate::units::keeper::Keeper;
use crate::visitors::Visitors;

/// Time in which the last words of a part that has ended are still read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Time that inherited processes have to end when every part has.
pub(crate) const STRAYS_GRACE: Duration = Duration::from_millis(500);

/// Names under which the keeper holds what is one of a kind.
const LOCK: &str = "lock";
const DISPLAY: &str = "display";
const CONTROL: &str = "control";

/// The desktop that this process runs.
pub(super) struct Desktop {
    plan: Plan,
    supervisor: Supervisor,
    reaper: Reaper,
    interrupts: Interrupts,
    orders: mpsc::Receiver<Order>,
    facts: watch::Sender<Facts>,
    processes: Vec<(Part, Handle)>,
    adopted_ended: mpsc::Receiver<Part>,
    tell_adopted_ended: mpsc::Sender<Part>,
    link: Option<Link>,
    /// A password that was set while the desktop started.
    late_ticket: Option<Ticket>,
    mounts: Mounts,
    visitors: Visitors,
    state: State,
    keeper: Keeper,
    /// Whether the desktop has come so far that another launcher could take it over.
    is_up: bool,
    limits: Limits,
    /// When the limits are to be looked at.
    limits_at: Option<Instant>,
    server_hangs: mpsc::Receiver<()>,
    start: Instant,
}

/// A process of the desktop, as it can be signalled.
enum Handle {
    /// A child that has not been waited for, so the pid is its own.
    Child(Pid),
    /// One that another launcher started.
    Adopted(Pid, Adopted),
}

/// What happens to a desktop from outside.
enum Happening {
    Ended(Part, Ended),
    StopAsked,
    NewTicket(Ticket),
    Message(String),
    UpgradeAsked(UpgradeAsked),
    Server(Option<Event>),
    ServerHangs,
    LimitsDue,
    Due,
}

impl Desktop {
    /// Starts the desktop of `plan`, stays with it, and gives how it ended. Nothing is left then.
    pub(super) async fn run(
        plan: Plan,
        first: First,
        mut keeper: Keeper,
    ) -> Result<Outcome, StartError> {
        let control = bind_private(&plan.dir.file(control::SOCKET))?;
        keep_one_of_a_kind(&mut keeper, &plan, &control)?;
        let mut desktop = Self::prepare(plan, control, keeper)?;
        match desktop.bring_up(&first).await {
            Ok(()) => {}
            Err(StartError::Interrupted) => desktop.stop(Outcome::Done),
            Err(error) => desktop.stop(Outcome::Failed(error.to_string())),
        }
        drop(first);
        Ok(desktop.stay_to_the_end().await)
    }

    /// Goes on with a desktop that another launcher started.
    pub(super) async fn resume(
        plan: Plan,
        handover: &Handover,
        keeper: Keeper,
    ) -> Result<Outcome, StartError> {
        let control = UnixListener::from(keeper.get(CONTROL)?);
        let mut desktop = Self::prepare(plan, control, keeper)?;
        desktop.take_over(handover)?;
        Ok(desktop.stay_to_the_end().await)
    }

    async fn stay_to_the_end(mut self) -> Outcome {
        let outcome = self.stay().await;
        if let Some(Sound::Users(socket)) = &self.plan.sound {
            sound::release(socket, self.plan.dir.name());
        }
        strays::end(&mut self.reaper, &[], STRAYS_GRACE).await;
        self.plan.logs.settle(LAST_WORDS);
        // Nobody shall take over what has ended.
        self.keeper.release_unless(|_| false);
        outcome
    }

    fn prepare(plan: Plan, control: UnixListener, keeper: Keeper) -> Result<Self, StartError> {
        // The password is in our memory: no other process of the user shall read it there.
        prctl::set_dumpable(false).map_err(io::Error::from)?;
        prctl::set_child_subreaper(true).map_err(io::Error::from)?;
        let reaper = Reaper::new()?;
        let interrupts = Interrupts::new()?;
        let state = State {
            display: Some(plan.display.number()),
            launcher: Some(std::process::id()),
            sockets: plan
                .server
                .listeners
                .iter()
                .filter_map(|l| l.file().cloned())
                .collect(),
            sound: match &plan.sound {
                Some(Sound::Users(socket)) => Some(socket.clone()),
                _ => None,
            },
            ..State::default()
        };
        plan.dir.write_state(&state)?;
        let (facts, told) = watch::channel(facts(&plan));
        let (order, orders) = mpsc::channel(1);
        control::serve(control, told, order)?;
        let (tell_adopted_ended, adopted_ended) = mpsc::channel(1);
        let bus_socket = plan.bus_socket();
        let somebody_is_there = plan.joined.is_some();
        let limits = plan.limits;
        let start = Instant::now();
        let server_hangs = watchdog::start(facts.subscribe());
        Ok(Self {
            mounts: Mounts::new(bus_socket.as_deref()),
            visitors: Visitors::new(
                plan.dir.name(),
                plan.hooks(),
                bus_socket.as_deref(),
                somebody_is_there,
            ),
            supervisor: Supervisor::new(plan.command.clone()),
            plan,
            reaper,
            interrupts,
            orders,
            facts,
            processes: Vec::new(),
            adopted_ended,
            tell_adopted_ended,
            link: None,
            late_ticket: None,
            state,
            keeper,
            is_up: false,
            limits,
            limits_at: limits.first_look().map(|wait| start + wait),
            server_hangs,
            start,
        })
    }

    /// How long a part may live: with a manager who keeps what the next launcher needs, longer than this process.
    fn life(&self, signal: Signal) -> Life {
        match self.plan.server.outlives_launcher {
            true => Life::Kept,
            false => Life::Bound(signal),
        }
    }

    fn start_server(&mut self) -> Result<Link, ServerError> {
        let file = ProgramFile::at(&self.plan.server.program);
        let (pid, link) = server::start(&self.plan.server)?;
        self.started(Part::Server, pid);
        if let Some(ticket) = &self.facts.borrow().view_only {
            link.set_ticket(ticket)?;
        }
        self.facts.send_modify(|facts| {
            facts.desktop.pids.server = Some(pid.as_raw());
            facts.server = Some(link.status());
            facts.server_file = file;
        });
        Ok(link)
    }

    fn started(&mut self, part: Part, pid: Pid) {
        self.supervisor.started(part, self.start.elapsed());
        self.processes.push((part, Handle::Child(pid)));
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
                Happening::UpgradeAsked(asked) => self.upgrade(asked).await,
                Happening::Server(Some(Event::Folders(ports))) => {
                    self.mounts.follow(&ports);
                    self.save();
                }
                Happening::Server(None) => {
                    self.link = None;
                    self.mounts.follow(&[]);
                    self.visitors.all_gone();
                    self.save();
                }
                Happening::ServerHangs => {
                    notice("caraway-server does not answer, and is killed");
                    self.signal(Part::Server, Signal::SIGKILL);
                }
                Happening::LimitsDue => self.look_at_limits().await,
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
            let limits_due = sleep_until(self.limits_at.unwrap_or_else(far_off));
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
                    Order::Upgrade(asked) => Happening::UpgradeAsked(asked),
                },
                Some(part) = self.adopted_ended.recv() => {
                    self.forget_part(part);
                    return Happening::Ended(part, self.how_adopted_ended(part));
                }
                Some(()) = self.server_hangs.recv() => return Happening::ServerHangs,
                () = limits_due, if self.limits_at.is_some() => return Happening::LimitsDue,
                event = from_server => return Happening::Server(event),
                () = due => return Happening::Due,
            }
        }
    }

    fn stop(&mut self, outcome: Outcome) {
        self.limits_at = None;
        self.say("STOPPING=1\n");
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
            Ok(link) => {
                self.link = Some(link);
                self.save();
            }
            Err(error) => {
                let now = self.start.elapsed();
                let actions = self.supervisor.server_gone(error.to_string(), now);
                self.act(actions);
            }
        }
    }

    fn signal(&self, part: Part, signal: Signal) {
        let of_part = self.processes.iter().filter(|(of, _)| *of == part);
        for (_, process) in of_part {
            for signal in [signal, Signal::SIGCONT] {
                match process {
                    // It may have ended: fine.
                    Handle::Child(pid) => drop(kill(*pid, signal)),
                    Handle::Adopted(_, process) => process.signal(signal),
                }
            }
        }
    }

    /// The part that the reaped process was; the others are orphans that came to us.
    fn forget(&mut self, pid: Pid) -> Option<Part> {
        let is_it = |process: &Handle| matches!(process, Handle::Child(child) if *child == pid);
        let (part, _) = self.processes.iter().find(|(_, process)| is_it(process))?;
        let part = *part;
        self.forget_part(part);
        Some(part)
    }

    fn forget_part(&mut self, part: Part) {
        self.processes.retain(|(of, _)| *of != part);
        if part == Part::Server {
            self.facts.send_modify(|facts| {
                facts.desktop.pids.server = None;
                facts.server = None;
            });
        }
    }

    /// What is known of the end of a process that is no child.
    fn how_adopted_ended(&self, part: Part) -> Ended {
        let status = match part {
            Part::Session => session::exit_status(self.plan.dir.path()),
            Part::Server | Part::Xorg => None,
        };
        status.map_or(Ended::Unseen, Ended::Exited)
    }

    /// Ends the desktop if a limit says so, else finds out when to look again.
    async fn look_at_limits(&mut self) {
        let server = self.facts.borrow().server.clone();
        let status = match server {
            Some(server) => server.get().await,
            None => None,
        };
        let age = Duration::from_secs(host_clock_s().saturating_sub(self.plan.since_s));
        match self.limits.judge(age, status.as_ref()) {
            Ok(wait) => self.limits_at = Some(Instant::now() + wait),
            Err(why) => {
                notice(why);
                self.stop(Outcome::Done);
            }
        }
    }
}

/// An instant for a clock that does not ring.
fn far_off() -> Instant {
    Instant::now() + Duration::from_secs(24 * 3600)
}

/// Holds what another launcher could not have again.
fn keep_one_of_a_kind(keeper: &mut Keeper, plan: &Plan, control: &UnixListener) -> io::Result<()> {
    keeper.hold(LOCK, plan.dir.lock())?;
    keeper.hold(DISPLAY, plan.display.address())?;
    keeper.hold(CONTROL, control.as_fd())?;
    for (at, listener) in plan.server.listeners.iter().enumerate() {
        let socket: OwnedFd = listener.duplicate()?;
        keeper.hold(&listener_name(at), socket.as_fd())?;
    }
    Ok(())
}

fn listener_name(at: usize) -> String {
    format!("listen-{at}")
}

fn facts(plan: &Plan) -> Facts {
    let desktop = messages::Desktop {
        name: plan.dir.name().clone(),
        display: None,
        uris: plan.server.listeners.iter().map(|l| l.uri()).collect(),
        since: plan.since.clone(),
        pids: Pids {
            launcher: nix::unistd::getpid().as_raw(),
            xorg: None,
            server: None,
        },
        outdated: None,
        server: None,
    };
    let authority = plan.server.certificate.as_ref();
    Facts {
        desktop,
        launcher_file: ProgramFile::own(),
        server_file: None,
        server: None,
        ticket: plan.server.ticket.clone(),
        view_only: None,
        by_users: plan.server.sasl.is_some(),
        authority: authority.and_then(Certificate::authority),
    }
}
