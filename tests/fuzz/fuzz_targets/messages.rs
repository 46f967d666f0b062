//! Message streams of any bytes, and the codec of every channel in both directions.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| caraway_server::channel::hostile_messages::check(script));
