//! Runtimes on which only some tasks inherit: `inherit_context_if` and `Hooks::inherit_if`.

use std::future::pending;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use contextvar::runtime::{Hooks, InheritContext};
use contextvar::{Context, InContext, copy_context};
use tokio::runtime::{LocalOptions, TaskMeta};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, yield_now};

use super::{HELD, NUMBER, TRANSACTION, USER, all, current_thread, until_released, with};

mod library;

/// Returns false for the tasks that `library` spawns.
fn is_ours(task: &TaskMeta<'_>) -> bool {
    !task.spawned_at().file().ends_with("library.rs")
}

/// Runs a test on each kind of runtime, in a thread of its own. Tasks that `library` spawns do not inherit.
fn on_all<F: Future<Output = ()>>(test: impl Fn() -> F + Copy + Send + 'static) {
    for mut builder in all() {
        let run = move || builder.inherit_context_if(is_ours).build().unwrap().block_on(test());
        thread::spawn(run).join().unwrap_or_else(|panic| panic::resume_unwind(panic));
    }
}

#[test]
fn tasks_of_a_library_have_empty_contexts() {
    /// What a task sees, before and after it writes.
    async fn seen() -> (Option<String>, usize, String) {
        let (user, len) = (USER.try_get().ok(), copy_context().len());
        USER.set("its own".to_owned());
        yield_now().await;
        (user, len, USER.get())
    }

    on_all(|| async {
        let held = Arc::new(());
        let request = || async {
            TRANSACTION.set(1);
            let ours = (Some("ada".to_owned()), 2, "its own".to_owned());
            let theirs = (None, 0, "its own".to_owned());

            assert_eq!(library::start(seen()).await.unwrap(), theirs);
            assert_eq!(tokio::spawn(seen()).await.unwrap(), ours);
            let mut set = JoinSet::new();
            library::start_in(&mut set, seen());
            assert_eq!(set.join_next().await.unwrap().unwrap(), theirs);
            set.spawn(seen());
            assert_eq!(set.join_next().await.unwrap().unwrap(), ours);
            // A future that brings its context keeps it.
            assert_eq!(library::start(seen().in_inherited_context()).await.unwrap(), ours);
            assert_eq!((USER.get().as_str(), TRANSACTION.get()), ("ada", 1));
        };
        // In `block_on`'s own future, and in a task.
        with(&held).scope(request()).await;
        with(&held).run(|| tokio::spawn(request())).await.unwrap();
        until_released(&held).await;
        assert!(!USER.is_set());
    });
}

#[test]
fn a_worker_started_by_a_request_keeps_no_value_alive() {
    on_all(|| async {
        let held = Arc::new(());
        let (jobs, mut queue) = mpsc::channel::<oneshot::Sender<u64>>(1);
        let (end, ended) = oneshot::channel();
        let request = async {
            assert!(HELD.is_set());
            library::start(async move {
                while let Some(reply) = queue.recv().await {
                    assert!(!HELD.is_set() && !USER.is_set());
                    // The worker's context is one context, from its first job to its last.
                    NUMBER.set(NUMBER.get() + 1);
                    yield_now().await;
                    // A task that the worker spawns inherits from the worker.
                    reply.send(tokio::spawn(async { NUMBER.get() }).await.unwrap()).unwrap();
                }
                end.send(()).unwrap();
            });
        };
        with(&held).with_value(&NUMBER, 7).run(|| tokio::spawn(request)).await.unwrap();
        for n in 1..4 {
            let (reply, answer) = oneshot::channel();
            jobs.send(reply).await.unwrap();
            assert_eq!(answer.await.unwrap(), n);
            // The worker is alive, and the request's context is not.
            until_released(&held).await;
            assert!(!jobs.is_closed());
        }
        drop(jobs);
        ended.await.unwrap();
        // A task that inherits does keep the values.
        let task = with(&held).run(|| tokio::spawn(pending::<()>()));
        yield_now().await;
        assert_eq!(Arc::strong_count(&held), 2);
        task.abort();
        until_released(&held).await;
    });
}

