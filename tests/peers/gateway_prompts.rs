//! What PAM's rules ask and say beside the password, with Debian's own modules, in a real systemd.

use std::fs;

use crate::gateway_host::{Host, is_notice, secret_of};

const ALICE: &str = "cwtest-alice";
const BOB: &str = "cwtest-bob";

/// A one-time code of those that `pam_google_authenticator` lets in once each.
const CODES: [&str; 2] = ["12345678", "87654321"];

/// Debian's rules, and the module of `libpam-google-authenticator` behind them, as its README has it.
const TWO_FACTORS: &str = "auth required pam_unix.so\n\
    auth required pam_google_authenticator.so no_increment_hotp nullok\n\
    account required pam_unix.so\nsession required pam_systemd.so\n";

#[test]
#[ignore = "boots a systemd and makes accounts on this machine, as root"]
fn gateway_says_in_a_sentence_that_a_password_has_expired() {
    let _alone = crate::alone();
    let host = Host::boot("", &[ALICE]);
    host.run(&format!("chage -d 0 {ALICE}"));
    let (_client, answer) = host.visit(ALICE, &secret_of(ALICE));
    assert!(is_notice(&answer), "{answer}");
    assert!(
        host.journal()
            .contains("refused: Your password has expired")
    );
    assert!(host.xorgs(ALICE).is_empty());
    // Who does not know it does not learn that.
    let (_client, answer) = host.visit(ALICE, "wrong");
    assert_eq!(answer["error"], "auth", "{answer}");
    host.run(&format!("chage -d 99999 -E 1 {ALICE}"));
    let (_client, answer) = host.visit(ALICE, &secret_of(ALICE));
    assert!(is_notice(&answer), "an account that has ended: {answer}");
}

#[test]
#[ignore = "boots a systemd and makes accounts on this machine, as root; wants libpam-google-authenticator"]
fn gateway_takes_a_second_factor_at_the_end_of_the_password() {
    let _alone = crate::alone();
    let module = "/lib/x86_64-linux-gnu/security/pam_google_authenticator.so";
    assert!(
        fs::exists(module).unwrap(),
        "apt-get install libpam-google-authenticator"
    );
    let host = Host::boot("code-length = 8", &[ALICE, BOB]);
    host.rules(TWO_FACTORS);
    let file = format!("/home/{ALICE}/.google_authenticator");
    let keys = "JBSWY3DPEHPK3PXPJBSWY3DPEH\n\" RATE_LIMIT 9 30\n\" TOTP_AUTH\n";
    fs::write(&file, format!("{keys}{}\n{}\n", CODES[0], CODES[1])).unwrap();
    host.run(&format!("chown {ALICE}: {file} && chmod 400 {file}"));
    let password = |code: &str| format!("{}{code}", secret_of(ALICE));
    for wrong in ["", "00000000", "12345679"] {
        let (_client, answer) = host.visit(ALICE, &password(wrong));
        assert_eq!(answer["error"], "auth", "{wrong}: {answer}");
    }
    let (client, answer) = host.visit(ALICE, &password(CODES[0]));
    assert_eq!(answer["ok"], true, "{answer}\n{}", host.journal());
    assert_eq!(host.xorgs(ALICE).len(), 1);
    drop(client);
    let (_client, answer) = host.visit(ALICE, &password(CODES[0]));
    assert_eq!(answer["error"], "auth", "a code that was used: {answer}");
    let (_client, answer) = host.visit(ALICE, &password(CODES[1]));
    assert_eq!(answer["ok"], true, "{answer}");
    // A host that is not told of codes says to its administrator what is missing.
    host.install(crate::instruments::product("caraway").parent().unwrap(), "");
    let (_client, answer) = host.visit(ALICE, &secret_of(ALICE));
    assert_eq!(answer["error"], "auth", "{answer}");
    assert!(
        host.journal().contains("for more than the password"),
        "{}",
        host.journal()
    );
}

#[test]
#[ignore = "boots a systemd and makes accounts on this machine, as root"]
fn gateway_lets_who_is_in_a_group_watch_only() {
    let _alone = crate::alone();
    let host = Host::boot(&format!("view-only-groups = [\"{BOB}\"]"), &[ALICE, BOB]);
    for user in [ALICE, BOB] {
        fs::write(format!("/home/{user}/mode"), "typing").unwrap();
    }
    let mut alice = host.enter(ALICE);
    let typed = alice.ask("key-to-pixel 0x1e 200 200 3000", std::time::Duration::ZERO);
    assert_eq!(typed["ok"], true, "{typed}");
    let mut bob = host.enter(BOB);
    let typed = bob.ask("key-to-pixel 0x1e 200 200 1000", std::time::Duration::ZERO);
    assert_eq!(typed["ok"], false, "{typed}");
    let access = &host.desktop(BOB)["server"];
    assert!(access.to_string().contains("view-only"), "{access}");
}

#[test]
#[ignore = "boots a systemd and makes accounts on this machine, as root"]
fn gateway_keeps_users_out_of_each_others_desktops() {
    let _alone = crate::alone();
    let host = Host::boot("", &[ALICE, BOB]);
    let _alice = host.enter(ALICE);
    let _bob = host.enter(BOB);
    let (uid, display) = (host.uid(ALICE), host.desktop(ALICE)["display"].clone());
    let display = display.as_str().unwrap();
    let [xorg, server, launcher] = ["xorg", "server", "launcher"].map(|part| host.pid(ALICE, part));
    let of_bob = |line: &str| host.run_as(BOB, &format!("{line} && echo ENTERED"));
    for line in [
        format!("ls /run/caraway/users/{uid}"),
        format!("cat /run/caraway/users/{uid}/desktop.sock"),
        format!("socat -u OPEN:/dev/null UNIX-CONNECT:/run/caraway/users/{uid}/desktop.sock"),
        format!("socat -u OPEN:/dev/null UNIX-CONNECT:/run/caraway/users/{uid}/keeper.sock"),
        "socat -u OPEN:/dev/null UNIX-CONNECT:/run/caraway/broker.sock,type=5".to_owned(),
        format!("ls /run/user/{uid}"),
        format!("cat /run/user/{uid}/caraway/remote/xauth"),
        format!("XAUTHORITY=/dev/null DISPLAY={display} xdpyinfo"),
        format!("DISPLAY={display} xdpyinfo"),
        format!("dd if=/proc/{xorg}/mem of=/dev/null count=1"),
        format!("dd if=/proc/{server}/mem of=/dev/null count=1"),
        format!("ls /proc/{launcher}/fd"),
        format!("ls /proc/{server}/fd"),
        format!("ls /proc/{xorg}/map_files"),
        format!("kill -9 {xorg}"),
        format!("kill -9 {server}"),
    ] {
        let said = of_bob(&line);
        assert!(!said.contains("ENTERED"), "{line}: {said}");
    }
    // That all of it fails for another reason is no proof: for its user most of it works.
    let own = host.run_as(
        ALICE,
        &format!("ls /run/caraway/users/{uid} && echo ENTERED"),
    );
    assert!(own.contains("ENTERED"), "{own}");
    let own = host.run_as(
        ALICE,
        &format!(
            "XAUTHORITY=/run/user/{uid}/caraway/remote/xauth DISPLAY={display} xdpyinfo >/dev/null \
             && echo ENTERED"
        ),
    );
    assert!(own.contains("ENTERED"), "{own}");
}
