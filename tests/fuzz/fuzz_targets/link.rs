//! Handshakes of any bytes in any cutting.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| caraway_server::channel::hostile_link::check(script));
