//! Runtimes whose every task inherits a context: `RUSTFLAGS="--cfg tokio_unstable" cargo test --test runtime_hooks`.
#![cfg(tokio_unstable)]

use std::future::pending;
use std::panic;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::thread;

use contextvar::runtime::{Hooks, InheritContext};
use contextvar::{Context, ContextVar, InContext, context_var, copy_context, task, with_copied_context};
use tokio::runtime::{Builder, LocalOptions, Runtime};
use tokio::sync::{Barrier, oneshot};
use tokio::task::{JoinSet, LocalSet, yield_now};

#[context_var]
static USER: String;

#[context_var]
static NUMBER: u64 = 0;

#[context_var]
static HELD: Arc<()>;

#[context_var(inherit = false)]
static TRANSACTION: u64;

fn current_thread() -> Builder {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    builder
}

fn multi_thread(workers: usize) -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).enable_all();
    builder
}

/// Runtimes of both flavours, with one, two and four workers.
fn all() -> Vec<Builder> {
    if cfg!(miri) {
        return vec![current_thread(), multi_thread(2)];
    }
    vec![current_thread(), multi_thread(1), multi_thread(2), multi_thread(4)]
}

/// Runs a test on all of these runtimes, each on a thread of its own.
fn on_all<F: Future<Output = ()>>(test: impl Fn() -> F + Copy + Send + 'static) {
    for mut builder in all() {
        let run = move || builder.inherit_context().build().unwrap().block_on(test());
        thread::spawn(run).join().unwrap_or_else(|panic| panic::resume_unwind(panic));
    }
}

/// Waits until nobody else has it: a task's context is let go of just after the task has ended.
async fn let_go(held: &Arc<()>) {
    while Arc::strong_count(held) > 1 {
        yield_now().await;
    }
}

fn with(held: &Arc<()>) -> Context {
    Context::new().with_value(&USER, "ada".to_owned()).with_value(&HELD, held.clone())
}

#[test]
fn a_plain_spawn_inherits_a_copy_taken_at_the_call() {
    on_all(|| async {
        USER.set("ada".to_owned());
        let task = tokio::spawn(async {
            assert_eq!(USER.get(), "ada");
            USER.set("grace".to_owned());
            yield_now().await;
            assert_eq!(USER.get(), "grace");
            let token = NUMBER.set(1);
            yield_now().await;
            NUMBER.reset(token);
            USER.get()
        });
        USER.set("later".to_owned());
        assert_eq!(task.await.unwrap(), "grace");
        assert_eq!(USER.get(), "later");
        // Nothing set: a context of its own all the same.
        let task = Context::new().run(|| tokio::spawn(async { NUMBER.set(7).old_value().is_none() }));
        assert!(task.await.unwrap());
    });
}

#[test]
fn nested_spawns_and_overlapping_lives() {
    const LIVES: usize = if cfg!(miri) { 4 } else { 200 };
    const STEPS: u64 = if cfg!(miri) { 4 } else { 20 };

    async fn live(n: u64) {
        assert_eq!(NUMBER.get(), n);
        for step in 1..STEPS {
            NUMBER.set(n + step);
            yield_now().await;
            assert_eq!(NUMBER.get(), n + step);
        }
        let inner = tokio::spawn(async move {
            assert_eq!(NUMBER.get(), n + STEPS - 1);
            NUMBER.set(0);
            yield_now().await;
            let innermost = tokio::spawn(async { NUMBER.get() });
            assert_eq!(innermost.await.unwrap(), 0);
        });
        inner.await.unwrap();
        assert_eq!(NUMBER.get(), n + STEPS - 1);
    }

    on_all(|| async {
        let mut set = JoinSet::new();
        for n in (0..).step_by(100).take(LIVES) {
            NUMBER.sync_scope(n, || set.spawn(live(n)));
        }
        set.join_all().await;
        assert_eq!(NUMBER.get(), 0);
    });
}

