//! The SPICE codec: one file per channel, sans-IO.
