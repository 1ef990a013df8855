//! Threads, closures, and one item of a stream or a body.

use std::convert::Infallible;
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Poll, Waker};

use axum::body::Bytes;
use contextvar::{Context, StreamInContext, carry, context_var, inherit_context, thread};
use futures_core::Stream;
use http_body::{Body, Frame};
use opentelemetry::context::FutureExt;

use super::row::Row;
use crate::measure::Meter;

type OtelContext = opentelemetry::Context;

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("`thread::spawn` and join", thread_ours)
            .over(thread_plain)
            .repeats(200)
            .beside("`task_local!`, by hand", thread_task_local)
            .why_not(23, THREAD)
            .beside("OpenTelemetry's `attach`, by hand", thread_opentelemetry)
            .why_not(2.0, THREAD),
        Row::new("`inherit_context().bind(f)` and its call", bind_ours)
            .beside("`task_local!`, by hand", bind_task_local)
            .why_not(5.5, "the peer is one swap of a number; here any number of variables is handed over")
            .beside("OpenTelemetry's `attach`, by hand", bind_opentelemetry),
        Row::new("`carry::bind(f)` and its call", bind_carried)
            .beside("OpenTelemetry's `attach`, by hand", bind_opentelemetry)
            .why_not(2.6, "carries the context, the span and registered values as well"),
        Row::new("an item of a stream, `in_copied_context`", stream_ours)
            .over(stream_plain)
            .beside("OpenTelemetry's `with_current_context`", stream_opentelemetry),
        Row::new("an item of a stream, `in_inherited_context`", stream_inherited)
            .over(stream_plain)
            .beside("OpenTelemetry's `with_current_context`", stream_opentelemetry),
        Row::new("a frame of a body, `context.scope(body)`", body_ours)
            .over(body_plain)
            .beside("a body that attaches OpenTelemetry's context", body_opentelemetry),
    ]
}

const THREAD: &str = "the thread's first use of its context, of tokio's and of OpenTelemetry's, whose thread-locals have \
                      destructors; the peers carry one value";

#[context_var]
static NUMBER: u64;

tokio::task_local! {
    static TASK_LOCAL: u64;
}

#[derive(Debug)]
struct Number(#[allow(dead_code, reason = "only carried")] u64);

fn in_ours(f: impl FnOnce()) {
    Context::new().with_value(&NUMBER, 1).run(f);
}

fn in_opentelemetry(f: impl FnOnce()) {
    let _attached = OtelContext::new().with_value(Number(1)).attach();
    f();
}

fn work() -> u64 {
    black_box(1)
}

fn thread_plain(meter: Meter) {
    meter.time(|| std::thread::spawn(work).join().unwrap());
}

fn thread_ours(meter: Meter) {
    in_ours(|| {
        meter.time(|| thread::spawn(work).join().unwrap());
    });
}

fn thread_task_local(meter: Meter) {
    TASK_LOCAL.sync_scope(1, || {
        meter.time(|| {
            let number = TASK_LOCAL.get();
            std::thread::spawn(move || TASK_LOCAL.sync_scope(number, work)).join().unwrap()
        });
    });
}

fn thread_opentelemetry(meter: Meter) {
    in_opentelemetry(|| {
        meter.time(|| {
            let context = OtelContext::current();
            let thread = std::thread::spawn(|| {
                let _attached = context.attach();
                work()
            });
            thread.join().unwrap()
        });
    });
}

fn bind_ours(meter: Meter) {
    in_ours(|| {
        meter.time(|| black_box(inherit_context().bind(work))());
    });
}

fn bind_carried(meter: Meter) {
    in_ours(|| {
        meter.time(|| black_box(carry::bind(work))());
    });
}

fn bind_task_local(meter: Meter) {
    TASK_LOCAL.sync_scope(1, || {
        meter.time(|| {
            let number = TASK_LOCAL.get();
            black_box(move || TASK_LOCAL.sync_scope(number, work))()
        });
    });
}

fn bind_opentelemetry(meter: Meter) {
    in_opentelemetry(|| {
        meter.time(|| {
            let context = OtelContext::current();
            let bound = black_box(|| {
                let _attached = context.attach();
                work()
            });
            bound()
        });
    });
}

/// A stream, and a body, that always has an item.
struct Endless;

impl Stream for Endless {
    type Item = u64;

    #[inline(never)]
    fn poll_next(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> Poll<Option<u64>> {
        Poll::Ready(Some(work()))
    }
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    #[inline(never)]
    fn poll_frame(self: Pin<&mut Self>, _: &mut std::task::Context<'_>) -> PolledFrame {
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}

type PolledFrame = Poll<Option<Result<Frame<Bytes>, Infallible>>>;

fn items(meter: Meter, stream: impl Stream<Item = u64>) {
    let mut stream = pin!(stream);
    let mut cx = std::task::Context::from_waker(Waker::noop());
    meter.time(|| stream.as_mut().poll_next(&mut cx));
}

fn frames(meter: Meter, body: impl Body<Data = Bytes, Error = Infallible>) {
    let mut body = pin!(body);
    let mut cx = std::task::Context::from_waker(Waker::noop());
    meter.time(|| body.as_mut().poll_frame(&mut cx));
}

fn stream_plain(meter: Meter) {
    items(meter, Endless);
}

fn stream_ours(meter: Meter) {
    in_ours(|| items(meter, Endless.in_copied_context()));
}

fn stream_inherited(meter: Meter) {
    in_ours(|| items(meter, Endless.in_inherited_context()));
}

fn stream_opentelemetry(meter: Meter) {
    in_opentelemetry(|| items(meter, Endless.with_current_context()));
}

fn body_plain(meter: Meter) {
    frames(meter, Endless);
}

fn body_ours(meter: Meter) {
    frames(meter, Context::new().with_value(&NUMBER, 1).scope(Endless));
}

fn body_opentelemetry(meter: Meter) {
    struct InContext(OtelContext, Endless);

    impl Body for InContext {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> PolledFrame {
            let _attached = self.0.clone().attach();
            Pin::new(&mut self.1).poll_frame(cx)
        }
    }

    frames(meter, InContext(OtelContext::new().with_value(Number(1)), Endless));
}
