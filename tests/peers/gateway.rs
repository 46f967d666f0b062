//! The many-user host in a real systemd: accounts, PAM, logind and units, with spice-gtk's library as the client.
//!
//! Boots a systemd of its own in namespaces, with the machine's files but its own `/run`, `/tmp` and control groups. It
//! makes two accounts and one file of PAM's rules on this machine and takes them away again, so it is for root on a
//! machine of no other use, and only on demand:
//! `cargo test --test peers -- --ignored gateway`.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::instruments::{product, spice_peer, workspace};
use crate::process::{Running, wait_until};

const BOOT_TIMEOUT: Duration = Duration::from_secs(30);
const MARK_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a desktop may take from a client's first byte to its picture.
const FIRST_PICTURE_MAX: Duration = Duration::from_secs(5);

const ALICE: &str = "cwtest-alice";
const BOB: &str = "cwtest-bob";
const GATEWAY: &str = "caraway-gateway";

const INIT: &str = "mount --make-rprivate / && mount --make-rshared / && mount -t proc proc /proc && \
    mount -t tmpfs tmpfs /run && mkdir -p /run/lock /run/systemd/system && { umount -R /sys/fs/cgroup; \
    mount -t cgroup2 cgroup2 /sys/fs/cgroup; } && mount -t tmpfs tmpfs /tmp -o mode=1777 && \
    container=test exec /lib/systemd/systemd --system --unit=multi-user.target";

/// A booted system with the gateway in it.
struct Host {
    outer: Running,
    init: i32,
    port: u16,
    folder: tempfile::TempDir,
    made: Vec<&'static str>,
}

impl Host {
    fn boot(settings: &str) -> Self {
        let mut made = Vec::new();
        for user in [ALICE, BOB, GATEWAY] {
            if !call(Command::new("id").arg(user)) {
                let home = if user == GATEWAY { "-rM" } else { "-m" };
                assert!(call(Command::new("useradd").args([home, user])));
                made.push(user);
            }
        }
        for user in [ALICE, BOB] {
            let line = format!("echo {user}:{user}-secret | chpasswd");
            assert!(call(Command::new("sh").args(["-c", &line])));
        }
        let rules = workspace().join("launcher/units/system/caraway-gateway.pam");
        fs::copy(rules, "/etc/pam.d/caraway-gateway").unwrap();
        let flags = [
            "--mount",
            "--pid",
            "--fork",
            "--uts",
            "--ipc",
            "--cgroup",
            "--kill-child",
        ];
        let outer = Running::start(Path::new("/usr/bin/unshare"), Stdio::null(), |command| {
            command.args(flags).args(["sh", "-c", INIT]);
        });
        let pid = outer.pid().to_string();
        let mut init = 0;
        assert!(wait_until(BOOT_TIMEOUT, || {
            let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
            init = children
                .ok()
                .and_then(|list| list.trim().parse().ok())
                .unwrap_or(0);
            init != 0
        }));
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let folder = tempfile::tempdir().unwrap();
        let host = Self {
            outer,
            init,
            port,
            folder,
            made,
        };
        let is_up = || {
            matches!(
                host.run("systemctl is-system-running").trim(),
                "running" | "degraded"
            )
        };
        assert!(wait_until(BOOT_TIMEOUT, is_up), "systemd does not come up");
        host.install(settings);
        host
    }

