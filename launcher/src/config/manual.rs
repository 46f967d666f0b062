//! Holds `caraway.toml`(5) to the keys.

use super::keys::{self, Takes};
use crate::manual::{options, page};

#[test]
fn the_page_of_the_file_has_all_keys() {
    let command = keys::command();
    let mut text = String::new();
    for key in keys::all() {
        let kind = match key.takes {
            Takes::None => "true or false",
            Takes::One => "a value",
            Takes::Several => "a value or a list of values",
        };
        let option = command
            .get_arguments()
            .find(|option| option.get_long() == Some(&key.long))
            .unwrap();
        let long = page::escaped(&key.long);
        text.push_str(&format!(".TP\n\\fB{long}\\fR = \\fI{kind}\\fR\n"));
        text.push_str(&options::meaning(option));
    }
    page::hold("caraway.toml.5", &[("keys", text)]);
}
