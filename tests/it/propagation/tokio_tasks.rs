//! Every way to start a task or a blocking call on tokio.

use std::future::pending;
use std::sync::Arc;

use contextvar::{InContext, copy_context, inherit_context, task};
use tokio::runtime::{Handle, Runtime};
use tokio::task::{JoinSet, LocalSet, yield_now};
use tokio_util::task::TaskTracker;

use super::{USER, ada, assert_call_inherits, assert_task_inherits, until_released};
use crate::support::on_both_flavors;

#[test]
fn spawn() {
    on_both_flavors(|| assert_task_inherits(|work| task::spawn(work).abort_handle()));
    on_both_flavors(|| assert_task_inherits(|work| tokio::spawn(work.in_inherited_context()).abort_handle()));
}

#[test]
fn a_plain_spawn_has_no_context() {
    on_both_flavors(|| async {
        ada(&Arc::new(()))
            .scope(async {
                tokio::spawn(async {
                    assert_eq!(USER.get(), "nobody");
                    assert!(USER.try_set("somebody").is_err());
                })
                .await
                .unwrap();
                tokio::task::spawn_blocking(|| assert!(USER.try_set("somebody").is_err())).await.unwrap();
            })
            .await;
    });
}

#[test]
fn spawn_blocking() {
    on_both_flavors(|| {
        assert_call_inherits(|work| {
            let task = task::spawn_blocking(work);
            async { drop(task.await) }
        })
    });
    on_both_flavors(|| {
        assert_call_inherits(|work| {
            let task = task::spawn_blocking_returning_context(work);
            async { drop(task.await) }
        })
    });
    on_both_flavors(|| {
        assert_call_inherits(|work| {
            let task = Handle::current().spawn_blocking(inherit_context().bind(work));
            async { drop(task.await) }
        })
    });
}

#[test]
fn spawn_local() {
    on_both_flavors(|| async {
        LocalSet::new().run_until(assert_task_inherits(|work| task::spawn_local(work).abort_handle())).await;
        LocalSet::new()
            .run_until(assert_task_inherits(|work| {
                tokio::task::spawn_local(work.in_inherited_context()).abort_handle()
            }))
            .await;
        let local = LocalSet::new();
        let spawn =
            assert_task_inherits(|work| local.spawn_local(work.in_inherited_context()).abort_handle());
        local.run_until(spawn).await;
    });
}

#[test]
fn spawn_in_empty_context() {
    on_both_flavors(|| async {
        let held = Arc::new(());
        let task = ada(&held).run(|| {
            task::spawn_in_empty_context(async {
                assert!(copy_context().is_empty());
                pending::<()>().await
            })
        });
        yield_now().await;
        assert_eq!(Arc::strong_count(&held), 1);
        task.abort();
        let kept =
            ada(&held).run(|| tokio::spawn(copy_context().only(&[&USER]).scope(async { copy_context() })));
        assert_eq!(Arc::strong_count(&held), 1);
        let kept = kept.await.unwrap();
        assert_eq!((kept[&USER], kept.len()), ("ada", 1));
    });
}

#[test]
fn join_set() {
    on_both_flavors(|| async {
        let set = std::cell::RefCell::new(JoinSet::new());
        assert_task_inherits(|work| set.borrow_mut().spawn(work.in_inherited_context())).await;
        assert_task_inherits(|work| {
            set.borrow_mut().spawn_on(work.in_inherited_context(), &Handle::current())
        })
        .await;
        LocalSet::new()
            .run_until(assert_task_inherits(|work| set.borrow_mut().spawn_local(work.in_inherited_context())))
            .await;
        let local = LocalSet::new();
        let spawn =
            assert_task_inherits(|work| set.borrow_mut().spawn_local_on(work.in_inherited_context(), &local));
        local.run_until(spawn).await;
        assert_call_inherits(|work| {
            set.borrow_mut().spawn_blocking(inherit_context().bind(work));
            async {}
        })
        .await;
        // A set that is dropped while its tasks are pending.
        let held = Arc::new(());
        let mut set = set.into_inner();
        ada(&held).run(|| set.spawn(pending().in_inherited_context()));
        drop(set);
        until_released(&held).await;
    });
}

