//! Holds what pages say to what is there: a test that is gone must not go on proving, a path must lead somewhere, and
//! the map has every module.

use crate::source::{self, ROOTS};

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

/// Words that begin with a folder of the repository. The last part may be a stand-in for any name, in capitals.
fn paths_named(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_./-".contains(c);
    let words = text.split(|c| !is_part(c));
    let paths = words.filter(|word| {
        let root = word.split_once('/').map(|(root, _)| root);
        root.is_some_and(|root| ROOTS.contains(&root))
    });
    let is_stand_in = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase());
    paths
        .map(|path| {
            let path = path.trim_end_matches('.');
            match path.rsplit_once('/') {
                Some((folder, name)) if is_stand_in(name) => folder,
                _ => path,
            }
        })
        .collect()
}

#[test]
fn paths_that_are_named_lead_somewhere() {
    let files = source::all();
    let leads_somewhere = |path: &str| {
        // Each part of the product also speaks of its own folders.
        let at = ["", "launcher/", "xorg-driver-shim/"].map(|part| format!("{part}{path}"));
        let exists = |at: &String| source::workspace().join(at).exists();
        // A decision may go by its number alone.
        let begins = |at: &String| files.iter().any(|file| file.path.starts_with(at));
        at.iter().any(|at| exists(at) || begins(at))
    };
    let mut count = 0;
    // This folder has examples of what there is not.
    for file in files
        .iter()
        .filter(|file| !file.path.starts_with("tests/tidy/"))
    {
        for path in paths_named(&file.text) {
            count += 1;
            assert!(
                leads_somewhere(path),
                "{} names {path}, which is not there",
                file.path
            );
        }
    }
    assert!(100 < count, "the paths were not found");
}

#[test]
fn the_map_has_every_module_of_the_server() {
    let files = source::all();
    let text_of = |path: &str| &files.iter().find(|file| file.path == path).unwrap().text;
    let (map, root) = (text_of("docs/ARCHITECTURE.md"), text_of("src/lib.rs"));
    let modules = root
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod "));
    for module in modules {
        let row = format!("| `{}` |", module.trim_end_matches(';'));
        assert!(map.contains(&row), "docs/ARCHITECTURE.md has no row {row}");
    }
}

#[test]
fn paths_are_told_from_other_words() {
    let text = "see `docs/a/b.md`. (src/x/{y,z}.rs) tests/fuzz/regressions/NAME /docs/c libdocs/d";
    let named = ["docs/a/b.md", "src/x/", "tests/fuzz/regressions"];
    assert_eq!(paths_named(text), named);
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
