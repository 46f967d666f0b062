//! The names that the header defines, found in its text. It is written so that this stays simple: one `#define` or
//! enumerator a line, structs without nested braces but for unions of named members.

use std::collections::BTreeSet;

/// What is to be compared.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// `#define`s with a value, and enumerators.
    pub(crate) constants: BTreeSet<String>,
    /// Structs by their tag.
    pub(crate) structs: BTreeSet<String>,
    /// (struct, field designator), reserved fields left out.
    pub(crate) fields: BTreeSet<(String, String)>,
}

/// Reads the header.
pub(crate) fn names(text: &str) -> Names {
    let text = without_comments(text);
    let mut names = Names::default();
    for line in text.lines() {
        if let Some(definition) = line.trim().strip_prefix("#define ")
            && let Some((name, value)) = definition.split_once(' ')
            && !value.trim().is_empty()
        {
            names.constants.insert(name.to_owned());
        }
    }
    for body in bodies(&text, "enum ") {
        let enumerators = body.1.split(',').filter_map(|one| one.split('=').next());
        let trimmed = enumerators.map(str::trim).filter(|name| !name.is_empty());
        names.constants.extend(trimmed.map(str::to_owned));
    }
    for (name, body) in bodies(&text, "struct ") {
        for field in fields("", &body) {
            names.fields.insert((name.clone(), field));
        }
        names.structs.insert(name);
    }
    names
}

fn without_comments(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, comment)) = rest.split_once("/*") {
        kept.push_str(before);
        rest = comment.split_once("*/").expect("a closed comment").1;
    }
    kept + rest
}

/// Each `keyword NAME { BODY }` outside of other braces.
fn bodies(text: &str, keyword: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        let close = matching(rest, open);
        let head = rest[..open]
            .rsplit(['}', ';', '\n'])
            .next()
            .unwrap_or_default()
            .trim();
        if let Some(name) = head.strip_prefix(keyword) {
            found.push((name.trim().to_owned(), rest[open + 1..close].to_owned()));
        }
        rest = &rest[close + 1..];
    }
    found
}

/// The index of the brace that closes the one at `open`.
fn matching(text: &str, open: usize) -> usize {
    let mut depth = 0;
    let closes = text.bytes().enumerate().skip(open).find(|(_, byte)| {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    closes.expect("an open brace ends").0
}

/// The field designators of a struct's body; members of unions and nested structs as `u.fill.color`.
fn fields(prefix: &str, body: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = body.trim();
    while !rest.is_empty() {
        let semicolon = rest.find(';').expect("a declaration ends");
        match rest.find('{').filter(|open| *open < semicolon) {
            Some(open) => {
                let close = matching(rest, open);
                let (inner, after) = (&rest[open + 1..close], &rest[close + 1..]);
                let (name, next) = after.split_once(';').expect("a nested declaration ends");
                found.extend(fields(&format!("{prefix}{}.", name.trim()), inner));
                rest = next.trim();
            }
            None => {
                found.extend(declared(&rest[..semicolon]).map(|name| format!("{prefix}{name}")));
                rest = rest[semicolon + 1..].trim();
            }
        }
    }
    found
}

/// The names of `uint32_t x, y[3]`, without the reserved.
fn declared(declaration: &str) -> impl Iterator<Item = &str> {
    let names = declaration
        .split(',')
        .filter_map(|part| part.split_whitespace().last());
    names
        .filter_map(|name| name.split('[').next())
        .filter(|name| !name.starts_with("reserved"))
}

#[test]
fn a_small_header_is_read_whole() {
    let names = names(
        "#define GUARD_H\n#define ONE 1u /* not TWO */\nenum e {\n    A = 3, /* B */\n    C\n};\n\
         struct s {\n    uint32_t x, y[2];\n    uint32_t reserved0;\n    union {\n        struct p q;\n\
         struct {\n            uint8_t r;\n        } t;\n    } u;\n};\n",
    );
    let constants: Vec<&str> = names.constants.iter().map(String::as_str).collect();
    assert_eq!(constants, ["A", "C", "ONE"]);
    let fields: Vec<&str> = names
        .fields
        .iter()
        .map(|(_, field)| field.as_str())
        .collect();
    assert_eq!(fields, ["u.q", "u.t.r", "x", "y"]);
    assert!(names.structs.iter().eq(["s"]));
}