#[test]
fn task_tracker() {
    on_both_flavors(|| async {
        let tracker = TaskTracker::new();
        assert_task_inherits(|work| tracker.spawn(work.in_inherited_context()).abort_handle()).await;
        assert_task_inherits(|work| {
            tracker.spawn_on(work.in_inherited_context(), &Handle::current()).abort_handle()
        })
        .await;
        assert_task_inherits(|work| task::spawn(tracker.track_future(work)).abort_handle()).await;
        LocalSet::new()
            .run_until(assert_task_inherits(|work| {
                tracker.spawn_local(work.in_inherited_context()).abort_handle()
            }))
            .await;
        assert_call_inherits(|work| {
            let task = tracker.spawn_blocking(inherit_context().bind(work));
            async { drop(task.await) }
        })
        .await;
        tracker.close();
        tracker.wait().await;
    });
}

#[test]
fn handles_and_runtimes() {
    on_both_flavors(|| {
        assert_task_inherits(|work| Handle::current().spawn(work.in_inherited_context()).abort_handle())
    });
    let runtime = Runtime::new().unwrap();
    runtime.block_on(assert_task_inherits(|work| runtime.spawn(work.in_inherited_context()).abort_handle()));
    runtime.block_on(assert_call_inherits(|work| {
        let task = runtime.spawn_blocking(inherit_context().bind(work));
        async { drop(task.await) }
    }));
}

#[cfg(tokio_unstable)]
#[test]
fn task_builders() {
    use tokio::task::Builder;

    on_both_flavors(|| async {
        let named = || Builder::new().name("named");
        assert_task_inherits(|work| named().spawn(work.in_inherited_context()).unwrap().abort_handle()).await;
        assert_task_inherits(|work| {
            named().spawn_on(work.in_inherited_context(), &Handle::current()).unwrap().abort_handle()
        })
        .await;
        assert_call_inherits(|work| {
            let task = named().spawn_blocking(inherit_context().bind(work)).unwrap();
            async { drop(task.await) }
        })
        .await;
        let set = std::cell::RefCell::new(JoinSet::new());
        assert_task_inherits(|work| {
            set.borrow_mut().build_task().name("named").spawn(work.in_inherited_context()).unwrap()
        })
        .await;
    });
}

#[cfg(tokio_unstable)]
#[test]
fn task_builders_on_a_runtime_with_hooks() {
    use contextvar::Context;
    use contextvar::runtime::InheritContext;
    use tokio::task::Builder;

    async fn names() {
        USER.set("ada");
        // tokio's task builder, with a wrapped future and on a runtime with hooks.
        let wrapped = Context::new().with_value(&USER, "grace");
        let wrapped = Builder::new().name("named").spawn(async { USER.get() }.in_context(wrapped)).unwrap();
        let plain = Builder::new().name("plain").spawn(async { USER.get() }).unwrap();
        let inherited = Builder::new().spawn(async { USER.get() }.in_inherited_context()).unwrap();
        let mut set = JoinSet::new();
        set.build_task().name("in a set").spawn(async { USER.get() }.in_inherited_context()).unwrap();
        assert_eq!(wrapped.await.unwrap(), "grace");
        assert_eq!((plain.await.unwrap(), inherited.await.unwrap()), ("ada", "ada"));
        assert_eq!(set.join_all().await, ["ada"]);
    }

    for workers in [0, 1, 2, 4] {
        let mut builder = match workers {
            0 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        if workers > 0 {
            builder.worker_threads(workers);
        }
        let runtime = builder.inherit_context().build().unwrap();
        std::thread::spawn(move || runtime.block_on(names())).join().unwrap();
    }
}
