//! The current span in work that is handed over. `tests/it` does the same with feature `opentelemetry`, where
//! other code carries the span.

use std::cell::RefCell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use contextvar::InContext;
use tracing::{Span, info_span, subscriber};
use tracing_subscriber::registry;

fn span() -> Option<&'static str> {
    Span::current().metadata().map(|span| span.name())
}

/// Returns the span of its first poll and that of its second one.
async fn spans() -> [Option<&'static str>; 2] {
    let first = span();
    let mut polled = false;
    std::future::poll_fn(
        |_| if std::mem::replace(&mut polled, true) { Poll::Ready(()) } else { Poll::Pending },
    )
    .await;
    [first, span()]
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn work_that_was_handed_over_without_a_span_sees_none() {
    // The first one is handed over where no subscriber can have a span.
    let mut early = Box::pin(spans().in_inherited_context());
    subscriber::with_default(registry(), || {
        let mut late = Box::pin(spans().in_inherited_context());
        let _outer = info_span!("outer").entered();
        let _inner = info_span!("inner").entered();
        for future in [&mut early, &mut late] {
            assert_eq!((poll(future.as_mut()), span()), (Poll::Pending, Some("inner")));
            assert_eq!((poll(future.as_mut()), span()), (Poll::Ready([None, None]), Some("inner")));
        }
    });
}

#[test]
fn work_sees_the_span_where_it_was_handed_over() {
    subscriber::with_default(registry(), || {
        let mut future = pin!(info_span!("request").in_scope(|| spans().in_inherited_context()));
        let _other = info_span!("other").entered();
        assert_eq!((poll(future.as_mut()), span()), (Poll::Pending, Some("other")));
        let expected = Poll::Ready([Some("request"); 2]);
        assert_eq!((poll(future.as_mut()), span()), (expected, Some("other")));
    });
}

/// A subscriber can come and go between the polls of a future.
#[test]
fn polls_with_and_without_a_subscriber() {
    let mut future = pin!(spans().in_inherited_context());
    assert_eq!((poll(future.as_mut()), span()), (Poll::Pending, None));
    subscriber::with_default(registry(), || {
        let _other = info_span!("other").entered();
        assert_eq!((poll(future.as_mut()), span()), (Poll::Ready([None, None]), Some("other")));
    });
}

#[test]
fn work_is_dropped_in_its_span_or_in_none() {
    struct Dropped(Rc<RefCell<Vec<Option<&'static str>>>>);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.borrow_mut().push(span());
        }
    }

    let seen = Rc::new(RefCell::new(Vec::new()));
    let work = || {
        let dropped = Dropped(seen.clone());
        async { drop(dropped) }.in_inherited_context()
    };
    let early = work();
    subscriber::with_default(registry(), || {
        let request = info_span!("request").in_scope(work);
        let late = work();
        let _other = info_span!("other").entered();
        drop((early, request, late));
        assert_eq!(span(), Some("other"));
    });
    assert_eq!(*seen.borrow(), [None, Some("request"), None]);
}

#[test]
fn a_panic_restores_the_spans_of_other_work() {
    subscriber::with_default(registry(), || {
        let work = || async { panic!("in {:?}", span()) }.in_inherited_context();
        let none = work();
        let request = info_span!("request").in_scope(work);
        let _outer = info_span!("outer").entered();
        let _inner = info_span!("inner").entered();
        for (work, text) in [(none, "in None"), (request, "in Some(\"request\")")] {
            let mut work = Box::pin(work);
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(work.as_mut())));
            let panic = panic.map(|_: Poll<()>| ()).unwrap_err();
            assert_eq!((panic.downcast_ref::<String>().unwrap().as_str(), span()), (text, Some("inner")));
        }
    });
}
