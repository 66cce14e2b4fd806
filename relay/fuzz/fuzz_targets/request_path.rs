//! libFuzzer on `request_path::run`.

#![no_main]

#[path = "../../src/request.rs"]
mod request;
#[path = "../request_path.rs"]
mod request_path;

libfuzzer_sys::fuzz_target!(|data: &[u8]| request_path::run(data));
