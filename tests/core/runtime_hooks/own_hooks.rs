//! The application's own hooks: added with `Hooks`, or set on tokio's builder in place of ours.

use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::{panic, thread};

use contextvar::runtime::{Hooks, InheritContext};
use contextvar::{Context, context_var, copy_context};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};

use super::{NUMBER, USER, current_thread, multi_thread, with};

#[test]
fn a_task_polled_again_while_a_hook_runs_after_its_last_poll() {
    // The hook blocks until the task ends. Another thread can poll the task meanwhile: no poll waits for the
    // hook.
    let (end, ended) = std::sync::mpsc::channel();
    let ended = Mutex::new(ended);
    let hooks = Hooks::new().on_after_task_poll({
        let first = AtomicUsize::new(0);
        move |_| {
            if NUMBER.get() == 1 && first.fetch_add(1, Ordering::Relaxed) == 0 {
                ended.lock().unwrap().recv().unwrap();
                // The context is as this poll left it.
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

#[test]
fn application_hooks_are_called_in_the_context() {
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
        // tokio's workers run as blocking tasks, whose ends call the hook as well.
        let log: Vec<_> = log.lock().unwrap().drain(..).filter(|line| line != "terminate nobody").collect();
        assert_eq!(
            log,
            ["spawn ada", "before ada", "after grace", "before grace", "terminate grace", "after nobody"]
        );
    }
}

#[test]
fn a_panicking_application_hook_restores_the_context() {
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
fn a_tokio_hook_that_replaces_ours() {
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
            // No hook leaves the task's context after a poll.
            let runtime = builder.inherit_context().on_after_task_poll(|_| ()).build().unwrap();
            tasks(&runtime);
            assert_eq!(USER.get(), "grace");
            drop(runtime);
            assert_eq!(USER.get(), "grace");
            // No hook drops a task's context at its end; the runtime's end does.
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

#[test]
fn a_run_between_polls_without_an_after_poll_hook() {
    let runtime = current_thread().inherit_context().on_after_task_poll(|_| ()).build().unwrap();
    runtime.block_on(async { tokio::spawn(async {}).await.unwrap() });
    let mut ctx = Context::new().with_value(&NUMBER, 1);
    ctx.run(|| {
        runtime.block_on(async { tokio::spawn(async { assert_eq!(NUMBER.get(), 1) }).await.unwrap() });
        NUMBER.set(2);
    });
    assert_eq!((ctx[&NUMBER], NUMBER.is_set()), (2, false));

    // The same inside another runtime's task.
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

/// tokio makes a task current again on the thread that drops its output. Here no hook has left the last poll
/// on that thread, and another thread runs the task's terminate hook meanwhile.
#[test]
fn an_output_that_writes_in_drop_while_its_task_ends_elsewhere() {
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

/// The copies that the library keeps for hooks are dropped where neither a panic nor a write can affect other
/// code.
#[test]
fn a_panicking_drop_beside_application_hooks() {
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
                        // The hooks hold a copy of the context with the first value.
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
fn a_panicking_drop_in_a_panicking_hook_ends_no_worker() {
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
