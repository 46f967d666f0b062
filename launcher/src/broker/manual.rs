//! Holds `caraway-broker`(8) to the command line.

#[path = "../../../tests/manual/options.rs"]
mod options;
#[path = "../../../tests/manual/page.rs"]
mod page;

use clap::CommandFactory;

use super::Cli;

#[test]
fn the_page_of_the_broker_has_its_options() {
    let visible: Vec<clap::Arg> = Cli::command().get_arguments().cloned().collect();
    // Its verbs are for itself.
    let command = clap::Command::new("caraway-broker").args(visible);
    let parts = [("options", options::options(&command))];
    page::hold("caraway-broker.8", &parts);
    options::hold_prose("caraway-broker.8", &command);
}
