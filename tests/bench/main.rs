//! The same work beside the peers: what each costs on the wire and in CPU, and how old its picture is.
//!
//! `make bench` brings up this project's desktop, Xspice and TigerVNC, each with its stock viewer on a screen of its
//! own, lets numbered frames of each load be drawn on each (`load.c`), watches the viewers' screens for the numbers
//! and prints a table. In the environment, all with defaults:
//!
//! - `LOADS` and `SERVERS`: which ones, by name and in that order, with blanks between. Besides the default servers
//!   there is `xspice-streaming`, which makes MJPEG streams, as Xspice was meant to and Debian's does not.
//! - `JSON`: where the figures go, `target/bench/figures.json` unless said otherwise.
//! - `COMPARE`: such a file of an earlier run; a second table then tells what changed.
//!
//! Pictures of what the viewers showed are left in `target/bench`, for human eyes. How each figure is taken is told
//! where it is: `measure` (the whole course), `sockets` (bytes), `figures` (what is counted against what).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test program: a failure is a panic with a sentence, figures are printed"
)]

// Desktops and processes are those of the tests with real clients, which use more of them than is used here.
#[allow(dead_code, reason = "the tests in tests/peers use the rest")]
#[path = "../peers/desktop.rs"]
mod desktop;
#[allow(dead_code, reason = "the tests in tests/peers use the rest")]
#[path = "../peers/instruments.rs"]
mod instruments;
#[allow(dead_code, reason = "the tests in tests/peers use the rest")]
#[path = "../peers/process.rs"]
mod process;
#[allow(dead_code, reason = "the tests in tests/peers use the rest")]
#[path = "../peers/x_client.rs"]
mod x_client;
#[path = "../peers/xvfb.rs"]
mod xvfb;

mod chromium;
mod drawing;
mod figures;
mod loads;
mod measure;
mod seat;
mod servers;
mod sockets;
mod strip;
mod table;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::figures::Figures;
use crate::loads::LOADS;
use crate::servers::{DEFAULT_SERVERS, SERVERS, Stand};

/// Where the pictures and figures go.
fn output_folder() -> PathBuf {
    let folder = instruments::workspace().join("target/bench");
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// What a variable of the environment asks for: `default` unless it names some of `known`.
fn chosen<T: Copy>(
    variable: &str,
    known: &[T],
    default: &[T],
    name: impl Fn(&T) -> &str,
) -> Vec<T> {
    let wanted = std::env::var(variable).unwrap_or_default();
    let all: Vec<&str> = known.iter().map(&name).collect();
    let pick = |word: &str| {
        let found = known.iter().find(|entry| name(entry) == word);
        *found.unwrap_or_else(|| panic!("{variable}: no {word:?}, there are {}", all.join(" ")))
    };
    let picked: Vec<T> = wanted.split_whitespace().map(pick).collect();
    if picked.is_empty() {
        default.to_vec()
    } else {
        picked
    }
}

/// Runs `work`; an error is the sentence of its panic and where it came from, in one line.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    let place = Arc::new(Mutex::new(String::new()));
    let told = Arc::clone(&place);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        *told.lock().unwrap() = panic.to_string().replace('\n', " ");
    }));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    std::panic::set_hook(before);
    outcome.map_err(|_| place.lock().unwrap().clone())
}

/// Runs `load` on each of `stands` and prints a line for each as soon as it is known.
fn run_load(load: &loads::Load, stands: &mut [Stand]) -> Vec<Figures> {
    println!("\n{}: {}", load.name, load.about);
    println!("{}", table::heading());
    let drawing = stands[0].drawing_cost(load);
    let mut results = Vec::new();
    for stand in &mut stands[1..] {
        let figures = caught(|| measure::run(load, stand, drawing)).unwrap_or_else(|failure| {
            // What is left of it may be in any state.
            stand.clear();
            Figures::failed(load.name, stand.server().name(), failure)
        });
        println!("{}", table::line(&figures));
        results.push(figures);
    }
    results
}

#[test]
fn a_failure_is_a_sentence_with_its_place() {
    let failure = caught(|| panic!("no {}", "screen")).unwrap_err();
    assert!(
        failure.contains("no screen") && failure.contains("main.rs"),
        "{failure}"
    );
    assert_eq!(caught(|| 7), Ok(7));
}

#[test]
#[ignore = "minutes long: run by make bench"]
fn bench_the_same_work_beside_the_peers() {
    let mut loads = chosen("LOADS", LOADS, LOADS, |load| load.name);
    let servers = chosen("SERVERS", SERVERS, DEFAULT_SERVERS, |server| server.name());
    let compared = std::env::var_os("COMPARE").map(|path| table::read(&PathBuf::from(path)));
    let mut results = Vec::new();
    let mut geometries: Vec<&str> = loads.iter().map(|load| load.geometry).collect();
    geometries.dedup();
    let is_asked_for = std::env::var("LOADS").is_ok_and(|names| !names.is_empty());
    if !is_asked_for && !std::path::Path::new(chromium::PROGRAM).exists() {
        loads.retain(|load| load.drawn_as != loads::CHROMIUM);
        println!("Without Chromium, which is not installed (apt-get install chromium).");
    }
    for geometry in geometries {
        println!("\nStarting desktops and viewers of {geometry}.");
        let mut stands = vec![Stand::dummy(geometry)];
        stands.extend(servers.iter().map(|server| Stand::of(*server, geometry)));
        for load in loads.iter().filter(|load| load.geometry == geometry) {
            results.extend(run_load(load, &mut stands));
        }
    }
    println!("\n{}", table::LEGEND);
    if let Some(before) = compared {
        println!("\n{}", table::comparison(&before, &results));
    }
    let path = std::env::var_os("JSON").map_or(output_folder().join("figures.json"), PathBuf::from);
    table::write(&path, &results);
    println!(
        "\nFigures are in {}, pictures of what each viewer showed in {}.",
        path.display(),
        output_folder().display()
    );
    let failed = results
        .iter()
        .filter(|figures| figures.failure.is_some())
        .count();
    assert_eq!(failed, 0, "so many could not be measured");
}
