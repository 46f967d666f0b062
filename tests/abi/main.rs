//! Compares `shim_abi.h`, as a C compiler sees it, with its Rust mirror in `ring::layout`.
//!
//! The names are taken from the header itself, so what it gains and the mirror lacks fails as well.

mod header;
mod mirror;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const HEADER: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/xorg-driver-shim/include/shim_abi.h"
);

/// Name → value, where the name is a C expression without its macro: `CARAWAY_MAGIC`, `sizeof caraway_rect`,
/// `caraway_rect.top`, `width caraway_rect.top` (bytes of the field).
type Values = BTreeMap<String, u64>;

#[test]
fn the_mirror_says_what_the_header_says() {
    let text = std::fs::read_to_string(HEADER).expect("the header");
    let names = header::names(&text);
    assert!(30 < names.constants.len(), "{names:?}");
    assert!(70 < names.fields.len(), "{names:?}");
    let c = compile_and_run(&names);
    let rust = mirror::values();
    let mut wrong = String::new();
    for (name, value) in &c {
        match rust.get(name) {
            Some(mirrored) if mirrored == value => {}
            Some(mirrored) => {
                writeln!(wrong, "{name}: C {value}, Rust {mirrored}").expect("writing to a string")
            }
            None if name.starts_with("width ") => {}
            None => {
                writeln!(wrong, "{name}: C {value}, not mirrored").expect("writing to a string")
            }
        }
    }
    for name in rust.keys().filter(|name| !c.contains_key(*name)) {
        writeln!(wrong, "{name}: mirrored, not in the header").expect("writing to a string");
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// Fields that the readers take as 1, 2 or 8 bytes; every other scalar has 4.
#[test]
fn the_fields_have_the_widths_that_are_read() {
    let text = std::fs::read_to_string(HEADER).expect("the header");
    let c = compile_and_run(&header::names(&text));
    let widths = mirror::widths();
    for (name, value) in &c {
        let Some(field) = name.strip_prefix("width ") else {
            continue;
        };
        let expected = widths.get(field).copied().unwrap_or(4);
        assert_eq!(*value, expected, "{field}");
    }
    for field in widths.keys() {
        assert!(
            c.contains_key(&format!("width {field}")),
            "{field} is not in the header"
        );
    }
}

/// The header must also stand alone in the C dialects and compilers that the driver is built with.
#[test]
fn the_header_stands_alone() {
    for standard in ["c99", "c11"] {
        let directory = tempfile::tempdir().expect("a directory");
        let source = write(
            directory.path(),
            "#include \"shim_abi.h\"\nint main(void) { return 0; }\n",
        );
        cc(
            &source,
            &directory.path().join("alone"),
            &["-std", standard].join("="),
        );
    }
}

/// Prints every value from C.
fn compile_and_run(names: &header::Names) -> Values {
    let mut source =
        String::from("#include <stddef.h>\n#include <stdio.h>\n#include \"shim_abi.h\"\n");
    source.push_str(
        "#define SHOW(name, value) printf(\"%s=%llu\\n\", name, (unsigned long long)(value))\n",
    );
    source.push_str("int main(void) {\n");
    for name in &names.constants {
        writeln!(source, "SHOW(\"{name}\", {name});").expect("writing to a string");
    }
    for name in &names.structs {
        writeln!(source, "SHOW(\"sizeof {name}\", sizeof(struct {name}));")
            .expect("writing to a string");
    }
    for (name, field) in &names.fields {
        writeln!(
            source,
            "SHOW(\"{name}.{field}\", offsetof(struct {name}, {field}));"
        )
        .expect("writing to a string");
        let width = format!("sizeof(((struct {name} *)0)->{field})");
        writeln!(source, "SHOW(\"width {name}.{field}\", {width});").expect("writing to a string");
    }
    source.push_str("return 0; }\n");
    let directory = tempfile::tempdir().expect("a directory");
    let program = directory.path().join("show");
    cc(&write(directory.path(), &source), &program, "-std=c11");
    let output = Command::new(&program)
        .output()
        .expect("the compiled program");
    let text = String::from_utf8(output.stdout).expect("text");
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
        .collect()
}

fn write(directory: &Path, source: &str) -> PathBuf {
    let path = directory.join("source.c");
    std::fs::write(&path, source).expect("writing the source");
    path
}

fn cc(source: &Path, program: &Path, standard: &str) {
    let include = Path::new(HEADER).parent().expect("the include directory");
    let output = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
        .args([standard, "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(include)
        .arg("-o")
        .args([program, source])
        .output()
        .expect("a C compiler named cc");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
