//! Whatever is done, in whatever order: the models, fed with random bytes, and with what the fuzz targets found.

use proptest::collection::vec;
use proptest::prelude::*;

#[path = "../models/baggage.rs"]
mod baggage;
#[path = "../models/hostile.rs"]
mod hostile;
#[path = "../models/maps.rs"]
mod maps;

proptest! {
    #[test]
    fn contexts_are_maps_that_share_nothing_one_can_see(bytes in vec(any::<u8>(), 0..600)) {
        maps::run(&bytes);
    }

    #[test]
    fn values_may_do_anything_at_any_time(bytes in vec(any::<u8>(), 0..600)) {
        hostile::run(&bytes);
    }

    #[test]
    fn incoming_baggage_sets_what_is_declared_or_nothing(bytes in vec(any::<u8>(), 0..300)) {
        baggage::run(&bytes);
    }

    #[test]
    fn incoming_baggage_that_is_nearly_right(text in "((fuzz\\.(number|text)|other)[ =]=?(%[0-9A-F]{0,2}|[ -~]){0,9}[,;]){0,5}") {
        baggage::run(text.as_bytes());
    }
}

/// See `scripts/fuzz`.
#[test]
fn what_the_fuzz_targets_found() {
    let bytes = |digits: &str| -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("two hexadecimal digits");
        (0..digits.len()).step_by(2).map(byte).collect()
    };
    let targets = [
        ("maps", include_str!("../../fuzz/corpus/maps.txt"), maps::run as fn(&[u8])),
        ("hostile", include_str!("../../fuzz/corpus/hostile.txt"), hostile::run),
        ("baggage", include_str!("../../fuzz/corpus/baggage.txt"), baggage::run),
    ];
    for (_, corpus, run) in targets {
        assert!(corpus.lines().count() > 100);
        corpus.lines().for_each(|digits| run(&bytes(digits)));
    }
    // What was a failure once.
    for line in include_str!("../../fuzz/found.txt").lines() {
        let (name, digits) = line.split_once(' ').expect("the target and its input");
        let (_, _, run) = targets.iter().find(|(target, ..)| *target == name).expect("a target");
        run(&bytes(digits));
    }
}
