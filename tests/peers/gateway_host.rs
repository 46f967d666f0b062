//! A host with many users: a systemd of its own in namespaces, with the machine's files but its own `/run`, `/tmp` and
//! control groups, and the gateway in it.
//!
//! It makes accounts and files of PAM's rules on this machine and takes them away again, so it is for root on a machine
//! of no other use, and only on demand: `cargo test --test peers -- --ignored gateway`.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::instruments::{product, sound_peer, spice_peer, workspace, x_draw, x_film};
use crate::process::{Running, wait_until};

pub(crate) const BOOT_TIMEOUT: Duration = Duration::from_secs(30);
const MARK_TIMEOUT: Duration = Duration::from_secs(30);

/// What a client may take to answer beyond the time of its command.
const ANSWER_MARGIN: Duration = Duration::from_secs(20);

/// The account of the gateway.
const GATEWAY: &str = "caraway-gateway";

/// Where PAM's rules lie on this machine.
const RULES: &str = "/etc/pam.d/caraway-gateway";

const INIT: &str = "mount --make-rprivate / && mount --make-rshared / && mount -t proc proc /proc && \
    mount -t tmpfs tmpfs /run && mkdir -p /run/lock /run/systemd/system && { umount -R /sys/fs/cgroup; \
    mount -t cgroup2 cgroup2 /sys/fs/cgroup; } && mount -t tmpfs tmpfs /tmp -o mode=1777 && \
    container=test exec /lib/systemd/systemd --system --unit=multi-user.target";

/// What runs in each desktop: a picture that no other user's desktop has, a window that answers keys, a film, or a
/// sound once it is there, as the file `mode` in the user's home says.
const SESSION: &str = r#"case $(cat ~/mode 2>/dev/null) in
typing) sleep infinity | X_DRAW typing ;;
tone) while ! [ -e ~/play ]; do sleep 0.1; done; paplay ~/play; sleep infinity ;;
film) sleep infinity | X_FILM 100 100 640 360 1000000 ;;
*) sleep infinity | X_DRAW random $(id -u) 2000 1 ;;
esac >/dev/null
"#;

/// A booted system with the gateway in it.
pub(crate) struct Host {
    outer: Running,
    init: i32,
    port: u16,
    folder: tempfile::TempDir,
    made: Vec<String>,
}

impl Host {
    /// Boots it with accounts for `users`, whose passwords are `secret_of` theirs.
    pub(crate) fn boot(settings: &str, users: &[&str]) -> Self {
        let mut made = Vec::new();
        let mut passwords = String::new();
        for user in users.iter().chain([&GATEWAY]) {
            if !call(Command::new("id").arg(user)) {
                let home = if *user == GATEWAY { "-rM" } else { "-m" };
                assert!(call(Command::new("useradd").args([home, user])));
                made.push((*user).to_owned());
            }
            if *user != GATEWAY {
                passwords.push_str(&format!("{user}:{}\n", secret_of(user)));
            }
        }
        let line = format!("printf '{passwords}' | chpasswd");
        assert!(call(Command::new("sh").args(["-c", &line])));
        fs::copy(
            workspace().join("launcher/units/system/caraway-gateway.pam"),
            RULES,
        )
        .unwrap();
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
        let session = SESSION
            .replace("X_DRAW", x_draw().to_str().unwrap())
            .replace("X_FILM", x_film().to_str().unwrap());
        host.write("/run/session.sh", &session);
        host.install(product("caraway").parent().unwrap(), settings);
        host
    }

    /// Installs the programs of `folder`, and starts them with these settings.
    pub(crate) fn install(&self, folder: &Path, settings: &str) {
        let command = match settings.contains("command =") {
            true => "",
            false => "command = [\"sh\", \"/run/session.sh\"]",
        };
        let settings = format!(
            "listen = [\"127.0.0.1:{}\"]\n{command}\n{settings}",
            self.port
        );
        self.write("/run/gateway.conf", &settings);
        for unit in ["caraway-broker", "caraway-gateway"] {
            let file = format!("launcher/units/system/{unit}.service");
            let text = fs::read_to_string(workspace().join(file)).unwrap();
            let program = format!("ExecStart=/usr/lib/caraway/{unit}");
            assert!(text.contains(&program));
            let text = text.replace(&program, &format!("{program} --config /run/gateway.conf"));
            let text = text.replace("/usr/lib/caraway/", &format!("{}/", folder.display()));
            self.write(&format!("/run/systemd/system/{unit}.service"), &text);
        }
        self.run("systemctl daemon-reload && systemctl restart caraway-broker caraway-gateway");
        let certificate = self.run("cat /var/lib/caraway-gateway/caraway/certificate.pem");
        fs::write(self.certificate(), certificate).unwrap();
    }

