//! SASL exchanges of any bytes, and files of stored keys of any text: what must hold all the same.
//!
//! A script plays a client that knows a password, or does not, and that says something else than it should at times.
//! `tests/fuzz` feeds [`check`] with a fuzzer, the tests here with random scripts and with those that a fuzzer once
//! found. How the messages come over the wire is `channel::hostile_link`'s.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::sasl::{Exchange, Judge, Said};
use super::scram::NONCE_BYTES;
use super::security_layer::acts_for;
use super::stored_keys::{Hash, StoredKeys};
use crate::base::limits::{LOGIN_NAME_BYTES_MAX, LOGIN_PASSWORD_BYTES_MAX};
use crate::base::script::Script;

/// What the client computes from its password.
const CLIENT_KEY: [u8; 32] = [9; 32];
const SERVER_KEY: [u8; 32] = [3; 32];

const USER: &str = "user";

/// Pieces of what clients say first, right ones and others.
const HEADERS: [&str; 6] = [
    "n,,",
    "n,a=user,",
    "y,,",
    "n,a=other,",
    "p=tls-exporter,,",
    "n,",
];
const NAMES: [&str; 5] = ["n=user", "n=nobody", "n=us=2Cer", "n=", "m=x,n=user"];
const NONCES: [&str; 4] = [
    ",r=fyko+d2lbbFgONRv9qkxdawL",
    ",r=",
    ",r=a b",
    ",r=x,later=1",
];

static KEYS: LazyLock<Arc<StoredKeys>> = LazyLock::new(|| {
    let stored = digest::digest(&digest::SHA256, &CLIENT_KEY);
    let [salt, stored, server] =
        [&[7; 16][..], stored.as_ref(), &SERVER_KEY].map(|bytes| STANDARD.encode(bytes));
    let line = format!("{USER}:scram-sha-256:4096:{salt}:{stored}:{server}");
    let Ok(keys) = StoredKeys::parse(&line) else {
        unreachable!("{line}")
    };
    Arc::new(keys)
});

/// Runs what `script` plays; its first byte decides which part it is.
///
/// # Panics
/// Where a promise is broken; that is what tests and fuzzers look for.
pub fn check(script: &[u8]) {
    let mut script = Script::new(script);
    match script.u8() % 8 {
        0..3 => scram(&mut script),
        3 => any_messages(&mut script),
        4 => plain(script.rest()),
        5 => layer(script.rest()),
        _ => stored_keys(&String::from_utf8_lossy(script.rest())),
    }
}

/// A client of SCRAM-SHA-256 that computes the right proof, and may say another one.
fn scram(script: &mut Script<'_>) {
    let decisions = script.u8();
    let (header, name, nonce) = match decisions & 1 {
        0 => (HEADERS[0], NAMES[0], NONCES[0]),
        _ => (
            script.pick(&HEADERS),
            script.pick(&NAMES),
            script.pick(&NONCES),
        ),
    };
    let is_user = HEADERS[..3].contains(&header) && name == NAMES[0];
    let judge = Judge::StoredKeys(Arc::clone(&KEYS), [1; 32]);
    let mut server = Exchange::begin(&judge, "SCRAM-SHA-256", [script.u8(); NONCE_BYTES]);
    let bare = format!("{name}{nonce}");
    let challenge = match server.step(Some(format!("{header}{bare}").as_bytes())) {
        Said::Continue(challenge) => String::from_utf8(challenge).unwrap_or_default(),
        said => {
            assert_eq!(said, Said::Denied(None));
            assert!(!is_user || !NONCES[..1].contains(&nonce));
            return;
        }
    };
    let both = challenge.split(',').next().unwrap_or_default();
    assert!(
        both.starts_with(nonce.split(',').nth(1).unwrap_or("-")),
        "{challenge}"
    );
    // Something of the script between nonce and proof, which the proof is of as well.
    let mut without_proof = format!("c={},{both}", STANDARD.encode(header));
    let mut is_right = is_user;
    if decisions & 2 != 0 {
        let more = String::from_utf8_lossy(script.bytes(8)).into_owned();
        is_right &= more.is_empty() || more.starts_with(',');
        without_proof.push_str(&more);
    }
    let signed = format!("{bare},{challenge},{without_proof}");
    let stored = digest::digest(&digest::SHA256, &CLIENT_KEY);
    let key = hmac::Key::new(hmac::HMAC_SHA256, stored.as_ref());
    let signature = hmac::sign(&key, signed.as_bytes());
    let bytes = CLIENT_KEY.iter().zip(signature.as_ref());
    let mut proof: Vec<u8> = bytes.map(|(key, bits)| key ^ bits).collect();
    if decisions & 4 != 0 {
        let (at, bits) = (usize::from(script.u8()) % proof.len(), script.u8());
        proof[at] ^= bits;
        is_right &= bits == 0;
    }
    if decisions & 8 != 0 {
        let length = usize::from(script.u8());
        is_right &= length == proof.len();
        proof.resize(length, 0);
    }
    let said = format!("{without_proof},p={}", STANDARD.encode(&proof));
    match server.step(Some(said.as_bytes())) {
        Said::Accepted(user, Some(_)) => assert!(is_right && user == USER, "{said}"),
        refused => {
            assert_eq!(refused, Said::Denied(Some(b"e=invalid-proof".to_vec())));
            assert!(!is_right, "{said}");
        }
    }
    assert_is_over(&mut server);
}

