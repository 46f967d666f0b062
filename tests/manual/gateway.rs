//! Holds `caraway-gateway`(8) to the command line, and `gateway.conf`(5) to the file that is installed, which tests of
//! the settings hold to what they are.

#[path = "options.rs"]
mod options;
#[path = "page.rs"]
mod page;

use clap::CommandFactory;

use super::Arguments;

const INSTALLED: &str = include_str!("../../launcher/units/system/gateway.conf");

#[test]
fn the_page_of_the_gateway_has_its_options() {
    let command = Arguments::command();
    let parts = [("options", options::options(&command))];
    page::hold("caraway-gateway.8", &parts);
    options::hold_prose("caraway-gateway.8", &command);
    options::hold_prose("gateway.conf.5", &command);
}

#[test]
fn the_manual_of_the_settings_has_all_of_them() {
    page::hold("gateway.conf.5", &[("settings", settings(INSTALLED))]);
}

/// A paragraph for each group of settings: what is commented out is a setting with its default, and the sentences
/// before it say what it is.
fn settings(file: &str) -> String {
    let mut text = String::new();
    // The first paragraph is about the file.
    for paragraph in file.split("\n\n").skip(1) {
        let (sentences, settings): (Vec<&str>, Vec<&str>) = paragraph
            .lines()
            .partition(|line| line.starts_with("# ") && !line.contains(" = "));
        for (at, setting) in settings.iter().enumerate() {
            let setting = page::escaped(setting.trim_start_matches(['#', ' ']));
            let (name, value) = setting.split_once(" = ").unwrap_or((&setting, ""));
            let heading = if at == 0 { ".TP\n" } else { ".TQ\n" };
            text.push_str(&format!("{heading}\\fB{name}\\fR = {value}\n"));
        }
        let sentences: Vec<&str> = sentences
            .iter()
            .map(|line| line.trim_start_matches("# "))
            .collect();
        text.push_str(&format!("{}\n", page::sentence(&sentences.join(" "))));
    }
    text
}
