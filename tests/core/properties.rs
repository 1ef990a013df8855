//! Whatever is done, in whatever order: the models, fed with random bytes, and with what the fuzz targets found.

use proptest::collection::vec;
use proptest::prelude::*;

#[path = "models/corpus.rs"]
mod corpus;
#[path = "models/hostile.rs"]
mod hostile;
#[path = "models/maps.rs"]
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
}

#[test]
fn what_the_fuzz_targets_found() {
    corpus::run("maps", include_str!("../../fuzz/corpus/maps.txt"), maps::run);
    corpus::run("hostile", include_str!("../../fuzz/corpus/hostile.txt"), hostile::run);
}
