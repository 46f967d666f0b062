//! `caraway-server`: serves one desktop over SPICE.

fn main() {}
