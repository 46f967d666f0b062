//! Holds `caraway`(1) to the command line: each verb and option is there, and nothing that is not.

#[path = "../../tests/manual/options.rs"]
pub(crate) mod options;
#[path = "../../tests/manual/page.rs"]
pub(crate) mod page;

use clap::CommandFactory;

use crate::cli::Cli;

#[test]
fn the_page_of_the_command_is_what_the_command_takes() {
    let command = Cli::command();
    let parts = [
        ("synopsis", options::synopsis(&command)),
        ("verbs", options::verbs(&command)),
    ];
    page::hold("caraway.1", &parts);
    options::hold_prose("caraway.1", &command);
    options::hold_prose("caraway.toml.5", &command);
}