    /// Replaces PAM's rules.
    pub(crate) fn rules(&self, text: &str) {
        fs::write(RULES, text).unwrap();
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// Writes a file inside.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let draft = self.folder.path().join("draft");
        fs::write(&draft, text).unwrap();
        fs::copy(draft, self.inside(path)).unwrap();
    }

    /// The way to a file inside from here.
    pub(crate) fn inside(&self, path: &str) -> String {
        format!("/proc/{}/root{path}", self.init)
    }

    /// Runs a line of shell inside, as root; gives what it prints.
    pub(crate) fn run(&self, line: &str) -> String {
        let output = Command::new("nsenter")
            .args(self.enter_words())
            .args(["sh", "-c", line])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn enter_words(&self) -> Vec<String> {
        let init = self.init.to_string();
        let words = ["-t", &init, "-m", "-p", "-u", "-i", "-C", "--"];
        words.map(str::to_owned).to_vec()
    }

    /// Kills a unit's process, and waits for the next one: systemd notices the end a moment later.
    pub(crate) fn kill_unit(&self, unit: &str) {
        let pid = format!("systemctl show -p MainPID --value {unit}");
        self.run(&format!(
            "pid=$({pid}); systemctl kill -s KILL {unit}; \
             until [ $({pid}) != $pid ] && systemctl is-active {unit}; do sleep 0.1; done"
        ));
    }

    /// Runs a line of shell inside, as a user.
    pub(crate) fn run_as(&self, user: &str, line: &str) -> String {
        let uid = self.uid(user);
        self.run(&format!(
            "runuser -u {user} -- env HOME=/home/{user} XDG_RUNTIME_DIR=/run/user/{uid} sh -c '{line}'"
        ))
    }

    pub(crate) fn uid(&self, user: &str) -> u32 {
        let user = nix::unistd::User::from_name(user).unwrap();
        user.unwrap().uid.as_raw()
    }

    /// A client that connects; with the answer to its waiting for a picture.
    pub(crate) fn visit(&self, user: &str, password: &str) -> (Visitor, Value) {
        let mut visitor = self.visitor(user);
        let answer = visitor.connect(password);
        (visitor, answer)
    }

    /// A client that has not connected yet. It runs inside, where the displays are.
    pub(crate) fn visitor(&self, user: &str) -> Visitor {
        // Nobody who is no user has a display.
        let uid = nix::unistd::User::from_name(user).unwrap();
        let uid = uid.map_or(0, |user| user.uid.as_raw());
        let cookie = format!("XAUTHORITY=/run/user/{uid}/caraway/remote/xauth");
        let process = Running::start(Path::new("/usr/bin/nsenter"), Stdio::inherit(), |command| {
            command.args(self.enter_words());
            command.args(["env", &cookie]).arg(spice_peer());
            command
                .env("PEER_CA_FILE", self.inside_certificate())
                .env("PEER_USERNAME", user);
        });
        Visitor {
            process,
            user: user.to_owned(),
            uri: format!("spice://127.0.0.1?tls-port={}", self.port),
        }
    }

    /// A client of the user's that listens, and writes what it hears to that file inside.
    pub(crate) fn listener(&self, user: &str, file: &str) -> Running {
        let uri = format!("spice://127.0.0.1?tls-port={}", self.port);
        Running::start(Path::new("/usr/bin/nsenter"), Stdio::inherit(), |command| {
            command.args(self.enter_words());
            command.arg(sound_peer()).args([&uri, file]);
            command
                .env("PEER_CA_FILE", self.inside_certificate())
                .env("PEER_PASSWORD", secret_of(user))
                .env("PEER_USERNAME", user);
        })
    }

    /// The certificate where who is inside finds it.
    fn inside_certificate(&self) -> &'static str {
        "/var/lib/caraway-gateway/caraway/certificate.pem"
    }

