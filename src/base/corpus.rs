//! The files of the fuzz targets, as the tests of their oracles read and write them.

/// Runs `check` on every file of `tests/fuzz/regressions/NAME`: scripts that a fuzzer found, each once a failure or a
/// new path. Returns how many there were.
pub(crate) fn replay_regressions(name: &str, check: fn(&[u8])) -> usize {
    // Of this crate's own workspace, whichever of its crates this is.
    let mut above = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let directory = above.find_map(|path| {
        let directory = path.join("tests/fuzz/regressions");
        directory.is_dir().then_some(directory)
    });
    let files = std::fs::read_dir(directory.unwrap().join(name)).unwrap();
    files
        .map(|file| check(&std::fs::read(file.unwrap().path()).unwrap()))
        .count()
}

/// Runs `check` on scripts that go deep, from which a fuzzer is to start: where `CARAWAY_FUZZ_CORPUS` names a directory
/// they are written to NAME in it.
pub(crate) fn plant_seeds(name: &str, seeds: &[Vec<u8>], check: fn(&[u8])) {
    let corpus = std::env::var_os("CARAWAY_FUZZ_CORPUS").map(std::path::PathBuf::from);
    for (number, seed) in seeds.iter().enumerate() {
        check(seed);
        if let Some(directory) = corpus.as_ref().map(|corpus| corpus.join(name)) {
            std::fs::create_dir_all(&directory).unwrap();
            std::fs::write(directory.join(format!("seed-{number}")), seed).unwrap();
        }
    }
}
