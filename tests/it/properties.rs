//! Runs the model of incoming baggage on random bytes and on the inputs of the fuzz target.

use proptest::collection::vec;
use proptest::prelude::*;

#[path = "../models/baggage.rs"]
mod baggage;
#[path = "../core/models/corpus.rs"]
mod corpus;

proptest! {
    #[test]
    fn incoming_baggage_sets_only_declared_variables(bytes in vec(any::<u8>(), 0..300)) {
        baggage::run(&bytes);
    }

    #[test]
    fn nearly_valid_incoming_baggage(text in "((fuzz\\.(number|text)|other)[ =]=?(%[0-9A-F]{0,2}|[ -~]){0,9}[,;]){0,5}") {
        baggage::run(text.as_bytes());
    }
}

#[test]
fn inputs_from_the_baggage_fuzz_target() {
    corpus::run("baggage", include_str!("../../fuzz/corpus/baggage.txt"), baggage::run);
}
