//! The `caraway` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    caraway_launcher::run()
}
