//! Runtimes whose every task inherits.

use std::cell::Cell;

use contextvar::carry::{self, Ambient};
use contextvar::runtime::InheritContext;
use opentelemetry::Context as Otel;
use tokio::runtime::Builder;
use tokio::task::yield_now;
use tracing::info_span;

use super::{Theirs, theirs};

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static SCOPED: Cell<u32> = const { Cell::new(0) };
}

struct Restore(u32);

impl Drop for Restore {
    fn drop(&mut self) {
        DEPTH.set(self.0);
    }
}

fn set_up() {
    static REGISTERED: std::sync::Once = std::sync::Once::new();

    REGISTERED.call_once(|| {
        carry::register(Ambient::guarded(
            || (DEPTH.get() > 0).then(|| DEPTH.get()),
            |depth| {
                assert!(*depth != 13, "in the guard");
                Restore(DEPTH.replace(*depth))
            },
        ));
        carry::register(Ambient::scoped(
            || (SCOPED.get() > 0).then(|| SCOPED.get()),
            |value, work| {
                let outer = SCOPED.replace(*value);
                work();
                SCOPED.set(outer);
            },
        ));
    });
}

type Seen = (Option<u64>, Option<&'static str>, u32, u32);

fn seen() -> Seen {
    let span = tracing::Span::current().metadata().map(|span| span.name());
    (theirs(), span, DEPTH.get(), SCOPED.get())
}

const NOTHING: Seen = (None, None, 0, 0);

fn on_both_flavors<F: Future<Output = ()>>(test: impl Fn() -> F + Copy + Send + 'static) {
    set_up();
    let mut multi = Builder::new_multi_thread();
    multi.worker_threads(1);
    for builder in [&mut Builder::new_current_thread(), &mut multi] {
        let runtime = builder.enable_all().inherit_context().build().unwrap();
        std::thread::spawn(move || runtime.block_on(test())).join().unwrap();
    }
}

/// Runs `f` where all values are set.
fn with_values<R>(f: impl FnOnce() -> R) -> R {
    tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        let _attached = Otel::new().with_value(Theirs(7)).attach();
        let _entered = info_span!("request").entered();
        DEPTH.set(1);
        SCOPED.set(1);
        let result = f();
        DEPTH.set(0);
        SCOPED.set(0);
        result
    })
}

#[test]
fn plain_spawns_carry_what_guards_enter_at_each_poll() {
    on_both_flavors(|| async {
        let task = with_values(|| {
            tokio::spawn(async {
                let first = seen();
                yield_now().await;
                (first, seen(), tokio::spawn(async { seen() }).await.unwrap())
            })
        });
        let other = tokio::spawn(async {
            let first = seen();
            yield_now().await;
            (first, seen())
        });
        // The span is that of another subscriber, which is not the default where the task runs.
        let expected = (Some(7), None, 1, 0);
        assert_eq!(task.await.unwrap(), (expected, expected, expected));
        assert_eq!(other.await.unwrap(), (NOTHING, NOTHING));
        assert_eq!(seen(), NOTHING);
    });
}

#[test]
fn the_span_is_entered_before_each_poll_and_left_after_it() {
    set_up();
    // Without tokio's own spans.
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(std::io::sink);
    let _subscriber = tracing::subscriber::set_default(subscriber.finish());
    let runtime = Builder::new_current_thread().inherit_context().build().unwrap();
    runtime.block_on(async {
        let task = info_span!("request").in_scope(|| {
            tokio::spawn(async {
                let first = seen().1;
                yield_now().await;
                (first, seen().1)
            })
        });
        let other = tokio::spawn(async { seen().1 });
        assert_eq!(task.await.unwrap(), (Some("request"), Some("request")));
        assert_eq!((other.await.unwrap(), seen().1), (None, None));
    });
}

#[test]
fn a_task_that_panics_leaves_its_values() {
    on_both_flavors(|| async {
        let task = with_values(|| tokio::spawn(async { panic!("{:?}", seen().0) }));
        let panicked: Result<(), _> = task.await;
        assert_eq!(*panicked.unwrap_err().into_panic().downcast::<String>().unwrap(), "Some(7)");
        assert_eq!(tokio::spawn(async { seen() }).await.unwrap(), NOTHING);
        assert_eq!(seen(), NOTHING);
        // A panic of a guard is discarded, and the other values have been left.
        DEPTH.set(13);
        let task = tokio::spawn(async { DEPTH.get() });
        DEPTH.set(0);
        assert_eq!(task.await.unwrap(), 0);
        assert_eq!(tokio::spawn(async { seen() }).await.unwrap(), NOTHING);
    });
}

#[test]
#[expect(clippy::async_yields_async, reason = "the task is awaited elsewhere")]
fn a_task_in_a_runtime_inside_of_a_task() {
    set_up();
    let runtime = Builder::new_multi_thread().worker_threads(1).inherit_context().build().unwrap();
    let inner = Builder::new_current_thread().inherit_context().build().unwrap();
    let task = runtime.block_on(async {
        with_values(|| {
            tokio::spawn(async move {
                tokio::task::block_in_place(|| {
                    let task = inner.spawn(async { DEPTH.get() });
                    DEPTH.set(2);
                    assert_eq!(inner.block_on(task).unwrap(), 1);
                    assert_eq!((DEPTH.get(), theirs()), (2, Some(7)));
                    inner.shutdown_background();
                });
                yield_now().await;
                DEPTH.get()
            })
        })
    });
    assert_eq!(runtime.block_on(task).unwrap(), 1);
}

#[test]
#[expect(clippy::async_yields_async, reason = "the task is awaited elsewhere")]
fn tasks_that_do_not_inherit_carry_nothing() {
    set_up();
    let runtime = Builder::new_current_thread().inherit_context_if(|_| false).build().unwrap();
    let task = runtime.block_on(async { with_values(|| tokio::spawn(async { seen() })) });
    assert_eq!(runtime.block_on(task).unwrap(), NOTHING);
}
