//! OpenTelemetry's current context in tasks, blocking calls and threads.

use contextvar::{InContext, context_var, inherit_context, task, thread};
use opentelemetry::Context as Otel;

use crate::support::{OnDrop, on_both_flavors};

#[context_var]
static ID: u64;

#[derive(Debug, PartialEq)]
struct Theirs(u64);

fn theirs() -> Option<u64> {
    Otel::map_current(|context| context.get::<Theirs>().map(|theirs| theirs.0))
}

#[test]
fn the_current_context_follows_into_tasks() {
    on_both_flavors(|| async {
        let (sender, reported) = std::sync::mpsc::channel();
        let (task, call, thread, aborted, without) = {
            let _attached = Otel::new().with_value(Theirs(7)).attach();
            let task = task::spawn(async {
                tokio::task::yield_now().await;
                let inner = task::spawn(async { theirs() }).await.unwrap();
                (theirs(), inner)
            });
            let call = task::spawn_blocking(theirs);
            let thread = thread::spawn(theirs);
            let report = OnDrop(move || sender.send(theirs()).unwrap());
            let aborted = task::spawn(async move {
                let _report = report;
                std::future::pending::<()>().await
            });
            let detached = task::spawn_in_empty_context(async { theirs() });
            let ours_alone = tokio::spawn(inherit_context().scope(async { theirs() }));
            let wrapped = tokio::spawn(async { theirs() }.in_inherited_context());
            ((task, wrapped), call, thread, aborted, [detached, ours_alone])
        };
        let (task, wrapped) = task;
        assert_eq!(theirs(), None);
        assert_eq!(wrapped.await.unwrap(), Some(7));
        assert_eq!(task.await.unwrap(), (Some(7), Some(7)));
        assert_eq!((call.await.unwrap(), thread.join().unwrap()), (Some(7), Some(7)));
        for without in without {
            assert_eq!(without.await.unwrap(), None);
        }
        aborted.abort();
        aborted.await.unwrap_err();
        assert_eq!(reported.recv().unwrap(), Some(7), "the context is current while the future is dropped");
        assert_eq!(theirs(), None);
    });
}

#[test]
fn a_thread_exit_does_not_touch_opentelemetry() {
    struct Spawns(std::sync::mpsc::Sender<bool>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            let spawned = thread::spawn(|| ID.is_set()).join();
            self.0.send(spawned.is_ok_and(|is_set| !is_set)).unwrap();
        }
    }
    thread_local! {
        static SPAWNS: std::cell::RefCell<Option<Spawns>> = const { std::cell::RefCell::new(None) };
    }
    let (sender, reported) = std::sync::mpsc::channel();
    std::thread::spawn(|| {
        // Initialized first, so dropped last.
        SPAWNS.set(Some(Spawns(sender)));
        drop(Otel::current());
        thread::spawn(|| ()).join().unwrap();
    })
    .join()
    .unwrap();
    assert!(reported.recv().unwrap());
}

/// Work that was handed over where there was no OpenTelemetry context does not see that of the work around it.
#[test]
#[expect(clippy::async_yields_async, reason = "the task is awaited elsewhere")]
fn a_task_does_not_see_the_context_that_it_is_polled_in() {
    use opentelemetry::baggage::BaggageExt;
    use opentelemetry::trace::{SpanContext, TraceContextExt};

    let shown = || {
        Otel::map_current(|it| {
            (it.has_active_span(), it.baggage().is_empty(), it.is_telemetry_suppressed(), theirs().is_some())
        })
    };
    let others = [
        Otel::new().with_value(Theirs(7)),
        Otel::new().with_remote_span_context(SpanContext::NONE),
        Otel::new().with_baggage(vec![opentelemetry::KeyValue::new("user", "ada")]),
        Otel::new().with_telemetry_suppressed(),
    ];
    let nothing = (false, true, false, false);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for other in others {
        let local = tokio::task::LocalSet::new();
        let later = || async move {
            tokio::task::yield_now().await;
            shown()
        };
        let task = runtime.block_on(local.run_until(async { task::spawn_local(later()) }));
        let wrapped = local.spawn_local(later().in_inherited_context());
        let plain = local.spawn_local(later());
        let spawned = runtime.block_on(async { task::spawn(later()) });
        let _attached = other.attach();
        assert_ne!(shown(), nothing);
        let (task, wrapped, plain) =
            runtime.block_on(local.run_until(async { tokio::try_join!(task, wrapped, plain) })).unwrap();
        assert_eq!((task, wrapped, plain), (nothing, nothing, shown()));
        assert_eq!(runtime.block_on(spawned).unwrap(), nothing);
    }
}

