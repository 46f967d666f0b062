//! The `caraway` command: starts desktops, watches them, lists, shows and ends them.
//!
//! A library for the sake of the fuzz targets, which reach `hostile_config`; for anybody else it is [`run`] alone.

mod access;
mod certificate;
mod cli;
mod completions;
mod config;
mod control;
mod cookie;
#[cfg(test)]
#[path = "../../src/base/corpus.rs"]
mod corpus;
mod desktops;
mod detach;
mod doctor;
mod join;
mod listen;
mod logs;
#[cfg(test)]
mod manual;
mod mirror;
mod moment;
mod mounts;
mod name;
mod others;
mod password;
mod password_command;
mod process;
mod runtime_dir;
mod scram;
mod server;
mod session;
mod sound;
mod start;
mod supervise;
mod terminal;
mod ticket;
mod top;
mod units;
mod uploads;
mod view;
mod visitors;
mod xorg;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[cfg(any(test, fuzzing))]
pub use self::config::hostile as hostile_config;

use self::cli::Verb;
use self::start::Call;
use self::units::inherited::Inherited;

/// Done.
const DONE: u8 = 0;
/// It failed, and stderr says why.
const FAILED: u8 = 1;
/// The command line makes no sense.
const USAGE: u8 = 2;

/// Does what the command line of this process says; gives the exit status.
pub fn run() -> ExitCode {
    let given: Vec<OsString> = std::env::args_os().collect();
    let inherited = match Inherited::take(&given) {
        Ok(inherited) => inherited,
        Err(error) => {
            terminal::notice(format_args!("cannot take what was passed: {error}"));
            return ExitCode::from(FAILED);
        }
    };
    let (cli, words) = match &inherited.handover {
        // What is configured now is for desktops to come.
        Some(handover) => (config::parse(&handover.words), handover.words.clone()),
        None => match config::command_line(given) {
            Ok(completed) => completed,
            Err(error) => return ExitCode::from(config::refuse(&error)),
        },
    };
    let status = match cli.verb {
        Verb::Start(args) => start::run(&args, Call { words, inherited }),
        Verb::List(args) if args.all => report(others::list(args.json)),
        Verb::List(args) => desktops::list(args.json),
        Verb::Status(args) => args
            .of
            .instead()
            .unwrap_or_else(|| report(desktops::status(args.name, args.json))),
        Verb::Enable(args) => report(units::verbs::enable(&args)),
        Verb::Disable(args) => report(units::verbs::disable(&args)),
        Verb::Upgrade(args) if args.all => report(others::upgrade(args.check)),
        Verb::Upgrade(args) => report(units::verbs::upgrade(args)),
        Verb::Graphical(args) => units::graphical::run(&args),
        Verb::Stop(args) => args
            .of
            .instead()
            .unwrap_or_else(|| report(desktops::stop(args.name))),
        Verb::Message(args) => args
            .of
            .instead()
            .unwrap_or_else(|| report(desktops::message(args.name, args.text))),
        Verb::Password(args) => match &args.scram {
            Some(user) => report(scram::run(user)),
            None => report(password_command::run(&args)),
        },
        Verb::View(args) => report(view::run(&args)),
        Verb::Config(args) => config::run(args),
        Verb::Logs(args) => report(logs::run(args)),
        Verb::Top(args) => top::run(&args),
        Verb::Completions(args) => completions::run(&args),
        Verb::Doctor(args) => doctor::run(args.xorg.as_deref()),
        Verb::Certificate => report(certificate::make_known()),
        Verb::Exec(args) => process::bound::exec(&args),
        Verb::Joinable(args) => join::run(&args),
        Verb::Mirror(args) => mirror::run(&args),
        Verb::Session(args) => session::run(&args),
    };
    ExitCode::from(status)
}

fn report<E: std::fmt::Display>(result: Result<(), E>) -> u8 {
    match result {
        Ok(()) => DONE,
        Err(error) => {
            terminal::notice(error);
            FAILED
        }
    }
}

/// The directory of this executable, where the other parts are looked for first.
fn beside() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.parent().unwrap_or(Path::new("/usr/bin")).to_path_buf()
}
