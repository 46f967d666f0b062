//! Holds the manual to the limits of server and launcher: each is in a page, with its value and its reason.
//!
//! The server's stand in one file; the launcher's where they are checked, and are known by how their names end.

#[path = "../manual/page.rs"]
mod page;

use std::collections::BTreeMap;

use crate::source::{self, Source};

const SERVER: &str = "src/base/limits.rs";

/// A constant with what its comment says.
struct Limit {
    name: String,
    /// As it is written.
    value: String,
    why: String,
}

/// The constants of a file outside its tests. A value may go over several lines.
fn constants(file: &Source) -> Vec<Limit> {
    let own = file.text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
    let mut found = Vec::new();
    let mut why: Vec<&str> = Vec::new();
    let mut lines = own.lines();
    while let Some(line) = lines.next() {
        if let Some(text) = line.strip_prefix("/// ") {
            why.push(text);
            continue;
        }
        let visible = line
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub(super) ");
        let constant = visible.trim_start_matches("pub ").strip_prefix("const ");
        if let Some((name, rest)) = constant.and_then(|text| text.split_once(':')) {
            let mut text = rest.to_owned();
            while !text.trim_end().ends_with(';') {
                text.push_str(lines.next().unwrap_or(";").trim());
            }
            if let Some((_, value)) = text.trim_end_matches(';').split_once('=') {
                found.push(Limit {
                    name: name.to_owned(),
                    value: value.trim().to_owned(),
                    why: why.join(" "),
                });
            }
        }
        why.clear();
    }
    found
}

/// The number that an expression of limits stands for: products and shifts of numbers and of other limits.
fn number(expression: &str, known: &BTreeMap<&str, &str>) -> Option<u128> {
    let expression = expression.trim();
    if let Some((left, right)) = expression.split_once("<<") {
        return number(left, known)?.checked_shl(u32::try_from(number(right, known)?).ok()?);
    }
    if let Some((left, right)) = expression.rsplit_once('*') {
        return number(left, known)?.checked_mul(number(right, known)?);
    }
    if let Some(value) = known.get(expression) {
        return number(value, known);
    }
    expression.replace('_', "").parse().ok()
}

/// Digits in groups of three.
fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at != 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A value as people read it; what is no number stays as it is written.
fn shown(limit: &Limit, known: &BTreeMap<&str, &str>) -> String {
    for (call, unit) in [("::from_secs(", " s"), ("::from_millis(", " ms")] {
        let inside = limit.value.split_once(call).map(|(_, rest)| rest);
        let inside = inside.and_then(|rest| rest.strip_suffix(')'));
        if let Some(number) = inside.and_then(|text| number(text, known)) {
            return grouped(number) + unit;
        }
    }
    let Some(number) = number(&limit.value, known) else {
        return limit.value.clone();
    };
    let is_bytes = limit.name.contains("BYTES") || limit.why.starts_with("Bytes");
    match number {
        mebi if is_bytes && 1 << 20 <= mebi && mebi.trailing_zeros() >= 20 => {
            grouped(mebi >> 20) + " MiB"
        }
        kibi if is_bytes && 1 << 10 <= kibi && kibi.trailing_zeros() >= 10 => {
            grouped(kibi >> 10) + " KiB"
        }
        number => grouped(number),
    }
}

/// Paragraphs of a page, `name_of` giving their headings.
fn paragraphs(limits: &[(String, Limit)]) -> String {
    let values = limits
        .iter()
        .map(|(_, limit)| (limit.name.as_str(), limit.value.as_str()));
    let known: BTreeMap<&str, &str> = values.collect();
    let mut text = String::new();
    for (name, limit) in limits {
        let value = page::escaped(&shown(limit, &known));
        let name = page::escaped(name);
        text.push_str(&format!(".TP\n\\fB{name}\\fR = {value}\n"));
        text.push_str(&page::sentence(&limit.why.replace(['`', '[', ']'], "")));
        text.push('\n');
    }
    text
}

#[test]
fn the_page_of_the_server_has_its_limits() {
    let files = source::all();
    let file = files.iter().find(|file| file.path == SERVER).unwrap();
    let limits = constants(file)
        .into_iter()
        .filter(|limit| limit.name != "_");
    let limits: Vec<(String, Limit)> = limits.map(|limit| (limit.name.clone(), limit)).collect();
    assert!(50 < limits.len(), "limits were not found");
    page::hold("caraway-server.8", &[("limits", paragraphs(&limits))]);
}

#[test]
fn the_page_of_the_command_has_the_launchers_limits() {
    let limits = limits_of(&["launcher/src/"], Some("broker/"));
    assert!(20 < limits.len(), "limits were not found");
    page::hold("caraway.1", &[("limits", paragraphs(&limits))]);
}

#[test]
fn the_pages_of_gateway_and_broker_have_their_limits() {
    let pages = [
        ("caraway-broker.8", &["launcher/src/broker/"][..]),
        ("caraway-gateway.8", &["src/gateway/", "src/io/gateway/"]),
    ];
    for (page, folders) in pages {
        let limits = limits_of(folders, None);
        assert!(5 < limits.len(), "limits were not found");
        page::hold(page, &[("limits", paragraphs(&limits))]);
    }
}

/// The limits of these folders by where they are checked, but for those of `without`; each has a reason.
fn limits_of(folders: &[&str], without: Option<&str>) -> Vec<(String, Limit)> {
    let mut limits = Vec::new();
    for file in source::all() {
        let inside = folders
            .iter()
            .find_map(|folder| file.path.strip_prefix(folder));
        let Some(inside) =
            inside.filter(|inside| !without.is_some_and(|it| inside.starts_with(it)))
        else {
            continue;
        };
        let module = inside
            .trim_end_matches(".rs")
            .trim_end_matches("/mod")
            .to_owned();
        let of_file = constants(&file).into_iter();
        for limit in
            of_file.filter(|limit| limit.name.ends_with("_MAX") || limit.name.ends_with("DEADLINE"))
        {
            limits.push((format!("{module}: {}", limit.name), limit));
        }
    }
    limits.sort_by(|(one, _), (other, _)| one.cmp(other));
    let without: Vec<&str> = limits
        .iter()
        .filter(|(_, limit)| limit.why.is_empty())
        .map(|(name, _)| name.as_str())
        .collect();
    assert!(without.is_empty(), "limits without a reason: {without:?}");
    limits
}

#[test]
fn limits_are_read_as_they_are_written() {
    let file = Source {
        path: "src/a.rs".into(),
        text: [
            "/// Bytes of a thing.\npub const A_BYTES_MAX: u64 = 3 * 1024;\n",
            "/// Time.\nconst B: Micros =\n    Micros::from_secs(3600);\n",
            "/// Many.\nconst C: u32 = 2 * A_BYTES_MAX;\nconst _: () = assert!(true);\n",
        ]
        .concat(),
    };
    let limits: Vec<(String, Limit)> = constants(&file)
        .into_iter()
        .map(|limit| (limit.name.clone(), limit))
        .collect();
    let text = paragraphs(&limits);
    assert!(
        text.starts_with(".TP\n\\fBA_BYTES_MAX\\fR = 3 KiB\nBytes of a thing.\n"),
        "{text}"
    );
    assert!(text.contains("= 3,600 s\nTime.\n"), "{text}");
    assert!(text.contains("= 6,144\nMany.\n"), "{text}");
}
