//! Desktops of other users, for root.
//!
//! Root asks no other user's socket and enters no other user's directory: whoever owns those could lead it anywhere.
//! It lets this very program run as that user, with nothing of root's but a pipe, and believes what comes back no more
//! than it would believe that user.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::{Uid, User};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::cli::ViewArgs;
use crate::control::messages::WayIn;
use crate::desktops::OUTDATED;
use crate::name::DesktopName;
use crate::process::bound;
use crate::terminal::{answer, notice};
use crate::{DONE, FAILED};

/// This executable, also after an upgrade has replaced its file.
const OURSELVES: &str = "/proc/self/exe";

/// What users' programs find there.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Users that are asked at a time.
const ASKED_AT_ONCE: usize = 16;

/// Users that are asked for their desktops; those beyond are not listed.
const USERS_MAX: usize = 4096;

/// Bytes that a user's answer may have.
const ANSWER_BYTES_MAX: u64 = 1024 * 1024;

/// Time in which a user's answer has to come.
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);

/// The same where a desktop has to end before.
const END_DEADLINE: Duration = Duration::from_secs(45);

/// Between two looks whether it has.
const ANSWER_PAUSE: Duration = Duration::from_millis(5);

/// Time in which what a process has said is read when it has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Users who are named where there are many.
const USERS_NAMED_MAX: usize = 8;

/// Where users have their runtime directories, and the beginning of those that have none.
const RUNTIME_DIRS: &str = "/run/user";
const SHARED_DIR: &str = "/tmp";
const SHARED_BEGINNING: &str = "caraway-";

/// Whose desktop.
#[derive(Debug, clap::Args)]
pub(crate) struct UserArgs {
    /// A desktop of this user; root alone can
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
}

/// Why nothing is heard of another user's desktops.
#[derive(Debug, Error)]
pub(crate) enum OthersError {
    #[error("only root can see and reach desktops of others; say: sudo caraway ...")]
    NotRoot,
    #[error("there is no user '{0}'; see: caraway list --all")]
    NoUser(String),
    #[error("cannot look for users' desktops in {RUNTIME_DIRS}: {0}")]
    Search(io::Error),
    #[error("cannot run as {user}: {source}")]
    Run { user: String, source: io::Error },
    #[error("{user}: {said}")]
    Refused { user: String, said: String },
    #[error("what {0}'s desktop answers makes no sense")]
    Nonsense(String),
}

impl UserArgs {
    /// The exit status, if this is to be done as another user: it has been done then.
    pub(crate) fn instead(&self) -> Option<u8> {
        let name = self.user.as_ref()?;
        let words = without_user(env::args_os().skip(1).collect());
        let result = find(name).and_then(|user| ask(&user, &words, END_DEADLINE));
        Some(match result {
            Ok(text) => {
                for line in text.lines() {
                    answer(line.replace(char::is_control, " "));
                }
                DONE
            }
            Err(error) => {
                notice(error);
                FAILED
            }
        })
    }
}

/// Words of the command line without `--user`.
fn without_user(words: Vec<OsString>) -> Vec<OsString> {
    let mut kept = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--user" {
            words.next();
        } else if !word.to_string_lossy().starts_with("--user=") {
            kept.push(word);
        }
    }
    kept
}

/// Lists every user's desktops.
pub(crate) fn list(json: bool) -> Result<(), OthersError> {
    let all: Vec<Value> = all()?.into_iter().map(|(_, desktop)| desktop).collect();
    if json {
        answer(serde_json::json!(all));
    } else if all.is_empty() {
        notice("no desktop runs");
    } else {
        all.iter().for_each(|desktop| answer(line(desktop)));
    }
    Ok(())
}

/// Upgrades every desktop that runs an older build than what is installed, or only says how many there are and how
/// that is done.
pub(crate) fn upgrade(is_check: bool) -> Result<(), OthersError> {
    // A launcher that does not say is older than this.
    let is_outdated = |desktop: &Value| desktop["outdated"] != false;
    let mut outdated = all()?;
    outdated.retain(|(_, desktop)| is_outdated(desktop));
    if is_check {
        if let Some(sentence) = advice(&outdated) {
            answer(sentence);
        }
        return Ok(());
    }
    for (user, desktop) in &outdated {
        let name = desktop["name"].as_str().unwrap_or_default();
        let asked = name
            .parse::<DesktopName>()
            .map_err(|_| OthersError::Nonsense(user.name.clone()));
        let words = |name: DesktopName| vec!["upgrade".into(), name.as_str().into()];
        match asked.and_then(|name| ask(user, &words(name), END_DEADLINE)) {
            Ok(text) => {
                for said in text.lines() {
                    answer(format!("{}: {said}", user.name).replace(char::is_control, " "));
                }
            }
            Err(error) => notice(error),
        }
    }
    Ok(())
}

