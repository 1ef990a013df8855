#![no_main]

#[path = "../../tests/models/baggage.rs"]
mod baggage;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| baggage::run(bytes));
