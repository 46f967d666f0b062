//! What the many-user host survives, in a real systemd: upgrades, `kill -9` of each of its programs, and programs that
//! hang.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::figure::at_most;
use crate::gateway_host::{Host, Visitor, secret_of};
use crate::instruments::{output_folder, product};
use crate::process::wait_until;

const ALICE: &str = "cwtest-alice";
const BOB: &str = "cwtest-bob";
const CAROL: &str = "cwtest-carol";
const ALL: [&str; 3] = [ALICE, BOB, CAROL];

/// Until a client that comes again has the picture.
const EXACT_AFTER_MS: f64 = 1000.0;

const PATIENCE: Duration = Duration::from_secs(20);

/// The broker's keeper gives a launcher a minute.
const WATCHDOG_TIMEOUT: Duration = Duration::from_secs(80);

/// Three seconds for the programs, one for each daemon, and a busy machine.
const ENDED_AFTER_S: f64 = 10.0;

/// What systemd gives a desktop's unit.
const STOP_MAX: Duration = Duration::from_secs(40);

const PROGRAMS: [&str; 5] = [
    "caraway",
    "caraway-broker",
    "caraway-gateway",
    "caraway-server",
    "caraway_drv.so",
];

/// An installation of its own, which is replaced as packages do it: file by file, by renaming.
struct Installation(PathBuf);

impl Installation {
    fn new() -> Self {
        let folder = output_folder().join("installed");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        let installation = Self(folder);
        installation.replace();
        installation
    }

    fn replace(&self) {
        for name in PROGRAMS {
            let draft = self.0.join("draft");
            fs::copy(product(name), &draft).unwrap();
            fs::rename(draft, self.0.join(name)).unwrap();
        }
    }

    fn inode(&self, name: &str) -> u64 {
        fs::metadata(self.0.join(name)).unwrap().ino()
    }

