//! TLS: with spice-gtk's library as the client that checks certificates.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::desktop::Desktop;
use crate::link::{LinkMessage, MAIN, NEED_SECURED, Outcome, RawLink};
use crate::process::wait_until;
use crate::secure_link::{Own, SecureLink};
use crate::watcher::Watcher;

const GEOMETRY: &str = "640x480";

const EXACT_TIMEOUT: Duration = Duration::from_secs(5);

/// A home that is empty, so that a certificate has to be made.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn certificate(&self) -> PathBuf {
        self.0.path().join("caraway/certificate.pem")
    }

    fn desktop(&self, arguments: &[&str]) -> Desktop {
        let fixed = ["--auth", "none", "-g", GEOMETRY];
        Desktop::caraway_with(&[&fixed, arguments].concat(), |command| {
            command.env("XDG_DATA_HOME", self.0.path());
        })
    }
}

/// Certificate and key for 127.0.0.1, as an administrator brings them.
fn bring(certificate: &Path, key: &Path) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    fs::write(certificate, made.cert.pem()).unwrap();
    fs::write(key, made.signing_key.serialize_pem()).unwrap();
}

fn expect_exact(watcher: &mut Watcher) {
    watcher
        .wait_exact(EXACT_TIMEOUT)
        .unwrap_or_else(|differs| panic!("{differs:?}"));
}

fn connected(desktop: &Desktop, ca_file: &Path, uri: &str) -> Watcher {
    let mut watcher = Watcher::trusting(desktop, ca_file);
    let answer = watcher.open(uri, "");
    assert_eq!(answer["ok"], true, "{answer}\n{}", desktop.log());
    watcher
}

fn port_of(uri: &str) -> u16 {
    let port = uri.rsplit([':', '=']).next().unwrap();
    port.parse().unwrap()
}

#[test]
fn a_made_certificate_is_trusted_by_those_who_have_it_and_by_nobody_else() {
    let _others = crate::beside_others();
    let home = Home::new();
    let desktop = home.desktop(&["--tls-listen", "127.0.0.1:0"]);
    assert!(desktop.uri.contains("tls-port="), "{}", desktop.uri);
    let mut watcher = connected(&desktop, &home.certificate(), &desktop.uri);
    expect_exact(&mut watcher);
    // Somebody else's certificate.
    let other = tempfile::tempdir().unwrap();
    let foreign = other.path().join("certificate.pem");
    bring(&foreign, &other.path().join("key.pem"));
    let mut mistrustful = Watcher::trusting(&desktop, &foreign);
    let answer = mistrustful.open(&desktop.uri, "");
    assert_eq!(answer["ok"], false, "{answer}");
    let logged = wait_until(EXACT_TIMEOUT, || {
        let log = desktop.log();
        log.lines()
            .any(|line| line.contains("ended") && line.contains("link: "))
    });
    assert!(logged, "the failed handshake: {}", desktop.log());
    expect_exact(&mut watcher);
}

#[test]
fn where_only_tls_is_taken_a_plain_client_is_told_so() {
    let _others = crate::beside_others();
    let home = Home::new();
    let desktop = home.desktop(&["--tls-listen", "127.0.0.1:0"]);
    let mut link = RawLink::connect(port_of(&desktop.uri));
    link.send(&LinkMessage::good(MAIN, 0).bytes());
    assert_eq!(link.link_reply(), Outcome::Link(NEED_SECURED));
}

#[test]
fn one_port_takes_both_and_a_renewed_certificate_disturbs_nobody() {
    let _others = crate::beside_others();
    let home = Home::new();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert"), folder.path().join("key"));
    bring(&certificate, &key);
    let old = folder.path().join("old");
    fs::copy(&certificate, &old).unwrap();
    let files = [certificate.to_str().unwrap(), key.to_str().unwrap()];
    let desktop = home.desktop(&["--tls-cert", files[0], "--tls-key", files[1]]);
    let secured = format!("spice://127.0.0.1?tls-port={}", port_of(&desktop.uri));
    let mut plain = Watcher::connect(&desktop);
    let mut early = connected(&desktop, &old, &secured);
    expect_exact(&mut plain);
    expect_exact(&mut early);
    bring(&certificate, &key);
    let mut late = connected(&desktop, &certificate, &secured);
    expect_exact(&mut late);
    let drawing = desktop.draw(&["random", "1", "200"]);
    drop(drawing);
    for watcher in [&mut plain, &mut early, &mut late] {
        expect_exact(watcher);
    }
    let mut outdated = Watcher::trusting(&desktop, &old);
    assert_eq!(outdated.open(&secured, "")["ok"], false);
}

#[test]
fn clients_need_a_certificate_where_that_is_asked_for() {
    let _others = crate::beside_others();
    let home = Home::new();
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_text = authority.self_signed(&authority_key).unwrap().pem();
    let file = home.0.path().join("authority.pem");
    fs::write(&file, authority_text).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let own = |issuer: Option<&rcgen::Issuer<'_, rcgen::KeyPair>>| {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut about = rcgen::CertificateParams::new(vec!["client".into()]).unwrap();
        about.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = match issuer {
            Some(issuer) => about.signed_by(&key, issuer),
            None => about.self_signed(&key),
        };
        let chain = vec![certificate.unwrap().der().clone()];
        Some((chain, key.serialize_der().try_into().unwrap()))
    };
    let desktop = home.desktop(&["--tls-client-ca", file.to_str().unwrap()]);
    let port = port_of(&desktop.uri);
    let answers = |own: Option<Own>| {
        let link = SecureLink::connect_as(port, own);
        // A client of TLS 1.3 hears the server's no with its first answer.
        link.is_ok_and(|mut link| {
            link.send(&LinkMessage::good(MAIN, 0).bytes());
            link.hear(16).is_some()
        })
    };
    assert!(answers(own(Some(&issuer))), "{}", desktop.log());
    assert!(!answers(None), "without one");
    assert!(!answers(own(None)), "with one of nobody");
    let mut plain = RawLink::connect(port);
    plain.send(&LinkMessage::good(MAIN, 0).bytes());
    assert_eq!(plain.link_reply(), Outcome::Link(NEED_SECURED));
}
