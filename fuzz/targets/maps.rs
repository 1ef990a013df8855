#![no_main]

#[path = "../../tests/models/maps.rs"]
mod maps;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| maps::run(bytes));
