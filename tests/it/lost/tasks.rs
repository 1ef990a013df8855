//! Tasks and blocking calls that tokio or a library starts.

use contextvar::report::Cause;
use contextvar::{Context, InContext, StreamInContext, inherit_context, task};
use futures::stream::{self, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet, spawn_blocking};

use crate::support::on_both_flavors;

#[test]
fn a_plain_spawn() {
    user!("a_plain_spawn");
    on_both_flavors(|| {
        ada().scope(async {
            assert_eq!(tokio::spawn(user()).await.unwrap(), "nobody");
            assert_eq!(task::spawn(user()).await.unwrap(), "ada");
        })
    });
    assert_eq!(reported(), [(Cause::NoContext, 2)]);
}

#[test]
fn a_plain_blocking_call() {
    user!("a_plain_blocking_call");
    on_both_flavors(|| {
        ada().scope(async {
            assert_eq!(spawn_blocking(user_now).await.unwrap(), "nobody");
            assert_eq!(task::spawn_blocking(user_now).await.unwrap(), "ada");
        })
    });
    assert_eq!(reported(), [(Cause::NoContext, 2)]);
}

#[test]
fn a_join_set() {
    user!("a_join_set");
    on_both_flavors(|| {
        ada().scope(async {
            let mut set = JoinSet::new();
            set.spawn(user());
            assert_eq!(set.join_next().await.unwrap().unwrap(), "nobody");
            set.spawn(user().in_inherited_context());
            assert_eq!(set.join_next().await.unwrap().unwrap(), "ada");
        })
    });
    assert_eq!(reported(), [(Cause::NoContext, 2)]);
}

#[test]
fn a_local_set() {
    user!("a_local_set");
    on_both_flavors(|| async {
        let local = LocalSet::new();
        let plain = local.spawn_local(user());
        let wrapped = ada().run(|| local.spawn_local(user().in_inherited_context()));
        let users = local.run_until(async { (plain.await.unwrap(), wrapped.await.unwrap()) }).await;
        assert_eq!(users, ("nobody", "ada"));
    });
    assert_eq!(reported(), [(Cause::NoContext, 2)]);
}

/// A task that copies the context after it was started, where there is nothing to copy.
#[test]
fn a_copy_that_is_taken_too_late() {
    user!("a_copy_that_is_taken_too_late");
    on_both_flavors(|| {
        ada().scope(async {
            let late = async { task::spawn(user()).await.unwrap() };
            assert_eq!(tokio::spawn(late).await.unwrap(), "nobody");
            let early = task::spawn(user());
            assert_eq!(tokio::spawn(async { early.await.unwrap() }).await.unwrap(), "ada");
        })
    });
    assert_eq!(reported(), [(Cause::LostContext, 2)]);
}

/// The values that are set in a lost context, and the copies of it, do not hide that the others are missing.
#[test]
fn a_lost_context_with_values() {
    user!("a_lost_context_with_values");
    #[contextvar::context_var]
    static ROUTE: &str;

    #[contextvar::with_copied_context(ROUTE = "/")]
    async fn annotated() -> [&'static str; 2] {
        [user().await, task::spawn(user()).await.unwrap()]
    }

    on_both_flavors(|| {
        ada().scope(async {
            assert_eq!(tokio::spawn(async { annotated().await }).await.unwrap(), ["nobody"; 2]);
            assert_eq!(tokio::spawn(annotated()).await.unwrap(), ["ada"; 2]);
            let scope = async { ROUTE.scope("/", user()).await };
            assert_eq!(tokio::spawn(scope).await.unwrap(), "nobody");
            let few = async { inherit_context().only(&[&ROUTE, &USER]).scope(user()).await };
            assert_eq!(tokio::spawn(few).await.unwrap(), "nobody");
        })
    });
    assert_eq!(reported(), [(Cause::LostContext, 8)]);
}

/// An empty context that was made on purpose is not reported, nor is a copy of it.
#[test]
fn an_empty_context_on_purpose() {
    user!("an_empty_context_on_purpose");

    #[contextvar::with_empty_context]
    async fn annotated() -> &'static str {
        user().await
    }

    on_both_flavors(|| {
        ada().scope(async {
            let tasks = [
                task::spawn_in_empty_context(user()),
                task::spawn_in_empty_context(async { task::spawn(user()).await.unwrap() }),
                tokio::spawn(annotated()),
                tokio::spawn(async { annotated().await }),
                tokio::spawn(Context::new().scope(user())),
            ];
            for task in tasks {
                assert_eq!(task.await.unwrap(), "nobody");
            }
        })
    });
    assert_eq!(reported(), []);
}

/// A worker that was started before the request, and gets its work through a channel.
#[test]
fn a_worker_behind_a_channel() {
    user!("a_worker_behind_a_channel");
    on_both_flavors(|| async {
        type Job = (Context, oneshot::Sender<[&'static str; 2]>);

        let (jobs, mut queue) = mpsc::channel::<Job>(1);
        tokio::spawn(async move {
            while let Some((context, answer)) = queue.recv().await {
                let _ = answer.send([user().await, context.scope(user()).await]);
            }
        });
        let request = ada().scope(async {
            let (answer, users) = oneshot::channel();
            jobs.send((inherit_context(), answer)).await.unwrap();
            users.await.unwrap()
        });
        assert_eq!(request.await, ["nobody", "ada"]);
    });
    assert_eq!(reported(), [(Cause::NoContext, 2)]);
}

/// A cache that loads a missing value in a task of its own.
#[test]
fn a_loader_of_a_cache() {
    user!("a_loader_of_a_cache");
    async fn get_with(load: impl Future<Output = &'static str> + Send + 'static) -> &'static str {
        tokio::spawn(load).await.unwrap()
    }

    on_both_flavors(|| {
        ada().scope(async {
            assert_eq!(get_with(user()).await, "nobody");
            assert_eq!(get_with(user().in_inherited_context()).await, "ada");
        })
    });
    assert_eq!(reported(), [(Cause::NoContext, 2)]);
}

#[test]
fn a_stream_that_another_task_consumes() {
    user!("a_stream_that_another_task_consumes");
    on_both_flavors(|| {
        ada().scope(async {
            let users = || stream::once(user()).boxed();
            assert_eq!(tokio::spawn(users().collect::<Vec<_>>()).await.unwrap(), ["nobody"]);
            let users = users().in_inherited_context();
            assert_eq!(tokio::spawn(users.collect::<Vec<_>>()).await.unwrap(), ["ada"]);
        })
    });
    assert_eq!(reported(), [(Cause::NoContext, 2)]);
}