    /// Whether that process, by its number inside, runs what is installed now.
    fn is_run_by(&self, host: &Host, pid: i64, name: &str) -> bool {
        let told = host.run(&format!("stat -L -c %i /proc/{pid}/exe"));
        told.trim() == self.inode(name).to_string()
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// All users with their clients, each with the picture before them; with displays and Xorgs.
fn all_enter(host: &Host) -> Vec<(&'static str, Visitor, String, i64)> {
    let enter = |user| {
        let mut visitor = host.enter(user);
        let display = host.desktop(user)["display"].as_str().unwrap().to_owned();
        visitor.hold_exact(&display, PATIENCE);
        (user, visitor, display, host.pid(user, "xorg"))
    };
    ALL.into_iter().map(enter).collect()
}

#[test]
#[ignore = "boots a systemd and makes accounts on this machine, as root"]
fn gateway_upgrades_under_three_connected_sessions() {
    let _alone = crate::alone();
    let host = Host::boot("", &ALL);
    let installed = Installation::new();
    host.install(&installed.0, "");
    let mut sessions = all_enter(&host);
    installed.replace();
    let caraway = installed.0.join("caraway");
    for (user, ..) in &sessions {
        assert!(!installed.is_run_by(&host, host.pid(user, "server"), "caraway-server"));
        host.run_as(user, &format!("{} upgrade remote", caraway.display()));
    }
    host.run("systemctl restart caraway-broker caraway-gateway");
    for (user, visitor, ..) in &mut sessions {
        let closed = visitor.ask("wait-closed 10000", PATIENCE);
        assert_eq!(closed["ok"], true, "{user}: {closed}");
    }
    for (user, visitor, display, xorg) in &mut sessions {
        visitor.enter();
        let exact = visitor.hold_exact(display, PATIENCE);
        let took_ms = exact["picture_us"].as_f64().unwrap() / 1000.0;
        at_most(
            "exact after an upgrade, since reconnecting",
            took_ms,
            EXACT_AFTER_MS,
            "ms",
        );
        assert_eq!(host.pid(user, "xorg"), *xorg, "{user}'s desktop lives");
        for (part, program) in [("server", "caraway-server"), ("launcher", "caraway")] {
            let pid = host.pid(user, part);
            assert!(
                installed.is_run_by(&host, pid, program),
                "{user}: the old {part} runs on"
            );
        }
    }
}

/// The number of a part of a user's desktop, once it is another one.
fn next_pid(host: &Host, user: &str, part: &str, before: i64, patience: Duration) -> i64 {
    let mut next = before;
    let has_come = wait_until(patience, || {
        let caraway = product("caraway");
        let line = format!("{} status remote --json", caraway.display());
        let told: Option<serde_json::Value> = serde_json::from_str(&host.run_as(user, &line)).ok();
        next = told
            .and_then(|told| told["pids"][part].as_i64())
            .unwrap_or(before);
        next != before
    });
    assert!(has_come, "no other {part} of {user}\n{}", host.journal());
    next
}

#[test]
#[ignore = "boots a systemd and makes accounts on this machine, as root"]
fn gateway_loses_no_desktop_to_kill_9() {
    let _alone = crate::alone();
    let host = Host::boot("", &ALL);
    fs::write(Path::new("/home").join(BOB).join("mode"), "film").unwrap();
    fs::write(Path::new("/home").join(CAROL).join("mode"), "typing").unwrap();
    let mut alice = host.enter(ALICE);
    let display = host.desktop(ALICE)["display"].as_str().unwrap().to_owned();
    let mut bob = host.enter(BOB);
    let mut carol = host.enter(CAROL);
    let xorgs: Vec<_> = ALL.iter().map(|user| host.xorgs(user)).collect();
    let types = |carol: &mut Visitor| {
        let answer = carol.ask("key-to-pixel 0x1e 200 200 5000", PATIENCE);
        assert_eq!(answer["ok"], true, "{answer}");
    };
    let come_back = |visitors: [&mut Visitor; 3]| {
        for (visitor, user) in visitors.into_iter().zip(ALL) {
            let answer = visitor.ask("wait-closed 10000", PATIENCE);
            assert_eq!(answer["ok"], true, "{user}");
            visitor.enter();
        }
    };
    types(&mut carol);
    alice.hold_exact(&display, PATIENCE);
    for round in 0..2 {
        for user in ALL {
            let launcher = host.pid(user, "launcher");
            host.run(&format!("kill -9 {launcher}"));
            next_pid(&host, user, "launcher", launcher, PATIENCE);
        }
        // Nobody has noticed.
        alice.hold_exact(&display, PATIENCE);
        types(&mut carol);
        for user in ALL {
            let server = host.pid(user, "server");
            host.run(&format!("kill -9 {server}"));
            next_pid(&host, user, "server", server, PATIENCE);
        }
        come_back([&mut alice, &mut bob, &mut carol]);
        alice.hold_exact(&display, PATIENCE);
        types(&mut carol);
        // The broker is missed by nobody who is there, and there again for who comes.
        host.kill_unit("caraway-broker");
        alice.hold_exact(&display, PATIENCE);
        types(&mut carol);
        drop(host.enter(ALICE));
        host.kill_unit("caraway-gateway");
        come_back([&mut alice, &mut bob, &mut carol]);
        alice.hold_exact(&display, PATIENCE);
        types(&mut carol);
        let now: Vec<_> = ALL.iter().map(|user| host.xorgs(user)).collect();
        assert_eq!(now, xorgs, "the same desktops after round {round}");
    }
    // Who ends a desktop ends all of it.
    let caraway = product("caraway");
    host.run_as(ALICE, &format!("{} stop remote", caraway.display()));
    let is_gone = || host.run(&format!("pgrep -u {ALICE} -f caraway")).is_empty();
    assert!(wait_until(PATIENCE, is_gone), "something is left");
    let _again = host.enter(ALICE);
    assert_ne!(host.xorgs(ALICE), xorgs[0]);
}

/// A program that hears no request to end, and one that has been stopped.
const STUBBORN: &str = "command = [\"sh\", \"-c\", \"trap : TERM HUP; sh -c 'kill -STOP $$' & \
    while :; do sleep 1000; done\"]";

#[test]
#[ignore = "boots a systemd and makes accounts on this machine, as root"]
fn gateway_ends_stubborn_desktops_in_time() {
    let _alone = crate::alone();
    let host = Host::boot(STUBBORN, &[ALICE, BOB]);
    let caraway = product("caraway");
    let stop = format!("{} stop remote", caraway.display());
    type End<'a> = (&'a str, &'a dyn Fn());
    let by_stop: End<'_> = (ALICE, &|| drop(host.run_as(ALICE, &stop)));
    let by_logind: End<'_> = (BOB, &|| {
        drop(host.run(&format!("loginctl terminate-user {BOB}")))
    });
    for (user, end) in [by_stop, by_logind] {
        let mut visitor = host.visitor(user);
        visitor.connect(&secret_of(user));
        let xorgs = host.xorgs(user);
        assert_eq!(xorgs.len(), 1, "{user}\n{}", host.journal());
        let begun = Instant::now();
        end();
        let line = format!("pgrep -u {user} \"caraway|Xorg|sh\"");
        let is_gone = || host.run(&line).is_empty();
        assert!(wait_until(STOP_MAX, is_gone), "{user}: {}", host.run(&line));
        let what = format!("a stubborn desktop of {user} has ended");
        at_most(&what, begun.elapsed().as_secs_f64(), ENDED_AFTER_S, "s");
    }
}

#[test]
#[ignore = "boots a systemd and makes accounts on this machine, as root; takes minutes"]
fn gateway_replaces_a_launcher_that_hangs() {
    let _alone = crate::alone();
    let host = Host::boot("", &[ALICE]);
    let mut alice = host.enter(ALICE);
    let desktop = host.desktop(ALICE);
    let display = desktop["display"].as_str().unwrap().to_owned();
    let (xorg, launcher) = (host.xorgs(ALICE), host.pid(ALICE, "launcher"));
    host.run(&format!("kill -STOP {launcher}"));
    let is_gone = || host.run(&format!("ls -d /proc/{launcher}")).is_empty();
    assert!(wait_until(WATCHDOG_TIMEOUT, is_gone), "it hangs on");
    next_pid(&host, ALICE, "launcher", launcher, PATIENCE);
    alice.hold_exact(&display, PATIENCE);
    assert_eq!(host.xorgs(ALICE), xorg);
}
