//! What is configured in files and variables, and what the command line has above it.

use std::fs;
use std::process::{Output, Stdio};

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::stage::{Stage, as_each_user, spawn};

fn configure(stage: &Stage, text: &str) -> String {
    let dir = stage.path("home/.config/caraway");
    fs::create_dir_all(&dir).unwrap();
    let file = dir.join("caraway.toml");
    fs::write(&file, text).unwrap();
    file.to_str().unwrap().to_owned()
}

fn run(stage: &Stage, words: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = stage.command(words);
    command.envs(variables.iter().copied());
    let child = spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    child.wait_with_output().unwrap()
}

#[test]
fn files_hold_below_variables_and_those_below_the_command_line() {
    as_each_user(|stage| {
        let file = configure(
            stage,
            "# mine\nname = \"filed\"\nauth = \"none\"\nlisten = [\"127.0.0.1:1\"]\n",
        );
        // The stage says --listen, so that the file's privileged port is not tried.
        let desktop = stage.start(&[], "exec sleep 1000");
        assert_eq!(
            (desktop.name(), &desktop.ready["password"]),
            ("filed", &Value::Null)
        );
        desktop.signal("launcher", Signal::SIGTERM);
        desktop.wait();
        let desktop = stage.start(&["--name", "said", "--auth", "ticket"], "exec sleep 1000");
        assert_eq!(desktop.name(), "said");
        assert!(desktop.ready["password"].is_string());
        desktop.signal("launcher", Signal::SIGTERM);
        desktop.wait();

        let xorg = stage.path("Xorg");
        let words = [
            "start",
            "--detach",
            "--json",
            "-l",
            "127.0.0.1:0",
            "--",
            "sleep",
            "1000",
        ];
        let variables = [
            ("CARAWAY_NAME", "variable"),
            ("CARAWAY_XORG", xorg.to_str().unwrap()),
        ];
        let detached = run(stage, &words, &variables);
        let ready: Value = serde_json::from_slice(&detached.stdout).unwrap();
        assert_eq!(
            (&ready["name"], &ready["password"]),
            (&"variable".into(), &Value::Null)
        );
        assert!(stage.run(&["stop"]).status.success());
        stage.assert_nothing_left();

        let shown = run(stage, &["config", "show", "--origin"], &variables[..1]);
        let shown = String::from_utf8(shown.stdout).unwrap();
        for line in [
            "name = \"variable\"  # CARAWAY_NAME".to_owned(),
            format!("auth = \"none\"  # {file}:3"),
            format!("listen = [\"127.0.0.1:1\"]  # {file}:4"),
        ] {
            assert!(shown.lines().any(|one| one == line), "{line} in {shown}");
        }
        assert!(
            shown
                .lines()
                .any(|line| line.starts_with("geometry = ") && line.ends_with("  # default"))
        );
        let plain = stage.run(&["config", "show"]);
        // What is shown can be configured.
        let other = stage.path("home/other.toml");
        fs::write(&other, &plain.stdout).unwrap();
        let again = stage.run(&["config", "show", "--config", other.to_str().unwrap()]);
        assert_eq!(again.stdout, plain.stdout);
    });
}

#[test]
fn what_makes_no_sense_is_told_with_its_place() {
    as_each_user(|stage| {
        let file = configure(stage, "\nnom = \"x\"\n");
        let wrong = |words: &[&str], variables: &[(&str, &str)], status: i32, told: &str| {
            let output = run(stage, words, variables);
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(status), "{said}");
            assert!(said.starts_with(&format!("caraway: {told}")), "{said}");
            assert_eq!((said.lines().count(), output.stdout.len()), (1, 0));
        };
        let unknown = format!("{file}:2: unknown key 'nom'");
        wrong(&["start", "--", "true"], &[], 2, &unknown);
        wrong(&["config", "show"], &[], 2, &unknown);
        let doctor = String::from_utf8(stage.run(&["doctor"]).stdout).unwrap();
        assert!(
            doctor.contains(&format!("missing  configuration: {unknown}")),
            "{doctor}"
        );
        // Verbs that need none of it go on.
        assert!(stage.run(&["list"]).status.success());

        let other = stage.path("home/other.toml");
        let other = other.to_str().unwrap();
        let with_other = ["start", "--config", other, "--", "true"];
        wrong(
            &with_other,
            &[],
            1,
            &format!("cannot read the configuration in {other}"),
        );
        fs::write(other, "geometry = \"1x1\"").unwrap();
        wrong(
            &with_other,
            &[],
            2,
            &format!("{other}:1: invalid value '1x1'"),
        );
        fs::write(other, "").unwrap();
        let variable = [("CARAWAY_AUTH", "door")];
        wrong(
            &with_other,
            &variable,
            2,
            "CARAWAY_AUTH: invalid value 'door'",
        );
        let certificate = [
            "start",
            "--config",
            other,
            "--tls-cert",
            "/none",
            "--",
            "true",
        ];
        let key = [("CARAWAY_TLS_KEY", "/no key")];
        wrong(&certificate, &key, 1, "");
        let alone = run(stage, &certificate, &[]);
        assert_eq!(alone.status.code(), Some(2), "a certificate needs its key");
        let contradiction = [("CARAWAY_LISTEN", "0.0.0.0:1")];
        wrong(&with_other, &contradiction, 2, "others can reach 0.0.0.0:1");
        stage.assert_nothing_left();
    });
}
