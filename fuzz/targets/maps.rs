#![no_main]

#[path = "../../tests/core/models/maps.rs"]
mod maps;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maps::run(bytes));
