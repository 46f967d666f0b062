//! Kerberos: a realm of its own with MIT's key distribution centre, and spice-gtk's library with Cyrus' mechanism as
//! the client.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::desktop::{Desktop, free_port};
use crate::instruments::product;
use crate::process::{Running, wait_until};
use crate::watcher::Watcher;

const REALM: &str = "CARAWAY.TEST";

const PASSWORD: &str = "secret";

const EXACT_TIMEOUT: Duration = Duration::from_secs(5);

/// Until the centre answers, and until a ticket of a second has expired.
const REALM_TIMEOUT: Duration = Duration::from_secs(10);

/// A realm with its principals, on this machine alone.
struct Realm {
    folder: tempfile::TempDir,
    port: u16,
    _centre: Running,
}

impl Realm {
    /// With the desktop's owner, `mallory`, and the service at `localhost`, whose key is in `keytab`.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let at = folder.path().display();
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
        write(
            "krb5.conf",
            format!(
                "[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n \
                 dns_canonicalize_hostname = false\n rdns = false\n\
                 [realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n\
                 [dbmodules]\n {REALM} = {{\n  db_library = db2\n  database_name = {at}/principal\n }}\n"
            ),
        );
        write(
            "kdc.conf",
            format!(
                "[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n\
                 [realms]\n {REALM} = {{\n  key_stash_file = {at}/stash\n }}\n\
                 [logging]\n kdc = FILE:{at}/kdc.log\n"
            ),
        );
        let configured = |command: &mut Command| {
            command.env("KRB5_CONFIG", folder.path().join("krb5.conf"));
            command.env("KRB5_KDC_PROFILE", folder.path().join("kdc.conf"));
        };
        let mut create = Command::new("/usr/sbin/kdb5_util");
        configured(create.args(["create", "-s", "-P", "master", "-r", REALM]));
        succeed(&mut create, "");
        let centre = Path::new("/usr/sbin/krb5kdc");
        let centre = Running::start(centre, Stdio::inherit(), |command| {
            configured(command.arg("-n"));
        });
        let realm = Self {
            folder,
            port,
            _centre: centre,
        };
        let queries = [
            format!("addprinc -pw {PASSWORD} {}", own_name()),
            format!("addprinc -pw {PASSWORD} mallory"),
            "addprinc -randkey spice/localhost".into(),
            format!("ktadd -k {} spice/localhost", realm.path("keytab")),
        ];
        realm.administer(&queries);
        let answers = || TcpStream::connect(("127.0.0.1", realm.port)).is_ok();
        assert!(
            wait_until(REALM_TIMEOUT, answers),
            "krb5kdc does not answer"
        );
        realm
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn administer(&self, queries: &[String]) {
        for query in queries {
            let mut command = Command::new("/usr/sbin/kadmin.local");
            command.args(["-q", query]);
            for (name, file) in [
                ("KRB5_CONFIG", "krb5.conf"),
                ("KRB5_KDC_PROFILE", "kdc.conf"),
            ] {
                command.env(name, self.path(file));
            }
            succeed(&mut command, "");
        }
    }

    fn cache(&self, user: &str) -> String {
        format!("FILE:{}", self.path(&format!("cache-{user}")))
    }

    /// Gets the user's ticket, good for that long.
    fn ticket(&self, user: &str, lifetime: &str) {
        let mut command = Command::new("kinit");
        command.args(["-l", lifetime, "-c", &self.cache(user), user]);
        command.env("KRB5_CONFIG", self.path("krb5.conf"));
        succeed(&mut command, PASSWORD);
    }

    fn is_expired(&self, user: &str) -> bool {
        let mut command = Command::new("klist");
        command.args(["-s", &self.cache(user)]);
        command.env("KRB5_CONFIG", self.path("krb5.conf"));
        !command.status().unwrap().success()
    }

    fn desktop(&self) -> Desktop {
        let keytab = self.path("keytab");
        let arguments = [
            "--auth",
            "sasl",
            "--sasl-mech",
            "gssapi",
            "--keytab",
            &keytab,
            "--tls-listen",
            "127.0.0.1:0",
            "-g",
            "640x480",
        ];
        Desktop::caraway_with(&arguments, |command| {
            command.env("XDG_DATA_HOME", self.folder.path());
            command.env("KRB5_CONFIG", self.path("krb5.conf"));
        })
    }

    /// How a client fares with the ticket of `user`, who acts for whom it is told, if for anybody. Gives the client,
    /// and the file with its own words.
    fn visit(&self, desktop: &Desktop, user: &str, acts_for: Option<&str>) -> Visit {
        let certificate = self.path("caraway/certificate.pem");
        let (cache, configuration) = (self.cache(user), self.path("krb5.conf"));
        let mut variables = vec![
            ("PEER_CA_FILE", certificate.as_str()),
            ("KRB5_CONFIG", &configuration),
            ("KRB5CCNAME", &cache),
        ];
        variables.extend(acts_for.map(|name| ("PEER_USERNAME", name)));
        let words = self.folder.path().join("words");
        let mut client = Watcher::with_words(desktop, &variables, &words);
        // Tickets are for names of hosts.
        let answer = client.open(&desktop.uri.replace("127.0.0.1", "localhost"), "");
        Visit {
            client,
            answer,
            words,
        }
    }
}

