//! The plan of a desktop that another launcher started: options as they were then, and all that was kept.

use std::sync::Arc;

use super::limits::host_clock_s;
use super::{Had, Joined, Plan, StartError, certificate, limits, server_plan};
use crate::beside;
use crate::cli::StartArgs;
use crate::detach::Report;
use crate::listen::Listener;
use crate::logs::Logs;
use crate::runtime_dir::DesktopDir;
use crate::server;
use crate::terminal::notice;
use crate::ticket::{NewTicket, Ticket};
use crate::units::handover::Handover;
use crate::units::inherited::Inherited;
use crate::units::journal::Journal;
use crate::units::keeper::Keeper;
use crate::units::notify::Manager;
use crate::xorg::display::Display;

/// The plan, and who holds what is needed for it.
pub(super) fn plan(
    args: &StartArgs,
    handover: &Handover,
    inherited: &mut Inherited,
) -> Result<(Plan, Keeper), StartError> {
    let manager = Manager::find().filter(|_| args.unit);
    let keeper = Keeper::resume(manager, inherited);
    let dir = DesktopDir::resume(&handover.name, keeper.get("lock")?)?;
    let display = Display::resume(handover.display, keeper.get("display")?)?;
    let logs = Arc::new(Logs::keep_in(dir.path(), Journal::of(dir.name()))?);
    for pipe in &handover.pipes {
        // One whose writers have ended meanwhile is not kept any more.
        if let Ok(reader) = keeper.get(&pipe.descriptor) {
            logs.read(pipe.kept, pipe.also, reader)?;
        }
    }
    let mut listeners = Vec::new();
    for kept in &handover.listeners {
        let socket = keeper.get(&kept.descriptor)?;
        listeners.push(Listener::resume(socket, kept.tls_only, kept.file.clone())?);
    }
    let program = server::find(&beside()).unwrap_or_else(|error| {
        notice(error);
        handover.server_program.clone()
    });
    let sound = handover.sound.as_ref();
    let had = Had {
        program,
        outlives_launcher: keeper.is_manager_there(),
        certificate: certificate(args, &listeners)?,
        listeners,
        ticket: ticket(handover, handover.ticket.as_ref()),
        sound: sound.map(|sound| sound.socket(dir.path())),
        uuid: u128::from_str_radix(&handover.uuid, 16).unwrap_or_default(),
        display: handover.display,
        logs: Arc::clone(&logs),
    };
    let plan = Plan {
        display,
        command: handover.command.clone(),
        has_bus: handover.has_bus,
        joined: Joined::of(args),
        sound: handover.sound.clone(),
        server: server_plan(args, &dir, had)?,
        limits: limits(args),
        since: handover.since.clone(),
        since_s: handover.since_s,
        words: handover.words.clone(),
        logs,
        report: Report::to(None),
        on_connect: args.on_connect.clone(),
        on_disconnect: args.on_disconnect.clone(),
        dir,
    };
    Ok((plan, keeper))
}

/// The password with what is left of its time now.
pub(super) fn ticket(handover: &Handover, told: Option<&NewTicket>) -> Option<Ticket> {
    let passed = host_clock_s().saturating_sub(handover.written_s);
    let told = told.cloned()?;
    let left = told.expires_s.map(|left| left.saturating_sub(passed));
    Ticket::of(NewTicket {
        expires_s: left,
        ..told
    })
    .ok()
}
