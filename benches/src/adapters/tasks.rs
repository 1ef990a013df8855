//! Tasks of tokio, on the current-thread runtime.

#[cfg(feature = "adapters")]
mod ambient;

use std::hint::black_box;

use contextvar::{Context, context_var, task};
use opentelemetry::context::FutureExt;
use tokio::task::JoinHandle;
use tracing::{Instrument, info_span};
use tracing_subscriber::util::SubscriberInitExt;

use super::row::Row;
use crate::measure::{Meter, Reading};
use crate::work;

pub(super) fn rows() -> Vec<Row> {
    // Of the issue: with the features that carry other libraries' values, and none of these values there.
    let (poll, spawn) = if cfg!(feature = "carry") { (60, 200) } else { (45, 150) };
    let why_not_poll = if cfg!(feature = "carry") {
        (
            125,
            "tests whether the polling code has a span, baggage or OpenTelemetry's flag that must be hidden (65); before the \
             ninth poll, attaches the empty context (180)",
        )
    } else {
        (45, "")
    };
    let why_not_spawn = if cfg!(feature = "carry") {
        (
            830,
            "captures OpenTelemetry's context and attaches it (410); tokio's code for a future of three more words (100)",
        )
    } else {
        (170, "tokio's code for a future of three more words (100)")
    };
    let mut rows = vec![
        Row::new("a poll of a task of `task::spawn`", poll_ours)
            .over(poll_plain)
            .at_most(poll)
            .why_not(why_not_poll.0, why_not_poll.1)
            .beside("`task_local!`, one variable", poll_task_local)
            .why_not(if cfg!(feature = "carry") { 2.3 } else { 1.0 }, "")
            .beside("OpenTelemetry's `with_current_context`", poll_opentelemetry)
            .beside("tracing's `in_current_span`", poll_span),
        Row::new("`task::spawn` and join", spawn_ours)
            .over(spawn_plain)
            .at_most(spawn)
            .why_not(why_not_spawn.0, why_not_spawn.1)
            .beside("`task_local!`, one variable", spawn_task_local)
            .why_not(if cfg!(feature = "carry") { 5.0 } else { 1.0 }, "")
            .beside("OpenTelemetry's `with_current_context`", spawn_opentelemetry)
            .why_not(if cfg!(feature = "carry") { 1.7 } else { 1.0 }, "")
            .beside("tracing's `in_current_span`", spawn_span),
    ];
    if cfg!(feature = "carry") {
        rows.extend([
            Row::new("a poll, with a span and an OpenTelemetry context", poll_ours_in_both)
                .over(poll_plain)
                .beside("`in_current_span` and `with_current_context`", poll_both)
                .why_not(1.25, "enters a context of contextvar, too (36)"),
            Row::new("`task::spawn` and join, with a span and an OpenTelemetry context", spawn_ours_in_both)
                .over(spawn_plain)
                .beside("`in_current_span` and `with_current_context`", spawn_both)
                .why_not(1.2, "hands over a context of contextvar, too (165)"),
        ]);
    }
    #[cfg(feature = "adapters")]
    rows.extend(ambient::rows());
    rows
}

#[context_var]
static NUMBER: u64;

tokio::task_local! {
    static TASK_LOCAL: u64;
}

#[derive(Debug)]
struct Number(#[allow(dead_code, reason = "only carried")] u64);

fn in_task(future: impl Future<Output: Send> + Send + 'static) {
    work::CURRENT_THREAD.block_on(async { tokio::spawn(future).await.unwrap() });
}

/// Measures the polls of one task.
async fn polls(meter: Meter, spawn: impl FnOnce(Yields) -> JoinHandle<()>) {
    spawn(Yields { left: meter.repeats }).await.unwrap();
}

/// Is pending a number of times, and wakes its task each time.
struct Yields {
    left: u64,
}

impl Future for Yields {
    type Output = ();

    fn poll(mut self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<()> {
        if self.left == 0 {
            return std::task::Poll::Ready(());
        }
        self.left -= 1;
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    }
}

async fn spawns(meter: Meter, spawn: impl Fn(Work) -> JoinHandle<u64>) -> Reading {
    work::spawns(meter, || spawn(some_work())).await
}

type Work = std::future::Ready<u64>;

/// A task's work: as little as possible.
fn some_work() -> Work {
    std::future::ready(black_box(1))
}

fn one_set() -> Context {
    Context::new().with_value(&NUMBER, 1)
}

fn opentelemetry_context() -> opentelemetry::Context {
    opentelemetry::Context::new().with_value(Number(1))
}

/// Returns a span of a subscriber that stores spans and does nothing else.
fn span() -> tracing::Span {
    tracing_subscriber::registry().init();
    info_span!("request", number = 1)
}

fn poll_plain(meter: Meter) {
    in_task(polls(meter, tokio::spawn));
}

fn poll_ours(meter: Meter) {
    in_task(one_set().scope(polls(meter, task::spawn)));
}

fn poll_task_local(meter: Meter) {
    let spawn = |work| tokio::spawn(TASK_LOCAL.scope(TASK_LOCAL.get(), work));
    in_task(TASK_LOCAL.scope(1, polls(meter, spawn)));
}

fn poll_opentelemetry(meter: Meter) {
    let spawn = |work: Yields| tokio::spawn(work.with_current_context());
    in_task(polls(meter, spawn).with_context(opentelemetry_context()));
}

fn poll_span(meter: Meter) {
    let spawn = |work: Yields| tokio::spawn(work.in_current_span());
    in_task(polls(meter, spawn).instrument(span()));
}

fn poll_ours_in_both(meter: Meter) {
    let polls = one_set().scope(polls(meter, task::spawn));
    in_task(polls.instrument(span()).with_context(opentelemetry_context()));
}

fn poll_both(meter: Meter) {
    let spawn = |work: Yields| tokio::spawn(work.in_current_span().with_current_context());
    in_task(polls(meter, spawn).instrument(span()).with_context(opentelemetry_context()));
}

fn spawn_plain(meter: Meter) {
    in_task(spawns(meter, tokio::spawn));
}

fn spawn_ours(meter: Meter) {
    in_task(one_set().scope(spawns(meter, task::spawn)));
}

fn spawn_task_local(meter: Meter) {
    let spawn = |work| tokio::spawn(TASK_LOCAL.scope(TASK_LOCAL.get(), work));
    in_task(TASK_LOCAL.scope(1, spawns(meter, spawn)));
}

fn spawn_opentelemetry(meter: Meter) {
    let spawn = |work: Work| tokio::spawn(work.with_current_context());
    in_task(spawns(meter, spawn).with_context(opentelemetry_context()));
}

fn spawn_span(meter: Meter) {
    let spawn = |work: Work| tokio::spawn(work.in_current_span());
    in_task(spawns(meter, spawn).instrument(span()));
}

fn spawn_ours_in_both(meter: Meter) {
    let spawns = one_set().scope(spawns(meter, task::spawn));
    in_task(spawns.instrument(span()).with_context(opentelemetry_context()));
}

fn spawn_both(meter: Meter) {
    let spawn = |work: Work| tokio::spawn(work.in_current_span().with_current_context());
    in_task(spawns(meter, spawn).instrument(span()).with_context(opentelemetry_context()));
}
