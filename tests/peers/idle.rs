//! An idle desktop costs nothing.

use std::time::Duration;

use crate::desktop::Desktop;
use crate::figure::at_most;
use crate::process::cpu_time;
use crate::watcher::Watcher;

const MEASURED: Duration = Duration::from_secs(30);

/// Start-up work (fonts, first picture, the session's own) is over by then.
const SETTLING: Duration = Duration::from_secs(5);

/// CPU of driver and server together, percent of one core.
const IDLE_PERCENT_MAX: f64 = 0.1;

#[test]
fn an_idle_desktop_with_a_client_uses_no_measurable_cpu() {
    // It is its own processes' time that counts.
    let _others = crate::beside_others();
    let desktop = Desktop::subject("1920x1080");
    let drawing = desktop.draw(&["random", "7", "2000", "1"]);
    let mut watcher = Watcher::connect(&desktop);
    drawing.event("done", Duration::from_secs(20));
    watcher
        .wait_exact(Duration::from_secs(10))
        .unwrap_or_else(|wrong| panic!("{}", wrong.answer));
    watcher.idle(SETTLING);
    let pids = desktop.cost_pids();
    assert_eq!(pids.len(), 2, "Xorg and caraway-server: {pids:?}");
    let spent = || pids.iter().map(|pid| cpu_time(*pid)).collect::<Vec<_>>();
    let before = spent();
    watcher.idle(MEASURED);
    for ((pid, before), after) in pids.iter().zip(&before).zip(spent()) {
        eprintln!(
            "figure: process {pid} used {:?} of {MEASURED:?}",
            after - *before
        );
    }
    let total: Duration = spent().iter().sum::<Duration>() - before.iter().sum::<Duration>();
    let percent = 100.0 * total.as_secs_f64() / MEASURED.as_secs_f64();
    at_most("CPU of an idle desktop", percent, IDLE_PERCENT_MAX, "%");
}
