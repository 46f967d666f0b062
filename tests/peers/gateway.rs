//! The many-user host in a real systemd: accounts, PAM, logind and units, with spice-gtk's library as the client.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::gateway_host::{BOOT_TIMEOUT, Host, is_notice};
use crate::instruments::product;
use crate::process::{Running, wait_until};
use crate::tone::{self, Heard};

/// How long a desktop may take from a client's first byte to its picture.
const FIRST_PICTURE_MAX: Duration = Duration::from_secs(5);

/// How long a desktop, its sound daemon and a sound may take.
const SOUND_TIMEOUT: Duration = Duration::from_secs(20);

const ALICE: &str = "cwtest-alice";
const BOB: &str = "cwtest-bob";

#[test]
#[ignore = "boots a systemd and makes accounts on this machine, as root"]
fn gateway_gives_each_user_their_own_desktop_and_the_same_again() {
    let _alone = crate::alone();
    let host = Host::boot("", &[ALICE, BOB]);
    let begun = Instant::now();
    let alice = host.enter(ALICE);
    let took = begun.elapsed();
    assert!(took <= FIRST_PICTURE_MAX, "{took:?}");
    let first = host.xorgs(ALICE);
    assert_eq!(first.len(), 1);
    assert!(host.is_slice_of_user(&first[0], ALICE));
    let told = host.desktop(ALICE);
    let from = told["clients"][0]["peer"].as_str().unwrap_or_default();
    assert!(from.starts_with("127.0.0.1:"), "{told}");
    let _bob = host.enter(BOB);
    assert_eq!(host.xorgs(BOB).len(), 1);
    let session = host.run(&format!("loginctl show-user {ALICE} -p Display --value"));
    let about = host.run(&format!(
        "loginctl show-session {} -p Type -p Class -p Remote -p Service",
        session.trim()
    ));
    for fact in [
        "Type=x11",
        "Class=user",
        "Remote=yes",
        "Service=caraway-gateway",
    ] {
        assert!(about.contains(fact), "{about}");
    }
    drop(alice);
    let _again = host.enter(ALICE);
    assert_eq!(host.xorgs(ALICE), first, "the same desktop");
    for (user, password) in [
        (ALICE, "wrong"),
        ("root", "wrong"),
        (ALICE, "cwtest-bob-secret"),
    ] {
        let (_client, answer) = host.visit(user, password);
        assert_eq!(answer["error"], "auth", "{user}: {answer}");
    }
    for unit in ["caraway-broker", "caraway-gateway"] {
        host.kill_unit(unit);
        let _client = host.enter(ALICE);
        assert_eq!(host.xorgs(ALICE), first, "after kill -9 of {unit}");
    }
}

#[test]
#[ignore = "boots a systemd and makes accounts on this machine, as root"]
fn gateway_plays_the_desktops_sound() {
    let _alone = crate::alone();
    let host = Host::boot("", &[ALICE]);
    let home = Path::new("/home").join(ALICE);
    fs::write(home.join("mode"), "tone").unwrap();
    let mut listener = host.listener(ALICE, "/run/heard");
    let says = |listener: &Running, word: &str| {
        let mut line = String::new();
        while !line.starts_with(word) {
            let next = listener.try_line(SOUND_TIMEOUT);
            line = next.unwrap_or_else(|| panic!("no {word}\n{}", host.journal()));
        }
    };
    says(&listener, "open");
    // It appears whole.
    tone::write(&home.join("draft"), 1000.0, 3.0);
    fs::rename(home.join("draft"), home.join("play")).unwrap();
    says(&listener, "start");
    says(&listener, "stop");
    listener.stop_input();
    assert_eq!(listener.exit_code(SOUND_TIMEOUT), Some(0));
    let heard = fs::read(host.inside("/run/heard")).unwrap();
    Heard::of(&tone::left_of(&heard), 1000.0).expect(3.0, "through the gateway");
}

