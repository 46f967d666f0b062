//! Files and variables that hold anything but a configuration.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| caraway_launcher::hostile_config::check(script));
