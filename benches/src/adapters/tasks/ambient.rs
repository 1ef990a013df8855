//! Ambient values of other libraries that are registered with `contextvar::carry`: one of each kind.

use std::cell::Cell;
use std::pin::Pin;
use std::task::{Context, Poll};

use contextvar::carry::{self, Ambient};
use contextvar::task;

use super::{
    TASK_LOCAL, Work, Yields, in_task, one_set, poll_ours, poll_plain, polls, spawn_ours, spawn_plain, spawns,
};
use crate::adapters::row::Row;
use crate::measure::Meter;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("a poll inside of one `Ambient::guarded`", poll_guarded)
            .over(poll_ours)
            .beside("a future that enters the value at each poll", poll_guarded_by_hand)
            .its_plain(poll_plain)
            .why_not(11, POLL),
        Row::new("a poll inside of one `Ambient::scoped`", poll_scoped)
            .over(poll_ours)
            .beside("a future that enters the value at each poll", poll_guarded_by_hand)
            .its_plain(poll_plain)
            .why_not(11, POLL),
        Row::new("a poll inside of one `carry::task_local`", poll_task_local)
            .over(poll_ours)
            .beside("`KEY.scope(KEY.get(), future)`", super::poll_task_local)
            .its_plain(poll_plain)
            .why_not(4.6, POLL),
        Row::new("spawn and join with one `Ambient::guarded`", spawn_guarded)
            .over(spawn_ours)
            .beside("a future that enters the value at each poll", spawn_guarded_by_hand)
            .its_plain(spawn_plain)
            .why_not(8.7, SPAWN),
        Row::new("spawn and join with one `Ambient::scoped`", spawn_scoped)
            .over(spawn_ours)
            .beside("a future that enters the value at each poll", spawn_guarded_by_hand)
            .its_plain(spawn_plain)
            .why_not(8.7, SPAWN),
        Row::new("spawn and join with one `carry::task_local`", spawn_task_local)
            .over(spawn_ours)
            .beside("`KEY.scope(KEY.get(), future)`", super::spawn_task_local)
            .its_plain(spawn_plain)
            .why_not(3.0, SPAWN),
    ]
}

const POLL: &str = "the library does not know the value's type: two calls by pointer, and a panic passes around the library's \
                    code; a context that is not empty is entered without the test for empty ones";
const SPAWN: &str = "captures the value by a call by pointer, and keeps it in an allocation of its own";

// A library's ambient value.
thread_local! {
    static DEPTH: Cell<u64> = const { Cell::new(3) };
}

struct Restore(u64);

impl Drop for Restore {
    fn drop(&mut self) {
        DEPTH.set(self.0);
    }
}

fn enter(depth: u64) -> Restore {
    Restore(DEPTH.replace(depth))
}

/// Does by hand what a registered value does.
struct InDepth<F> {
    depth: u64,
    future: F,
}

impl<F> InDepth<F> {
    fn current(future: F) -> Self {
        InDepth { depth: DEPTH.get(), future }
    }
}

impl<F: Future + Unpin> Future for InDepth<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let _restore = enter(self.depth);
        Pin::new(&mut self.future).poll(cx)
    }
}

fn register_guarded() {
    carry::register(Ambient::guarded(|| Some(DEPTH.get()), |&depth| enter(depth)));
}

fn register_scoped() {
    carry::register(Ambient::scoped(
        || Some(DEPTH.get()),
        |&depth, work| {
            let _restore = enter(depth);
            work();
        },
    ));
}

fn poll_guarded(meter: Meter) {
    register_guarded();
    poll_ours(meter);
}

fn poll_scoped(meter: Meter) {
    register_scoped();
    poll_ours(meter);
}

fn poll_task_local(meter: Meter) {
    carry::register(carry::task_local(&TASK_LOCAL));
    in_task(TASK_LOCAL.scope(1, one_set().scope(polls(meter, task::spawn))));
}

fn poll_guarded_by_hand(meter: Meter) {
    in_task(polls(meter, |work: Yields| tokio::spawn(InDepth::current(work))));
}

fn spawn_guarded(meter: Meter) {
    register_guarded();
    spawn_ours(meter);
}

fn spawn_scoped(meter: Meter) {
    register_scoped();
    spawn_ours(meter);
}

fn spawn_task_local(meter: Meter) {
    carry::register(carry::task_local(&TASK_LOCAL));
    in_task(TASK_LOCAL.scope(1, one_set().scope(spawns(meter, task::spawn))));
}

fn spawn_guarded_by_hand(meter: Meter) {
    in_task(spawns(meter, |work: Work| tokio::spawn(InDepth::current(work))));
}
