//! Agent data of any bytes, with tokens and services that come and go.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| caraway_server::channel::hostile_agent::check(script));
