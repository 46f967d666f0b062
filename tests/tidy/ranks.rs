//! Import direction and purity of the server's modules: `docs/ARCHITECTURE.md` has the map and the reasons.
//!
//! A module imports only modules of lower rank. Up to `PURE_RANK_MAX` nothing does I/O, reads a clock, draws random
//! numbers or is unsafe: that is what makes the whole server testable in one thread with virtual time.

use crate::source::{self, Source, code_lines};

const RANKS: &[(&str, u32)] = &[
    ("base", 0),
    ("wire", 1),
    ("ring", 1),
    ("image", 1),
    ("audio", 1),
    ("metrics", 1),
    ("display", 2),
    ("channel", 2),
    ("agent", 2),
    ("auth", 2),
    ("session", 3),
    ("gateway", 3),
    ("os", 4),
    ("io", 5),
    ("arguments", 7),
    ("main", 7),
    ("bin", 7),
];

const PURE_RANK_MAX: u32 = 3;

/// Paths that stand for an effect.
const EFFECTS: &[&str] = &[
    "std::fs",
    "std::net",
    "std::os",
    "std::env",
    "std::process",
    "std::thread",
    "std::io",
    "Instant::now",
    "SystemTime",
    "tokio",
    "nix::",
    "libc::",
    "getrandom",
    "socket2",
    "memmap2",
    "aws_lc_sys",
    "unsafe ",
];

/// The only module with unsafe code.
const UNSAFE_HOME: &str = "os";

fn rank(module: &str) -> Option<u32> {
    RANKS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, rank)| *rank)
}

/// The module that a file of `src/` belongs to; `None` for the crate's root, which only lists the modules.
fn module_of(path: &str) -> Option<&str> {
    let inside = path.strip_prefix("src/")?;
    let first = inside.split('/').next()?;
    let module = first.strip_suffix(".rs").unwrap_or(first);
    (module != "lib").then_some(module)
}

/// Modules named after `crate::` in one line of code, braces included: `use crate::{base::Rect, wire};`.
fn imported(line: &str) -> Vec<String> {
    let mut modules = Vec::new();
    let own_name = line.replace("caraway_server::", "crate::");
    for (at, _) in own_name.match_indices("crate::") {
        let rest = &own_name[at + "crate::".len()..];
        let name = |text: &str| {
            text.chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect::<String>()
        };
        let Some(group) = rest.strip_prefix('{') else {
            modules.push(name(rest));
            continue;
        };
        let mut depth = 0;
        let mut is_start = true;
        for (at, character) in group.char_indices() {
            if is_start && character.is_alphanumeric() && depth == 0 {
                modules.push(name(&group[at..]));
                is_start = false;
            }
            match character {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => is_start = true,
                _ => {}
            }
        }
    }
    // `crate::` before an item of the root itself, a macro say, is no module.
    modules.retain(|name| name.chars().next().is_some_and(char::is_lowercase));
    modules
}

/// Modules that their parents declare for tests only: path of the file without `.rs`, or of the directory.
fn test_modules(files: &[Source]) -> Vec<String> {
    let mut modules = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        // `a/mod.rs` and `a.rs` both declare modules in `a/`.
        let stem = file
            .path
            .strip_suffix("/mod.rs")
            .or(file.path.strip_suffix(".rs"));
        let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
        for pair in lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]") {
            let name = pair[1]
                .trim_start_matches("pub(crate) ")
                .strip_prefix("mod ");
            if let Some(name) = name.and_then(|name| name.strip_suffix(';')) {
                modules.push(format!("{}/{name}", stem.unwrap_or_default()));
            }
        }
    }
    modules
}

