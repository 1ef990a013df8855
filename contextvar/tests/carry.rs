//! Ambient values of other libraries. The registry is one for the process, so these tests share it: `library`
//! has values that are not set unless a test sets them on its thread.

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

/// Two libraries with an ambient value each, and one that does everything wrong.
mod library {
    use super::*;
    use contextvar::carry::{Ambient, register};
    use std::sync::Once;

    thread_local! {
        /// Entered and left by a guard. 0 is not set.
        pub(crate) static A: Cell<u32> = const { Cell::new(0) };
        /// Entered by a function, which restores nothing after a panic.
        pub(crate) static B: Cell<u32> = const { Cell::new(0) };
        pub(crate) static MODE: Cell<Mode> = const { Cell::new(Mode::Absent) };
        /// What was entered and not left.
        pub(crate) static ENTERED: RefCell<Vec<&'static str>> = const { RefCell::new(Vec::new()) };
        /// What a value does when it is dropped.
        pub(crate) static STEPS: RefCell<Option<super::Log>> = const { RefCell::new(None) };
    }

    #[derive(Clone, Copy, Debug, PartialEq)]
    pub(crate) enum Mode {
        Absent,
        PanicInCapture,
        PanicBefore,
        PanicAfter,
        NeverCall,
        CallTwice,
        SwallowPanics,
        UseThisCrate,
    }

    struct GuardOfA(u32);

    impl Drop for GuardOfA {
        fn drop(&mut self) {
            A.set(self.0);
            assert_eq!(ENTERED.with_borrow_mut(Vec::pop), Some("a"));
        }
    }

    /// Logs its drop.
    struct Dropped(super::Log);

    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.push(&format!("value in {}", super::USER.get_or("no context")));
            if self.0.contains("panic") {
                panic!("in the drop of a value");
            }
        }
    }

    pub(crate) fn set_up() {
        static REGISTERED: Once = Once::new();

        let set = |cell: &Cell<u32>| (cell.get() != 0).then(|| cell.get());
        REGISTERED.call_once(|| {
            register(Ambient::guarded(
                move || A.with(set),
                |a| {
                    ENTERED.with_borrow_mut(|entered| entered.push("a"));
                    GuardOfA(A.replace(*a))
                },
            ));
            register(Ambient::scoped(
                move || B.with(set),
                |b, work| {
                    ENTERED.with_borrow_mut(|entered| entered.push("b"));
                    let outer = B.replace(*b);
                    work();
                    B.set(outer);
                    assert_eq!(ENTERED.with_borrow_mut(Vec::pop), Some("b"));
                },
            ));
            register(Ambient::scoped(capture_mode, run_mode));
            register(Ambient::guarded(|| STEPS.with_borrow(|steps| steps.clone().map(Dropped)), |_| ()));
        });
    }

    fn capture_mode() -> Option<Mode> {
        match MODE.get() {
            Mode::Absent => None,
            Mode::PanicInCapture => panic!("in the capture"),
            mode => {
                if mode == Mode::UseThisCrate {
                    use_this_crate();
                }
                Some(mode)
            }
        }
    }

    fn run_mode(mode: &Mode, work: &mut dyn FnMut()) {
        match mode {
            Mode::PanicBefore => panic!("before the work"),
            Mode::PanicAfter => {
                work();
                panic!("after the work");
            }
            Mode::NeverCall => {}
            Mode::CallTwice => {
                work();
                work();
            }
            Mode::SwallowPanics => drop(panic::catch_unwind(AssertUnwindSafe(work))),
            Mode::UseThisCrate => {
                use_this_crate();
                work();
                use_this_crate();
            }
            Mode::Absent | Mode::PanicInCapture => unreachable!(),
        }
    }

    /// Runs work of its own, which must not call this function again.
    fn use_this_crate() {
        register(Ambient::guarded(|| None::<()>, |()| ()));
        let mode = MODE.replace(Mode::UseThisCrate);
        assert_eq!(thread::spawn(|| (super::USER.get_or("none"), A.get())).join().unwrap(), ("ada", 0));
        let inherited = async { copy_context().len() }.in_inherited_context();
        assert_eq!(futures::executor::block_on(inherited), 1);
        MODE.set(mode);
    }
}

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
fn values_are_current_while_work_is_dropped() {
    on_both_flavors(|| async {
        // An aborted task.
        let (report, reports) = self::report();
        let task = with_values(|| {
            task::spawn(async move {
                let _report = report;
                pending::<()>().await
            })
        });
        yield_now().await;
        task.abort();
        task.await.unwrap_err();
        assert_eq!(reports.recv().unwrap(), (1, 2));

        // One that is never polled.
        let (report, reports) = self::report();
        let future = with_values(|| {
            async move {
                let _report = report;
            }
            .in_inherited_context()
        });
        drop(future);
        assert_eq!(reports.recv().unwrap(), (1, 2));

        // One that panics.
        let (report, reports) = self::report();
        let task = with_values(|| {
            task::spawn(async move {
                let _report = report;
                panic!("on purpose");
            })
        });
        let error = task.await.unwrap_err();
        assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "on purpose");
        assert_eq!(reports.recv().unwrap(), (1, 2));
        assert!(tokio::spawn(async { ENTERED.with_borrow(Vec::is_empty) }).await.unwrap());

        // One that finishes.
        let (report, reports) = self::report();
        let keep = with_values(|| task::spawn(poll_fn(move |_| (Poll::Ready(()), &report).0)));
        keep.await.unwrap();
        assert_eq!(reports.recv().unwrap(), (1, 2));
    });
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