/// Polls a future that was handed over in `captured`, many times in `around`. Returns what each poll sees.
fn polls_of_work<T: 'static>(captured: Otel, around: impl Fn() -> Otel, see: fn() -> T) -> Vec<T> {
    let seen = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let work = {
        let (seen, _attached) = (seen.clone(), captured.attach());
        let see = move |_: &mut std::task::Context<'_>| -> std::task::Poll<()> {
            seen.borrow_mut().push(see());
            std::task::Poll::Pending
        };
        std::future::poll_fn(see).in_inherited_context()
    };
    let mut work = std::pin::pin!(work);
    for _ in 0..100 {
        let _attached = around().attach();
        let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
        assert!(work.as_mut().poll(cx).is_pending());
    }
    seen.take()
}

/// A span, baggage and the flag, as OpenTelemetry itself puts them into contexts.
fn with_known_values() -> [Otel; 3] {
    use opentelemetry::baggage::BaggageExt;
    use opentelemetry::trace::{SpanContext, TraceContextExt};

    [
        Otel::new().with_remote_span_context(SpanContext::NONE),
        Otel::new().with_baggage(vec![opentelemetry::KeyValue::new("user", "ada")]),
        Otel::new().with_telemetry_suppressed(),
    ]
}

/// Returns the values that OpenTelemetry itself puts into contexts, and `theirs()`.
fn shown() -> (bool, bool, bool, Option<u64>) {
    use opentelemetry::baggage::BaggageExt;
    use opentelemetry::trace::TraceContextExt;

    Otel::map_current(|it| {
        (it.has_active_span(), !it.baggage().is_empty(), it.is_telemetry_suppressed(), theirs())
    })
}

const NOTHING: (bool, bool, bool, Option<u64>) = (false, false, false, None);

/// Emptiness is only asked for after many polls, so the polls take different ways.
#[test]
fn every_poll_of_work_without_a_context_hides_the_values_of_the_code_that_polls() {
    for around in with_known_values() {
        // Their value is hidden, because it comes with one of OpenTelemetry's own.
        let around = around.with_value(Theirs(7));
        assert_eq!(polls_of_work(Otel::new(), || around.clone(), shown), [NOTHING; 100]);
    }
    // The code that polls has a context only now and then.
    let polls = std::cell::Cell::new(0);
    let now_and_then = || {
        let poll = polls.replace(polls.get() + 1);
        if poll % 3 == 0 { with_known_values()[poll % 2].clone() } else { Otel::new() }
    };
    assert_eq!(polls_of_work(Otel::new(), now_and_then, shown), [NOTHING; 100]);
}

#[test]
fn every_poll_sees_the_captured_context_whatever_is_in_it() {
    let theirs = Otel::new().with_value(Theirs(7));
    for around in with_known_values().into_iter().chain([Otel::new(), Otel::new().with_value(Theirs(8))]) {
        let seen = (false, false, false, Some(7));
        assert_eq!(polls_of_work(theirs.clone(), || around.clone(), shown), [seen; 100]);
        for captured in with_known_values() {
            let seen = captured.clone();
            let seen = {
                let _attached = seen.attach();
                shown()
            };
            assert_eq!(polls_of_work(captured, || around.clone(), shown), [seen; 100]);
        }
    }
}

/// What long-lived work without a context can see: values of other crates, if the code that polls has no other.
#[test]
fn values_of_other_crates_are_hidden_in_the_first_polls() {
    let seen = polls_of_work(Otel::new(), || Otel::new().with_value(Theirs(7)), theirs);
    assert_eq!(seen[..8], [None; 8]);
    assert_eq!(seen[8..], [Some(7); 92], "an empty context is recognized");
}

/// The emptiness of a context is found on one thread, and used on others.
#[test]
fn polls_on_many_threads_hide_the_values_of_their_threads() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let captured = Otel::new().with_value(Theirs(7));
    let poll = |expected: Option<u64>| {
        task::spawn(async move {
            for _ in 0..100 {
                assert_eq!(shown(), (false, false, false, expected));
                tokio::task::yield_now().await;
            }
        })
    };
    runtime.block_on(async {
        let mut tasks = Vec::new();
        for _ in 0..4 {
            tasks.push(poll(None));
            let _attached = captured.clone().attach();
            tasks.push(poll(Some(7)));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    // One work, polled on one thread after the other.
    let mut work = Box::pin(
        async {
            loop {
                assert_eq!(shown(), NOTHING);
                tokio::task::yield_now().await;
            }
        }
        .in_inherited_context(),
    );
    let [span, ..] = with_known_values();
    for _ in 0..20 {
        let around = span.clone();
        work = std::thread::spawn(move || {
            let _attached = around.attach();
            let cx = &mut std::task::Context::from_waker(std::task::Waker::noop());
            assert!(Future::poll(work.as_mut(), cx).is_pending());
            work
        })
        .join()
        .unwrap();
    }
}
