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
