//! Drawing costs X no more than with the dummy driver, though every operation is recorded and a client watches.
//!
//! x11perf's own clock shares the machine with server and client, so what is compared is the CPU time of the X server
//! for a fixed number of repetitions, in pairs that follow each other at once; the median of their ratios counts.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::desktop::Desktop;
use crate::figure::{at_most_within, median};
use crate::process::cpu_time;
use crate::watcher::Watcher;

/// X's CPU time on our driver over that on the dummy driver.
const RATIO_MAX: f64 = 1.05;

/// The promise is held by `make bench`, where there are more pairs on a quieter machine.
const QUICK_MARGIN: f64 = 1.25;

/// Tests of x11perf and repetitions that take X about 300 ms.
const WORK: [(&str, u32); 6] = [
    ("-rect500", 3000),
    ("-copywinwin500", 2000),
    ("-putimage500", 1000),
    ("-shmput500", 2000),
    ("-aa10text", 60000),
    ("-scroll500", 2000),
];

/// CPU time that X spends on one run of x11perf.
fn cost(desktop: &Desktop, test: &str, repetitions: u32) -> Duration {
    let before = cpu_time(desktop.xorg_pid);
    let mut command = Command::new("x11perf");
    command.args(["-repeat", "1", "-reps", &repetitions.to_string(), test]);
    let result = desktop
        .client(&mut command)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        result.status.success(),
        "{}",
        String::from_utf8_lossy(&result.stderr)
    );
    cpu_time(desktop.xorg_pid) - before
}

fn compare(pairs: usize, margin: f64) {
    let ours = Desktop::subject("1920x1080");
    let theirs = Desktop::dummy("1920x1080");
    let mut watcher = Watcher::connect(&ours);
    for (test, repetitions) in WORK {
        // The first run of each loads fonts and pages.
        cost(&ours, test, repetitions / 10);
        cost(&theirs, test, repetitions / 10);
        let ratios: Vec<f64> = (0..pairs)
            .map(|pair| {
                // Whoever goes first meets a warmer or colder machine, so they take turns.
                let (first, second) = if pair % 2 == 0 {
                    (&ours, &theirs)
                } else {
                    (&theirs, &ours)
                };
                let costs = [
                    cost(first, test, repetitions),
                    cost(second, test, repetitions),
                ]
                .map(|c| c.as_secs_f64());
                if pair % 2 == 0 {
                    costs[0] / costs[1]
                } else {
                    costs[1] / costs[0]
                }
            })
            .collect();
        at_most_within(
            &format!("x11perf {test}: CPU of X beside dummy"),
            median(&ratios),
            RATIO_MAX,
            "times",
            margin,
        );
    }
    assert_eq!(watcher.stats()["error"], "", "the client was lost");
}

#[test]
fn drawing_costs_x_hardly_more_than_with_the_dummy_driver() {
    let _alone = crate::alone();
    compare(5, QUICK_MARGIN);
}

#[test]
#[ignore = "minutes long: run by make bench"]
fn bench_drawing_costs_x_within_five_percent_of_the_dummy_driver() {
    let _alone = crate::alone();
    compare(21, 1.0);
}