    /// A client with its user's desktop before it.
    pub(crate) fn enter(&self, user: &str) -> Visitor {
        let (visitor, answer) = self.visit(user, &secret_of(user));
        assert_eq!(answer["ok"], true, "{user}: {answer}\n{}", self.journal());
        visitor
    }

    /// What gateway and broker have said last.
    pub(crate) fn journal(&self) -> String {
        self.run("journalctl --no-pager -n 60 -u caraway-gateway -u caraway-broker")
    }

    /// The Xorg processes of a user.
    pub(crate) fn xorgs(&self, user: &str) -> Vec<String> {
        let list = self.run(&format!("pgrep -u {user} -x Xorg"));
        list.lines().map(str::to_owned).collect()
    }

    /// What `caraway status --json` says of a user's desktop.
    pub(crate) fn desktop(&self, user: &str) -> Value {
        let caraway = product("caraway");
        let line = format!("{} status remote --json", caraway.display());
        let told = self.run_as(user, &line);
        serde_json::from_str(&told).unwrap_or_else(|error| panic!("{user}: {told:?}: {error}"))
    }

    /// A process of the user's desktop, by its number inside.
    pub(crate) fn pid(&self, user: &str, part: &str) -> i64 {
        self.desktop(user)["pids"][part].as_i64().unwrap_or(0)
    }

    pub(crate) fn is_slice_of_user(&self, pid: &str, user: &str) -> bool {
        let group = self.run(&format!("cat /proc/{pid}/cgroup"));
        group.contains(&format!("/user-{}.slice/session-", self.uid(user)))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let init = self.init.to_string();
        call(Command::new("kill").args(["-KILL", &init]));
        let _ = fs::remove_file(RULES);
        wait_until(BOOT_TIMEOUT, || !self.outer.is_running());
        for user in &self.made {
            call(Command::new("userdel").args(["-rf", user]));
        }
    }
}

/// A user with a client.
pub(crate) struct Visitor {
    process: Running,
    user: String,
    uri: String,
}

impl Visitor {
    /// Connects, and gives the answer to waiting for a picture.
    pub(crate) fn connect(&mut self, password: &str) -> Value {
        let uri = self.uri.clone();
        self.ask(&format!("connect {uri} {password}"), Duration::ZERO);
        let wait = format!("wait-mark {}", MARK_TIMEOUT.as_millis());
        self.ask(&wait, MARK_TIMEOUT)
    }

    /// Starts to connect, and to wait for a picture; the answer is fetched later.
    pub(crate) fn begin_connecting(&mut self, password: &str) {
        let uri = self.uri.clone();
        self.ask(&format!("connect {uri} {password}"), Duration::ZERO);
        self.begin(&format!("wait-mark {}", 2 * MARK_TIMEOUT.as_millis()));
    }

    /// Connects to the user's own desktop.
    pub(crate) fn enter(&mut self) {
        let answer = self.connect(&secret_of(&self.user.clone()));
        assert_eq!(answer["ok"], true, "{}: {answer}", self.user);
    }

    /// One command that may take `timeout` by itself.
    pub(crate) fn ask(&mut self, command: &str, timeout: Duration) -> Value {
        self.process.send(command);
        self.process.json(timeout + ANSWER_MARGIN)
    }

    /// Starts a command whose answer is fetched later.
    pub(crate) fn begin(&mut self, command: &str) {
        self.process.send(command);
    }

    pub(crate) fn answer(&mut self, timeout: Duration) -> Value {
        self.process.json(timeout + ANSWER_MARGIN)
    }

    /// Holds the picture to that display's root window, to the last pixel.
    pub(crate) fn hold_exact(&mut self, display: &str, timeout: Duration) -> Value {
        let command = format!("wait-exact {display} {}", timeout.as_millis());
        let answer = self.ask(&command, timeout);
        assert_eq!(answer["ok"], true, "{} {display}: {answer}", self.user);
        answer
    }
}

/// The password that a user has here.
pub(crate) fn secret_of(user: &str) -> String {
    format!("{user}-secret")
}

/// Whether a client that was let in is shown a sentence in place of a desktop.
pub(crate) fn is_notice(answer: &Value) -> bool {
    (&answer["width"], &answer["height"]) == (&Value::from(848), &Value::from(464))
}

fn call(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
