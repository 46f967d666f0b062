//! SASL: with spice-gtk's library and Cyrus' mechanisms as the client.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::desktop::Desktop;
use crate::instruments::product;
use crate::link::{LinkMessage, MAIN, NEED_SECURED, Outcome, PERMISSION_DENIED, RawLink};
use crate::process::{child_called, wait_until};
use crate::secure_link::SecureLink;
use crate::watcher::Watcher;

const GEOMETRY: &str = "640x480";

const EXACT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the product promises: see the limits of `base::limits`.
const FAILURE_ANSWERED_AFTER: Duration = Duration::from_millis(600);
const LOGIN_DEADLINE: Duration = Duration::from_secs(8);

/// How far apart two answers may be that must not be told apart, on a busy machine.
const SAME_TIME: Duration = Duration::from_millis(250);

/// What pam_wrapper says when two processes that began at once have chosen one name for their rules.
const PAM_WRAPPER_COLLISION: &str = "Failed to create pam_wrapper config dir";
const PAM_WRAPPER_TRIES: u32 = 3;

/// A home with a made certificate, and the files of users beside it.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file that nobody else can read.
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        path
    }

    fn desktop(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Desktop {
        let fixed = ["--auth", "sasl", "-g", GEOMETRY];
        let listen = ["--tls-listen", "127.0.0.1:0"];
        let arguments = [&fixed, &listen[..], arguments].concat();
        Desktop::caraway_with(&arguments, |command| {
            command.env("XDG_DATA_HOME", self.0.path());
            command.envs(variables.iter().copied());
        })
    }

    /// How a client of that name, with that password, fares. Gives the client, too.
    fn visit(&self, desktop: &Desktop, user: &str, password: &str) -> (Value, Watcher) {
        self.visit_timed(desktop, user, password).1
    }

    /// The same, and how long it took. Comes again where pam_wrapper, not the product, has failed.
    fn visit_timed(
        &self,
        desktop: &Desktop,
        user: &str,
        password: &str,
    ) -> (Duration, (Value, Watcher)) {
        let collisions = || desktop.log().matches(PAM_WRAPPER_COLLISION).count();
        let mut tries = 0;
        loop {
            tries += 1;
            let before = collisions();
            let start = Instant::now();
            let visit = self.visit_once(desktop, user, password);
            let is_theirs = visit.0["ok"] == false && before < collisions();
            if !is_theirs || tries == PAM_WRAPPER_TRIES {
                return (start.elapsed(), visit);
            }
        }
    }

    fn visit_once(&self, desktop: &Desktop, user: &str, password: &str) -> (Value, Watcher) {
        let certificate = self.path("caraway/certificate.pem");
        let variables = [
            ("PEER_CA_FILE", certificate.to_str().unwrap()),
            ("PEER_USERNAME", user),
        ];
        let mut watcher = Watcher::with_environment(desktop, &variables);
        let answer = watcher.open(&desktop.uri, password);
        (answer, watcher)
    }
}

