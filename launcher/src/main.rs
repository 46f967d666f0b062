//! The `caraway` command: starts desktops, watches them, lists, shows and ends them.

mod certificate;
mod cli;
mod control;
mod cookie;
mod desktops;
mod doctor;
mod listen;
mod name;
mod password;
mod password_command;
mod process;
mod runtime_dir;
mod scram;
mod server;
mod session;
mod start;
mod supervise;
mod terminal;
mod ticket;
mod view;
mod xorg;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use self::cli::{Cli, Verb};

/// Done.
const DONE: u8 = 0;
/// It failed, and stderr says why.
const FAILED: u8 = 1;
/// The command line makes no sense.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let status = match Cli::parse().verb {
        Verb::Start(args) => start::run(&args),
        Verb::List(args) => desktops::list(args.json),
        Verb::Status(args) => report(desktops::status(args.name, args.json)),
        Verb::Stop(args) => report(desktops::stop(args.name)),
        Verb::Password(args) => match &args.scram {
            Some(user) => report(scram::run(user)),
            None => report(password_command::run(&args)),
        },
        Verb::View(args) => report(view::run(args.name)),
        Verb::Doctor(args) => doctor::run(args.xorg.as_deref()),
        Verb::Exec(args) => process::bound::exec(&args),
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
