//! Clients of any manners on a desktop that changes meanwhile.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| caraway_server::session::hostile::check(script));
