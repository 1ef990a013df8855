//! The operations that hand contexts over and poll them, and those that should not change.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::{Pin, pin};
use std::task::{Context as Cx, Poll, Waker};

use axum::body::Bytes;
use axum::http::{Request, Response};
use contextvar::tower::ContextLayer;
use contextvar::{Context, InContext, StreamInContext, context_var, copy_context, inherit_context, task};
use futures_core::Stream;
use http_body::{Body, Frame};
use tower::layer::Layer;
use tower::{Service, service_fn};

use crate::measure::{Meter, Reading};
use crate::work;

/// An operation. It hands its contexts over after the list was turned on or off.
pub(super) struct Program {
    pub(super) name: &'static str,
    pub(super) group: Group,
    pub(super) run: fn(Meter) -> Reading,
}

/// What the limits of the issue say about an operation.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    /// Takes no more instructions while the list is off.
    Read,
    /// Takes two more while it is off, and 15 ns more while it is on.
    Poll,
    /// Takes 150 ns more while it is on.
    HandOver,
    /// Has no limit.
    Other,
}

const fn program(name: &'static str, group: Group, run: fn(Meter) -> Reading) -> Program {
    Program { name, group, run }
}

pub(super) const PROGRAMS: [Program; 12] = [
    program("`get` of a `u64`", Group::Read, get),
    program("`with` of a `String`", Group::Read, with),
    program("a poll of a future, `in_inherited_context`", Group::Poll, poll),
    program("a poll of a task of `task::spawn`, with tokio's part", Group::Poll, poll_of_task),
    program("an item of a stream, `in_inherited_context`", Group::Poll, stream),
    program("a frame of a body, `Context::scope`", Group::Poll, body),
    program("wrap a future by `in_inherited_context`, and drop it", Group::HandOver, hand_over),
    program("wrap a closure by `bind`, and call it", Group::HandOver, closure),
    program("`task::spawn` and join, with tokio's part", Group::Other, spawn),
    program("a request through a `ContextLayer` that sets a `u64`", Group::Other, request),
    program("`set` of a `u64` and `reset`", Group::Other, set),
    program("`run` in a copy of the context", Group::Other, run),
];

#[context_var]
pub(super) static NUMBER: u64;
#[context_var]
static TEXT: String;

/// Runs `f` in a context that was handed over, with both variables set.
pub(super) fn inside<R>(f: impl FnOnce() -> R) -> R {
    Context::new().with_value(&NUMBER, 1).with_value(&TEXT, "acme".to_owned()).bind(f)()
}

fn get(meter: Meter) -> Reading {
    inside(|| meter.time(|| NUMBER.get()))
}

fn with(meter: Meter) -> Reading {
    inside(|| meter.time(|| TEXT.with(|text| text.len())))
}

pub(super) fn poll(meter: Meter) -> Reading {
    work::polls(meter, inside(|| work::endless().in_inherited_context()))
}

fn poll_of_task(meter: Meter) -> Reading {
    work::CURRENT_THREAD.block_on(async {
        let polls = async move {
            let start = meter.start();
            for _ in 0..meter.repeats {
                work::yield_now().await;
            }
            start.stop()
        };
        inside(|| task::spawn(polls)).await.unwrap()
    })
}

/// A stream, and a body, that always has an item.
struct Endless;

impl Stream for Endless {
    type Item = u64;

    #[inline(never)]
    fn poll_next(self: Pin<&mut Self>, _: &mut Cx<'_>) -> Poll<Option<u64>> {
        Poll::Ready(Some(black_box(1)))
    }
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    #[inline(never)]
    fn poll_frame(self: Pin<&mut Self>, _: &mut Cx<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}

fn stream(meter: Meter) -> Reading {
    let mut stream = pin!(inside(|| Endless.in_inherited_context()));
    let mut cx = Cx::from_waker(Waker::noop());
    meter.time(|| stream.as_mut().poll_next(&mut cx))
}

fn body(meter: Meter) -> Reading {
    let mut body = pin!(inside(|| inherit_context().scope(Endless)));
    let mut cx = Cx::from_waker(Waker::noop());
    meter.time(|| body.as_mut().poll_frame(&mut cx))
}

fn closure(meter: Meter) -> Reading {
    inside(|| meter.time(|| black_box(inherit_context().bind(|| black_box(1)))()))
}

fn hand_over(meter: Meter) -> Reading {
    inside(|| hand_overs(meter))
}

pub(super) fn hand_overs(meter: Meter) -> Reading {
    meter.time(|| drop(black_box(ready(()).in_inherited_context())))
}

fn spawn(meter: Meter) -> Reading {
    let spawns = work::spawns(meter, || task::spawn(ready(black_box(1))));
    work::CURRENT_THREAD.block_on(async { inside(|| task::spawn(spawns)).await.unwrap() })
}

fn request(meter: Meter) -> Reading {
    fn answer(_: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
        ready(Ok(Response::new(())))
    }

    let mut service = ContextLayer::new().set(&NUMBER, |_| 2).layer(service_fn(answer));
    let mut cx = Cx::from_waker(Waker::noop());
    meter.time(|| pin!(service.call(Request::new(()))).poll(&mut cx).is_ready())
}

fn set(meter: Meter) -> Reading {
    inside(|| {
        meter.time(|| {
            let token = NUMBER.set(black_box(2));
            NUMBER.reset(token);
        })
    })
}

fn run(meter: Meter) -> Reading {
    inside(|| {
        let mut copy = copy_context();
        meter.time(|| copy.run(|| black_box(())))
    })
}