/// Hands work over with a value of this mode.
fn with_mode<R>(mode: Mode, f: impl FnOnce() -> R) -> R {
    let mode = library::MODE.replace(mode);
    let result = panic::catch_unwind(AssertUnwindSafe(|| with_values(f)));
    library::MODE.set(mode);
    A.set(0);
    B.set(0);
    result.unwrap_or_else(|panic| panic::resume_unwind(panic))
}

#[test]
fn a_panic_in_a_capture_reaches_the_caller_and_the_work_never_runs() {
    set_up();
    let (report, reports) = self::report();
    let spawn = || with_mode(Mode::PanicInCapture, || thread::spawn(move || drop(report)));
    assert_eq!(panic_text(spawn), "in the capture");
    // Dropped by the caller.
    assert_eq!(reports.recv().unwrap(), (1, 2));
    assert!(ENTERED.with_borrow(Vec::is_empty));
}

#[test]
fn a_panic_in_a_function_of_a_library_propagates_and_leaves_all_values() {
    on_both_flavors(|| async {
        for (mode, text) in [(Mode::PanicBefore, "before the work"), (Mode::PanicAfter, "after the work")] {
            let (report, reports) = self::report();
            let task = with_mode(mode, || {
                task::spawn(async move {
                    let _report = report;
                    7
                })
            });
            let error = task.await.unwrap_err();
            assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), text);
            // The drop of work that cannot be entered is outside of the values.
            let outside = if mode == Mode::PanicBefore { (0, 0) } else { (1, 2) };
            assert_eq!(reports.recv().unwrap(), outside);
            assert!(
                tokio::spawn(async { seen() == (0, 0) && ENTERED.with_borrow(Vec::is_empty) }).await.unwrap()
            );
        }
        let (report, reports) = self::report();
        drop(with_mode(Mode::PanicBefore, || async move { drop(report) }.in_inherited_context()));
        assert_eq!(reports.recv().unwrap(), (0, 0), "the panic is discarded in a drop");
    });
}

#[test]
fn a_function_that_does_not_call_the_work_or_calls_it_twice() {
    on_both_flavors(|| async {
        for mode in [Mode::NeverCall, Mode::CallTwice] {
            let mut calls = 0;
            let call = with_mode(mode, || {
                task::spawn_blocking(move || {
                    calls += 1;
                    (calls, seen())
                })
            });
            assert_eq!(call.await.unwrap(), (1, (1, 2)), "{mode:?}");
            let task = with_mode(mode, || task::spawn(async { (yield_now().await, seen()).1 }));
            assert_eq!(task.await.unwrap(), (1, 2), "{mode:?}");
        }
    });
}

#[test]
fn a_function_cannot_swallow_a_panic_of_the_work() {
    on_both_flavors(|| async {
        let task = with_mode(Mode::SwallowPanics, || task::spawn(async { panic!("on purpose") }));
        let panicked: Result<(), _> = task.await;
        assert_eq!(*panicked.unwrap_err().into_panic().downcast::<&str>().unwrap(), "on purpose");
        assert!(tokio::spawn(async { ENTERED.with_borrow(Vec::is_empty) }).await.unwrap());
    });
}

#[test]
fn the_functions_of_a_library_can_use_this_crate() {
    on_both_flavors(|| async {
        let seen_by = Context::new().with_value(&USER, "ada").scope(async {
            let task = with_mode(Mode::UseThisCrate, || {
                task::spawn(async {
                    yield_now().await;
                    // Work that is handed over inside carries on.
                    (seen(), thread::spawn(seen).join().unwrap())
                })
            });
            task.await.unwrap()
        });
        assert_eq!(seen_by.await, ((1, 2), (1, 2)));
    });
}

#[test]
fn the_future_then_the_values_then_the_context_are_dropped() {
    struct InContextOnly(Log);
    impl Drop for InContextOnly {
        fn drop(&mut self) {
            self.0.push("context");
        }
    }
    static HELD: ContextVar<Arc<InContextOnly>> = ContextVar::new("held");

    set_up();
    let expected = ["future in ada", "value in ada", "context"];
    for finishes in [true, false] {
        let log = Log::default();
        let future = {
            let log = log.clone();
            let held = Arc::new(InContextOnly(log.clone()));
            let mut ctx = Context::new().with_value(&USER, "ada").with_value(&HELD, held);
            let on_drop = OnDrop({
                let log = log.clone();
                move || log.push(&format!("future in {}", USER.get()))
            });
            ctx.run(|| {
                STEPS.set(Some(log));
                let future = async move {
                    let _on_drop = on_drop;
                    if !finishes {
                        pending().await
                    }
                };
                let future = future.in_inherited_context();
                STEPS.set(None);
                future
            })
        };
        let mut future = Box::pin(future);
        let poll = future.as_mut().poll(&mut std_task::Context::from_waker(Waker::noop()));
        assert_eq!(poll.is_ready(), finishes);
        if finishes {
            assert_eq!(log.take(), expected);
        }
        drop(future);
        assert_eq!(log.take(), if finishes { &[][..] } else { &expected });
    }
}

