//! Model checks of the wake-up protocol; run with `RUSTFLAGS="--cfg loom"`.
