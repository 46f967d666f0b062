//! `caraway top`: figures of one second, from the counters that the server tells.

use crate::stage::as_each_user;

#[test]
fn figures_of_a_second_are_shown() {
    as_each_user(|stage| {
        let desktop = stage.start(&["--name", "work"], "exec sleep 1000");
        let figures = stage.json(&["top", "--once", "--json"]);
        let shown = &figures["desktops"][0];
        assert_eq!(shown["name"], "work");
        assert_eq!(
            (&shown["width"], &shown["height"]),
            (&800.into(), &600.into())
        );
        // The stand-in counts questions, and between the two looks a second and the time of an answer pass.
        let near = |figure: &serde_json::Value, wanted: f64| {
            let figure = figure.as_f64().unwrap();
            assert!(
                (wanted * 0.5..=wanted).contains(&figure),
                "{figure} of {wanted}"
            );
        };
        near(&shown["fps"], 60.0);
        let client = &shown["clients"][0];
        assert_eq!(client["peer"], "192.0.2.1:7");
        near(&client["fps"], 30.0);
        near(&client["mbit_per_s"], 8.0);
        assert_eq!(client["encode_ms"], 2.0);
        assert_eq!(client["rtt_ms"], 7.0);
        assert!(client["key_to_frame_ms"].is_null());
        for part in ["server", "xorg"] {
            assert_eq!(shown[part]["pid"], desktop.ready["pids"][part]);
            assert!(shown[part]["memory_bytes"].as_u64().unwrap() > 100_000);
            assert!(shown[part]["cpu_percent"].is_number());
        }

        let table = stage.run(&["top", "--once"]);
        let table = String::from_utf8(table.stdout).unwrap();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        assert!(
            lines[0].starts_with("DESKTOP") && lines[1].contains("800x600"),
            "{table}"
        );
        assert!(
            lines[2].contains("192.0.2.1:7") && !table.contains('\x1b'),
            "{table}"
        );
        assert!(stage.run(&["stop"]).status.success());
        assert_eq!(desktop.wait().0, Some(0));

        let nothing = stage.run(&["top", "--once"]);
        assert_eq!(nothing.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&nothing.stderr).contains("caraway start"));
        assert_eq!(
            stage.json(&["top", "--once", "--json"])["desktops"]
                .as_array()
                .unwrap()
                .len(),
            0
        );
        stage.assert_nothing_left();
    });
}