/// The line of the product's own command for a password.
fn line(user: &str, password: &str) -> String {
    let mut command = Command::new(product("caraway"))
        .args(["password", "--scram", user])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = command.stdin.take().unwrap();
    writeln!(input, "{password}").unwrap();
    drop(input);
    let output = command.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// A line for SCRAM-SHA-512, made by another implementation than the product's.
fn line_of_sha_512(user: &str, password: &str) -> String {
    use aws_lc_rs::{digest, hmac, pbkdf2};
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    let (salt, iterations) = (b"salt of a test", std::num::NonZeroU32::new(4096).unwrap());
    let mut salted = [0; 64];
    let algorithm = pbkdf2::PBKDF2_HMAC_SHA512;
    pbkdf2::derive(
        algorithm,
        iterations,
        salt,
        password.as_bytes(),
        &mut salted,
    );
    let key = hmac::Key::new(hmac::HMAC_SHA512, &salted);
    let client_key = hmac::sign(&key, b"Client Key");
    let stored_key = digest::digest(&digest::SHA512, client_key.as_ref());
    let server_key = hmac::sign(&key, b"Server Key");
    let [salt, stored_key, server_key] =
        [salt, stored_key.as_ref(), server_key.as_ref()].map(|bytes| BASE64_STANDARD.encode(bytes));
    format!("{user}:scram-sha-512:{iterations}:{salt}:{stored_key}:{server_key}\n")
}

fn expect_let_in((answer, mut watcher): (Value, Watcher), desktop: &Desktop) -> Watcher {
    assert_eq!(answer["ok"], true, "{answer}\n{}", desktop.log());
    watcher
        .wait_exact(EXACT_TIMEOUT)
        .unwrap_or_else(|differs| panic!("{differs:?}"));
    watcher
}

/// The client's own word for it is that authentication failed. Gives how long that took.
fn expect_denied(home: &Home, desktop: &Desktop, user: &str, password: &str) -> Duration {
    let start = Instant::now();
    let (answer, _watcher) = home.visit(desktop, user, password);
    let took = start.elapsed();
    assert_eq!(answer["ok"], false, "{answer}");
    assert_eq!(answer["error"], "auth", "{answer}\n{}", desktop.log());
    took
}

fn expect_failures(desktop: &Desktop, count: usize) {
    let failed = desktop.await_in_log("authentication failed", count);
    assert_eq!(failed, count, "{}", desktop.log());
}

#[test]
fn scram_lets_in_users_of_the_file_and_nobody_else() {
    let _others = crate::beside_others();
    let home = Home::new();
    let file = home.write("users", &line("alice", "correct-horse"));
    let arguments = ["--sasl-file", file.to_str().unwrap()];
    let desktop = home.desktop(&arguments, &[]);
    let mut first = expect_let_in(home.visit(&desktop, "alice", "correct-horse"), &desktop);
    let wrong = expect_denied(&home, &desktop, "alice", "battery");
    let unknown = expect_denied(&home, &desktop, "mallory", "correct-horse");
    for took in [wrong, unknown] {
        assert!(FAILURE_ANSWERED_AFTER <= took, "{took:?}");
    }
    assert!(
        wrong.abs_diff(unknown) < SAME_TIME,
        "{wrong:?} {unknown:?}: the time tells who is a user"
    );
    expect_failures(&desktop, 2);
    assert!(!desktop.log().contains("battery"));
    // The file counts as it is when somebody comes; who is in stays.
    home.write("users", &line("bob", "staple"));
    drop(expect_let_in(
        home.visit(&desktop, "bob", "staple"),
        &desktop,
    ));
    expect_denied(&home, &desktop, "alice", "correct-horse");
    // The other hash is a login, too.
    home.write("users", &line_of_sha_512("carol", "pony"));
    drop(expect_let_in(
        home.visit(&desktop, "carol", "pony"),
        &desktop,
    ));
    expect_denied(&home, &desktop, "carol", "horse");
    first.wait_exact(EXACT_TIMEOUT).unwrap();
}

/// spice-gtk would refuse these mechanisms there (it wants a security layer without TLS): they are not offered.
#[test]
fn the_own_user_needs_no_password_on_a_unix_socket() {
    let _others = crate::beside_others();
    let home = Home::new();
    let socket = home.path("spice.sock");
    let desktop = home.desktop(&["--unix", socket.to_str().unwrap()], &[]);
    let mut watcher = Watcher::new(&desktop);
    let uri = format!("spice+unix://{}", socket.display());
    let answer = watcher.open(&uri, "");
    drop(expect_let_in((answer, watcher), &desktop));
}

/// The rules of PAM for a test: pam_wrapper shows them to the product in place of the system's.
struct Rules<'a> {
    home: &'a Home,
    own_name: String,
}

impl<'a> Rules<'a> {
    fn new(home: &'a Home) -> Self {
        let own = nix::unistd::User::from_uid(nix::unistd::Uid::effective());
        let own_name = own.unwrap().unwrap().name;
        fs::create_dir(home.path("pam.d")).unwrap();
        let rules = Self { home, own_name };
        let passwords = format!("{}:secret:caraway\nnobody:secret:caraway\n", rules.own_name);
        home.write("passwords", &passwords);
        rules.write("", &rules.matrix(), &rules.matrix());
        rules
    }

