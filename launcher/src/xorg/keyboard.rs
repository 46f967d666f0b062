//! The keyboard layout of a new desktop: what the user's environment says, else the host's.

use std::env;
use std::fs;

/// Debian's file of the host's keyboard, keyboard(5).
const SYSTEM_FILE: &str = "/etc/default/keyboard";

/// Characters of one XKB word; the longest that xkeyboard-config has is far shorter.
const WORD_CHARACTERS_MAX: usize = 128;

/// XKB's names, each safe to stand in xorg.conf.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keyboard {
    layout: String,
    variant: String,
    options: String,
}

impl Keyboard {
    /// The one of this user on this host.
    pub(crate) fn of_user() -> Self {
        let file = fs::read_to_string(SYSTEM_FILE).unwrap_or_default();
        Self::choose(|name| env::var(name).ok(), &file)
    }

    #[cfg(test)]
    pub(super) fn with_layout(layout: &str) -> Self {
        Self {
            layout: layout.into(),
            variant: String::new(),
            options: String::new(),
        }
    }

    /// A variant belongs to its layout, so all three come from one place.
    fn choose(environment: impl Fn(&str) -> Option<String>, file: &str) -> Self {
        let word = |text: Option<String>| text.filter(|text| is_word(text));
        let given = |name: &str| word(environment(&format!("XKB_DEFAULT_{name}")));
        let system = |name: &str| word(assigned(file, &format!("XKB{name}")));
        if let Some(layout) = given("LAYOUT") {
            let or_none = |name| given(name).unwrap_or_default();
            return Self {
                layout,
                variant: or_none("VARIANT"),
                options: or_none("OPTIONS"),
            };
        }
        let or_none = |name| system(name).unwrap_or_default();
        match system("LAYOUT") {
            Some(layout) => Self {
                layout,
                variant: or_none("VARIANT"),
                options: or_none("OPTIONS"),
            },
            None => Self {
                layout: "us".into(),
                variant: String::new(),
                options: or_none("OPTIONS"),
            },
        }
    }

    /// Options of the keyboard's InputDevice section.
    pub(super) fn options(&self) -> Vec<(&'static str, &str)> {
        let all = [
            ("XkbRules", "evdev"),
            ("XkbModel", "pc105"),
            ("XkbLayout", &self.layout),
            ("XkbVariant", &self.variant),
            ("XkbOptions", &self.options),
        ];
        all.into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect()
    }
}

/// The value of `NAME="value"` in a file of shell assignments.
fn assigned(file: &str, name: &str) -> Option<String> {
    let value = |line: &str| {
        let rest = line.trim().strip_prefix(name)?.strip_prefix('=')?.trim();
        Some(rest.trim_matches(['"', '\'']).to_owned())
    };
    file.lines().rev().find_map(value)
}

fn is_word(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_-+:,()".contains(c);
    !text.is_empty() && text.len() <= WORD_CHARACTERS_MAX && text.chars().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# comment\nXKBMODEL=\"pc105\"\nXKBLAYOUT=\"de\"\nXKBVARIANT='nodeadkeys'\n";

    fn names(keyboard: &Keyboard) -> [&str; 3] {
        [&keyboard.layout, &keyboard.variant, &keyboard.options]
    }

    #[test]
    fn the_environment_comes_before_the_host() {
        let own = |name: &str| (name == "XKB_DEFAULT_LAYOUT").then(|| "fr,us".to_owned());
        assert_eq!(names(&Keyboard::choose(own, FILE)), ["fr,us", "", ""]);
        assert_eq!(
            names(&Keyboard::choose(|_| None, FILE)),
            ["de", "nodeadkeys", ""]
        );
        assert_eq!(names(&Keyboard::choose(|_| None, "")), ["us", "", ""]);
    }

    #[test]
    fn words_that_would_leave_their_quotes_are_dropped() {
        let evil = |_: &str| Some("us\"\nEndSection".to_owned());
        assert_eq!(
            names(&Keyboard::choose(evil, "XKBLAYOUT=\"a b\"")),
            ["us", "", ""]
        );
    }
}
