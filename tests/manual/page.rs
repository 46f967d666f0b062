//! Pages of the manual (`docs/man`), of which parts are made from the program's own definitions. A test compares each
//! part with what the definitions say now; `make man` (`CARAWAY_WRITE_MAN=1`) writes the parts anew.

use std::path::{Path, PathBuf};

/// With this variable, pages are written instead of compared.
const WRITE: &str = "CARAWAY_WRITE_MAN";

/// The folder of the pages; the packages of the workspace lie at its root or one below.
pub(crate) fn folder() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let roots = [package.to_path_buf(), package.join("..")];
    let folders = roots.iter().map(|root| root.join("docs/man"));
    folders
        .into_iter()
        .find(|folder| folder.is_dir())
        .expect("docs/man is there")
}

/// Holds the parts of `page` to what was made of the definitions: a name, and text in man(7)'s macros for each.
pub(crate) fn hold(page: &str, parts: &[(&str, String)]) {
    let path = folder().join(page);
    let written = std::fs::read_to_string(&path).unwrap();
    let mut made = written.clone();
    for (name, text) in parts {
        made = replaced(&made, name, text).unwrap_or_else(|| panic!("{page} has no part {name}"));
    }
    if written == made {
        return;
    }
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(&path, made).unwrap();
        return;
    }
    let (line, (is, should)) = (1..)
        .zip(written.lines().zip(made.lines()))
        .find(|(_, (is, should))| is != should)
        .unwrap_or((0, ("the end", "more")));
    panic!(
        "docs/man/{page}:{line} says\n  {is}\nwhere the definitions say\n  {should}\nrun `make man`"
    );
}

/// The page with another text between the two lines that mark the part `name`; `None` if it has no such part.
fn replaced(page: &str, name: &str, text: &str) -> Option<String> {
    let begin = format!(".\\\" {name}: made by `make man`\n");
    let end = format!(".\\\" {name}: end\n");
    let from = page.find(&begin)? + begin.len();
    let to = from + page[from..].find(&end)?;
    Some(format!("{}{text}{}", &page[..from], &page[to..]))
}

/// Text as roff takes it.
pub(crate) fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) {
        format!("\\&{text}")
    } else {
        text
    }
}

/// A sentence of the definitions, which have no full stop there.
pub(crate) fn sentence(text: &str) -> String {
    let text = escaped(text.trim());
    if text.ends_with('.') || text.is_empty() {
        text
    } else {
        format!("{text}.")
    }
}

#[test]
fn parts_are_replaced_and_roff_is_escaped() {
    let page = ".TH A\n.\\\" x: made by `make man`\nold\n.\\\" x: end\nafter\n";
    let made = replaced(page, "x", "new\n").unwrap();
    assert_eq!(
        made,
        ".TH A\n.\\\" x: made by `make man`\nnew\n.\\\" x: end\nafter\n"
    );
    assert_eq!(replaced(page, "y", "new\n"), None);
    assert_eq!(escaped("a-b \\n"), "a\\-b \\en");
    assert_eq!(sentence(".x"), "\\&.x.");
}
