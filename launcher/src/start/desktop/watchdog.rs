//! Whether this launcher and its server are well, told and asked at the pace of the service manager's watchdog. Where
//! no manager asks nothing ticks: an idle desktop costs nothing.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::control::Facts;
use crate::units::notify::{Manager, watchdog_period};

/// Questions one after another that a server leaves without an answer before it is taken for hung. Each waits for some
/// seconds already, so one may be bad luck on a host that swaps.
const UNANSWERED_MAX: u32 = 2;

/// Starts to tell the manager, if it wants to hear it. What comes back says that the server hangs.
pub(super) fn start(facts: watch::Receiver<Facts>) -> mpsc::Receiver<()> {
    let (hangs, told) = mpsc::channel(1);
    if let (Some(period), Some(manager)) = (watchdog_period(), Manager::find()) {
        tokio::spawn(feed(manager, period));
        tokio::spawn(ask_server(facts, period, hangs));
    }
    told
}

/// Says again and again that this loop turns; the manager kills the launcher, and starts another, when it does not.
async fn feed(manager: Manager, period: Duration) {
    loop {
        // A manager that is gone has no dog either.
        let _ = manager.say("WATCHDOG=1\n");
        sleep(period).await;
    }
}

/// Asks the server again and again how it is.
async fn ask_server(facts: watch::Receiver<Facts>, period: Duration, hangs: mpsc::Sender<()>) {
    let mut unanswered = 0;
    loop {
        sleep(period).await;
        let server = facts.borrow().server.clone();
        let is_silent = match server {
            Some(server) => server.get().await.is_none(),
            None => false,
        };
        unanswered = if is_silent { unanswered + 1 } else { 0 };
        if UNANSWERED_MAX <= unanswered {
            unanswered = 0;
            if hangs.send(()).await.is_err() {
                return;
            }
        }
    }
}
