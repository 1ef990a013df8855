//! Runs the models of contexts and of hostile values on random bytes and on the inputs of the fuzz targets.

use proptest::collection::vec;
use proptest::prelude::*;

#[path = "models/corpus.rs"]
mod corpus;
#[path = "models/hostile.rs"]
mod hostile;
#[path = "models/maps.rs"]
mod maps;

/// Returns few cases for Miri, which is hundreds of times slower and has no file to record failures in.
fn config() -> ProptestConfig {
    if cfg!(miri) {
        ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(3) }
    } else {
        ProptestConfig::default()
    }
}

const LENGTH: usize = if cfg!(miri) { 100 } else { 600 };

proptest! {
    #![proptest_config(config())]

    #[test]
    fn contexts_behave_as_isolated_maps(bytes in vec(any::<u8>(), 0..LENGTH / 2)) {
        maps::run(&bytes);
    }

    #[test]
    fn values_can_call_back_at_any_time(bytes in vec(any::<u8>(), 0..LENGTH)) {
        hostile::run(&bytes);
    }
}

#[test]
fn inputs_from_the_fuzz_targets() {
    corpus::run("maps", include_str!("../../fuzz/corpus/maps.txt"), maps::run);
    corpus::run("hostile", include_str!("../../fuzz/corpus/hostile.txt"), hostile::run);
}
