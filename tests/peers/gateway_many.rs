//! Many users at once, in a real systemd: each gets a desktop of their own, and what each costs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use crate::figure::{at_most, at_most_within};
use crate::gateway_host::{Host, Visitor, secret_of};

/// Users who leave their desktops alone, and those who watch a film in theirs.
const IDLE: usize = 20;
const BUSY: usize = 2;

/// All connected, from the first one's beginning; starting so many Xorgs takes two processors their time.
const ALL_CONNECTED_S: f64 = 60.0;

/// Of server, launcher and the rest of ours, and the driver's share of Xorg.
const SESSION_MIB: f64 = 40.0;

/// From a key to the pixel that it changes, for 19 keys of 20.
const KEY_TO_PIXEL_MS: f64 = 60.0;

/// Keys that are measured.
const KEYS: usize = 200;

/// For that all of it.
const TYPING: Duration = Duration::from_secs(40);

/// How long a session is left alone before it counts as idle.
const REST: Duration = Duration::from_secs(150);

const PATIENCE: Duration = Duration::from_secs(90);

/// Programs of ours, as the kernel calls them. The login is root's, one for each desktop.
const OURS: [&str; 6] = [
    "caraway",
    "caraway-door",
    "caraway-keeper",
    "caraway-login",
    "caraway-server",
    "desktop-session",
];

/// Everybody's clients, all connecting at the same time.
fn all_enter(host: &Host, users: &[String]) -> Vec<Visitor> {
    let mut visitors: Vec<Visitor> = users.iter().map(|user| host.visitor(user)).collect();
    for (visitor, user) in visitors.iter_mut().zip(users) {
        visitor.begin_connecting(&secret_of(user));
    }
    for (visitor, user) in visitors.iter_mut().zip(users) {
        let answer = visitor.answer(PATIENCE);
        assert_eq!(answer["ok"], true, "{user}: {answer}\n{}", host.journal());
    }
    visitors
}

/// Proportional memory of a user's processes by name, in KiB; the driver's share of Xorg beside them.
fn memory_kib(host: &Host, user: &str) -> BTreeMap<String, f64> {
    let mut memory = BTreeMap::new();
    let line = format!(
        "for p in $(pgrep -u {user}) $(ps -o ppid= -p $(pgrep -u {user} -x caraway-keeper)); do \
         echo $(cat /proc/$p/comm) $(awk '/^Pss:/ {{ print $2 }}' /proc/$p/smaps_rollup); done"
    );
    for told in host.run(&line).lines() {
        let mut words = told.split_whitespace();
        if let (Some(name), Some(kib)) = (words.next(), words.next()) {
            *memory.entry(name.to_owned()).or_default() += kib.parse::<f64>().unwrap();
        }
    }
    let line = format!(
        "awk '/^[0-9a-f]+-/ {{ ours = /memfd:|caraway_drv/ }} /^Pss:/ && ours {{ sum += $2 }} END {{ print sum }}' \
         /proc/{}/smaps",
        host.xorgs(user)[0]
    );
    memory.insert("driver".into(), host.run(&line).trim().parse().unwrap());
    memory
}

#[test]
#[ignore = "boots a systemd, makes 22 accounts on this machine, as root, and wants it for itself for five minutes"]
fn gateway_serves_twenty_idle_users_and_two_busy_ones() {
    let _alone = crate::alone();
    let names: Vec<String> = (0..IDLE + BUSY)
        .map(|at| format!("cwtest-{at:02}"))
        .collect();
    let users: Vec<&str> = names.iter().map(String::as_str).collect();
    let host = Host::boot("", &users);
    let (typist, busy) = (users[0], &users[IDLE..]);
    fs::write(format!("/home/{typist}/mode"), "typing").unwrap();
    for user in busy {
        fs::write(format!("/home/{user}/mode"), "film").unwrap();
    }
    let begun = Instant::now();
    let mut visitors = all_enter(&host, &names);
    let took = begun.elapsed().as_secs_f64();
    at_most(
        "22 users connected, each with a new desktop",
        took,
        ALL_CONNECTED_S,
        "s",
    );

    each_has_their_own(&host, &users, &mut visitors);

    types_beside_others(&mut visitors);
    // What nobody uses is forgotten by then.
    std::thread::sleep(REST);
    costs_little(&host, &users[1..4]);
}

/// How long the first one's keys take.
fn types_beside_others(visitors: &mut [Visitor]) {
    // Everybody reads what they are sent.
    for visitor in &mut visitors[1..] {
        visitor.begin(&format!("idle {}", TYPING.as_millis()));
    }
    let typist = &mut visitors[0];
    let mut times_ms = Vec::new();
    for _ in 0..KEYS {
        let answer = typist.ask("key-to-pixel 0x1e 200 200 5000", PATIENCE);
        assert_eq!(answer["ok"], true, "{answer}");
        times_ms.push(answer["key_to_pixel_us"].as_f64().unwrap() / 1000.0);
        typist.ask("idle 70", PATIENCE);
    }
    times_ms.sort_by(f64::total_cmp);
    let (middle, p95) = (times_ms[KEYS / 2], times_ms[KEYS * 95 / 100]);
    eprintln!("figure: key to pixel, median: {middle:.1} ms");
    at_most(
        "key to pixel beside 20 idle and 2 busy, p95",
        p95,
        KEY_TO_PIXEL_MS,
        "ms",
    );
    for visitor in &mut visitors[1..] {
        visitor.answer(TYPING);
    }
}

/// What these idle users' sessions take.
fn costs_little(host: &Host, users: &[&str]) {
    let mut worst_kib = 0_f64;
    for user in users {
        let memory = memory_kib(host, user);
        eprintln!("figure: KiB of {user}: {memory:?}");
        let of_ours = |name: &String| OURS.contains(&name.as_str()) || name == "driver";
        let sum = memory
            .iter()
            .filter(|(name, _)| of_ours(name))
            .map(|(_, kib)| kib)
            .sum();
        worst_kib = worst_kib.max(sum);
    }
    at_most_within(
        "memory of an idle session beside Xorg",
        worst_kib / 1024.0,
        SESSION_MIB,
        "MiB",
        1.0,
    );
}

/// By uid and by pixels: no two see the same, and each sees the display of their own Xorg.
fn each_has_their_own(host: &Host, users: &[&str], visitors: &mut [Visitor]) {
    let mut hashes = BTreeSet::new();
    let still = 1..IDLE;
    for user in users {
        let xorgs = host.xorgs(user);
        assert_eq!(xorgs.len(), 1, "{user}");
        assert!(host.is_slice_of_user(&xorgs[0], user), "{user}");
    }
    for at in still.clone() {
        let display = host.desktop(users[at])["display"]
            .as_str()
            .unwrap()
            .to_owned();
        visitors[at].hold_exact(&display, PATIENCE);
        let hash = visitors[at].ask("hash", Duration::ZERO);
        hashes.insert(hash["hash"].to_string());
    }
    assert_eq!(hashes.len(), still.len(), "two have the same picture");
}