#[test]
fn together_with_scopes_and_attributes() {
    #[with_copied_context(NUMBER = n)]
    async fn annotated(n: u64) -> u64 {
        yield_now().await;
        NUMBER.get()
    }

    on_all(|| async {
        let task = tokio::spawn(async {
            NUMBER.set(1);
            assert_eq!(annotated(2).await, 2);
            let (a, b) = tokio::join!(
                annotated(3),
                NUMBER.scope(4, async {
                    yield_now().await;
                    NUMBER.get()
                })
            );
            assert_eq!((a, b, NUMBER.get()), (3, 4, 1));
            let own = task::spawn(async { NUMBER.get() }).await.unwrap();
            let given = Context::new().with_value(&NUMBER, 5);
            let given = tokio::spawn(async { NUMBER.get() }.in_context(given)).await.unwrap();
            let detached = task::spawn_in_empty_context(async { NUMBER.get() }).await.unwrap();
            assert_eq!((own, given, detached), (1, 5, 0));
        });
        task.await.unwrap();
    });
}

#[test]
fn what_is_not_inherited_is_not() {
    on_all(|| async {
        TRANSACTION.set(1);
        let task = tokio::spawn(async {
            assert!(!TRANSACTION.is_set());
            TRANSACTION.set(2);
            yield_now().await;
            TRANSACTION.get()
        });
        assert_eq!((task.await.unwrap(), TRANSACTION.get()), (2, 1));
    });
}

#[test]
fn a_task_that_ends_lets_go_of_its_context() {
    on_all(|| async {
        let held = Arc::new(());
        let ctx = with(&held);

        // Finished, handles kept or not.
        let kept = ctx.clone().run(|| {
            tokio::spawn(async {
                yield_now().await;
                HELD.is_set()
            })
        });
        ctx.clone().run(|| drop(tokio::spawn(async { yield_now().await })));
        // Aborted, while it waits.
        let (started, starts) = oneshot::channel();
        let aborted = ctx.clone().run(|| {
            tokio::spawn(async {
                let (here, there) = (HELD.get(), HELD.get());
                started.send(()).unwrap();
                pending::<()>().await;
                drop((here, there));
            })
        });
        starts.await.unwrap();
        aborted.abort();
        assert!(aborted.await.unwrap_err().is_cancelled());
        // Aborted before it was ever polled, or as it is.
        let never = ctx.clone().run(|| tokio::spawn(pending::<()>()));
        never.abort();
        assert!(never.await.unwrap_err().is_cancelled());
        // Panicked.
        let panicked = ctx.clone().run(|| tokio::spawn(async { assert!(!USER.is_set(), "{}", USER.get()) }));
        let text = panicked.await.unwrap_err().into_panic();
        assert_eq!(*text.downcast::<String>().unwrap(), "ada");
        // A set of tasks that is dropped.
        let mut set = JoinSet::new();
        ctx.clone().run(|| {
            for _ in 0..10 {
                set.spawn(pending::<()>());
            }
        });
        yield_now().await;
        drop(set);

        drop(ctx);
        let_go(&held).await;
        assert!(kept.await.unwrap());
    });
}

#[test]
fn destructors_see_the_context_when_a_task_is_aborted() {
    struct Says(Option<oneshot::Sender<Option<String>>>);

    impl Drop for Says {
        fn drop(&mut self) {
            self.0.take().unwrap().send(USER.try_get().ok()).unwrap();
        }
    }

    on_all(|| async {
        USER.set("ada".to_owned());
        let (sender, said) = oneshot::channel();
        let (started, starts) = oneshot::channel();
        let task = tokio::spawn(async {
            let _says = Says(Some(sender));
            started.send(()).unwrap();
            pending::<()>().await;
        });
        starts.await.unwrap();
        task.abort();
        assert_eq!(said.await.unwrap().unwrap(), "ada");
        assert!(task.await.unwrap_err().is_cancelled());
    });
}

#[test]
fn a_shutdown_with_tasks_pending_leaves_nothing_behind() {
    const TASKS: usize = if cfg!(miri) { 3 } else { 100 };

    for mut builder in all() {
        let held = Arc::new(());
        let runtime = builder.inherit_context().build().unwrap();
        let mut handles = Vec::new();
        with(&held).run(|| {
            for _ in 0..TASKS {
                handles.push(runtime.spawn(pending::<()>()));
                handles.push(runtime.spawn_blocking(|| ()));
            }
        });
        runtime.block_on(yield_now());
        // The handles are kept: no entry is to live as long as they do.
        drop(runtime);
        assert_eq!(Arc::strong_count(&held), 1);
        drop(handles);
    }
}