/// How many desktops are outdated, whose, and what is to be done.
fn advice(outdated: &[(User, Value)]) -> Option<String> {
    let users: BTreeSet<&str> = outdated
        .iter()
        .map(|(user, _)| user.name.as_str())
        .collect();
    let first: Vec<&str> = users.iter().take(USERS_NAMED_MAX).copied().collect();
    let names = match users.len().checked_sub(first.len()) {
        Some(0) | None => first.join(", "),
        Some(more) => format!("{} and {more} more", first.join(", ")),
    };
    let desktops = match outdated.len() {
        0 => return None,
        1 => "1 desktop goes on with its older build".to_owned(),
        count => format!("{count} desktops go on with their older build"),
    };
    Some(format!(
        "{desktops} ({names}). Nothing is lost by an upgrade, clients reconnect: caraway upgrade --all"
    ))
}

/// Every user's desktops, as far as they answer.
fn all() -> Result<Vec<(User, Value)>, OthersError> {
    let mut all = Vec::new();
    let users = users()?;
    for some in users.chunks(ASKED_AT_ONCE) {
        let ask = |user: &User| ask(user, &["list".into(), "--json".into()], ANSWER_DEADLINE);
        let answers: Vec<_> = thread::scope(|scope| {
            let asked: Vec<_> = some
                .iter()
                .map(|user| scope.spawn(move || ask(user)))
                .collect();
            asked
                .into_iter()
                .map(thread::ScopedJoinHandle::join)
                .collect()
        });
        for (user, answer) in some.iter().zip(answers) {
            match answer.unwrap_or_else(|_| Err(OthersError::Nonsense(user.name.clone()))) {
                Ok(text) => all.extend(of_user(user, &text)),
                Err(error) => notice(error),
            }
        }
    }
    Ok(all)
}

/// How to connect to a desktop of `user`.
pub(crate) fn view(user: &str, args: &ViewArgs) -> Result<(DesktopName, WayIn), OthersError> {
    #[derive(Deserialize)]
    struct Told {
        name: DesktopName,
        way_in: WayIn,
    }
    let user = find(user)?;
    let mut words: Vec<OsString> = vec!["view".into(), "--json".into()];
    if args.shadow {
        words.push("--shadow".into());
    }
    words.extend(args.name.as_ref().map(|name| name.as_str().into()));
    let text = ask(&user, &words, ANSWER_DEADLINE)?;
    let told: Told =
        serde_json::from_str(&text).map_err(|_| OthersError::Nonsense(user.name.clone()))?;
    Ok((told.name, told.way_in))
}

fn find(name: &str) -> Result<User, OthersError> {
    if !Uid::effective().is_root() {
        return Err(OthersError::NotRoot);
    }
    let by_name = User::from_name(name).ok().flatten();
    let by_number = || {
        let uid = name.parse().ok()?;
        User::from_uid(Uid::from_raw(uid)).ok().flatten()
    };
    by_name
        .or_else(by_number)
        .ok_or_else(|| OthersError::NoUser(name.to_owned()))
}

/// Everybody who may have desktops.
fn users() -> Result<Vec<User>, OthersError> {
    if !Uid::effective().is_root() {
        return Err(OthersError::NotRoot);
    }
    let mut uids = BTreeSet::new();
    match fs::read_dir(RUNTIME_DIRS) {
        Ok(entries) => uids.extend(owners(entries, "")),
        // A host without logind.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(OthersError::Search(error)),
    }
    if let Ok(entries) = fs::read_dir(Path::new(SHARED_DIR)) {
        uids.extend(owners(entries, SHARED_BEGINNING));
    }
    // Root's own may lie elsewhere.
    uids.insert(0);
    let users = uids.into_iter().take(USERS_MAX);
    Ok(users
        .filter_map(|uid| User::from_uid(Uid::from_raw(uid)).ok().flatten())
        .collect())
}

/// The users whose directories are called `beginning` and their number; a name that lies is passed over.
fn owners(entries: fs::ReadDir, beginning: &'static str) -> impl Iterator<Item = u32> {
    entries.flatten().filter_map(move |entry| {
        let name = entry.file_name();
        let uid: u32 = name.to_str()?.strip_prefix(beginning)?.parse().ok()?;
        let file = entry.metadata().ok()?;
        (file.is_dir() && file.uid() == uid).then_some(uid)
    })
}

/// This program as `user`, with nothing of ours.
fn command(user: &User, words: &[OsString]) -> Command {
    let mut command = bound::ourselves("__exec");
    command
        .arg("--signal")
        .arg((Signal::SIGKILL as i32).to_string());
    if !user.uid.is_root() {
        // The user may meddle with a process that is theirs, so it has nothing of ours but what it is told.
        command.arg("--as").arg(user.uid.to_string());
        command.arg(user.gid.to_string()).env_clear();
        command.env("PATH", PATH).env("HOME", &user.dir);
        command.env("USER", &user.name).current_dir("/");
    }
    command.arg("--").arg(OURSELVES).args(words);
    command
}

