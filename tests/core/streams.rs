//! `Scoped` around streams (rule 6).

use std::pin::pin;
use std::task::{Poll, Waker};

use contextvar::{Context, Scoped, StreamInContext, context_var};
use futures::future::FutureExt;
use futures::stream::{self, FusedStream, Stream, StreamExt};

use crate::support::{Log, OnDrop};

#[context_var]
static NUMBER: u64;

#[test]
fn a_stream_runs_in_its_context_and_is_fused() {
    NUMBER.set(1);
    let log = Log::default();
    let note = log.clone();
    let on_drop = OnDrop(move || note.push(NUMBER.get_or(0)));
    let numbers = stream::iter(0..3).map(move |n| {
        let _capture = &on_drop;
        NUMBER.set(NUMBER.get() + n);
        NUMBER.get()
    });
    let mut scope = pin!(StreamInContext::in_copied_context(numbers));
    NUMBER.set(100);
    assert_eq!(scope.size_hint(), (3, Some(3)));
    let mut next = || scope.as_mut().poll_next(&mut std::task::Context::from_waker(Waker::noop()));
    assert_eq!([next(), next(), next()], [1, 2, 4].map(|n| Poll::Ready(Some(n))));
    assert!(log.take().is_empty());
    assert_eq!(next(), Poll::Ready(None));
    assert_eq!(log.take(), ["4"]);
    assert_eq!(next(), Poll::Ready(None));
    assert!(scope.is_terminated() && scope.context().is_empty());
    assert_eq!(scope.size_hint(), (0, Some(0)));
    assert_eq!(NUMBER.get(), 100);

    let log = Log::default();
    let note = log.clone();
    let on_drop = OnDrop(move || note.push(NUMBER.get_or(0)));
    let endless = stream::repeat_with(move || {
        let _capture = &on_drop;
        NUMBER.set(9);
    });
    let mut scope = Box::pin(StreamInContext::in_context(endless, Context::new()));
    assert!(scope.next().now_or_never().is_some());
    drop(scope);
    assert_eq!(log.take(), ["9"]);
}

#[test]
fn streams_copy_or_inherit() {
    #[context_var(inherit = false)]
    static KEPT: u64;

    NUMBER.set(1);
    KEPT.set(2);
    let read = || stream::once(async { (NUMBER.get_or(0), KEPT.get_or(0)) });
    let next = |scope: Scoped<_>| Box::pin(scope).next().now_or_never().flatten();
    assert_eq!(next(StreamInContext::in_copied_context(read())), Some((1, 2)));
    assert_eq!(next(StreamInContext::in_inherited_context(read())), Some((1, 0)));
}
