//! Lengths, first lines, and words that have no place here.

use crate::source::{self, Source};

/// A file is one idea. Tests at its end do not count, and files of tests may be longer; but not without end.
const FILE_LINES_MAX: usize = 500;
const TEST_LINES_MAX: usize = 1000;

/// rustfmt holds code to 100; comments, C and Make may take a little more.
const COLUMNS_MAX: usize = 120;

/// Names that say nothing of what is inside. `common` is SPICE's own word for the messages that all channels share.
const EMPTY_NAMES: [&str; 8] = [
    "util", "utils", "helper", "helpers", "misc", "common", "stuff", "lib2",
];
const NAME_EXCEPTIONS: [&str; 1] = ["src/wire/common.rs"];

/// Words of promises (written apart here, or this file would be the first to have them) and paths of somebody's
/// machine.
const BANNED: [(&str, &str); 7] = [
    ("TO", "DO"),
    ("FIX", "ME"),
    ("XX", "X:"),
    ("HA", "CK:"),
    ("todo", "!("),
    ("/ro", "ot/"),
    ("/wo", "rk/"),
];

fn offences(file: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let is_code = file.is_rust() || file.is_c();
    let is_tests = file.path.starts_with("tests/") || file.stem() == "tests";
    let own_text = file.text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    let (lines, own_lines) = (file.text.lines().count(), own_text.lines().count());
    if is_code && (TEST_LINES_MAX < lines || !is_tests && FILE_LINES_MAX < own_lines) {
        found.push(format!(
            "{}: {own_lines} of {lines} lines, split it",
            file.path
        ));
    }
    if file.is_rust() && !file.text.starts_with("//!") {
        found.push(format!("{}: does not open with why it is there", file.path));
    }
    if file.is_c() && !file.text.starts_with("/*") {
        found.push(format!("{}: does not open with why it is there", file.path));
    }
    if is_code
        && EMPTY_NAMES.contains(&file.stem())
        && !NAME_EXCEPTIONS.contains(&file.path.as_str())
    {
        found.push(format!("{}: a name that says nothing", file.path));
    }
    for (number, line) in file.text.lines().enumerate() {
        let place = format!("{}:{}", file.path, number + 1);
        if is_code && COLUMNS_MAX < line.chars().count() {
            found.push(format!("{place}: {} columns", line.chars().count()));
        }
        if line.ends_with([' ', '\t']) {
            found.push(format!("{place}: space at the end"));
        }
        for (head, tail) in BANNED {
            if line.contains(&format!("{head}{tail}")) {
                found.push(format!("{place}: {head}{tail}"));
            }
        }
    }
    found
}

#[test]
fn files_are_short_say_why_and_promise_nothing() {
    let found: Vec<String> = source::all().iter().flat_map(offences).collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn links_of_the_first_pages_lead_somewhere() {
    for page in ["README.md", "CONTRIBUTING.md"] {
        let text = std::fs::read_to_string(source::workspace().join(page)).unwrap();
        for (at, _) in text.match_indices("](") {
            let target: String = text[at + 2..]
                .chars()
                .take_while(|character| *character != ')')
                .collect();
            if !target.starts_with("http") {
                assert!(
                    source::workspace().join(&target).exists(),
                    "{page}: {target} does not exist"
                );
            }
        }
    }
}

#[test]
fn the_checker_finds_what_is_forbidden() {
    let file = |path: &str, text: &str| Source {
        path: path.to_owned(),
        text: text.to_owned(),
    };
    let long = format!("//! Why.\n{}", "x\n".repeat(FILE_LINES_MAX));
    let wide = format!("//! {}", "x".repeat(COLUMNS_MAX));
    let promise = format!("//! Why.\n// {}{} later", "TO", "DO");
    for (path, text) in [
        ("src/a.rs", "fn f() {}"),
        ("src/a.c", "int f;"),
        ("src/utils.rs", "//! Why."),
        ("src/a.rs", "//! Why. "),
        ("src/a.rs", long.as_str()),
        ("src/a.rs", wide.as_str()),
        ("src/a.rs", promise.as_str()),
    ] {
        assert_eq!(
            offences(&file(path, text)).len(),
            1,
            "{path}: {:?}",
            offences(&file(path, text))
        );
    }
    assert_eq!(
        offences(&file("src/a.rs", "//! Why.\n")),
        Vec::<String>::new()
    );
}