/// What this program prints as `user`, if it succeeds.
fn ask(user: &User, words: &[OsString], deadline: Duration) -> Result<String, OthersError> {
    let failed = |source| OthersError::Run {
        user: user.name.clone(),
        source,
    };
    let mut command = command(user, words);
    command.stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let (out, err) = (read(out), read(err));
    let status = wait(&mut child, deadline).map_err(failed)?;
    // The pipes may have been given to somebody who never closes them.
    let heard = |text: mpsc::Receiver<String>| text.recv_timeout(LAST_WORDS).unwrap_or_default();
    let (out, said) = (heard(out), heard(err));
    if status.success() {
        return Ok(out);
    }
    let said = said.lines().last().unwrap_or("it did not answer");
    let said = said.strip_prefix("caraway: ").unwrap_or(said);
    Err(OthersError::Refused {
        user: user.name.clone(),
        said: said.replace(char::is_control, " "),
    })
}

/// What comes out of a pipe, within limits, when it has ended.
fn read(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(pipe) = pipe {
            let _ = pipe.take(ANSWER_BYTES_MAX).read_to_end(&mut bytes);
        }
        let _ = tell.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    told
}

/// Waits for the end of a child that may belong to somebody hostile.
fn wait(child: &mut Child, deadline: Duration) -> io::Result<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if deadline <= begun.elapsed() {
            child.kill()?;
            return child.wait();
        }
        thread::sleep(ANSWER_PAUSE);
    }
}

/// The desktops in a user's answer, each with the user's name.
fn of_user(user: &User, text: &str) -> Vec<(User, Value)> {
    let mut desktops: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    desktops.retain(Value::is_object);
    let with_name = |mut desktop: Value| {
        desktop["user"] = user.name.clone().into();
        (user.clone(), desktop)
    };
    desktops.into_iter().map(with_name).collect()
}

fn line(desktop: &Value) -> String {
    let word = |name: &str| match &desktop[name] {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        Value::Array(some) => {
            let words: Vec<&str> = some.iter().filter_map(Value::as_str).collect();
            words.join(" ")
        }
        other => other.to_string(),
    };
    let [user, name, display] = ["user", "name", "display"].map(word);
    let [uris, since, clients] = ["uris", "since", "clients"].map(word);
    let outdated = match desktop["outdated"] {
        Value::Bool(false) => "",
        _ => OUTDATED,
    };
    let line =
        format!("{user}  {name}  {display}  {uris}  since {since}  {clients} clients{outdated}");
    line.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn somebody() -> User {
        User::from_uid(Uid::from_raw(0)).unwrap().unwrap()
    }

    #[test]
    fn the_word_is_left_out_with_its_value() {
        let words = ["stop", "--user", "alice", "desk", "--user=bob", "--json"];
        let kept = without_user(words.map(OsString::from).to_vec());
        assert_eq!(kept, ["stop", "desk", "--json"]);
    }

    #[test]
    fn what_others_say_cannot_speak_to_the_terminal() {
        let text = r#"[{"name":"a\u001b[2J","display":":1","uris":["x","y"],"clients":2}, 7]"#;
        let all = of_user(&somebody(), text);
        assert_eq!(all.len(), 1);
        let told = line(&all[0].1);
        assert!(!told.contains('\x1b'), "{told}");
        assert!(told.starts_with("root  a") && told.ends_with(OUTDATED));
        let text = r#"[{"name":"a","clients":2,"outdated":false}]"#;
        assert!(line(&of_user(&somebody(), text)[0].1).ends_with("2 clients"));
        assert!(of_user(&somebody(), "rubbish").is_empty());
    }

    #[test]
    fn outdated_desktops_are_counted_and_their_users_named() {
        assert_eq!(advice(&[]), None);
        let mut outdated = of_user(&somebody(), r#"[{"name":"a"}]"#);
        let one = advice(&outdated).unwrap();
        assert!(one.starts_with("1 desktop goes on") && one.contains("(root)"));
        for at in 0..20 {
            let mut user = somebody();
            user.name = format!("user{at:02}");
            outdated.extend(of_user(&user, r#"[{"name":"a"}, {"name":"b"}]"#));
        }
        let many = advice(&outdated).unwrap();
        assert!(many.starts_with("41 desktops go on"), "{many}");
        assert!(
            many.contains("user06 and 13 more") && many.contains("upgrade --all"),
            "{many}"
        );
    }

    #[test]
    fn directories_that_are_anothers_name_nobody() {
        let dir = tempfile::tempdir().unwrap();
        let own = nix::unistd::geteuid().as_raw();
        for name in [format!("caraway-{own}"), "caraway-4711".into(), "x".into()] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        let entries = fs::read_dir(dir.path()).unwrap();
        let found: Vec<u32> = owners(entries, SHARED_BEGINNING).collect();
        assert_eq!(found, [own]);
    }
}
