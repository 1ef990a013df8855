//! Panics that escape tokio's `catch_unwind` around a poll, and values that panic in their drop.

use std::sync::Mutex;
use std::{panic, thread};

use contextvar::runtime::InheritContext;
use contextvar::{Context, context_var, copy_context};
use tokio::runtime::Runtime;
use tokio::task::yield_now;

use super::{NUMBER, USER, current_thread, multi_thread, on_all};

/// A task output whose drop panics with a payload whose drop panics as well. The second panic leaves the poll
/// past tokio's `catch_unwind`, so the hook after the poll is not called.
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

/// Runs `runtime` until a panic has left the poll of a task in whose context `USER` is "secret".
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

/// Keeps a runtime that cannot be shut down because tokio considers the task still in a poll. A static refers
/// to the runtime, so Miri and LeakSanitizer report no leak.
fn keep(runtime: Runtime) {
    static KEPT: Mutex<Vec<Runtime>> = Mutex::new(Vec::new());

    KEPT.lock().unwrap().push(runtime);
}

#[test]
fn a_panic_out_of_a_poll_leaves_no_context_behind() {
    fn reads_nothing() {
        assert!(!USER.is_set());
        assert!(USER.try_get().is_err());
        assert!(copy_context().is_empty());
    }

    let runtime = current_thread().inherit_context().build().unwrap();
    panic_out_of_a_poll(&runtime);
    reads_nothing();
    // Writes go to the thread's context.
    let token = USER.set("thread".to_owned());
    USER.reset(token);
    reads_nothing();
    // A runtime without hooks: its tasks see nothing.
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
    // A runtime with hooks: its tasks inherit nothing.
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
fn a_panic_out_of_a_poll_restores_the_context_around_the_runtime() {
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
fn a_panic_out_of_a_nested_poll_restores_the_outer_task_context() {
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
        // The worker thread is unaffected.
        tokio::spawn(async { assert!(!USER.is_set()) }).await.unwrap();
    });
}

/// A context entered between two panics out of polls is current after the second one, and its value stays
/// alive while it is being read.
#[test]
fn a_run_between_two_panics_out_of_polls() {
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
fn a_panicking_drop_ends_no_worker() {
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