#[test]
#[ignore = "boots a systemd and makes accounts on this machine, as root"]
fn gateway_answers_honestly_to_who_is_logged_in_already() {
    let _alone = crate::alone();
    let host = Host::boot("", &[ALICE, BOB]);
    let at_console = || {
        host.run(&format!(
            "systemd-run --collect --unit=console -p PAMName=login -p User={BOB} \
             -p Environment='XDG_SESSION_TYPE=x11 XDG_SESSION_CLASS=user' sleep 1000"
        ));
        assert!(wait_until(BOOT_TIMEOUT, || host
            .run("loginctl list-sessions")
            .contains(BOB)));
    };
    at_console();
    let policy = |policy: &str| {
        let folder = product("caraway");
        let settings = format!("existing-session = \"{policy}\"");
        host.install(folder.parent().unwrap(), &settings);
    };
    let (client, answer) = host.visit(BOB, "cwtest-bob-secret");
    // A picture all the same: the sentence.
    assert!(is_notice(&answer), "{answer}");
    assert!(
        host.journal()
            .contains("refused: You are logged in at the console already")
    );
    assert!(host.xorgs(BOB).is_empty());
    drop(client);
    policy("isolated");
    let client = host.enter(BOB);
    assert_eq!(host.xorgs(BOB).len(), 1);
    assert_eq!(host.run("systemctl is-active console").trim(), "active");
    drop(client);
    host.run(&format!("loginctl terminate-user {BOB}"));
    assert!(wait_until(BOOT_TIMEOUT, || host.xorgs(BOB).is_empty()));
    at_console();
    policy("take-over");
    let _client = host.enter(BOB);
    assert_eq!(host.xorgs(BOB).len(), 1);
    assert_ne!(host.run("systemctl is-active console").trim(), "active");
}

/// A console whose cookie lies where only its processes know.
const CONSOLE: &str = r#"cookie=$HOME/.console-cookie
xauth -f $cookie add :77 . $(mcookie)
Xvfb :77 -screen 0 900x600x24 -auth $cookie -nolisten tcp -noreset &
export DISPLAY=:77 XAUTHORITY=$cookie
exec sleep 1000
"#;

#[test]
#[ignore = "boots a systemd and makes accounts on this machine, as root"]
fn gateway_joins_who_is_at_the_console() {
    let _alone = crate::alone();
    let host = Host::boot("existing-session = \"join\"", &[ALICE, BOB]);
    host.run("mkdir -p -m 1777 /tmp/.X11-unix");
    host.write("/run/console.sh", CONSOLE);
    let log_in = |user: &str, kind: &str, command: &str| {
        host.run(&format!(
            "systemd-run --collect --unit=console-{user} -p PAMName=login -p User={user} \
             -p Environment='XDG_SESSION_TYPE={kind} XDG_SESSION_CLASS=user' {command}"
        ));
        assert!(wait_until(BOOT_TIMEOUT, || host
            .run("loginctl list-sessions")
            .contains(user)));
    };
    log_in(ALICE, "wayland", "sleep 1000");
    let (_refused, answer) = host.visit(ALICE, "cwtest-alice-secret");
    assert!(is_notice(&answer), "{answer}");
    let said = host.journal();
    assert!(said.contains("it is a Wayland session"), "{said}");
    log_in(BOB, "x11", "sh /run/console.sh");
    assert!(wait_until(BOOT_TIMEOUT, || host
        .run("ls /tmp/.X11-unix")
        .contains("X77")));
    let (client, answer) = host.visit(BOB, "cwtest-bob-secret");
    assert_eq!(answer["ok"], true, "{answer}\n{}", host.journal());
    let size = (&answer["width"], &answer["height"]);
    assert_eq!(size, (&900.into(), &600.into()), "{answer}");
    assert_eq!(host.xorgs(BOB).len(), 1);
    drop(client);
    let again = host.enter(BOB);
    assert_eq!(host.xorgs(BOB).len(), 1, "the same desktop");
    // The console's display ends, and with it what showed it.
    drop(again);
    host.run(&format!("pkill -u {BOB} -x Xvfb"));
    assert!(wait_until(BOOT_TIMEOUT, || host.xorgs(BOB).is_empty()));
}
