//! Images of any bytes, and pictures of any kind.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| caraway_server::image::hostile::check(script));
