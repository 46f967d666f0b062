//! Every reader of the driver's memory and messages, on memory that lies.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| caraway_server::ring::hostile::check(script));
