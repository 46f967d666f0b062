//! Measured figures: always printed, held with a margin.
//!
//! The promise is the strict figure. A test on a shared machine fails only beyond `MARGIN` times that; with
//! `PEERS_STRICT=1` in the environment it fails beyond the promise itself.

/// How much noise of other work on the machine is forgiven.
const MARGIN: f64 = 3.0;

/// Prints `measured` beside its promise and panics when it exceeds that by more than the margin.
pub(crate) fn at_most(what: &str, measured: f64, promised: f64, unit: &str) {
    at_most_within(what, measured, promised, unit, MARGIN);
}

/// The same with a margin of its own, for figures that noise moves less.
pub(crate) fn at_most_within(what: &str, measured: f64, promised: f64, unit: &str, margin: f64) {
    let margin = if std::env::var_os("PEERS_STRICT").is_some_and(|value| value == "1") {
        1.0
    } else {
        margin
    };
    let verdict = if measured <= promised {
        "holds"
    } else {
        "MISSED"
    };
    eprintln!("figure: {what}: {measured:.3} {unit} (promised {promised} {unit}: {verdict})");
    assert!(
        measured <= promised * margin,
        "{what}: {measured:.3} {unit}, promised {promised} {unit}"
    );
}

/// The middle one, or the mean of the two in the middle.
pub(crate) fn median(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "a median of nothing");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}
