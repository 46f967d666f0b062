//! Figures as a table: a line per desktop, and one behind it per client.

use std::fmt::Write;

use crate::access::Access;

use super::figures::{Client, Desktop, Process};

/// Shown where a figure is not known.
const UNKNOWN: &str = "-";

const HEADINGS: [&str; 12] = [
    "DESKTOP", "USER", "SIZE", "CLIENTS", "FPS", "MBIT/S", "ENC MS", "RTT MS", "KEY MS", "SERVER",
    "XORG", "MEMORY",
];

/// Columns of words; the others are of figures and end flush.
const WORDS: usize = 2;

/// The table, without the end of its last line.
pub(super) fn text(desktops: &[Desktop]) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    for desktop in desktops {
        rows.push(of_desktop(desktop));
        rows.extend(desktop.clients.iter().map(of_client));
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max();
    let widths: Vec<usize> = (0..HEADINGS.len()).filter_map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let _ = match column < WORDS {
                true => write!(line, "{cell:width$}  "),
                false => write!(line, "{cell:>width$}  "),
            };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if desktops.is_empty() {
        text.push_str("no desktop of yours runs\n");
    }
    text.pop();
    text
}

fn of_desktop(desktop: &Desktop) -> [String; 12] {
    let sum = |of: fn(&Client) -> Option<f64>| {
        let figures = desktop.clients.iter().filter_map(of);
        figures.reduce(|sum, figure| sum + figure)
    };
    let size = desktop.width.zip(desktop.height);
    let cpu = |process: &Option<Process>| {
        let percent = process.as_ref().and_then(|process| process.cpu_percent);
        percent.map_or(UNKNOWN.into(), |percent| format!("{percent:.0} %"))
    };
    let processes = [&desktop.server, &desktop.xorg].into_iter().flatten();
    let bytes: u64 = processes.map(|process| process.memory_bytes).sum();
    [
        desktop.name.to_string(),
        desktop.user.clone().unwrap_or(UNKNOWN.into()),
        size.map_or(UNKNOWN.into(), |(width, height)| {
            format!("{width}x{height}")
        }),
        desktop.clients.len().to_string(),
        figure(desktop.fps, 0),
        figure(sum(|client| client.mbit_per_s), 2),
        String::new(),
        String::new(),
        String::new(),
        cpu(&desktop.server),
        cpu(&desktop.xorg),
        format!("{} MiB", bytes / (1024 * 1024)),
    ]
}

fn of_client(client: &Client) -> [String; 12] {
    let mut row = HEADINGS.map(|_| String::new());
    row[0] = match client.access {
        Access::Full => format!("  {}", client.peer),
        watches => format!("  {} ({})", client.peer, watches.word()),
    };
    row[1] = client.user.clone().unwrap_or_default();
    row[4] = figure(client.fps, 0);
    row[5] = figure(client.mbit_per_s, 2);
    row[6] = figure(client.encode_ms, 1);
    row[7] = figure(client.rtt_ms, 1);
    row[8] = figure(client.key_to_frame_ms, 1);
    row
}

fn figure(value: Option<f64>, digits: usize) -> String {
    value.map_or(UNKNOWN.into(), |value| format!("{value:.digits$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_stand_below_their_headings() {
        let desktop = Desktop {
            name: "work".parse().unwrap(),
            display: Some(":10".into()),
            user: Some("alice".into()),
            width: Some(1920),
            height: Some(1080),
            fps: Some(59.6),
            server: Some(Process {
                pid: 1,
                cpu_percent: Some(12.4),
                memory_bytes: 5 << 20,
            }),
            xorg: None,
            clients: vec![Client {
                peer: "192.0.2.1:7".into(),
                user: None,
                access: Access::ViewOnly,
                fps: Some(30.2),
                mbit_per_s: Some(4.567),
                encode_ms: None,
                rtt_ms: Some(7.04),
                key_to_frame_ms: None,
                in_flight_bytes: 0,
            }],
        };
        let text = text(&[desktop]);
        let wanted = "\
DESKTOP                    USER        SIZE  CLIENTS  FPS  MBIT/S  ENC MS  RTT MS  KEY MS  SERVER  XORG  MEMORY
work                       alice  1920x1080        1   60    4.57                            12 %     -   5 MiB
  192.0.2.1:7 (view-only)                              30    4.57       -     7.0       -";
        assert_eq!(text, wanted);
        assert!(super::text(&[]).ends_with("no desktop of yours runs"));
    }
}
