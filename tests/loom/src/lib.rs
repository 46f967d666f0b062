//! Model checks of the wake-up protocol and of exact copies between the driver and the server, in every order that the
//! memory model allows. Run with
//!
//! ```sh
//! RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p caraway-loom --release
//! ```
//!
//! The consumer is the server's own file. The producer is the driver's C code (`xorg-driver-shim/src`), in Rust.
#![cfg(all(loom, test))]

#[path = "../../../src/ring/wake.rs"]
#[expect(unreachable_pub, reason = "the file is public where it lives")]
mod wake;

#[path = "../../../src/ring/settled.rs"]
#[expect(unreachable_pub, reason = "the file is public where it lives")]
mod settled;

mod exact;
mod models;
