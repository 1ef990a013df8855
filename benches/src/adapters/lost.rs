//! Reads and writes in a task that was given no context, with a reporter and without. No peer reports them.

use std::hint::black_box;

use contextvar::{Context, context_var};

use super::row::Row;
use crate::measure::{Meter, Reading};
use crate::work;

pub(super) fn rows() -> Vec<Row> {
    // With the feature `report` and no reporter, and without the feature.
    let limits = if cfg!(feature = "adapters") { [77, 144, 82] } else { [66, 125, 70] };
    let [get_limit, try_get_limit, try_set_limit] = limits;
    vec![
        Row::new("`get` of a default, no reporter", get).at_most(get_limit),
        Row::new("`try_get` of an unset variable, no reporter", try_get).at_most(try_get_limit),
        Row::new("`try_set`, no reporter", try_set).at_most(try_set_limit),
        #[cfg(feature = "adapters")]
        Row::new("`get` of a default, with a reporter", reported::get).at_most(155),
        #[cfg(feature = "adapters")]
        Row::new("`try_get` of an unset variable, with a reporter", reported::try_get).at_most(222),
        #[cfg(feature = "adapters")]
        Row::new("`try_set`, with a reporter", reported::try_set).at_most(175),
        #[cfg(feature = "adapters")]
        Row::new("`get` in a context with a reporter, over without", reported::get_in_context)
            .over(get_in_context)
            .at_most(0),
    ]
}

#[context_var]
static WITH_DEFAULT: u64 = 7;
#[context_var]
static NUMBER: u64;

/// Runs `f` in a task that was given no context. The variables have been set before, elsewhere.
fn in_task(f: impl FnOnce() -> Reading + Send + 'static) {
    drop(Context::new().with_value(&WITH_DEFAULT, 1).with_value(&NUMBER, 1));
    work::CURRENT_THREAD.block_on(async { tokio::spawn(async { f() }).await.unwrap() });
}

fn get(meter: Meter) {
    in_task(move || meter.time(|| WITH_DEFAULT.get()));
}

fn try_get(meter: Meter) {
    in_task(move || meter.time(|| NUMBER.try_get()));
}

fn try_set(meter: Meter) {
    in_task(move || meter.time(|| NUMBER.try_set(black_box(2))));
}

#[cfg(feature = "adapters")]
fn get_in_context(meter: Meter) {
    in_task(move || Context::new().run(|| meter.time(|| WITH_DEFAULT.get())));
}

#[cfg(feature = "adapters")]
mod reported {
    use std::hint::black_box;

    use contextvar::report;

    use crate::measure::Meter;

    fn turn_on() {
        report::set_reporter(|report| {
            black_box(report);
        });
    }

    pub(super) fn get(meter: Meter) {
        turn_on();
        super::get(meter);
    }

    pub(super) fn try_get(meter: Meter) {
        turn_on();
        super::try_get(meter);
    }

    pub(super) fn try_set(meter: Meter) {
        turn_on();
        super::try_set(meter);
    }

    pub(super) fn get_in_context(meter: Meter) {
        turn_on();
        super::get_in_context(meter);
    }
}
