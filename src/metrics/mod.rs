//! Figures as Prometheus reads them: its text format, version 0.0.4.
//!
//! Names follow its rules: base units (seconds, bytes), `_total` for what only grows. What belongs to one client is
//! summed over the desktop, or every connection would leave series of its own behind.

mod histogram;

pub use histogram::Histogram;

use std::fmt::{Display, Write};

/// What a HTTP answer with it is called.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A text that grows metric by metric.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Something that only grows; its name ends in `_total`.
    pub fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "counter");
        self.sample(name, "", value);
    }

    /// Something that goes up and down.
    pub fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, help, "gauge");
        self.sample(name, "", value);
    }

    /// Several of one kind, told from each other by the value of `label`.
    pub fn by_label<V: Display>(
        &mut self,
        (name, help, kind): (&str, &str, &str),
        label: &str,
        values: impl IntoIterator<Item = (String, V)>,
    ) {
        self.head(name, help, kind);
        for (of, value) in values {
            self.sample(name, &format!("{{{label}=\"{}\"}}", escaped(&of)), value);
        }
    }

    /// How often something took how long; its name ends in `_seconds`.
    pub fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.head(name, help, "histogram");
        let bucket = format!("{name}_bucket");
        for (bound, count) in histogram.cumulative() {
            self.sample(&bucket, &format!("{{le=\"{}\"}}", seconds(bound)), count);
        }
        self.sample(&bucket, "{le=\"+Inf\"}", histogram.count());
        let sum = seconds(histogram.sum_us());
        self.sample(&format!("{name}_sum"), "", sum);
        self.sample(&format!("{name}_count"), "", histogram.count());
    }

    /// The text so far.
    pub fn into_text(self) -> String {
        self.text
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl Display) {
        let _ = writeln!(self.text, "{name}{labels} {value}");
    }
}

/// Microseconds as seconds.
pub fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

/// A label's value: what would end it is escaped.
fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let mut exposition = Exposition::new();
        exposition.counter("a_total", "Things.", 3);
        exposition.gauge("b_seconds", "Time.", seconds(1_500_000));
        let clients = [("full".to_owned(), 1), ("a\"b\\c\nd".to_owned(), 0)];
        exposition.by_label(("c", "Clients.", "gauge"), "access", clients);
        let wanted = "\
# HELP a_total Things.
# TYPE a_total counter
a_total 3
# HELP b_seconds Time.
# TYPE b_seconds gauge
b_seconds 1.5
# HELP c Clients.
# TYPE c gauge
c{access=\"full\"} 1
c{access=\"a\\\"b\\\\c\\nd\"} 0
";
        assert_eq!(exposition.into_text(), wanted);
    }

    #[test]
    fn a_histogram_counts_up_to_everything() {
        let mut histogram = Histogram::default();
        for us in [900, 3_000, 3_000, 9_000_000] {
            histogram.add(us);
        }
        let mut exposition = Exposition::new();
        exposition.histogram("k_seconds", "Keys.", &histogram);
        let text = exposition.into_text();
        for line in [
            "k_seconds_bucket{le=\"0.001\"} 1",
            "k_seconds_bucket{le=\"0.002\"} 1",
            "k_seconds_bucket{le=\"0.004\"} 3",
            "k_seconds_bucket{le=\"+Inf\"} 4",
            "k_seconds_sum 9.0069",
            "k_seconds_count 4",
        ] {
            assert!(text.lines().any(|one| one == line), "{line} in {text}");
        }
    }
}