#[test]
fn a_panic_in_the_drop_of_a_value_leaks_no_output() {
    set_up();
    let output = Arc::new(());
    let hand_over = || {
        let (log, output) = (Log::default(), output.clone());
        log.push("panic");
        STEPS.set(Some(log));
        let work = inherit_and_return(output);
        STEPS.set(None);
        work
    };
    fn inherit_and_return<T: Send + 'static>(output: T) -> impl Future<Output = T> {
        async { output }.in_inherited_context()
    }

    let text = panic_text(|| futures::executor::block_on(hand_over()));
    assert_eq!((text.as_str(), Arc::strong_count(&output)), ("in the drop of a value", 1));
    let call = || {
        let (log, output) = (Log::default(), output.clone());
        log.push("panic");
        STEPS.set(Some(log));
        let thread = thread::spawn(move || output);
        STEPS.set(None);
        thread.join()
    };
    assert!(call().is_err());
    assert_eq!(Arc::strong_count(&output), 1);
}

#[test]
fn work_can_be_dropped_while_a_thread_exits() {
    tokio::task_local! {
        static NAME: String;
    }
    thread_local! {
        static KEPT: RefCell<Option<Box<dyn Send>>> = const { RefCell::new(None) };
    }

    set_up();
    carry::register(carry::task_local(&NAME));
    let (sender, reports) = mpsc::channel();
    std::thread::spawn(|| {
        // Initialized first, so it is dropped last, after the values of `NAME` and of the library.
        KEPT.set(None);
        let work = NAME.sync_scope("ada".to_owned(), || {
            with_values(|| {
                let name = || NAME.try_with(Clone::clone).ok();
                let report = OnDrop(move || sender.send(name()).unwrap());
                async move { drop(report) }.in_inherited_context()
            })
        });
        KEPT.set(Some(Box::new(work)));
    })
    .join()
    .unwrap();
    // Where the task-local still exists it is set, otherwise the work was dropped all the same.
    assert!(matches!(reports.recv().unwrap().as_deref(), None | Some("ada")));
}

#[test]
fn a_thread_that_exits_does_not_capture() {
    use contextvar::carry::{Ambient, register};

    struct Spawns(mpsc::Sender<bool>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            self.0.send(thread::spawn(|| ()).join().is_ok()).unwrap();
        }
    }
    thread_local! {
        static SPAWNS: RefCell<Option<Spawns>> = const { RefCell::new(None) };
        // With a destructor.
        static NAME: RefCell<String> = const { RefCell::new(String::new()) };
    }

    // Panics where `NAME` is gone.
    register(Ambient::guarded(|| NAME.with_borrow(|name| (!name.is_empty()).then(|| name.clone())), |_| ()));
    let (sender, reported) = mpsc::channel();
    std::thread::spawn(|| {
        // Initialized first, so dropped last.
        SPAWNS.set(Some(Spawns(sender)));
        thread::spawn(|| ()).join().unwrap();
    })
    .join()
    .unwrap();
    assert!(reported.recv().unwrap());
}

/// A value whose thread-local is gone is left out, and those that are still there are captured.
#[test]
fn a_first_capture_while_the_thread_exits_leaves_out_what_is_gone() {
    struct Spawns(mpsc::Sender<((u32, u32), bool)>);
    impl Drop for Spawns {
        fn drop(&mut self) {
            let thread = thread::spawn(|| (seen(), GONE.with_borrow(Option::is_some)));
            self.0.send(thread.join().unwrap()).unwrap();
        }
    }
    struct Restore;
    impl Drop for Restore {
        fn drop(&mut self) {
            GONE.set(None);
        }
    }
    thread_local! {
        static SPAWNS: RefCell<Option<Spawns>> = const { RefCell::new(None) };
        // With a destructor.
        static GONE: RefCell<Option<String>> = const { RefCell::new(None) };
    }

    set_up();
    let enter = |value: &String| {
        GONE.set(Some(value.clone()));
        Restore
    };
    carry::register(carry::Ambient::guarded(|| GONE.with_borrow(Clone::clone), enter));
    for is_gone in [true, false] {
        let (sender, reported) = mpsc::channel();
        let exits = std::thread::spawn(move || {
            let set = || GONE.set(Some("ada".to_owned()));
            if !is_gone {
                set();
            }
            // What is initialized first is dropped last.
            SPAWNS.set(Some(Spawns(sender)));
            if is_gone {
                set();
            }
            A.set(1);
            B.set(2);
        });
        exits.join().unwrap();
        assert_eq!(reported.recv().unwrap(), ((1, 2), !is_gone));
    }
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
