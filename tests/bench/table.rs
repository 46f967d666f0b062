//! The table as text and as JSON, and the comparison of two runs.

use std::path::Path;

use crate::figures::{Figures, PSNR_MAX_DB};

/// The first line of each load's table.
pub(crate) fn heading() -> String {
    format!(
        "  {:<17}{:>11} {:>10} {:>14} ({:>6}) {:>7} {:>11} {:>8} {:>14} {:>9}",
        "server",
        "shown/drawn",
        "KB/frame",
        "CPU ms/frame",
        "net",
        "X ms",
        "age p50 ms",
        "p95 ms",
        "exact after ms",
        "PSNR dB",
    )
}

/// What the columns are.
pub(crate) const LEGEND: &str = "\
Per frame that the viewer's window showed. KB: 1000 bytes that the server sent, by the kernel's count, until the
picture was exact. CPU: all processes of the server; net: less what Xorg with the dummy driver spends on the same
drawing. X: what the application waits until X has drawn a frame (p50), which the age does not include. Age: from the
frame in X (or the key) until it is to be seen in the viewer's window. Exact: from the last frame in X until the window
equals the desktop in each pixel. PSNR: of the moving image in the window while it moves.";

/// One line of the table.
pub(crate) fn line(figures: &Figures) -> String {
    if let Some(failure) = &figures.failure {
        return format!("  {:<17}not measured: {failure}", figures.server);
    }
    let exact = figures
        .exact_ms
        .map_or("never".to_owned(), |ms| format!("{ms:.1}"));
    let psnr = match figures.psnr_db {
        None => String::new(),
        Some(ratio) if ratio.is_nan() => "not seen".to_owned(),
        Some(ratio) if PSNR_MAX_DB <= ratio => "exact".to_owned(),
        Some(ratio) => format!("{ratio:.1}"),
    };
    format!(
        "  {:<17}{:>11} {:>10.2} {:>14.2} ({:>6.2}) {:>7.1} {:>11.1} {:>8.1} {:>14} {:>9}",
        figures.server,
        format!("{}/{}", figures.shown, figures.drawn),
        figures.kb_per_frame,
        figures.cpu_ms_per_frame,
        figures.net_cpu_ms_per_frame,
        figures.x_p50_ms,
        figures.age_p50_ms,
        figures.age_p95_ms,
        exact,
        psnr,
    )
}

/// Writes all figures as a list of JSON.
pub(crate) fn write(path: &Path, results: &[Figures]) {
    std::fs::write(path, serde_json::to_string_pretty(results).unwrap())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Reads what `write` wrote.
pub(crate) fn read(path: &Path) -> Vec<Figures> {
    let text =
        std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// How each figure of `after` stands to the same of `before`, in percent.
pub(crate) fn comparison(before: &[Figures], after: &[Figures]) -> String {
    let heading = format!("  {:<12}{:<18}", "load", "server");
    let mut text = format!(
        "Change since the run compared with:\n{heading}       KB   net CPU   age p50   age p95"
    );
    for new in after.iter().filter(|figures| figures.failure.is_none()) {
        let same = |old: &&Figures| {
            old.load == new.load && old.server == new.server && old.failure.is_none()
        };
        let Some(old) = before.iter().find(same) else {
            continue;
        };
        let pairs = [
            (old.kb_per_frame, new.kb_per_frame),
            (old.net_cpu_ms_per_frame, new.net_cpu_ms_per_frame),
            (old.age_p50_ms, new.age_p50_ms),
            (old.age_p95_ms, new.age_p95_ms),
        ];
        let changes: Vec<String> = pairs.iter().map(|(old, new)| change(*old, *new)).collect();
        text.push_str(&format!(
            "\n  {:<12}{:<18}{}",
            new.load,
            new.server,
            changes.join(" ")
        ));
    }
    text
}

/// The change from `old` to `new`, nine characters wide.
fn change(old: f64, new: f64) -> String {
    // Less than nothing is noise around nothing, and has no percentages.
    if old <= 0.0 || new <= 0.0 {
        return format!("{:>9}", "-");
    }
    format!("{:>+8.0}%", (new / old - 1.0) * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(kb_per_frame: f64) -> Figures {
        Figures {
            failure: None,
            drawn: 120,
            shown: 119,
            kb_per_frame,
            exact_ms: Some(12.5),
            psnr_db: Some(37.04),
            ..Figures::failed("video", "caraway", String::new())
        }
    }

    #[test]
    fn a_line_has_what_was_measured_or_why_not() {
        let words = line(&some(60.128));
        for word in ["caraway", "119/120", "60.13", "12.5", "37.0"] {
            assert!(
                words.split_whitespace().any(|found| found == word),
                "{words}"
            );
        }
        let failed = Figures::failed("video", "xspice", "no screen".to_owned());
        assert!(line(&failed).contains("no screen"));
    }

    #[test]
    fn the_columns_stand_under_their_headings() {
        let heading = heading();
        let end = |name: &str| heading.find(name).unwrap() + name.len();
        let line = line(&some(60.128));
        assert_eq!(line.find("119/120").unwrap() + 7, end("shown/drawn"));
        assert_eq!(line.find("60.13").unwrap() + 5, end("KB/frame"));
        assert_eq!(line.len(), end("PSNR dB"));
    }

    #[test]
    fn figures_survive_their_file_and_are_compared() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("figures.json");
        write(&path, &[some(50.0)]);
        let before = read(&path);
        let text = comparison(
            &before,
            &[
                some(75.0),
                Figures::failed("video", "xspice", String::new()),
            ],
        );
        assert!(text.contains("+50%"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}
