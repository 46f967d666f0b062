//! One sans-IO state machine per SPICE channel.
