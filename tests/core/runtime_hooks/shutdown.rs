//! A runtime that shuts down drops the context of every task.

use std::future::pending;
use std::sync::Arc;
use std::thread;

use contextvar::runtime::InheritContext;
use tokio::task::yield_now;

use super::{USER, all, current_thread, multi_thread, with};

#[test]
fn a_shutdown_drops_every_context() {
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
        // The handles outlive the contexts.
        drop(runtime);
        assert_eq!(Arc::strong_count(&held), 1);
        drop(handles);
    }
}

#[test]
fn a_shutdown_while_tasks_spawn_drops_every_context() {
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
        // One worker can shut a task down before the worker that spawns it calls the hook. The hooks keep
        // that task's context.
        drop((handles, builder));
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[test]
fn a_spawn_after_shutdown_keeps_no_context() {
    for mut builder in [current_thread(), multi_thread(2)] {
        let held = Arc::new(());
        let runtime = builder.inherit_context().build().unwrap();
        let handle = runtime.handle().clone();
        runtime.shutdown_background();
        // The shutdown runs on the workers and can take a moment.
        while !handle.spawn(async {}).is_finished() {
            thread::yield_now();
        }
        let task = with(&held).run(|| handle.spawn(async { USER.get() }));
        assert!(task.is_finished());
        // The handles are still alive.
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[test]
fn concurrent_shutdown_and_spawns_drop_every_context() {
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
        // When the runtime and its handles are gone so is every context, whichever went first.
        while Arc::strong_count(&held) > 1 {
            thread::yield_now();
        }
    }
}