#[test]
fn a_shutdown_while_tasks_spawn_leaves_nothing_behind() {
    const TASKS: usize = if cfg!(miri) { 3 } else { 100 };

    for mut builder in all() {
        let held = Arc::new(());
        let runtime = builder.inherit_context().build().unwrap();
        let handles: Vec<_> = with(&held).run(|| {
            let outer = || async {
                tokio::spawn(pending::<()>());
                pending::<()>().await
            };
            (0..TASKS).map(|_| runtime.spawn(outer())).collect()
        });
        runtime.block_on(yield_now());
        drop(runtime);
        // One worker may shut a task down before another, which spawns it, calls the hook. The hooks keep that context.
        drop((handles, builder));
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[test]
fn a_spawn_after_the_shutdown_leaves_nothing_behind() {
    for mut builder in [current_thread(), multi_thread(2)] {
        let held = Arc::new(());
        let runtime = builder.inherit_context().build().unwrap();
        let handle = runtime.handle().clone();
        runtime.shutdown_background();
        // As runtimes go, this may take the workers a moment.
        while !handle.spawn(async {}).is_finished() {
            thread::yield_now();
        }
        let task = with(&held).run(|| handle.spawn(async { USER.get() }));
        assert!(task.is_finished());
        // The handles live on.
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[test]
fn shutdowns_and_spawns_at_once() {
    const ROUNDS: usize = if cfg!(miri) { 2 } else { 200 };
    const TASKS: usize = if cfg!(miri) { 5 } else { 50 };

    for _ in 0..ROUNDS {
        let held = Arc::new(());
        let runtime = multi_thread(2).inherit_context().build().unwrap();
        let handle = runtime.handle().clone();
        let spawner = thread::spawn({
            let held = held.clone();
            move || {
                let handles: Vec<_> = (0..TASKS)
                    .map(|_| with(&held).run(|| handle.spawn(async { yield_now().await })))
                    .collect();
                drop((held, handle, handles));
            }
        });
        drop(runtime);
        spawner.join().unwrap();
        // With the runtime and its handles all is gone, whatever came first.
        while Arc::strong_count(&held) > 1 {
            thread::yield_now();
        }
    }
}

#[test]
fn many_lives_at_once_on_many_workers() {
    // One in four of them never ends.
    const LIVES: u64 = if cfg!(miri) { 8 } else { 2000 };
    const STEPS: u64 = if cfg!(miri) { 3 } else { 10 };

    let held = Arc::new(());
    let runtime = multi_thread(4).inherit_context().build().unwrap();
    runtime.block_on(with(&held).scope(async {
        let mut set = JoinSet::new();
        for n in 0..LIVES {
            NUMBER.sync_scope(n, || {
                set.spawn(async move {
                    for step in 0..STEPS {
                        assert_eq!(NUMBER.get(), n + step);
                        NUMBER.set(n + step + 1);
                        // To be woken by another thread at once, at times before the poll has ended.
                        let (sender, receiver) = oneshot::channel();
                        tokio::spawn(async move { sender.send(NUMBER.get()).unwrap() });
                        assert_eq!(receiver.await.unwrap(), n + step + 1);
                    }
                    match n % 4 {
                        0 => panic!("on purpose"),
                        1 => pending().await,
                        _ => (),
                    }
                })
            });
        }
        for _ in 0..LIVES / 4 * 3 {
            if let Err(error) = set.join_next().await.unwrap() {
                assert_eq!(*error.into_panic().downcast::<&str>().unwrap(), "on purpose");
            }
        }
        set.shutdown().await;
    }));
    drop(runtime);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_task_polled_again_while_a_hook_runs_after_its_last_poll() {
    // The hook waits for the end of the task, which another thread polls meanwhile: nobody waits for the hook.
    let (end, ended) = std::sync::mpsc::channel();
    let ended = Mutex::new(ended);
    let hooks = Hooks::new().on_after_task_poll({
        let first = AtomicUsize::new(0);
        move |_| {
            if NUMBER.get() == 1 && first.fetch_add(1, Ordering::Relaxed) == 0 {
                ended.lock().unwrap().recv().unwrap();
                // The context as this poll has left it.
                assert_eq!(NUMBER.get(), 1);
                first.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let runtime = multi_thread(2).inherit_context_with(hooks).build().unwrap();
    let (waker, wakers) = std::sync::mpsc::channel();
    let mut polled = false;
    let task = runtime.spawn(async move {
        NUMBER.set(1);
        std::future::poll_fn(|cx| {
            if std::mem::replace(&mut polled, true) {
                return Poll::Ready(());
            }
            waker.send(cx.waker().clone()).unwrap();
            Poll::Pending
        })
        .await;
        NUMBER.set(NUMBER.get() + 1);
        end.send(()).unwrap();
        NUMBER.get()
    });
    wakers.recv().unwrap().wake();
    assert_eq!(runtime.block_on(task).unwrap(), 2);
}

/// A payload whose drop panics, in tokio's hands: the panic leaves the poll past tokio's own guard, and the hook after the
/// poll is not called.
struct LeavesThePoll;

impl Drop for LeavesThePoll {
    fn drop(&mut self) {
        panic::resume_unwind(Box::new(PanicsWhenDropped));
    }
}

struct PanicsWhenDropped;

impl Drop for PanicsWhenDropped {
    fn drop(&mut self) {
        if !thread::panicking() {
            panic::resume_unwind(Box::new("on purpose"));
        }
    }
}

/// Runs `runtime` until a panic has left a poll of one of its tasks, in whose context `USER` is "secret".
fn panic_out_of_a_poll(runtime: &Runtime) {
    let run = panic::AssertUnwindSafe(|| {
        runtime.block_on(async {
            drop(tokio::spawn(async {
                USER.set("secret".to_owned());
                LeavesThePoll
            }));
            yield_now().await;
            yield_now().await;
        });
    });
    assert_eq!(panic::catch_unwind(run).unwrap_err().downcast_ref::<&str>(), Some(&"on purpose"));
}

/// Keeps a runtime that cannot be shut down: tokio takes the task for one that is still being polled. It is no leak to Miri and
/// to LeakSanitizer, since a static refers to it.
fn keep(runtime: Runtime) {
    static KEPT: Mutex<Vec<Runtime>> = Mutex::new(Vec::new());

    KEPT.lock().unwrap().push(runtime);
}

#[test]
fn a_panic_that_leaves_a_poll_leaves_no_context_behind() {
    fn reads_nothing() {
        assert!(!USER.is_set());
        assert!(USER.try_get().is_err());
        assert!(copy_context().is_empty());
    }

    let runtime = current_thread().inherit_context().build().unwrap();
    panic_out_of_a_poll(&runtime);
    reads_nothing();
    // Writes are to the thread's own context.
    let token = USER.set("thread".to_owned());
    USER.reset(token);
    reads_nothing();
    // Tasks of a runtime without hooks.
    let plain = current_thread().build().unwrap();
    plain.block_on(async {
        reads_nothing();
        tokio::spawn(async {
            reads_nothing();
            assert!(USER.try_set("nobody".to_owned()).is_err());
        })
        .await
        .unwrap();
    });
    // And of one with hooks, which inherit nothing from it.
    let hooked = current_thread().inherit_context().build().unwrap();
    hooked.block_on(async {
        tokio::spawn(async {
            reads_nothing();
            USER.set("task".to_owned());
            yield_now().await;
            assert_eq!(USER.get(), "task");
        })
        .await
        .unwrap();
    });
    reads_nothing();
    keep(runtime);
}

#[test]
fn a_panic_that_leaves_a_poll_leaves_the_context_around_the_runtime() {
    let mut outer = Context::new().with_value(&USER, "outer".to_owned());
    let runtime = outer.run(|| {
        let runtime = current_thread().inherit_context().build().unwrap();
        panic_out_of_a_poll(&runtime);
        assert_eq!(USER.get(), "outer");
        assert_eq!(copy_context()[&USER], "outer");
        NUMBER.set(1);
        copy_context().run(|| assert_eq!((USER.get(), NUMBER.get()), ("outer".to_owned(), 1)));
        runtime
    });
    assert_eq!((outer[&USER].as_str(), outer[&NUMBER]), ("outer", 1));
    assert!(!USER.is_set());
    keep(runtime);
}

#[test]
fn a_panic_that_leaves_a_poll_in_a_task_leaves_the_context_of_that() {
    let runtime = multi_thread(1).inherit_context().build().unwrap();
    runtime.block_on(async {
        let task = tokio::spawn(async {
            USER.set("task".to_owned());
            let inner = tokio::task::block_in_place(|| {
                let inner = current_thread().inherit_context().build().unwrap();
                panic_out_of_a_poll(&inner);
                assert_eq!(USER.get(), "task");
                inner
            });
            USER.set("task, later".to_owned());
            tokio::spawn(async { assert_eq!(USER.get(), "task, later") }).await.unwrap();
            keep(inner);
            USER.get()
        });
        assert_eq!(task.await.unwrap(), "task, later");
        // The worker is as it was before.
        tokio::spawn(async { assert!(!USER.is_set()) }).await.unwrap();
    });
}

/// A context that was entered between two polls that panics have left is the current one after the second, and its value
/// stays alive while it is read.
#[test]
fn a_run_between_two_panics_that_leave_polls() {
    fn panic_in_a_runtime() {
        let runtime = current_thread().inherit_context().build().unwrap();
        panic_out_of_a_poll(&runtime);
        keep(runtime);
    }

    panic_in_a_runtime();
    USER.set("thread".to_owned());
    let mut ctx = Context::new().with_value(&USER, "ctx".to_owned());
    USER.with(|of_thread| {
        ctx.run(|| {
            USER.with(|of_ctx| {
                panic_in_a_runtime();
                assert_eq!(USER.get(), "ctx");
                USER.set("ctx, later".to_owned());
                assert_eq!((of_thread.as_str(), of_ctx.as_str()), ("thread", "ctx"));
            });
        });
    });
    assert_eq!((ctx[&USER].as_str(), USER.get().as_str()), ("ctx, later", "thread"));
}

#[test]
fn a_run_between_polls_whose_context_no_hook_leaves() {
    let runtime = current_thread().inherit_context().on_after_task_poll(|_| ()).build().unwrap();
    runtime.block_on(async { tokio::spawn(async {}).await.unwrap() });
    let mut ctx = Context::new().with_value(&NUMBER, 1);
    ctx.run(|| {
        runtime.block_on(async { tokio::spawn(async { assert_eq!(NUMBER.get(), 1) }).await.unwrap() });
        NUMBER.set(2);
    });
    assert_eq!((ctx[&NUMBER], NUMBER.is_set()), (2, false));

    // The same inside a task of another runtime.
    multi_thread(1).inherit_context().build().unwrap().block_on(async {
        let task = tokio::spawn(async move {
            NUMBER.set(1);
            let mut ctx = copy_context();
            tokio::task::block_in_place(|| {
                runtime.block_on(async { tokio::spawn(async {}).await.unwrap() });
                ctx.run(|| {
                    runtime.block_on(async { tokio::spawn(async {}).await.unwrap() });
                    NUMBER.set(2);
                });
                drop(runtime);
            });
            (ctx[&NUMBER], NUMBER.get())
        });
        assert_eq!(task.await.unwrap(), (2, 1));
    });
}

/// tokio makes the task current once more on the thread that drops its output: here one whose last poll no hook has left,
/// while another thread runs the hook at the end of the task.
#[test]
fn an_output_that_writes_when_it_is_dropped_while_the_task_ends_elsewhere() {
    struct Writes;

    impl Drop for Writes {
        fn drop(&mut self) {
            for number in 0..3 {
                let _ = NUMBER.try_set(number);
                let _ = USER.try_set("set by an output".to_owned());
            }
        }
    }

    struct Panics;

    impl Drop for Panics {
        fn drop(&mut self) {
            panic::resume_unwind(Box::new(Writes));
        }
    }

    let hooks = Hooks::new().on_task_terminate(|_| drop(USER.try_get()));
    let mut builder = current_thread();
    let runtime = builder.inherit_context_with(hooks).on_after_task_poll(|_| ()).build().unwrap();
    let task = runtime.spawn(async {
        let _panics = Panics;
        USER.set("ada".to_owned());
        pending::<()>().await;
    });
    runtime.block_on(yield_now());
    let shutdown = thread::spawn(|| drop(runtime));
    while !task.is_finished() {
        thread::yield_now();
    }
    drop(task);
    shutdown.join().unwrap();
}

/// No copy that the library keeps for hooks is dropped where a panic or a write could reach others.
#[test]
fn a_value_whose_drop_panics_beside_hooks_of_your_own() {
    struct Bad;

    impl Drop for Bad {
        fn drop(&mut self) {
            let _ = NUMBER.try_set(7);
            panic::resume_unwind(Box::new("a bad drop"));
        }
    }

    #[context_var]
    static BAD: Bad;

    for mut builder in [current_thread(), multi_thread(2)] {
        let hooks = Hooks::new().on_before_task_poll(|_| ()).on_after_task_poll(|_| ());
        let runtime = builder.inherit_context_with(hooks).build().unwrap();
        runtime.block_on(async {
            for replaces in [false, true] {
                let task = tokio::spawn(async move {
                    BAD.set(Bad);
                    yield_now().await;
                    if replaces {
                        // Hooks have a copy of the context with the first value.
                        let token = BAD.set(Bad);
                        yield_now().await;
                        let _ = panic::catch_unwind(panic::AssertUnwindSafe(|| drop(token)));
                        yield_now().await;
                    }
                });
                task.await.unwrap();
            }
            assert!(!NUMBER.is_set());
            assert!(!tokio::spawn(async { NUMBER.is_set() }).await.unwrap());
        });
        assert!(!NUMBER.is_set());
    }
}

#[test]
fn a_hook_of_tokios_builder_in_the_place_of_ours() {
    const TASKS: u64 = if cfg!(miri) { 3 } else { 20 };

    fn tasks(runtime: &Runtime) {
        runtime.block_on(async {
            USER.set("ada".to_owned());
            let mut set = JoinSet::new();
            for n in 0..TASKS {
                NUMBER.sync_scope(n, || {
                    set.spawn(async move {
                        for step in n..n + TASKS {
                            assert_eq!((NUMBER.get(), USER.get().as_str()), (step, "ada"));
                            NUMBER.set(step + 1);
                            let (sender, receiver) = oneshot::channel();
                            tokio::spawn(async move { sender.send(NUMBER.get()).unwrap() });
                            assert_eq!(receiver.await.unwrap(), step + 1);
                        }
                    })
                });
            }
            set.join_all().await;
            assert_eq!((NUMBER.get(), USER.get().as_str()), (0, "ada"));
            USER.set("grace".to_owned());
        });
    }

    for mut builder in [current_thread(), multi_thread(1), multi_thread(2), multi_thread(4)] {
        let run = move || {
            // After each poll nothing leaves the task's context.
            let runtime = builder.inherit_context().on_after_task_poll(|_| ()).build().unwrap();
            tasks(&runtime);
            assert_eq!(USER.get(), "grace");
            drop(runtime);
            assert_eq!(USER.get(), "grace");
            // At a task's end nothing drops its context; that is left to the runtime.
            let held = Arc::new(());
            let runtime = builder.inherit_context().on_task_terminate(|_| ()).build().unwrap();
            tasks(&runtime);
            runtime.block_on(with(&held).scope(async { tokio::spawn(async {}).await.unwrap() }));
            drop((runtime, builder));
            assert_eq!(Arc::strong_count(&held), 1);
        };
        thread::spawn(run).join().unwrap();
    }
}

/// Their destructors run in no context that others see.
#[test]
fn what_values_of_a_task_that_has_ended_set_when_they_are_dropped() {
    struct Sets;

    impl Drop for Sets {
        fn drop(&mut self) {
            assert!(USER.try_get().is_err());
            let _ = USER.try_set("set by a destructor".to_owned());
        }
    }

    #[context_var]
    static SETS: Sets;

    on_all(|| async {
        for _ in 0..5 {
            let task = tokio::spawn(async {
                SETS.set(Sets);
                USER.set("ada".to_owned());
                yield_now().await;
            });
            task.await.unwrap();
            tokio::spawn(async { assert!(!USER.is_set()) }).await.unwrap();
            assert!(!USER.is_set());
        }
    });
}

#[test]
fn tasks_of_a_local_set_in_a_task_have_no_context() {
    let runtime = current_thread().inherit_context().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let task = tokio::task::spawn_local(async {
            USER.set("ada".to_owned());
            let local = LocalSet::new();
            let plain = local.spawn_local(async {
                yield_now().await;
                (USER.try_get().is_err(), USER.try_set("nobody".to_owned()).is_err())
            });
            let plain = local.run_until(async { plain.await.unwrap() }).await;
            assert_eq!((plain, USER.get().as_str()), ((true, true), "ada"));
        });
        task.await.unwrap();
    });
}

#[test]
fn hooks_of_your_own_are_called_too_in_the_context() {
    for mut builder in [current_thread(), multi_thread(2)] {
        let log = Arc::new(Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let log = log.clone();
            move |_: &tokio::runtime::TaskMeta<'_>| {
                let user = USER.try_get().unwrap_or_else(|_| "nobody".to_owned());
                log.lock().unwrap().push(format!("{what} {user}"));
            }
        };
        let hooks = Hooks::new()
            .on_task_spawn(note("spawn"))
            .on_before_task_poll(note("before"))
            .on_after_task_poll(note("after"))
            .on_task_terminate(note("terminate"));
        let runtime = builder.inherit_context_with(hooks).build().unwrap();
        runtime.block_on(async {
            let ada = Context::new().with_value(&USER, "ada".to_owned());
            let task = async {
                USER.set("grace".to_owned());
                yield_now().await
            };
            ada.clone().run(|| tokio::spawn(task)).await.unwrap();
        });
        drop(runtime);
        // tokio's workers are blocking calls, and those end too.
        let log: Vec<_> = log.lock().unwrap().drain(..).filter(|line| line != "terminate nobody").collect();
        assert_eq!(
            log,
            ["spawn ada", "before ada", "after grace", "before grace", "terminate grace", "after nobody"]
        );
    }
}

#[test]
fn a_hook_of_your_own_that_panics_leaves_the_context() {
    let runtime = current_thread()
        .inherit_context_with(Hooks::new().on_before_task_poll(|_| panic!("a bad hook")))
        .build()
        .unwrap();
    let run = || {
        runtime.block_on(async {
            let ctx = Context::new().with_value(&USER, "ada".to_owned());
            ctx.clone().run(|| tokio::spawn(async {})).await.unwrap();
        });
    };
    assert!(panic::catch_unwind(panic::AssertUnwindSafe(run)).is_err());
    assert!(!USER.is_set());
    assert!(copy_context().is_empty());
}

#[test]
fn a_value_whose_drop_panics_ends_no_worker() {
    const ROUNDS: usize = if cfg!(miri) { 2 } else { 10 };

    #[context_var]
    static BAD: Bad;

    struct Bad;

    impl Drop for Bad {
        fn drop(&mut self) {
            if !thread::panicking() {
                panic!("a bad drop");
            }
        }
    }

    on_all(|| async {
        for _ in 0..ROUNDS {
            let task = tokio::spawn(async {
                BAD.set(Bad);
                yield_now().await;
            });
            task.await.unwrap();
        }
        assert_eq!(tokio::spawn(async { 7 }).await.unwrap(), 7);
    });
}

#[test]
fn a_value_whose_drop_panics_while_a_hook_panics_ends_no_worker() {
    #[context_var]
    static WORSE: Worse;

    struct Worse;

    impl Drop for Worse {
        fn drop(&mut self) {
            panic!("a bad drop");
        }
    }

    for mut builder in [current_thread(), multi_thread(2)] {
        let hooks = Hooks::new().on_task_terminate(|_| panic!("a bad hook"));
        let runtime = builder.inherit_context_with(hooks).build().unwrap();
        runtime.block_on(async {
            tokio::spawn(async { drop(WORSE.set(Worse)) }).await.unwrap();
            assert_eq!(tokio::spawn(async { 7 }).await.unwrap(), 7);
        });
    }
}

#[test]
fn a_local_runtime() {
    let held = Arc::new(());
    let runtime = current_thread().inherit_context().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(with(&held).scope(async {
        let local = std::rc::Rc::new(7);
        let task = tokio::task::spawn_local(async move {
            USER.set(format!("{} {local}", USER.get()));
            yield_now().await;
            let inner = tokio::task::spawn_local(async { USER.get() });
            let sent = tokio::spawn(async { USER.get() });
            (inner.await.unwrap(), sent.await.unwrap())
        });
        assert_eq!(task.await.unwrap(), ("ada 7".to_owned(), "ada 7".to_owned()));
        assert_eq!(USER.get(), "ada");
        tokio::task::spawn_local(pending::<()>());
    }));
    drop(runtime);
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn what_the_hooks_do_not_reach_is_as_in_any_runtime() {
    on_all(|| async {
        USER.set("ada".to_owned());
        tokio::task::spawn_blocking(|| {
            assert!(!USER.is_set());
            assert!(USER.try_set("nobody".to_owned()).is_err());
        })
        .await
        .unwrap();
        task::spawn_blocking(|| assert_eq!(USER.get(), "ada")).await.unwrap();

        let local = LocalSet::new();
        local
            .run_until(async {
                let plain = tokio::task::spawn_local(async { USER.try_set("nobody".to_owned()).is_err() });
                let own = task::spawn_local(async { USER.get() });
                assert_eq!((plain.await.unwrap(), own.await.unwrap()), (true, "ada".to_owned()));
            })
            .await;
        assert_eq!(USER.get(), "ada");
    });
}

#[test]
fn block_in_place_and_a_runtime_in_it() {
    let runtime = multi_thread(2).inherit_context().build().unwrap();
    runtime.block_on(async {
        let task = USER.sync_scope("ada".to_owned(), || {
            tokio::spawn(async {
                tokio::task::block_in_place(|| {
                    assert_eq!(USER.get(), "ada");
                    let inner = current_thread().inherit_context().build().unwrap();
                    let text = inner.block_on(async {
                        let task = tokio::spawn(async {
                            USER.set("inner".to_owned());
                            yield_now().await;
                            USER.get()
                        });
                        format!("{} in {}", task.await.unwrap(), USER.get())
                    });
                    assert_eq!(text, "inner in ada");
                    USER.set("after".to_owned());
                });
                yield_now().await;
                USER.get()
            })
        });
        assert_eq!(task.await.unwrap(), "after");
    });
}

#[test]
fn a_runtime_without_the_hooks_beside_one_with_them() {
    let plain: Runtime = multi_thread(1).build().unwrap();
    let hooked = multi_thread(1).inherit_context().build().unwrap();
    let barrier = Arc::new(Barrier::new(2));
    Context::new().with_value(&USER, "ada".to_owned()).run(|| {
        let there = plain.spawn({
            let barrier = barrier.clone();
            async move {
                barrier.wait().await;
                assert!(!USER.is_set());
            }
        });
        let here = hooked.spawn(async move {
            barrier.wait().await;
            assert_eq!(USER.get(), "ada");
        });
        hooked.block_on(async {
            there.await.unwrap();
            here.await.unwrap()
        });
    });
}

#[test]
fn variables_are_as_many_as_you_like() {
    const COUNT: usize = if cfg!(miri) { 40 } else { 200 };

    let vars: Vec<&'static ContextVar<usize>> =
        (0..COUNT).map(|_| &*Box::leak(Box::new(ContextVar::new("one of many")))).collect();
    let runtime = multi_thread(2).inherit_context().build().unwrap();
    runtime.block_on(async {
        for (n, var) in vars.iter().enumerate() {
            var.set(n);
        }
        let task = tokio::spawn(async move {
            for (n, var) in vars.iter().enumerate() {
                assert_eq!(var.get(), n);
                var.set(n + 1);
                yield_now().await;
            }
            copy_context().len()
        });
        assert_eq!(task.await.unwrap(), COUNT);
    });
}

#[test]
fn hooks_are_printed_by_name() {
    assert_eq!(format!("{:?}", Hooks::new()), "Hooks { .. }");
}
