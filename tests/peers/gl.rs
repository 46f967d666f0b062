//! OpenGL programs work without a graphics card: Mesa draws with the processor, and every frame reaches the clients.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::desktop::Desktop;
use crate::process::Running;
use crate::watcher::Watcher;

/// How long the gears turn.
const TURNING: Duration = Duration::from_secs(2);

#[test]
fn opengl_draws_with_llvmpipe_and_clients_see_it() {
    let _others = crate::beside_others();
    let desktop = Desktop::subject("1024x768");
    let mut watcher = Watcher::connect(&desktop);
    let told = desktop
        .client(Command::new("glxinfo").arg("-B"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("direct rendering: Yes"), "{told}");
    assert!(told.contains("llvmpipe"), "{told}");

    let before = watcher.stats()["invalidations"].as_u64().unwrap();
    let gears = Running::start(Path::new("glxgears"), Stdio::null(), |command| {
        desktop.client(command);
    });
    watcher.idle(TURNING);
    let frames = watcher.stats()["invalidations"].as_u64().unwrap() - before;
    drop(gears);
    // 60 frames a second at most; a busy machine shows fewer, and a broken path one or none.
    assert!(10 < frames, "only {frames} updates while the gears turned");
    watcher
        .wait_exact(Duration::from_secs(5))
        .unwrap_or_else(|wrong| panic!("{}", wrong.answer));
}
