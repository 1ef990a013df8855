//! tokio's tasks and blocking calls.

use std::future::pending;
use std::sync::Arc;

use contextvar::{InContext, copy_context, inherit_context, task};
use tokio::runtime::{Handle, Runtime};
use tokio::task::{JoinSet, LocalSet, yield_now};
use tokio_util::task::TaskTracker;

use super::{USER, ada, calls_follow, follows, let_go};
use crate::support::on_both_flavours;

#[test]
fn spawn() {
    on_both_flavours(|| follows(|work| task::spawn(work).abort_handle()));
    on_both_flavours(|| follows(|work| tokio::spawn(work.in_inherited_context()).abort_handle()));
}

#[test]
fn spawn_without_the_library_has_no_context() {
    on_both_flavours(|| async {
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
    on_both_flavours(|| {
        calls_follow(|work| {
            let task = task::spawn_blocking(work);
            async { drop(task.await) }
        })
    });
    on_both_flavours(|| {
        calls_follow(|work| {
            let task = task::spawn_blocking_returning_context(work);
            async { drop(task.await) }
        })
    });
    on_both_flavours(|| {
        calls_follow(|work| {
            let task = Handle::current().spawn_blocking(inherit_context().bind(work));
            async { drop(task.await) }
        })
    });
}

#[test]
fn spawn_local() {
    on_both_flavours(|| async {
        LocalSet::new().run_until(follows(|work| task::spawn_local(work).abort_handle())).await;
        LocalSet::new()
            .run_until(follows(|work| tokio::task::spawn_local(work.in_inherited_context()).abort_handle()))
            .await;
        let local = LocalSet::new();
        let spawn = follows(|work| local.spawn_local(work.in_inherited_context()).abort_handle());
        local.run_until(spawn).await;
    });
}

#[test]
fn spawn_in_empty_context() {
    on_both_flavours(|| async {
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
    on_both_flavours(|| async {
        let set = std::cell::RefCell::new(JoinSet::new());
        follows(|work| set.borrow_mut().spawn(work.in_inherited_context())).await;
        follows(|work| set.borrow_mut().spawn_on(work.in_inherited_context(), &Handle::current())).await;
        LocalSet::new()
            .run_until(follows(|work| set.borrow_mut().spawn_local(work.in_inherited_context())))
            .await;
        let local = LocalSet::new();
        let spawn = follows(|work| set.borrow_mut().spawn_local_on(work.in_inherited_context(), &local));
        local.run_until(spawn).await;
        calls_follow(|work| {
            set.borrow_mut().spawn_blocking(inherit_context().bind(work));
            async {}
        })
        .await;
        // One that is dropped with its tasks still there.
        let held = Arc::new(());
        let mut set = set.into_inner();
        ada(&held).run(|| set.spawn(pending().in_inherited_context()));
        drop(set);
        let_go(&held).await;
    });
}

#[test]
fn task_tracker() {
    on_both_flavours(|| async {
        let tracker = TaskTracker::new();
        follows(|work| tracker.spawn(work.in_inherited_context()).abort_handle()).await;
        follows(|work| tracker.spawn_on(work.in_inherited_context(), &Handle::current()).abort_handle())
            .await;
        follows(|work| task::spawn(tracker.track_future(work)).abort_handle()).await;
        LocalSet::new()
            .run_until(follows(|work| tracker.spawn_local(work.in_inherited_context()).abort_handle()))
            .await;
        calls_follow(|work| {
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
    on_both_flavours(|| follows(|work| Handle::current().spawn(work.in_inherited_context()).abort_handle()));
    let runtime = Runtime::new().unwrap();
    runtime.block_on(follows(|work| runtime.spawn(work.in_inherited_context()).abort_handle()));
    runtime.block_on(calls_follow(|work| {
        let task = runtime.spawn_blocking(inherit_context().bind(work));
        async { drop(task.await) }
    }));
}

#[cfg(tokio_unstable)]
#[test]
fn builders_of_tasks() {
    use tokio::task::Builder;

    on_both_flavours(|| async {
        let named = || Builder::new().name("named");
        follows(|work| named().spawn(work.in_inherited_context()).unwrap().abort_handle()).await;
        follows(|work| {
            named().spawn_on(work.in_inherited_context(), &Handle::current()).unwrap().abort_handle()
        })
        .await;
        calls_follow(|work| {
            let task = named().spawn_blocking(inherit_context().bind(work)).unwrap();
            async { drop(task.await) }
        })
        .await;
        let set = std::cell::RefCell::new(JoinSet::new());
        follows(|work| {
            set.borrow_mut().build_task().name("named").spawn(work.in_inherited_context()).unwrap()
        })
        .await;
    });
}

#[cfg(tokio_unstable)]
#[test]
fn names_of_tasks() {
    use contextvar::Context;
    use contextvar::runtime::InheritContext;
    use tokio::task::Builder;

    async fn names() {
        USER.set("ada");
        // tokio's builder of tasks, by composition and by hooks.
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