    fn install(&self, settings: &str) {
        let settings = format!("listen = [\"127.0.0.1:{}\"]\n{settings}", self.port);
        self.write("/run/gateway.conf", &settings);
        let folder = product("caraway");
        let folder = folder.parent().unwrap().display();
        for unit in ["caraway-broker", "caraway-gateway"] {
            let file = format!("launcher/units/system/{unit}.service");
            let text = fs::read_to_string(workspace().join(file)).unwrap();
            let program = format!("ExecStart=/usr/lib/caraway/{unit}");
            assert!(text.contains(&program));
            let text = text.replace(&program, &format!("{program} --config /run/gateway.conf"));
            let text = text.replace("/usr/lib/caraway/", &format!("{folder}/"));
            self.write(&format!("/run/systemd/system/{unit}.service"), &text);
        }
        self.run("systemctl daemon-reload && systemctl start caraway-broker caraway-gateway");
        let certificate = self.run("cat /var/lib/caraway-gateway/caraway/certificate.pem");
        fs::write(self.certificate(), certificate).unwrap();
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    fn write(&self, path: &str, text: &str) {
        let draft = self.folder.path().join("draft");
        fs::write(&draft, text).unwrap();
        let root = format!("/proc/{}/root{path}", self.init);
        fs::copy(draft, root).unwrap();
    }

    /// Runs a line of shell inside, as root; gives what it prints.
    fn run(&self, line: &str) -> String {
        let init = self.init.to_string();
        let output = Command::new("nsenter")
            .args([
                "-t", &init, "-m", "-p", "-u", "-i", "-C", "--", "sh", "-c", line,
            ])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// A client that connects; gives the answer to its waiting for a picture.
    fn visit(&self, user: &str, password: &str) -> (Running, Value) {
        let mut client = Running::start(spice_peer(), Stdio::inherit(), |command| {
            command
                .env("PEER_CA_FILE", self.certificate())
                .env("PEER_USERNAME", user);
        });
        client.send(&format!(
            "connect spice://127.0.0.1?tls-port={} {password}",
            self.port
        ));
        client.json(MARK_TIMEOUT);
        client.send(&format!("wait-mark {}", MARK_TIMEOUT.as_millis()));
        let answer = client.json(2 * MARK_TIMEOUT);
        (client, answer)
    }

    fn enter(&self, user: &str) -> Running {
        let (client, answer) = self.visit(user, &format!("{user}-secret"));
        let log = || self.run("journalctl --no-pager -n 40 -u caraway-gateway -u caraway-broker");
        assert_eq!(answer["ok"], true, "{user}: {answer}\n{}", log());
        client
    }

    /// The Xorg processes of a user.
    fn xorgs(&self, user: &str) -> Vec<String> {
        let list = self.run(&format!("pgrep -u {user} -x Xorg"));
        list.lines().map(str::to_owned).collect()
    }

    fn is_slice_of_user(&self, pid: &str, user: &str) -> bool {
        let uid = self.run(&format!("id -u {user}"));
        let group = self.run(&format!("cat /proc/{pid}/cgroup"));
        group.contains(&format!("/user-{}.slice/session-", uid.trim()))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let init = self.init.to_string();
        call(Command::new("kill").args(["-KILL", &init]));
        let _ = fs::remove_file("/etc/pam.d/caraway-gateway");
        wait_until(BOOT_TIMEOUT, || !self.outer.is_running());
        for user in &self.made {
            call(Command::new("userdel").args(["-rf", user]));
        }
    }
}

fn call(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[test]
#[ignore = "boots a systemd and makes accounts on this machine, as root"]
fn gateway_gives_each_user_their_own_desktop_and_the_same_again() {
    let _alone = crate::alone();
    let host = Host::boot("command = [\"sleep\", \"infinity\"]");
    let begun = Instant::now();
    let alice = host.enter(ALICE);
    let took = begun.elapsed();
    assert!(took <= FIRST_PICTURE_MAX, "{took:?}");
    let first = host.xorgs(ALICE);
    assert_eq!(first.len(), 1);
    assert!(host.is_slice_of_user(&first[0], ALICE));
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
        host.run(&format!("systemctl kill -s KILL {unit}"));
        host.run(&format!(
            "until systemctl is-active {unit}; do sleep 0.1; done"
        ));
        let _client = host.enter(ALICE);
        assert_eq!(host.xorgs(ALICE), first, "after kill -9 of {unit}");
    }
}

#[test]
#[ignore = "boots a systemd and makes accounts on this machine, as root"]
fn gateway_answers_honestly_to_who_is_logged_in_already() {
    let _alone = crate::alone();
    let command = "command = [\"sleep\", \"infinity\"]\n";
    let host = Host::boot(command);
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
        host.install(&format!("{command}existing-session = \"{policy}\""));
        host.run("systemctl restart caraway-gateway");
    };
    let (client, answer) = host.visit(BOB, "cwtest-bob-secret");
    // A picture all the same: the sentence.
    assert_eq!(
        (&answer["ok"], &answer["width"]),
        (&Value::from(true), &Value::from(656)),
        "{answer}"
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
