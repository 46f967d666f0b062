//! Whatever comes to gateway and broker from outside.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| caraway_server::gateway::hostile::check(script));
