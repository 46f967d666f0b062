//! What a client may do in a desktop, as the server and programs are told.

use serde::{Deserialize, Serialize};

/// The rights that a password gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Access {
    /// Sees, hears and acts.
    #[default]
    Full,
    /// Sees and hears.
    ViewOnly,
    /// Sees and hears, let in by who administers the host: the desktop's user is told.
    Shadow,
}

impl Access {
    /// As programs are told.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ViewOnly => "view-only",
            Self::Shadow => "shadow",
        }
    }

    /// Whether these are all rights.
    pub(crate) fn is_full(&self) -> bool {
        *self == Self::Full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_those_of_the_lines() {
        for access in [Access::Full, Access::ViewOnly, Access::Shadow] {
            let word = serde_json::json!(access);
            assert_eq!(word, access.word());
            assert_eq!(serde_json::from_value::<Access>(word).unwrap(), access);
        }
    }
}
