//! Reads and writes that find no context, with a reporter and without. No peer
//! reports them.

use std::hint::black_box;

use contextvar::{Context, context_var, report};

use super::row::Row;
use crate::measure::{Meter, Reading};
use crate::work;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("`get` of a default in a task without a context, reports off", get)
            .over(get_in_context)
            .at_most(75),
        Row::new("`get` of a default in a task without a context, reports on", get_reported)
            .over(get_in_context)
            .at_most(144),
        Row::new("`try_get` in a task without a context, reports off", try_get)
            .over(try_get_in_context)
            .at_most(141),
        Row::new("`try_get` in a task without a context, reports on", try_get_reported)
            .over(try_get_in_context)
            .at_most(212),
        Row::new("`try_set` in a task without a context, reports off", try_set).at_most(98),
        Row::new("`try_set` in a task without a context, reports on", try_set_reported).at_most(169),
        Row::new("`get` in a context, with a reporter, over without", get_in_context_reported)
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

fn turn_on() {
    report::set_reporter(|report| {
        black_box(report);
    });
}

fn get(meter: Meter) {
    in_task(move || meter.time(|| WITH_DEFAULT.get()));
}

fn get_reported(meter: Meter) {
    turn_on();
    get(meter);
}

fn get_in_context(meter: Meter) {
    in_task(move || Context::new().run(|| meter.time(|| WITH_DEFAULT.get())));
}

fn get_in_context_reported(meter: Meter) {
    turn_on();
    get_in_context(meter);
}

fn try_get(meter: Meter) {
    in_task(move || meter.time(|| NUMBER.try_get()));
}

fn try_get_reported(meter: Meter) {
    turn_on();
    try_get(meter);
}

fn try_get_in_context(meter: Meter) {
    in_task(move || Context::new().with_value(&NUMBER, 1).run(|| meter.time(|| NUMBER.try_get())));
}

fn try_set(meter: Meter) {
    in_task(move || meter.time(|| NUMBER.try_set(black_box(2))));
}

fn try_set_reported(meter: Meter) {
    turn_on();
    try_set(meter);
}