struct Visit {
    client: Watcher,
    answer: Value,
    words: PathBuf,
}

impl Visit {
    fn expect_let_in(mut self, desktop: &Desktop) -> Watcher {
        let words = fs::read_to_string(&self.words).unwrap();
        let answer = &self.answer;
        assert_eq!(answer["ok"], true, "{answer}\n{words}\n{}", desktop.log());
        let exact = self.client.wait_exact(EXACT_TIMEOUT);
        exact.unwrap_or_else(|differs| panic!("{differs:?}"));
        self.client
    }

    /// The client says that authentication failed, with these words of its mechanism, if it has any.
    fn expect_denied(self, desktop: &Desktop, expected: &str) {
        let words = fs::read_to_string(&self.words).unwrap();
        let answer = &self.answer;
        assert_eq!(
            answer["error"],
            "auth",
            "{answer}\n{words}\n{}",
            desktop.log()
        );
        assert!(words.contains(expected), "{words}\n{}", desktop.log());
    }
}

fn own_name() -> String {
    let own = nix::unistd::User::from_uid(nix::unistd::Uid::effective());
    own.unwrap().unwrap().name
}

fn succeed(command: &mut Command, input: &str) {
    let piped = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = piped
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}: run `make test-packages`"));
    let mut pipe = child.stdin.take().unwrap();
    writeln!(pipe, "{input}").unwrap();
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

#[test]
fn a_ticket_lets_in_the_owner_and_nobody_else() {
    let _others = crate::beside_others();
    let realm = Realm::new();
    let (owner, mallory) = (own_name(), "mallory");
    realm.ticket(&owner, "1h");
    realm.ticket(mallory, "1h");
    realm.ticket(mallory, "1h");
    let desktop = realm.desktop();
    let mut first = realm.visit(&desktop, &owner, None).expect_let_in(&desktop);
    assert!(
        desktop.await_in_log(&format!("{owner}@{REALM}"), 1) > 0,
        "{}",
        desktop.log()
    );
    // With the name that a viewer asks for.
    drop(
        realm
            .visit(&desktop, &owner, Some(&owner))
            .expect_let_in(&desktop),
    );
    realm
        .visit(&desktop, &owner, Some(mallory))
        .expect_denied(&desktop, "");
    assert_eq!(desktop.await_in_log("asks to act as another user", 1), 1);
    // A good ticket of somebody else.
    realm
        .visit(&desktop, mallory, None)
        .expect_denied(&desktop, "");
    let told = format!("{mallory}@{REALM} may not act as {owner}");
    assert_eq!(desktop.await_in_log(&told, 1), 1, "{}", desktop.log());
    assert_eq!(desktop.await_in_log("authentication failed", 2), 2);
    first.wait_exact(EXACT_TIMEOUT).unwrap();
}

#[test]
fn tickets_that_are_no_good_are_told_in_words() {
    let _others = crate::beside_others();
    let realm = Realm::new();
    let owner = own_name();
    let desktop = realm.desktop();
    // None at all: the client has nothing to say to the server.
    realm
        .visit(&desktop, &owner, None)
        .expect_denied(&desktop, "No Kerberos credentials");
    realm.ticket(&owner, "1s");
    assert!(wait_until(REALM_TIMEOUT, || realm.is_expired(&owner)));
    realm
        .visit(&desktop, &owner, None)
        .expect_denied(&desktop, "expired");
    // A realm that does not know the service, like another one, gives no ticket for it.
    realm.ticket(&owner, "1h");
    realm.administer(&["delprinc -force spice/localhost".into()]);
    realm
        .visit(&desktop, &owner, None)
        .expect_denied(&desktop, "not found in Kerberos database");
    // A new key, which the server does not have.
    realm.administer(&["addprinc -randkey spice/localhost".into()]);
    realm.administer(&["cpw -randkey spice/localhost".into()]);
    realm
        .visit(&desktop, &owner, None)
        .expect_denied(&desktop, "");
    let told = "that ticket does not let in";
    assert_eq!(desktop.await_in_log(told, 1), 1, "{}", desktop.log());
    assert!(
        desktop.await_in_log("spice/localhost", 1) > 0,
        "{}",
        desktop.log()
    );
    // With it all is well again: the table is read for each client.
    let keytab = realm.path("keytab");
    realm.administer(&[format!("ktadd -k {keytab} spice/localhost")]);
    realm.ticket(&owner, "1h");
    drop(realm.visit(&desktop, &owner, None).expect_let_in(&desktop));
}

#[test]
fn a_desktop_without_a_key_says_how_to_get_one() {
    let _others = crate::beside_others();
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(product("caraway"))
        .args([
            "start",
            "--auth",
            "sasl",
            "--sasl-mech",
            "gssapi",
            "--tls-listen",
            "127.0.0.1:0",
        ])
        .arg("--keytab")
        .arg(folder.path().join("missing"))
        .args(["--", "sleep", "60"])
        .env("XDG_DATA_HOME", folder.path())
        .env("XDG_RUNTIME_DIR", folder.path())
        .output()
        .unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{words}");
    for part in [
        "no key of the service spice",
        "missing' not found",
        "ktadd",
        "--keytab",
    ] {
        assert!(words.contains(part), "{words}");
    }
}
