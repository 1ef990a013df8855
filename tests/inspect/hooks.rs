//! Tasks of runtimes with hooks. To run these tests: `RUSTFLAGS="--cfg tokio_unstable"`.

use std::future::{pending, poll_fn};
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::task::Poll;

use contextvar::inspect::{self, Kind};
use contextvar::runtime::InheritContext;
use contextvar::{ContextVar, InContext, task, thread};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::support::*;

static TENANT: ContextVar<String> = ContextVar::new("tenant").debug();

fn with_hooks(workers: usize) -> Runtime {
    match workers {
        0 => Builder::new_current_thread().inherit_context().build().unwrap(),
        _ => Builder::new_multi_thread().worker_threads(workers).inherit_context().build().unwrap(),
    }
}

#[test]
fn each_task_is_listed_where_it_was_spawned_until_it_ends() {
    in_root(|root| {
        let runtime = with_hooks(0);
        runtime.block_on(async {
            drop(TENANT.set("acme".to_owned()));
            let (stop, stopped) = oneshot::channel::<()>();
            let (spawned, line) = at!(tokio::spawn(async move {
                inspect::set_name("task");
                drop(TENANT.set("initech".to_owned()));
                stopped.await.unwrap_err();
            }));
            let context = only(root);
            assert_place(&context, Kind::Task, file!(), line);
            assert_eq!((context.parent(), context.polls()), (Some(root), 0));
            assert_eq!(variables(&context), [r#"tenant="acme""#]);
            tokio::task::yield_now().await;
            let context = only(root);
            assert_eq!((context.name(), context.polls(), context.running_on()), (Some("task"), 1, None));
            assert_eq!(context.task_id().map(|id| id.to_string()), Some(spawned.id().to_string()));
            assert_eq!(variables(&context), [r#"tenant="initech""#]);
            drop(stop);
            spawned.await.unwrap();
            tokio::task::yield_now().await;
            wait_until_empty(root);
        });
    });
}

/// The context of the hooks has the spawner's values, and so it can pin them.
#[test]
fn a_task_in_an_empty_context_is_a_root_and_its_runtime_lists_another_context_below_the_spawner() {
    in_root(|root| {
        let runtime = with_hooks(0);
        runtime.block_on(async {
            drop(TENANT.set("acme".to_owned()));
            let (spawned, line) = at!(task::spawn_in_empty_context(std::future::pending::<()>()));
            let of_hooks = only(root);
            assert_place(&of_hooks, Kind::Task, file!(), line);
            assert_eq!(variables(&of_hooks), [r#"tenant="acme""#]);
            let is_own = |it: &&inspect::ListedContext| {
                (it.location().line(), it.location().file()) == (line, file!())
            };
            let own = inspect::snapshot().roots().find(is_own).cloned().unwrap();
            assert_eq!(variables(&own), [""; 0]);
            spawned.abort();
            spawned.await.unwrap_err();
            tokio::task::yield_now().await;
            wait_until_empty(root);
            assert!(inspect::snapshot().roots().find(is_own).is_none());
        });
    });
}

#[test]
fn a_task_of_contextvar_has_two_contexts() {
    in_root(|root| {
        let runtime = with_hooks(0);
        runtime.block_on(async {
            let (spawned, line) = at!(task::spawn(async move {
                inspect::set_name("inner");
                let unit = Unit::new("unit");
                assert_eq!(shape(root), "inner(unit) ?");
                drop(unit);
            }));
            let snapshot = inspect::snapshot();
            for context in snapshot.descendants(root) {
                assert_place(context, Kind::Task, file!(), line);
                assert_eq!(context.parent(), Some(root));
            }
            assert_eq!(snapshot.descendants(root).len(), 2);
            spawned.await.unwrap();
            tokio::task::yield_now().await;
            wait_until_empty(root);
        });
    });
}

#[test]
fn a_task_is_the_parent_of_what_it_hands_over() {
    in_root(|root| {
        let runtime = with_hooks(0);
        runtime.block_on(async {
            let spawned = tokio::spawn(async move {
                inspect::set_name("task");
                let mut unit = Unit::new("unit");
                let child = unit.child("child");
                let call = thread::spawn(move || {
                    inspect::set_name("thread");
                    assert_eq!(shape(root), "task(unit(child) thread)");
                });
                call.join().unwrap();
                drop((child, unit));
                drop(tokio::spawn(async move {
                    inspect::set_name("inner");
                    assert_eq!(shape(root), "task!(inner)");
                }));
            });
            spawned.await.unwrap();
            while !inspect::snapshot().descendants(root).is_empty() {
                tokio::task::yield_now().await;
            }
        });
    });
}

#[test]
fn tasks_leave_the_list_when_they_are_aborted_or_panic_or_their_runtime_shuts_down() {
    in_root(|root| {
        let runtime = with_hooks(1);
        runtime.block_on(async {
            let aborted = tokio::spawn(pending::<()>());
            aborted.abort();
            assert!(aborted.await.unwrap_err().is_cancelled());
            assert!(tokio::spawn(async { panic!("deliberate") }).await.unwrap_err().is_panic());
            wait_until_empty(root);
            drop(tokio::spawn(pending::<()>()));
            drop(tokio::spawn(pending::<()>()));
        });
        wait_until(|it| it.descendants(root).iter().filter(|it| it.polls() == 1).count() == 2);
        drop(runtime);
        wait_until_empty(root);
    });
}

/// Sets a variable in the context that it is dropped in, and then panics if the test asks for it.
struct SetsTenant(Arc<AtomicBool>);

impl Drop for SetsTenant {
    fn drop(&mut self) {
        let _ = TENANT.try_set("left by a destructor".to_owned());
        self.0.store(true, Ordering::Relaxed);
        panic!("deliberate");
    }
}

#[test]
fn values_of_a_task_that_a_shutdown_ends_are_dropped_in_an_empty_context() {
    static VALUE: ContextVar<SetsTenant> = ContextVar::new("value");

    in_root_alone(|root| {
        let is_dropped = Arc::new(AtomicBool::new(false));
        let runtime = with_hooks(1);
        let (send, receive) = mpsc::channel();
        let value = SetsTenant(Arc::clone(&is_dropped));
        drop(runtime.spawn(async move {
            drop(VALUE.set(value));
            send.send(()).unwrap();
            pending::<()>().await
        }));
        receive.recv().unwrap();
        wait_until(|it| it.descendants(root).iter().any(|it| it.polls() == 1 && it.running_on().is_none()));
        // The panic of the destructor is discarded, as without the list.
        drop(runtime);
        wait_until_empty(root);
        assert!(is_dropped.load(Ordering::Relaxed));
        assert!(!TENANT.is_set(), "{}", TENANT.get());
    });
}

#[test]
fn values_of_a_task_that_another_thread_ends_are_dropped_in_an_empty_context() {
    static VALUE: ContextVar<SetsTenant> = ContextVar::new("value");

    in_root_alone(|_| {
        let is_dropped = Arc::new(AtomicBool::new(false));
        let runtime = with_hooks(0);
        let value = SetsTenant(Arc::clone(&is_dropped));
        let spawned = runtime.spawn(async move {
            drop(VALUE.set(value));
            pending::<()>().await
        });
        // Polled on one thread, and ended on another.
        let (runtime, tenant) = std::thread::spawn(move || {
            runtime.block_on(tokio::task::yield_now());
            (runtime, TENANT.is_set())
        })
        .join()
        .unwrap();
        assert!(!tenant);
        drop((spawned, runtime));
        assert!(is_dropped.load(Ordering::Relaxed));
        assert!(!TENANT.is_set(), "{}", TENANT.get());
    });
}

#[test]
fn a_poll_may_begin_on_a_thread_before_the_hook_after_the_last_one_has_run_on_another() {
    // A task that wakes itself is polled by another worker while the first one is on its way to its hook.
    const TASKS: u64 = 4;
    let polls_of_each = if cfg!(miri) { 20 } else { 20_000 };

    in_root(|root| {
        let runtime = with_hooks(3);
        let polls = Arc::new(AtomicU64::new(0));
        let (send, receive) = mpsc::channel();
        for _ in 0..TASKS {
            let (polls, send) = (Arc::clone(&polls), send.clone());
            drop(runtime.spawn(async move {
                let mut left = polls_of_each;
                poll_fn(|cx| {
                    // The task is the parent of each context that a poll hands over, on each worker.
                    let unit = (left % 64 == 0).then(|| Unit::new("unit"));
                    drop(unit);
                    polls.fetch_add(1, Ordering::Relaxed);
                    left -= 1;
                    if left == 0 {
                        return Poll::Ready(());
                    }
                    cx.waker().wake_by_ref();
                    Poll::Pending
                })
                .await;
                send.send(()).unwrap();
                pending::<()>().await
            }));
        }
        for _ in 0..TASKS {
            receive.recv().unwrap();
        }
        let snapshot = wait_until(|it| {
            it.descendants(root).iter().all(|it| it.running_on().is_none() && it.polls() > 0)
        });
        assert_eq!(shape(root), "? ? ? ?");
        let listed: u64 = snapshot.descendants(root).iter().map(|it| it.polls()).sum();
        assert_eq!(listed, polls.load(Ordering::Relaxed));
        drop(runtime);
        wait_until_empty(root);
    });
}

#[test]
fn a_panic_that_escapes_tokio_leaves_no_context_current() {
    in_root(|root| {
        // The hook after the poll does not run.
        let runtime = Builder::new_current_thread()
            .unhandled_panic(tokio::runtime::UnhandledPanic::ShutdownRuntime)
            .inherit_context()
            .build()
            .unwrap();
        let result = panic::catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                drop(tokio::spawn(async { panic!("deliberate") }));
                pending::<()>().await
            });
        }));
        assert!(result.is_err());
        drop(runtime);
        // The stale entry, if any, is no parent.
        let unit = Unit::new("unit");
        assert_eq!(shape(root), "unit");
        drop(unit);
        wait_until_empty(root);
    });
}

#[test]
fn a_local_task_inside_a_task_is_not_below_that_task() {
    in_root(|root| {
        let runtime = with_hooks(0);
        runtime.block_on(async {
            let seen = Arc::new(Mutex::new(String::new()));
            let to = Arc::clone(&seen);
            let spawned = tokio::spawn(async move {
                inspect::set_name("task");
                let waker = futures::task::noop_waker();
                let mut cx = std::task::Context::from_waker(&waker);
                let local = tokio::task::LocalSet::new();
                // A task of a `LocalSet` has no context here, and inherits none.
                local.spawn_local(async move {
                    let future = pending::<()>().in_copied_context();
                    *to.lock().unwrap() = shape(root);
                    drop(future);
                });
                let _ = Box::pin(local).as_mut().poll(&mut cx);
            });
            spawned.await.unwrap();
            assert_eq!(*seen.lock().unwrap(), "task");
        });
    });
}
