//! Incoming baggage: its model, fed with random bytes, and with the inputs that the fuzz target found.

use proptest::collection::vec;
use proptest::prelude::*;

#[path = "../models/baggage.rs"]
mod baggage;
#[path = "../core/models/corpus.rs"]
mod corpus;

proptest! {
    #[test]
    fn incoming_baggage_sets_what_is_declared_or_nothing(bytes in vec(any::<u8>(), 0..300)) {
        baggage::run(&bytes);
    }

    #[test]
    fn incoming_baggage_that_is_nearly_right(text in "((fuzz\\.(number|text)|other)[ =]=?(%[0-9A-F]{0,2}|[ -~]){0,9}[,;]){0,5}") {
        baggage::run(text.as_bytes());
    }
}

#[test]
fn what_the_fuzz_target_of_baggage_found() {
    corpus::run("baggage", include_str!("../../fuzz/corpus/baggage.txt"), baggage::run);
}