    /// A module that takes users and passwords from the file.
    fn matrix(&self) -> String {
        let modules = Command::new("pkg-config")
            .args(["--variable=modules", "pam_wrapper"])
            .output()
            .unwrap();
        let modules = String::from_utf8(modules.stdout).unwrap();
        let folder = modules.trim();
        assert!(
            Path::new(folder).is_dir(),
            "{folder}: run `make test-packages`"
        );
        let passwords = self.home.path("passwords");
        format!("{folder}/pam_matrix.so passdb={}", passwords.display())
    }

    fn write(&self, first: &str, auth: &str, account: &str) {
        let text = format!("{first}\nauth required {auth}\naccount required {account}\n");
        self.home.write("pam.d/caraway", &text);
    }

    fn desktop(&self) -> Desktop {
        let folder = self.home.path("pam.d");
        let variables = [
            ("PAM_WRAPPER", "1"),
            ("PAM_WRAPPER_SERVICE_DIR", folder.to_str().unwrap()),
            ("LD_PRELOAD", "libpam_wrapper.so"),
        ];
        self.home.desktop(&[], &variables)
    }
}

#[test]
fn plain_lets_in_the_owner_by_pam_and_nobody_else() {
    let _others = crate::beside_others();
    let home = Home::new();
    let rules = Rules::new(&home);
    let desktop = rules.desktop();
    let own = rules.own_name.as_str();
    let mut first = expect_let_in(home.visit(&desktop, own, "secret"), &desktop);
    let wrong = expect_denied(&home, &desktop, own, "guess");
    // That password is right, for another user.
    let other = expect_denied(&home, &desktop, "nobody", "secret");
    let unknown = expect_denied(&home, &desktop, "mallory", "secret");
    for took in [wrong, other, unknown] {
        assert!(FAILURE_ANSWERED_AFTER <= took, "{took:?}");
        assert!(wrong.abs_diff(took) < SAME_TIME, "{wrong:?} {took:?}");
    }
    expect_failures(&desktop, 3);
    // The account counts as well as the password.
    rules.write("", &rules.matrix(), "pam_deny.so");
    expect_denied(&home, &desktop, own, "secret");
    assert_eq!(desktop.await_in_log("account may not be used", 1), 1);
    for secret in ["secret", "guess"] {
        assert!(!desktop.log().contains(secret), "{}", desktop.log());
    }
    first.wait_exact(EXACT_TIMEOUT).unwrap();
}

