//! Holds the fuzz targets to what builds and replays them: they are a workspace of their own, which no test builds.

use std::fs;

use crate::source;

/// Names under `[dependencies]` of a manifest.
fn dependencies(manifest: &str) -> Vec<&str> {
    let lines = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]");
    let own = lines.skip(1).take_while(|line| !line.starts_with('['));
    own.filter_map(|line| line.split(['=', '.', ' ']).next())
        .filter(|name| !name.is_empty() && !name.starts_with('#'))
        .collect()
}

#[test]
fn the_lock_of_the_fuzz_targets_has_all_that_the_server_needs() {
    let root = source::workspace();
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let lock = fs::read_to_string(root.join("tests/fuzz/Cargo.lock")).unwrap();
    let server = lock
        .split("[[package]]")
        .find(|package| package.contains("name = \"caraway-server\""))
        .unwrap();
    let needed = dependencies(&manifest);
    assert!(20 < needed.len(), "{needed:?}");
    let missing: Vec<_> = needed
        .iter()
        .filter(|name| {
            !server.contains(&format!(" \"{name}\"")) && !server.contains(&format!(" \"{name} "))
        })
        .collect();
    let how = "run `cargo update --workspace` in tests/fuzz";
    assert!(missing.is_empty(), "{missing:?} are not in it: {how}");
}

#[test]
fn each_fuzz_target_is_built_and_has_scripts_that_tests_replay() {
    let fuzz = source::workspace().join("tests/fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let sources = source::all();
    let replays = |call: &str| {
        sources
            .iter()
            .any(|file| file.is_rust() && file.text.contains(call))
    };
    let mut count = 0;
    for target in fs::read_dir(fuzz.join("fuzz_targets")).unwrap() {
        let path = target.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        let scripts = fs::read_dir(fuzz.join("regressions").join(name)).map(Iterator::count);
        assert!(
            scripts.is_ok_and(|count| 0 < count),
            "{name} has no scripts"
        );
        let replayed = replays(&format!("replay_regressions(\"{name}\""))
            || replays(&format!("regressions/{name}\""));
        assert!(replayed, "no test replays those of {name}");
        count += 1;
    }
    assert!(8 <= count, "{count} targets");
}
