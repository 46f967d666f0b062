//! Pixels to bytes: one encoder per file, its decoder beside it.