fn is_under(path: &str, module: &str) -> bool {
    path.strip_prefix(module)
        .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// What is wrong with a file's imports and effects. Tests, which come last in a file, may do what they like.
fn violations(path: &str, text: &str) -> Vec<String> {
    let text = text
        .split("\n#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let Some(module) = module_of(path) else {
        return Vec::new();
    };
    let Some(own_rank) = rank(module) else {
        return vec![format!("{path}: module {module} has no rank")];
    };
    let mut found = Vec::new();
    let mut statement = String::new();
    for (number, line) in code_lines(text).into_iter().enumerate() {
        let place = format!("{path}:{}", number + 1);
        if line.contains("unsafe ") && module != UNSAFE_HOME {
            found.push(format!("{place}: unsafe outside {UNSAFE_HOME}/"));
        }
        if own_rank <= PURE_RANK_MAX {
            let effects = EFFECTS
                .iter()
                .filter(|effect| line.contains(**effect) && **effect != "unsafe ");
            found.extend(
                effects.map(|effect| format!("{place}: {effect} below rank {PURE_RANK_MAX}")),
            );
        }
        // A `use` may go over several lines.
        statement.push_str(line.trim());
        if statement.starts_with("use ") && !statement.ends_with(';') {
            continue;
        }
        for other in imported(&statement) {
            match rank(&other) {
                Some(_) if other == module => {}
                Some(other_rank) if other_rank < own_rank => {}
                Some(_) => found.push(format!("{place}: {module} imports {other}")),
                None => found.push(format!("{place}: module {other} has no rank")),
            }
        }
        statement.clear();
    }
    found
}

#[test]
fn modules_import_only_lower_ranks_and_pure_ones_have_no_effects() {
    let files = source::all();
    let for_tests = test_modules(&files);
    let found: Vec<String> = files
        .iter()
        .filter(|file| {
            file.is_rust() && !for_tests.iter().any(|module| is_under(&file.path, module))
        })
        .flat_map(|file| violations(&file.path, &file.text))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_module_of_the_server_is_in_the_map() {
    let map = std::fs::read_to_string(source::workspace().join("docs/ARCHITECTURE.md")).unwrap();
    for entry in std::fs::read_dir(source::workspace().join("src"))
        .unwrap()
        .flatten()
    {
        if entry.file_type().unwrap().is_dir() {
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(rank(&name).is_some(), "src/{name} has no rank");
            assert!(
                map.contains(&format!("| `{name}` |")),
                "docs/ARCHITECTURE.md does not tell of src/{name}/"
            );
        }
    }
}

#[test]
fn the_checker_finds_what_is_forbidden() {
    let wrong = [
        ("src/wire/a.rs", "use crate::io::Socket;"),
        ("src/wire/a.rs", "use crate::{base::Rect, image::Lz};"),
        (
            "src/wire/a.rs",
            "use crate::{\n    base::{Rect, Region},\n    session,\n};",
        ),
        ("src/display/a.rs", "fn f() { crate::session::g() }"),
        (
            "src/display/a.rs",
            "use std::time::{Duration, Instant};\nfn f() { Instant::now() }",
        ),
        ("src/session/mod.rs", "use std::net::TcpStream;"),
        ("src/io/a.rs", "let x = unsafe { f() };"),
        ("src/helper/mod.rs", ""),
    ];
    for (path, text) in wrong {
        assert_eq!(
            violations(path, text).len(),
            1,
            "{path}: {text}: {:?}",
            violations(path, text)
        );
    }
    let right = [
        (
            "src/wire/a.rs",
            "use crate::base::Rect;\nuse crate::wire::b;",
        ),
        (
            "src/io/a.rs",
            "use crate::{os, session::Session};\nuse std::net::TcpStream;",
        ),
        ("src/os/a.rs", "unsafe { f() }"),
        (
            "src/wire/a.rs",
            "// like std::net and crate::io, but unsafe { }",
        ),
        ("src/wire/a.rs", "let text = \"use crate::io;\";"),
        ("src/lib.rs", "pub mod anything;"),
        (
            "src/wire/a.rs",
            "fn f() {}\n#[cfg(test)]\nmod tests {\n    use std::net::TcpStream;\n}",
        ),
    ];
    let declared = Source {
        path: "src/wire/mod.rs".to_owned(),
        text: "#[cfg(test)]\nmod model;".to_owned(),
    };
    assert_eq!(test_modules(&[declared]), ["src/wire/model"]);
    for (path, text) in right {
        assert_eq!(violations(path, text), Vec::<String>::new());
    }
}
