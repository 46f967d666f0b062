//! Texts that name a file to be uploaded.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &[u8]| caraway_server::agent::upload_start::check(text));