/// Messages of any bytes to any mechanism: nobody gets in by them.
fn any_messages(script: &mut Script<'_>) {
    let judge = match script.u8() % 3 {
        0 => Judge::StoredKeys(Arc::clone(&KEYS), [1; 32]),
        1 => Judge::System,
        _ => Judge::Kerberos,
    };
    let names = ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN", "GSSAPI", ""];
    let mut server = Exchange::begin(&judge, script.pick(&names), [2; NONCE_BYTES]);
    for _ in 0..3 {
        let length = script.u8();
        let message = (length != 255).then(|| script.bytes(usize::from(length)));
        let said = server.step(message);
        assert!(!matches!(said, Said::Accepted(..)), "{message:?} lets in");
        match said {
            Said::Ask(_) => assert!(matches!(judge, Judge::System)),
            Said::Continue(_) => assert!(matches!(judge, Judge::StoredKeys(..))),
            Said::Accepted(..) | Said::Denied(_) => return assert_is_over(&mut server),
        }
    }
}

/// Whoever has been answered for the last time is denied whatever follows.
fn assert_is_over(server: &mut Exchange) {
    for message in [None, Some(&b"n,,n=user,r=x"[..]), Some(b"\0user\0password")] {
        assert_eq!(server.step(message), Said::Denied(None));
    }
}

/// The system is asked about what was said, and about nothing else.
fn plain(data: &[u8]) {
    let mut server = Exchange::begin(&Judge::System, "PLAIN", [0; NONCE_BYTES]);
    match server.step(Some(data)) {
        Said::Ask(asked) => {
            let user = asked.user.as_bytes();
            let said = |acts_for| [acts_for, user, &asked.password[..]].join(&0);
            assert!(data == said(b"") || data == said(user), "{data:?}");
            assert!((1..=LOGIN_NAME_BYTES_MAX).contains(&user.len()));
            assert!((1..=LOGIN_PASSWORD_BYTES_MAX).contains(&asked.password.len()));
            assert!(!user.contains(&0) && !asked.password.contains(&0));
            assert_eq!(server.user(), Some(&*asked.user));
        }
        said => assert_eq!(said, Said::Denied(None)),
    }
    assert_is_over(&mut server);
}

/// The one layer that is offered, and a name as it was said.
fn layer(choice: &[u8]) {
    if let Some(name) = acts_for(choice) {
        assert_eq!(
            (choice.first(), choice.get(4..)),
            (Some(&1), Some(name.as_bytes()))
        );
        assert!(name.len() <= LOGIN_NAME_BYTES_MAX && !name.contains('\0'));
    }
}

/// Each line of a file is a user's key, or the first that is not is named. None of it is shown.
fn stored_keys(text: &str) {
    let is_said = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let lines = text.lines().map(|line| line.trim_end_matches('\r'));
    match StoredKeys::parse(text) {
        Ok(keys) => {
            assert!(!keys.mechanisms().is_empty());
            for line in lines.filter(is_said) {
                let fields: Vec<&str> = line.split(':').collect();
                let hash = match fields[1] {
                    "scram-sha-512" => Hash::Sha512,
                    _ => Hash::Sha256,
                };
                let key = keys.of_user(fields[0], hash, &[0; 32]);
                let known = [&key.salt, &key.stored_key, &key.server_key];
                let known = known.map(|bytes| STANDARD.encode(bytes));
                assert_eq!(known[..], fields[3..], "{line}");
                assert_eq!(fields[2].parse(), Ok(key.iterations), "{line}");
            }
        }
        Err(error) => {
            let told = error.to_string();
            assert!(
                !told.contains(char::is_control) && told.len() < 120,
                "{told:?}"
            );
            let digits = told.split(' ').nth(1).map(str::parse);
            if let (true, Some(Ok(line))) = (told.starts_with("line "), digits) {
                assert!((1..=text.lines().count()).contains(&line), "{told:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::corpus::{plant_seeds, replay_regressions};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn random_exchanges_break_no_promise(script in prop::collection::vec(any::<u8>(), 0..300)) {
            check(&script);
        }

        /// Clients that are right in most.
        #[test]
        fn better_clients_break_no_promise(decisions in any::<u8>(), script in prop::collection::vec(0_u8..8, 0..20)) {
            check(&[vec![0, decisions], script].concat());
        }
    }

    fn line(name: &str, bits: usize) -> String {
        let text = |byte: u8, count: usize| STANDARD.encode(vec![byte; count]);
        let (salt, stored, server) = (text(1, 16), text(2, bits / 8), text(3, bits / 8));
        format!("{name}:scram-sha-{bits}:4096:{salt}:{stored}:{server}")
    }

    #[test]
    fn seeds_break_no_promise() {
        let mut seeds: Vec<Vec<u8>> = (0..16).map(|bits| vec![0, bits, 0, 0, 0, 9]).collect();
        let file = format!("# who\r\n{}\n\n{}\n", line("alice", 256), line("bob", 256));
        let both = format!("{}\n{}", line("alice", 512), line("alice", 256));
        for (kind, text) in [
            (4, "\0alice\0secret"),
            (4, "alice\0alice\0pw"),
            (5, "\u{1}\0\0\0alice"),
            (6, &file),
            (6, &both),
            (3, "\0\0\u{d}n,,n=user,r=x\u{0c}c=biws,r=x,p="),
        ] {
            seeds.push([&[kind], text.as_bytes()].concat());
        }
        plant_seeds("sasl", &seeds, check);
    }

    #[test]
    fn scripts_from_the_fuzzer_break_no_promise() {
        assert!(0 < replay_regressions("sasl", check));
    }
}
