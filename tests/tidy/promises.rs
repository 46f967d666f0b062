//! Holds the pages that promise something to the tests that they name: a test that is gone must not go on proving.

use crate::source;

/// Words of this many parts are names of tests; the shorter ones may be fields, modules and options.
const PARTS_MIN: usize = 4;

/// What stands between backquotes and looks like the name of a test.
fn tests_named(page: &str) -> Vec<&str> {
    let quoted = page.split('`').skip(1).step_by(2);
    let is_name = |word: &&str| {
        let characters = word
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        characters && PARTS_MIN <= word.split('_').count()
    };
    quoted.filter(is_name).collect()
}

#[test]
fn tests_that_the_threat_model_names_are_there() {
    let files = source::all();
    let page = files
        .iter()
        .find(|file| file.path == "docs/threat-model.md");
    let names = tests_named(&page.unwrap().text);
    assert!(20 < names.len(), "the names were not found");
    for name in names {
        let test = format!("fn {name}(");
        assert!(
            files
                .iter()
                .any(|file| file.is_rust() && file.text.contains(&test)),
            "docs/threat-model.md names the test {name}, which does not exist"
        );
    }
}

#[test]
fn names_of_tests_are_told_from_other_words() {
    let page = "`a_test_of_this` holds `no_new_privs` and `A_LIMIT_OF_ALL`.";
    assert_eq!(tests_named(page), ["a_test_of_this"]);
}

#[test]
fn the_packages_version_is_the_programs() {
    let read = |path: &str| std::fs::read_to_string(source::workspace().join(path)).unwrap();
    let of_programs = read("Cargo.toml");
    let version = of_programs
        .lines()
        .find_map(|line| line.strip_prefix("version = "));
    let version = version.unwrap().trim_matches('"');
    let changelog = read("debian/changelog");
    assert!(
        changelog.starts_with(&format!("caraway ({version})")),
        "debian/changelog does not begin with {version}"
    );
}
