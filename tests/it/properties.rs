//! Whatever is done, in whatever order: the models, fed with random bytes. The fuzz targets feed them too.

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
