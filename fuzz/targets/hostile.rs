#![no_main]

#[path = "../../tests/core/models/hostile.rs"]
mod hostile;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| hostile::run(bytes));
