//! Leads programs that speak ALSA to the desktop's sound: by ALSA's plug-in for PulseAudio, as their default device.
//!
//! Distributions do that for hosts where PulseAudio is the user's; but a host may have PipeWire's plug-in instead, or a
//! user an `.asoundrc` that means the sound card of the machine. ALSA reads all of these as ever, and ours last.

use std::fs;
use std::path::{Path, PathBuf};

/// In the desktop's directory: what ALSA reads instead of the system's, which it includes, and what it reads last.
const MAIN: &str = "asound.conf";
const DEFAULTS: &str = "asound-default.conf";

/// The system's.
const SYSTEM: &str = "/usr/share/alsa/alsa.conf";

/// Where plug-ins are: these, and `/usr/lib/TRIPLET/alsa-lib`.
const PLUGINS: [&str; 2] = ["/usr/lib64/alsa-lib", "/usr/lib/alsa-lib"];

const PLUGIN: &str = "libasound_module_pcm_pulse.so";

/// What programs are told by the variable `ALSA_CONFIG_PATH`; nothing where ALSA or its plug-in is not installed.
pub(super) fn config_path(dir: &Path) -> Option<PathBuf> {
    is_installed().then(|| dir.join(MAIN))
}

/// The files by their names, with what they hold.
pub(super) fn files(dir: &Path) -> [(&'static str, String); 2] {
    let defaults = quoted(&dir.join(DEFAULTS));
    // The system's file has the first hook, which reads the user's files; this is the second.
    let main = format!(
        "<{SYSTEM}>\n@hooks.1 {{\n\tfunc load\n\tfiles [ {defaults} ]\n\terrors false\n}}\n"
    );
    let device = |what| format!("{what}.!default {{\n\ttype pulse\n}}\n");
    [(MAIN, main), (DEFAULTS, device("pcm") + &device("ctl"))]
}

fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Whether this host has what is needed.
fn is_installed() -> bool {
    let triplets = fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let dirs = triplets.map(|entry| entry.path().join("alsa-lib"));
    let mut dirs = dirs.chain(PLUGINS.map(PathBuf::from));
    Path::new(SYSTEM).exists() && dirs.any(|dir| dir.join(PLUGIN).exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alsa_reads_the_systems_files_first_and_ours_last() {
        let [(main, text), (defaults, _)] = files(Path::new("/run/a \"b\""));
        assert_eq!((main, defaults), ("asound.conf", "asound-default.conf"));
        let includes = text.find("</usr/share/alsa/alsa.conf>").unwrap();
        let ours = text
            .find(r#"[ "/run/a \"b\"/asound-default.conf" ]"#)
            .unwrap();
        assert!(includes < ours, "{text}");
    }
}
