//! SASL exchanges of any bytes, and files of stored keys of any text.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| caraway_server::auth::hostile::check(script));
