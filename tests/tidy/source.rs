//! The source files of the repository, and their code without comments and strings.

use std::path::{Path, PathBuf};

/// Directories with source of our own.
pub(crate) const ROOTS: [&str; 5] = ["src", "launcher", "xorg-driver-shim", "tests", "docs"];

/// One file of the repository.
pub(crate) struct Source {
    /// Path from the root of the workspace, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn is_rust(&self) -> bool {
        has_extension(&self.path, "rs")
    }

    pub(crate) fn is_c(&self) -> bool {
        has_extension(&self.path, "c") || has_extension(&self.path, "h")
    }

    /// File name without its extension.
    pub(crate) fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap();
        name.split('.').next().unwrap()
    }
}

pub(crate) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file of ours, the ones at the root included; what was built or found by a fuzzer is not ours.
pub(crate) fn all() -> Vec<Source> {
    let mut paths = Vec::new();
    for root in ROOTS {
        collect(&workspace().join(root), &mut paths);
    }
    for entry in std::fs::read_dir(workspace()).unwrap().flatten() {
        // Cargo.lock and .git, which is a file in a worktree, are not written by hand.
        let is_ours = entry.file_name() != "Cargo.lock" && entry.file_name() != ".git";
        if entry.file_type().unwrap().is_file() && is_ours {
            paths.push(entry.path());
        }
    }
    let sources: Vec<Source> = paths
        .into_iter()
        .filter_map(|path| {
            let text = std::fs::read_to_string(&path).ok()?;
            let path = path
                .strip_prefix(workspace())
                .unwrap()
                .to_string_lossy()
                .into_owned();
            Some(Source { path, text })
        })
        .collect();
    assert!(20 < sources.len(), "the source was not found");
    sources
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if entry.file_type().unwrap().is_dir() {
            let made = ["target", "build", "corpus", "artifacts", "regressions"];
            if !made.iter().any(|folder| name == *folder) {
                collect(&entry.path(), paths);
            }
        } else {
            paths.push(entry.path());
        }
    }
}

fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|found| found == extension)
}

/// Rust code with line comments and the insides of plain strings blanked, line by line. Not a parser: enough for
/// finding paths and keywords in code that rustfmt has been over.
pub(crate) fn code_lines(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| {
            let mut code = String::new();
            let mut in_string = false;
            let mut characters = line.chars().peekable();
            while let Some(character) = characters.next() {
                match character {
                    '\\' if in_string => {
                        characters.next();
                    }
                    '"' => in_string = !in_string,
                    '/' if !in_string && characters.peek() == Some(&'/') => break,
                    _ if !in_string => code.push(character),
                    _ => {}
                }
            }
            code
        })
        .collect()
}