#[test]
fn a_local_runtime_selects() {
    let mut builder = current_thread();
    let runtime = builder.inherit_context_if(is_ours).build_local(LocalOptions::default()).unwrap();
    let held = Arc::new(());
    runtime.block_on(with(&held).scope(async {
        let theirs = library::start_local(async {
            let user = USER.try_get().ok();
            USER.set("its own".to_owned());
            yield_now().await;
            (user, USER.get())
        });
        assert_eq!(theirs.await.unwrap(), (None, "its own".to_owned()));
        let ours = tokio::task::spawn_local(async { USER.get() });
        assert_eq!(ours.await.unwrap(), "ada");
        assert_eq!(USER.get(), "ada");
        library::start_local(pending::<()>());
        yield_now().await;
    }));
    // The last task is alive.
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn application_hooks_run_beside_the_selection() {
    for mut builder in all() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let note = |what: &'static str| {
            let log = log.clone();
            move |task: &TaskMeta<'_>| {
                if !is_ours(task) {
                    let user = USER.try_get().unwrap_or_else(|_| "nobody".to_owned());
                    log.lock().unwrap().push(format!("{what} {user}"));
                }
            }
        };
        let select = note("select");
        let hooks = Hooks::new()
            .on_task_spawn(note("spawn"))
            .inherit_if(move |task| {
                select(task);
                is_ours(task)
            })
            .on_before_task_poll(note("before"))
            .on_after_task_poll(note("after"))
            .on_task_terminate(note("terminate"));
        let runtime = builder.inherit_context_with(hooks).build().unwrap();
        runtime.block_on(async {
            let worker = async {
                USER.set("worker".to_owned());
                yield_now().await
            };
            let ada = Context::new().with_value(&USER, "ada".to_owned());
            ada.clone().run(|| library::start(worker)).await.unwrap();
        });
        drop(runtime);
        assert_eq!(
            *log.lock().unwrap(),
            [
                "select ada",
                "spawn ada",
                "before nobody",
                "after worker",
                "before worker",
                "terminate worker",
                "after nobody"
            ]
        );
    }
}

/// The selection runs in the spawner, which can write its context there.
#[test]
fn the_selection_runs_in_the_spawning_context() {
    let spawner = thread::current().id();
    for mut builder in all() {
        let runtime = builder
            .inherit_context_if(move |_| {
                assert_eq!(thread::current().id(), spawner);
                NUMBER.set(NUMBER.get() + 1);
                USER.get() == "ada"
            })
            .build()
            .unwrap();
        let mut ctx = Context::new().with_value(&USER, "ada".to_owned());
        let task = ctx.run(|| runtime.spawn(async { NUMBER.get() }));
        // The copy is taken after the selection.
        assert_eq!((runtime.block_on(task).unwrap(), ctx[&NUMBER]), (1, 1));
        ctx.set(&USER, "grace".to_owned());
        let task = ctx.run(|| runtime.spawn(async { NUMBER.get() }));
        assert_eq!((runtime.block_on(task).unwrap(), ctx[&NUMBER]), (0, 2));
    }
}

/// The same as with a panic of the application's spawn hook: the spawn panics and the task never runs.
#[test]
fn a_panicking_selection_leaves_the_spawn() {
    for mut builder in all() {
        for panics_in_hook in [false, true] {
            let spawns = AtomicU32::new(0);
            let bad = move || assert!(spawns.fetch_add(1, Ordering::Relaxed) > 0, "a bad closure");
            let hooks = match panics_in_hook {
                true => Hooks::new().on_task_spawn(move |_| bad()),
                false => Hooks::new().inherit_if(move |_| {
                    bad();
                    true
                }),
            };
            let runtime = builder.inherit_context_with(hooks).build().unwrap();
            let held = Arc::new(());
            let mut ctx = with(&held);
            let (ran, runs) = oneshot::channel::<()>();
            let spawn = || drop(runtime.spawn(async move { ran.send(()).unwrap() }));
            let caught = panic::catch_unwind(AssertUnwindSafe(|| ctx.run(spawn)));
            assert_eq!(*caught.unwrap_err().downcast::<&str>().unwrap(), "a bad closure");
            assert!(!USER.is_set());
            // Later tasks are unaffected.
            let task = ctx.run(|| runtime.spawn(async { USER.get() }));
            assert_eq!(runtime.block_on(task).unwrap(), "ada");
            drop((runtime, ctx));
            assert!(futures::executor::block_on(runs).is_err());
            assert_eq!(Arc::strong_count(&held), 1);
        }
    }
}
