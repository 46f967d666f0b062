//! Names of desktops. They become directory names and words of a command line, so little is allowed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Characters of a desktop's name; keeps socket paths below the 107 bytes of `sun_path`.
pub(crate) const NAME_CHARACTERS_MAX: usize = 64;

/// A valid name: letters, digits, `.`, `_` and `-`, none of them a leading dot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct DesktopName(String);

/// What is wrong with a name that the user gave.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum NameError {
    #[error("a name has 1 to {NAME_CHARACTERS_MAX} characters")]
    Length,
    #[error("a name holds only letters, digits, '.', '_' and '-', and begins with no dot or dash")]
    Characters,
}

impl DesktopName {
    /// The name that the `n`-th desktop gets when the user gives none; counts from 1.
    pub(crate) fn default_for(n: usize) -> Self {
        if n <= 1 {
            Self("desktop".into())
        } else {
            Self(format!("desktop-{n}"))
        }
    }

    /// The name as text.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for DesktopName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.is_empty() || text.len() > NAME_CHARACTERS_MAX {
            return Err(NameError::Length);
        }
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        if !text.bytes().all(allowed) || text.starts_with(['.', '-']) {
            return Err(NameError::Characters);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for DesktopName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<DesktopName> for String {
    fn from(name: DesktopName) -> Self {
        name.0
    }
}

impl fmt::Display for DesktopName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_directory_are_refused() {
        for bad in [
            "",
            ".",
            "..",
            ".x",
            "-x",
            "a/b",
            "a b",
            "a\0",
            "ä",
            &"x".repeat(65),
        ] {
            assert!(bad.parse::<DesktopName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn ordinary_names_are_kept_as_they_are() {
        for good in ["a", "work-2", "A.b_c", &"x".repeat(64)] {
            assert_eq!(good.parse::<DesktopName>().unwrap().as_str(), good);
        }
        assert_eq!(DesktopName::default_for(1).as_str(), "desktop");
        assert_eq!(DesktopName::default_for(2).as_str(), "desktop-2");
    }
}
