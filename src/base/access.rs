//! What a client may do in a desktop.

/// The rights of a client, which it has by what it came in with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Sees, hears and acts.
    #[default]
    Full,
    /// Sees and hears.
    ViewOnly,
    /// Sees and hears, let in by who administers the host: the desktop's user is told.
    Shadow,
}

impl Access {
    /// Whether what the client does reaches the desktop.
    pub const fn acts(self) -> bool {
        matches!(self, Self::Full)
    }

    /// As people and programs are told.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::ViewOnly => "view-only",
            Self::Shadow => "shadow",
        }
    }

    /// The rights that `word` stands for.
    pub fn of_word(word: &str) -> Option<Self> {
        let all = [Self::Full, Self::ViewOnly, Self::Shadow];
        all.into_iter().find(|access| access.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back() {
        for access in [Access::Full, Access::ViewOnly, Access::Shadow] {
            assert_eq!(Access::of_word(access.word()), Some(access));
        }
        assert_eq!(Access::of_word("Full"), None);
        assert!(Access::Full.acts() && !Access::ViewOnly.acts() && !Access::Shadow.acts());
    }
}
