//! libFuzzer on `wire::greeting`.

#![no_main]

#[allow(dead_code, reason = "each target uses one function")]
#[path = "../wire.rs"]
mod wire;

libfuzzer_sys::fuzz_target!(|data: &[u8]| wire::greeting(data));
