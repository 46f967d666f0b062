//! The `caraway` command.

fn main() {}
