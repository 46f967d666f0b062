//! The driver's shared memory as untrusted input: copy out, validate, replay.
