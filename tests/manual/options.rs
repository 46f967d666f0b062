//! Verbs and options as a page of the manual shows them, from clap's definitions.

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, Command};

use super::page::{escaped, folder, sentence};

/// Long options of other programs that pages name.
const FOREIGN: [&str; 4] = ["--user", "--spice-ca-file", "--all", "--now"];

/// A line for each verb: what stands behind it.
pub(crate) fn synopsis(command: &Command) -> String {
    let mut text = String::new();
    for (names, verb) in leaves(command) {
        text.push_str(&format!(".B {}\n", escaped(&names)));
        if visible(&verb).any(|arg| !arg.is_positional()) {
            text.push_str("[\\fIoptions\\fR]\n");
        }
        for arg in visible(&verb).filter(|arg| arg.is_positional()) {
            text.push_str(&positional(arg));
        }
        text.push_str(".br\n");
    }
    text
}

/// A section for each verb, with all of its options.
pub(crate) fn verbs(command: &Command) -> String {
    let mut text = String::new();
    for (names, verb) in leaves(command) {
        let about = verb.get_about().map(ToString::to_string);
        text.push_str(&format!(".SS {}\n", escaped(&names)));
        text.push_str(&format!("{}\n", sentence(&about.unwrap_or_default())));
        text.push_str(&options(&verb));
    }
    text
}

/// The options of one command.
pub(crate) fn options(command: &Command) -> String {
    visible(command).map(option).collect()
}

/// What may be given to `arg`, and what it means: its help, its words and its default.
pub(crate) fn meaning(arg: &Arg) -> String {
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("{}\n", sentence(&help));
    let takes_value = arg.get_action().takes_values();
    let words: Vec<PossibleValue> = arg.get_possible_values();
    if takes_value && !words.is_empty() {
        text.push_str(".RS\n");
        for word in words.iter().filter(|word| !word.is_hide_set()) {
            let help = word.get_help().map(ToString::to_string).unwrap_or_default();
            let name = escaped(word.get_name());
            text.push_str(&format!(".TP\n\\fB{name}\\fR\n{}\n", sentence(&help)));
        }
        text.push_str(".RE\n");
    }
    let default = arg.get_default_values().first();
    if let Some(default) = default.and_then(|value| value.to_str())
        && takes_value
        && !arg.is_hide_default_value_set()
    {
        let default = escaped(default);
        text.push_str(&format!(".IP\nDefault: \\fB{default}\\fR.\n"));
    }
    text
}

/// Fails where the prose of `page` names an option or a verb that `command` does not have.
pub(crate) fn hold_prose(page: &str, command: &Command) {
    let leaves = leaves(command);
    let mut known: Vec<String> = FOREIGN.map(str::to_owned).to_vec();
    known.extend(["--help", "--version"].map(str::to_owned));
    let longs = leaves.iter().flat_map(|(_, verb)| verb.get_arguments());
    known.extend(longs.filter_map(|arg| Some(format!("--{}", arg.get_long()?))));
    let text = prose(page);
    for word in text.split(|c: char| c.is_whitespace() || "=,.;:()\"'".contains(c)) {
        let is_option = word.starts_with("--") && 2 < word.len();
        assert!(
            !is_option || known.iter().any(|one| one == word),
            "docs/man/{page} names {word}, which is no option"
        );
    }
    let name = command.get_name();
    for line in text.lines() {
        let Some(rest) = line.strip_prefix(&format!(".B {name} ")) else {
            continue;
        };
        let verb = rest.split_whitespace().next().unwrap_or_default();
        assert!(
            command.find_subcommand(verb).is_some(),
            "docs/man/{page} names `{name} {verb}`, which is no verb"
        );
    }
}

/// A page as one reads it, without the parts that are made: hyphens and fonts are plain.
fn prose(page: &str) -> String {
    let text = std::fs::read_to_string(folder().join(page)).unwrap();
    let mut is_made = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.starts_with(".\\\" ") {
            is_made = line.ends_with("made by `make man`");
        } else if !is_made {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    for (roff, plain) in [
        ("\\-", "-"),
        ("\\fB", ""),
        ("\\fI", ""),
        ("\\fR", ""),
        ("\\&", ""),
    ] {
        prose = prose.replace(roff, plain);
    }
    prose
}

/// The verbs that are seen, each with all its names: `caraway config show`. A command without verbs is its own.
fn leaves(command: &Command) -> Vec<(String, Command)> {
    let name = command.get_name().to_owned();
    let verbs: Vec<&Command> = command
        .get_subcommands()
        .filter(|verb| !verb.is_hide_set())
        .collect();
    if verbs.is_empty() {
        return vec![(name, command.clone())];
    }
    let below = verbs.into_iter().flat_map(leaves);
    below
        .map(|(names, verb)| (format!("{name} {names}"), verb))
        .collect()
}

fn visible(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !arg.is_hide_set())
}

fn value_name(arg: &Arg) -> String {
    let named = arg.get_value_names().and_then(|names| names.first());
    let name = named.map_or_else(|| arg.get_id().as_str().to_uppercase(), ToString::to_string);
    escaped(&name)
}

fn positional(arg: &Arg) -> String {
    let more = match arg.get_action() {
        ArgAction::Append => "...",
        _ => "",
    };
    let name = value_name(arg);
    if arg.is_last_set() {
        format!("[\\fB\\-\\-\\fR \\fI{name}\\fR [\\fIARGS\\fR...]]\n")
    } else if arg.is_required_set() {
        format!("\\fI{name}\\fR{more}\n")
    } else {
        format!("[\\fI{name}\\fR{more}]\n")
    }
}

fn option(arg: &Arg) -> String {
    let mut names = Vec::new();
    names.extend(arg.get_short().map(|short| format!("\\fB\\-{short}\\fR")));
    let long = arg.get_long().map(escaped);
    names.extend(long.map(|long| format!("\\fB\\-\\-{long}\\fR")));
    let mut heading = names.join(", ");
    if arg.is_positional() {
        heading = format!("\\fI{}\\fR", value_name(arg));
    } else if arg.get_action().takes_values() {
        heading.push_str(&format!(" \\fI{}\\fR", value_name(arg)));
    }
    format!(".TP\n{heading}\n{}", meaning(arg))
}

#[test]
fn what_is_hidden_is_not_shown_and_all_else_is() {
    let command = Command::new("it")
        .subcommand(Command::new("secret").hide(true))
        .subcommand(
            Command::new("go").about("Go there").arg(
                Arg::new("far")
                    .short('f')
                    .long("far-off")
                    .value_parser(["near", "far"])
                    .default_value("near")
                    .help("How far"),
            ),
        );
    let verbs = verbs(&command);
    assert!(verbs.starts_with(".SS it go\nGo there.\n.TP\n\\fB\\-f\\fR, \\fB\\-\\-far\\-off\\fR"));
    assert!(verbs.contains("Default: \\fBnear\\fR."));
    assert!(!verbs.contains("secret"));
    assert_eq!(synopsis(&command), ".B it go\n[\\fIoptions\\fR]\n.br\n");
}
