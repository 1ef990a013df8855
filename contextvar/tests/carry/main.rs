//! Ambient values of other libraries. The registry is one for the process, so these tests share it: `library`
//! has values that are not set unless a test sets them on its thread.

mod drops;
mod faults;
mod library;
mod thread_exit;

use std::cell::{Cell, RefCell};
use std::future::{pending, poll_fn};
use std::panic::{self, AssertUnwindSafe};
use std::pin::pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{self as std_task, Poll, Waker};

use contextvar::{
    Context, ContextVar, InContext, StreamInContext, carry, copy_context, inherit_context, task, thread,
};
use futures::StreamExt;
use tokio::task::{LocalSet, yield_now};

use library::{A, B, ENTERED, Mode, STEPS, set_up};

static USER: ContextVar<&str> = ContextVar::new("user");

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn push(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn contains(&self, line: &str) -> bool {
        self.0.lock().unwrap().iter().any(|it| it == line)
    }
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

fn on_both_flavors<F: Future<Output = ()>>(test: impl Fn() -> F + Copy + Send + 'static) {
    set_up();
    let mut multi = tokio::runtime::Builder::new_multi_thread();
    multi.worker_threads(2);
    for builder in [&mut tokio::runtime::Builder::new_current_thread(), &mut multi] {
        let runtime = builder.build().unwrap();
        let result = std::thread::spawn(move || runtime.block_on(test())).join();
        result.unwrap_or_else(|panic| panic::resume_unwind(panic));
    }
}

/// What a thread sees of both values.
fn seen() -> (u32, u32) {
    (A.get(), B.get())
}

/// Runs `f` with both values set, and unsets them.
fn with_values<R>(f: impl FnOnce() -> R) -> R {
    A.set(1);
    B.set(2);
    let result = f();
    A.set(0);
    B.set(0);
    result
}

/// Returns a value that sends what is seen when it is dropped.
fn report() -> (impl Send, mpsc::Receiver<(u32, u32)>) {
    let (sender, reports) = mpsc::channel();
    (OnDrop(move || sender.send(seen()).unwrap()), reports)
}

fn panic_text<R>(f: impl FnOnce() -> R) -> String {
    let Err(panic) = panic::catch_unwind(AssertUnwindSafe(|| drop(f()))) else { panic!("no panic") };
    (*panic.downcast::<&str>().unwrap()).to_owned()
}

#[test]
fn values_registered_earlier_are_around_those_registered_later() {
    set_up();
    let thread = with_values(|| thread::spawn(|| ENTERED.with_borrow(Clone::clone)));
    assert_eq!(thread.join().unwrap(), ["a", "b"]);
    B.set(2);
    let thread = thread::spawn(|| (ENTERED.with_borrow(Clone::clone), seen()));
    B.set(0);
    assert_eq!(thread.join().unwrap(), (vec!["b"], (0, 2)));
}

#[test]
fn values_are_entered_at_each_poll_and_nowhere_else() {
    on_both_flavors(|| async {
        let task = with_values(|| {
            task::spawn(async {
                let mut polls = Vec::new();
                for _ in 0..3 {
                    polls.push(seen());
                    yield_now().await;
                }
                // Changes of the value do not outlive the poll.
                A.set(7);
                yield_now().await;
                polls.push(seen());
                polls
            })
        });
        let others = (0..8).map(|_| tokio::spawn(async { (seen(), ENTERED.with_borrow(Vec::is_empty)) }));
        for other in others.collect::<Vec<_>>() {
            assert_eq!(other.await.unwrap(), ((0, 0), true));
        }
        assert_eq!(task.await.unwrap(), [(1, 2); 4]);
        assert_eq!(seen(), (0, 0));
    });
}

#[test]
fn each_way_of_handing_work_over_carries() {
    on_both_flavors(|| async {
        let (task, call, returning, inherited, stream) = with_values(|| {
            (
                task::spawn(async { (yield_now().await, seen()).1 }),
                task::spawn_blocking(seen),
                task::spawn_blocking_returning_context(seen),
                tokio::spawn(async { (yield_now().await, seen()).1 }.in_inherited_context()),
                futures::stream::repeat_with(seen).take(2).in_inherited_context(),
            )
        });
        assert_eq!(task.await.unwrap(), (1, 2));
        assert_eq!((call.await.unwrap(), returning.await.unwrap().0), ((1, 2), (1, 2)));
        assert_eq!(inherited.await.unwrap(), (1, 2));
        assert_eq!(stream.collect::<Vec<_>>().await, [(1, 2); 2]);
        let local = LocalSet::new();
        let task = local.run_until(async { with_values(|| task::spawn_local(async { seen() })).await });
        assert_eq!(task.await.unwrap(), (1, 2));

        let (thread, built) = with_values(|| {
            thread::scope(|s| assert_eq!(s.spawn(seen).join().unwrap(), (1, 2)));
            thread::scope(|s| {
                let thread = thread::Builder::new().spawn_scoped(s, seen).unwrap();
                assert_eq!(thread.join().unwrap(), (1, 2));
            });
            (thread::spawn(seen), thread::Builder::new().spawn(seen).unwrap())
        });
        assert_eq!((thread.join().unwrap(), built.join().unwrap()), ((1, 2), (1, 2)));
    });
}

/// What rayon, thread pools and `spawn_blocking` of a `JoinSet` or a handle take.
#[test]
fn bound_closures_carry_the_context_and_the_values() {
    static KEPT: ContextVar<&str> = ContextVar::new("kept").inherit(false);

    on_both_flavors(|| async {
        let work = || (seen(), USER.set("grace").old_value().copied(), KEPT.is_set());
        let mut ctx = Context::new().with_value(&USER, "ada").with_value(&KEPT, "here");
        let mut bind = || ctx.run(|| with_values(|| carry::bind(work)));
        let expected = ((1, 2), Some("ada"), false);
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn_blocking(bind());
        assert_eq!(tasks.join_all().await, [expected]);
        assert_eq!(tokio::runtime::Handle::current().spawn_blocking(bind()).await.unwrap(), expected);
        assert_eq!(std::thread::spawn(bind()).join().unwrap(), expected);
        assert_eq!(bind()(), expected);
        // What the closure sets stays in it, and the values are left.
        assert_eq!((USER.is_set(), seen(), ENTERED.with_borrow(Vec::is_empty)), (false, (0, 0), true));
    });
}

#[test]
fn a_bound_closure_is_dropped_in_the_values_and_leaves_them_on_a_panic() {
    set_up();
    let (report, reports) = self::report();
    drop(with_values(|| carry::bind(move || drop(report))));
    assert_eq!(reports.recv().unwrap(), (1, 2));

    let panics = || {
        assert_eq!(seen(), (1, 2));
        panic!("on purpose");
    };
    assert_eq!(panic_text(with_values(|| carry::bind::<_, ()>(panics))), "on purpose");
    assert_eq!((seen(), ENTERED.with_borrow(Vec::is_empty)), ((0, 0), true));
}

#[test]
fn work_that_stays_carries_nothing() {
    on_both_flavors(|| async {
        let (empty, copied, scoped, bound, bound_async, stream) = with_values(|| {
            (
                task::spawn_in_empty_context(async { seen() }),
                async { seen() }.in_copied_context(),
                copy_context().scope(async { seen() }),
                inherit_context().bind(seen),
                inherit_context().bind_async(|| async { seen() }),
                StreamInContext::in_copied_context(futures::stream::iter([0]).map(|_| seen())),
            )
        });
        assert_eq!(empty.await.unwrap(), (0, 0));
        assert_eq!(
            (copied.await, scoped.await, bound(), bound_async().await),
            ((0, 0), (0, 0), (0, 0), (0, 0))
        );
        assert_eq!(stream.collect::<Vec<_>>().await, [(0, 0)]);
    });
}

#[test]
fn nested_spawns_carry_on() {
    on_both_flavors(|| async {
        let task = with_values(|| {
            task::spawn(async {
                let inner = task::spawn(async { task::spawn_blocking(seen).await.unwrap() });
                B.set(3);
                let changed = task::spawn(async { seen() });
                (inner.await.unwrap(), changed.await.unwrap())
            })
        });
        assert_eq!(task.await.unwrap(), ((1, 2), (1, 3)));
    });
}

#[test]
fn work_without_a_value_sees_that_of_its_surroundings() {
    set_up();
    let mut future = pin!(async { seen() }.in_inherited_context());
    let poll = with_values(|| future.as_mut().poll(&mut std_task::Context::from_waker(Waker::noop())));
    assert_eq!(poll, Poll::Ready((1, 2)));
}

#[test]
fn values_are_current_in_a_runtime_shutdown() {
    set_up();
    for mut builder in
        [tokio::runtime::Builder::new_current_thread(), tokio::runtime::Builder::new_multi_thread()]
    {
        let runtime = builder.worker_threads(1).max_blocking_threads(1).build().unwrap();
        let (report, reports) = self::report();
        let (call_report, call_reports) = self::report();
        let (end, ended) = mpsc::channel::<()>();
        runtime.block_on(async {
            let (started, starts) = tokio::sync::oneshot::channel();
            with_values(|| {
                task::spawn(async move {
                    let _report = report;
                    started.send(()).unwrap();
                    pending::<()>().await
                });
                // The only thread for blocking calls is busy, so the second one never runs.
                task::spawn_blocking(move || ended.recv().is_err());
                task::spawn_blocking(move || drop(call_report));
            });
            starts.await.unwrap();
        });
        runtime.shutdown_background();
        drop(end);
        assert_eq!((reports.recv().unwrap(), call_reports.recv().unwrap()), ((1, 2), (1, 2)));
    }
    assert!(ENTERED.with_borrow(Vec::is_empty));
}

#[test]
fn a_task_local_of_any_crate_follows() {
    tokio::task_local! {
        static NAME: String;
    }

    set_up();
    carry::register(carry::task_local(&NAME));
    on_both_flavors(|| async {
        let name = || NAME.try_with(Clone::clone).ok();
        let (task, call) = NAME
            .scope("ada".to_owned(), async {
                (task::spawn(async move { (yield_now().await, name()).1 }), task::spawn_blocking(name))
            })
            .await;
        assert_eq!(task.await.unwrap().as_deref(), Some("ada"));
        assert_eq!(call.await.unwrap().as_deref(), Some("ada"));
        assert_eq!(task::spawn(async move { name() }).await.unwrap(), None);
    });
}
