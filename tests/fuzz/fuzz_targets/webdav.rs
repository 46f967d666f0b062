//! A client and programs of any manners around a shared folder.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| caraway_server::channel::hostile_webdav::check(script));