/// A11.
#[test]
fn pam_that_hangs_is_ended_and_holds_up_nobody() {
    let _others = crate::beside_others();
    let home = Home::new();
    let rules = Rules::new(&home);
    let desktop = rules.desktop();
    let own = rules.own_name.as_str();
    let mut first = expect_let_in(home.visit(&desktop, own, "secret"), &desktop);
    let sleep = "auth required pam_exec.so quiet /bin/sleep 60";
    rules.write(sleep, &rules.matrix(), &rules.matrix());
    let start = Instant::now();
    let certificate = home.path("caraway/certificate.pem");
    let variables = [
        ("PEER_CA_FILE", certificate.to_str().unwrap()),
        ("PEER_USERNAME", own),
    ];
    let mut hanging = Watcher::with_environment(&desktop, &variables);
    hanging.order(&format!("connect {} secret", desktop.uri));
    hanging.begin("wait-mark 12000");
    // The rules have been read when it sleeps.
    let sleeps = wait_until(EXACT_TIMEOUT, || {
        let asking = child_called(desktop.server_pid().unwrap(), "exe");
        asking.is_some_and(|pid| child_called(pid, "sleep").is_some())
    });
    assert!(sleeps, "{}", desktop.log());
    // Others come in meanwhile.
    rules.write("", &rules.matrix(), &rules.matrix());
    let (took, visit) = home.visit_timed(&desktop, own, "secret");
    drop(expect_let_in(visit, &desktop));
    assert!(took < LOGIN_DEADLINE);
    let drawing = desktop.draw(&["random", "1", "100"]);
    drop(drawing);
    first.wait_exact(EXACT_TIMEOUT).unwrap();
    let answer = hanging.answer(Duration::from_secs(12));
    assert_eq!(answer["error"], "auth", "{answer}\n{}", desktop.log());
    let took = start.elapsed();
    assert!(LOGIN_DEADLINE <= took, "ended after {took:?}");
    let told = desktop.await_in_log("PAM did not answer", 1);
    assert_eq!(told, 1, "{}", desktop.log());
    let is_gone = wait_until(EXACT_TIMEOUT, || !asks_pam(&desktop));
    assert!(is_gone, "nothing is left of it");
    // A module that kills the process that asks.
    let script = home.write("crash", "#!/bin/sh\nkill -KILL $PPID\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs::set_permissions(&script, mode).unwrap();
    let crash = format!("auth required pam_exec.so quiet {}", script.display());
    rules.write(&crash, &rules.matrix(), &rules.matrix());
    expect_denied(&home, &desktop, own, "secret");
    let told = "the process that asks PAM has failed";
    assert_eq!(desktop.await_in_log(told, 1), 1, "{}", desktop.log());
    rules.write("", &rules.matrix(), &rules.matrix());
    drop(expect_let_in(home.visit(&desktop, own, "secret"), &desktop));
}

/// Whether a process of the server's asks PAM now. It is called by the last name of `/proc/self/exe`.
fn asks_pam(desktop: &Desktop) -> bool {
    child_called(desktop.server_pid().unwrap(), "exe").is_some()
}

/// A connection with TLS that says what a client of spice-gtk would not.
struct Stranger(Child);

impl Stranger {
    fn connect(desktop: &Desktop) -> Self {
        let port = port_of(&desktop.uri);
        let child = Command::new("openssl")
            .args(["s_client", "-quiet", "-connect"])
            .arg(format!("127.0.0.1:{port}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    fn send(&mut self, bytes: &[u8]) {
        let input = self.0.stdin.as_mut().unwrap();
        input.write_all(bytes).unwrap();
        input.flush().unwrap();
    }

    /// Everything that the server says until it closes.
    fn hear(&mut self) -> Vec<u8> {
        let mut heard = Vec::new();
        let output = self.0.stdout.as_mut().unwrap();
        output.read_to_end(&mut heard).unwrap();
        heard
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn port_of(uri: &str) -> u16 {
    let port = uri.rsplit([':', '=']).next().unwrap();
    port.parse().unwrap()
}

/// A3.
#[test]
fn what_was_not_offered_is_refused() {
    let _others = crate::beside_others();
    let home = Home::new();
    let file = home.write("users", &line("alice", "correct-horse"));
    let arguments = ["--sasl-file", file.to_str().unwrap(), "-l", "127.0.0.1:0"];
    let desktop = home.desktop(&arguments, &[]);
    // The plain socket comes first, the other one is in the same object.
    let mut plain = RawLink::connect(port_of(&desktop.uri));
    plain.send(&LinkMessage::good(MAIN, 0).bytes());
    assert_eq!(plain.link_reply(), Outcome::Link(NEED_SECURED));
    let mut hello = LinkMessage::good(MAIN, 0);
    let has_ticket = hello.clone();
    hello.common_caps = vec![0b1101];
    let offered = b"\x0d\0\0\0SCRAM-SHA-256";
    let denied = PERMISSION_DENIED.to_le_bytes();
    let done = [&[0, 0, 0, 0, 1][..], &denied].concat();
    let sasl = [2, 0, 0, 0];
    let plain_login = b"\x05\0\0\0PLAIN\x0d\0\0\0\0alice\0secret\0";
    let cases = [
        (
            [&hello.bytes()[..], &sasl, plain_login].concat(),
            [&offered[..], &done].concat(),
        ),
        (
            [&hello.bytes()[..], &[1, 0, 0, 0], &[0; 128]].concat(),
            denied.to_vec(),
        ),
    ];
    for (said, expected) in cases {
        let mut stranger = Stranger::connect(&desktop);
        stranger.send(&said);
        let heard = stranger.hear();
        assert!(heard.ends_with(&expected), "{heard:?}");
    }
    // A client that has never heard of SASL is told so by the reply itself.
    let mut old = Stranger::connect(&desktop);
    old.send(&has_ticket.bytes());
    let heard = old.hear();
    assert_eq!((heard.len(), &heard[16..20]), (16 + 178, &denied[..]));
}

/// A connection that plays a mechanism to the point where a password counts.
fn begin_scram(port: u16, user: &str) -> (SecureLink, String) {
    let mut hello = LinkMessage::good(MAIN, 0);
    hello.common_caps = vec![0b1101];
    let mut link = SecureLink::connect(port).unwrap();
    let first = format!("n,,n={user},r=nonce\0");
    link.send(&[&hello.bytes()[..], &[2, 0, 0, 0]].concat());
    link.send(
        &[
            b"\x0d\0\0\0SCRAM-SHA-256",
            &(first.len() as u32).to_le_bytes()[..],
        ]
        .concat(),
    );
    link.send(first.as_bytes());
    let reply = link.hear(16).unwrap();
    let size = u32::from_le_bytes(reply[12..].try_into().unwrap());
    link.hear(size as usize).unwrap();
    let list = hear_text(&mut link);
    assert!(list.contains("SCRAM-SHA-256"), "{list}");
    let challenge = hear_text(&mut link);
    assert_eq!(link.hear(1), Some(vec![0]));
    let nonce = challenge
        .trim_start_matches("r=")
        .split(',')
        .next()
        .unwrap();
    let proof = "A".repeat(43) + "=";
    (link, format!("c=biws,r={nonce},p={proof}\0"))
}

fn hear_text(link: &mut SecureLink) -> String {
    let size = link.hear(4).unwrap();
    let size = u32::from_le_bytes(size.try_into().unwrap());
    let bytes = link.hear(size as usize).unwrap();
    String::from_utf8_lossy(&bytes)
        .trim_end_matches('\0')
        .to_owned()
}

/// How long the answer to a wrong proof takes.
fn wrong_proof(port: u16, user: &str) -> Duration {
    let (mut link, last) = begin_scram(port, user);
    let start = Instant::now();
    link.send(&[&(last.len() as u32).to_le_bytes()[..], last.as_bytes()].concat());
    assert!(link.is_closed());
    start.elapsed()
}

/// A10: nobody learns from the time of an answer who is a user; by Mann and Whitney's test over 200 of each.
#[test]
#[ignore = "takes half a minute"]
fn bench_the_time_of_a_failure_tells_nothing() {
    let _alone = crate::alone();
    let home = Home::new();
    let file = home.write("users", &line("alice", "correct-horse"));
    let desktop = home.desktop(&["--sasl-file", file.to_str().unwrap()], &[]);
    let port = port_of(&desktop.uri);
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let pair = |_| [wrong_proof(port, "alice"), wrong_proof(port, "nobody")];
                    (0..25).map(pair).collect::<Vec<_>>()
                })
            })
            .collect();
        let joined = threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap());
        joined.collect::<Vec<[Duration; 2]>>()
    });
    let mut all: Vec<(Duration, usize)> = times
        .iter()
        .flat_map(|pair| pair.iter().copied().zip(0..))
        .collect();
    all.sort();
    let ranks = all.iter().zip(1..).filter(|((_, who), _)| *who == 0);
    let sum: f64 = ranks.map(|(_, rank)| f64::from(rank)).sum();
    let count = times.len() as f64;
    let expected = count * (2.0 * count + 1.0) / 2.0;
    let deviation = (count * count * (2.0 * count + 1.0) / 12.0).sqrt();
    let z = (sum - expected) / deviation;
    let (fastest, slowest) = (all[0].0, all[all.len() - 1].0);
    eprintln!("A10: z = {z:.2} over {count} of each, {fastest:?} to {slowest:?}");
    assert!(z.abs() < 2.58, "p < 0.01: z = {z}");
    assert!(FAILURE_ANSWERED_AFTER <= fastest);
}
