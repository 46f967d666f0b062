//! Holds `caraway-server`(8) to the command line.

#[path = "options.rs"]
mod options;
#[path = "page.rs"]
mod page;

use clap::CommandFactory;

use super::Arguments;

#[test]
fn the_page_of_the_server_has_its_options() {
    let command = Arguments::command();
    let parts = [("options", options::options(&command))];
    page::hold("caraway-server.8", &parts);
    options::hold_prose("caraway-server.8", &command);
}
