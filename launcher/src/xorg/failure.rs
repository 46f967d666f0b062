//! Xorg's log, read for the one sentence that helps.

use crate::process::reaper::Ended;

/// Errors quoted where the cause is none that is known.
const QUOTED_ERRORS_MAX: usize = 3;

/// Why an Xorg that `said` this ended so, and what to do.
pub(crate) fn explain(said: &str, ended: Ended) -> String {
    if let Some(major) = other_abi(said) {
        return format!(
            "caraway_drv.so was built for another Xorg (its ABI version is {}, this Xorg's is {}); \
             build it anew with `make build`, or install the package for this Xorg",
            major.0, major.1
        );
    }
    if said.contains("Failed to load module \"caraway\"") {
        let reason = errors(said)
            .find(|line| line.contains("caraway_drv.so"))
            .unwrap_or("");
        return format!(
            "Xorg cannot load caraway_drv.so; build it anew with `make build` {reason}"
        )
        .trim_end()
        .into();
    }
    if said.contains("Cannot establish any listening sockets") {
        return "Xorg could not make its socket; see that /tmp/.X11-unix belongs to root and has \
                mode 1777, or choose another display with -d"
            .into();
    }
    let quoted: Vec<&str> = errors(said).take(QUOTED_ERRORS_MAX).collect();
    if quoted.is_empty() {
        format!("Xorg ended ({ended}) and gave no reason")
    } else {
        format!("Xorg ended ({ended}): {}", quoted.join("; "))
    }
}

/// The versions in Xorg's "module ABI major version (24) doesn't match the server's version (25)".
fn other_abi(said: &str) -> Option<(&str, &str)> {
    let line = said
        .lines()
        .find(|line| line.contains("ABI major version"))?;
    line.contains("doesn't match").then_some(())?;
    let mut numbers = line.split('(').filter_map(|part| {
        let number = part.split_once(')')?.0;
        number
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then_some(number)
            .filter(|n| !n.is_empty())
    });
    Some((numbers.next()?, numbers.next()?))
}

/// Beginnings of what Xorg marks with `(EE)` although it tells nothing: the legend, advice on where to
/// ask, our empty configuration directory, and buses that nobody needs here.
const NOISE: [&str; 9] = [
    "error, (NI)",
    "Please",
    "Fatal server error:",
    "at http",
    "for help",
    "Server terminated",
    "Unable to locate/open config directory",
    "dbus-core:",
    "systemd-logind:",
];

/// The texts behind `(EE)`.
fn errors(said: &str) -> impl Iterator<Item = &str> {
    said.lines()
        .filter_map(|line| Some(line.split_once("(EE)")?.1.trim()))
        .filter(|text| !text.is_empty() && !NOISE.iter().any(|noise| text.starts_with(noise)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDED: Ended = Ended::Exited(1);

    #[test]
    fn another_abi_is_named_with_both_versions() {
        let said = "[  1.0] (II) Loading /x/caraway_drv.so\n\
            [  1.0] (EE) module ABI major version (24) doesn't match the server's version (25)\n\
            [  1.0] (EE) Failed to load module \"caraway\" (module requirement mismatch, 0)\n";
        let sentence = explain(said, ENDED);
        assert!(
            sentence.contains("its ABI version is 24, this Xorg's is 25"),
            "{sentence}"
        );
    }

    #[test]
    fn unknown_failures_are_quoted_without_the_noise() {
        let said = "\t(WW) warning, (EE) error, (NI) not implemented, (??) unknown.\n\
            [ 1] (EE) \n(EE) Fatal server error:\n[ 1] (EE) no screens found(EE) \n\
            (EE) Please consult the support\n(EE)  at http://wiki.x.org\n for help.\n";
        let sentence = explain(said, ENDED);
        assert_eq!(sentence, "Xorg ended (exit status 1): no screens found(EE)");
        assert!(explain("", Ended::Killed(9)).contains("(signal 9)"));
    }
}
