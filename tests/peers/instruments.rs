//! The C programs of this directory, which no Rust library could replace: the SPICE client is worth something only
//! because it is spice-gtk's own. They are compiled once per run into `target/peers`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where instruments are built and pictures for human eyes are left.
pub(crate) fn output_folder() -> PathBuf {
    let folder = workspace().join("target/peers");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The directory of the workspace's Cargo.toml.
pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Path of a product file that `make build` makes; panics with what to do when it is missing.
pub(crate) fn product(name: &str) -> PathBuf {
    let path = workspace().join("target/release").join(name);
    assert!(
        path.exists(),
        "target/release/{name} is missing: run `make build` first"
    );
    path
}

/// The headless SPICE client (`spice_peer.c`).
pub(crate) fn spice_peer() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let sources = [
        "spice_peer.c",
        "peer_clipboard.c",
        "peer_session.c",
        "peer_upload.c",
        "screen_grab.c",
        "spice_monitors.c",
    ];
    BUILT.get_or_init(|| {
        compile(
            "spice_peer",
            "peers",
            &sources,
            &["spice-client-glib-2.0", "x11", "xext"],
        )
    })
}

/// The SPICE client that listens and speaks (`sound_peer.c`).
pub(crate) fn sound_peer() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let packages = ["spice-client-glib-2.0"];
    BUILT.get_or_init(|| compile("sound_peer", "peers", &["sound_peer.c"], &packages))
}

/// The X client that draws (`x_draw.c`).
pub(crate) fn x_draw() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        compile(
            "x_draw",
            "peers",
            &["x_draw.c", "random_drawing.c"],
            &["x11", "xext", "xrender"],
        )
    })
}

/// The X client that plays a film (`x_film.c`).
pub(crate) fn x_film() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| compile("x_film", "peers", &["x_film.c"], &["x11", "xext"]))
}

/// Compiles `sources` of the directory `folder` of the tests with the flags that pkg-config has for `packages`.
pub(crate) fn compile(name: &str, folder: &str, sources: &[&str], packages: &[&str]) -> PathBuf {
    let flags = Command::new("pkg-config")
        .args(["--cflags", "--libs"])
        .args(packages)
        .output()
        .unwrap_or_else(|error| panic!("pkg-config: {error}: run `make test-packages`"));
    assert!(
        flags.status.success(),
        "{packages:?} are missing: run `make test-packages`"
    );
    let program = output_folder().join(name);
    let result = Command::new("cc")
        .args(["-O2", "-g", "-Wall", "-Wextra", "-Werror", "-o"])
        .arg(&program)
        .args(
            sources
                .iter()
                .map(|source| workspace().join("tests").join(folder).join(source)),
        )
        .args(String::from_utf8(flags.stdout).unwrap().split_whitespace())
        .arg("-lm")
        .output()
        .unwrap_or_else(|error| panic!("cc: {error}: run `make test-packages`"));
    assert!(
        result.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&result.stderr)
    );
    program
}
