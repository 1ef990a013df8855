//! Work and values that several requests, or several parts of one, share. The code has a context, so nothing
//! is reported.

use std::sync::{Arc, OnceLock};

use contextvar::{InContext, inherit_context, task, with_copied_context};
use futures::FutureExt;
use futures::future::join_all;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;

use crate::support::on_both_flavors;

/// Parts that a `join_all` runs in one task, where Python's `gather` makes a task of each.
#[test]
fn join_all_in_place_of_tasks() {
    user!("join_all_in_place_of_tasks");

    async fn part(user: &'static str) -> bool {
        USER.set(user);
        yield_now().await;
        USER.get() == user
    }

    #[with_copied_context]
    async fn annotated(user: &'static str) -> bool {
        part(user).await
    }

    on_both_flavors(|| {
        ada().scope(async {
            let users = || ["grace", "alan"].into_iter();
            assert_eq!(join_all(users().map(part)).await, [false, true]);
            assert_eq!(join_all(users().map(annotated)).await, [true, true]);
            let copies = users().map(|user| part(user).in_copied_context());
            assert_eq!(join_all(copies).await, [true, true]);
            let tasks = users().map(|user| task::spawn(part(user)));
            assert!(join_all(tasks).await.into_iter().all(|is_right| is_right.unwrap()));
        })
    });
    assert_eq!(reported(), []);
}

/// A future that several tasks poll runs in the context of the one that polls it.
#[test]
fn a_shared_future() {
    user!("a_shared_future");

    async fn load() -> [&'static str; 2] {
        let before = user().await;
        yield_now().await;
        [before, user().await]
    }

    on_both_flavors(|| async {
        let grace = || ada().with_value(&USER, "grace");
        for (wrapped, expected) in [(false, ["ada", "grace"]), (true, ["ada", "ada"])] {
            let shared = ada().run(|| match wrapped {
                false => load().boxed().shared(),
                true => load().in_copied_context().boxed().shared(),
            });
            // Polls it once, and leaves the rest to another task.
            let first = shared.clone();
            assert_eq!(ada().run(|| first.now_or_never()), None);
            assert_eq!(task::spawn(grace().scope(shared)).await.unwrap(), expected);
        }
    });
    assert_eq!(reported(), []);
}

/// A worker that the first request starts works in that request's context, and keeps its values alive.
#[test]
fn a_worker_that_is_started_lazily() {
    user!("a_worker_that_is_started_lazily");
    #[contextvar::context_var]
    static HELD: Arc<()>;

    type Job = oneshot::Sender<&'static str>;

    async fn ask(worker: &OnceLock<mpsc::Sender<Job>>, start: impl Fn(mpsc::Receiver<Job>)) -> &'static str {
        let jobs = worker.get_or_init(|| {
            let (jobs, queue) = mpsc::channel(1);
            start(queue);
            jobs
        });
        let (answer, user) = oneshot::channel();
        jobs.send(answer).await.unwrap();
        user.await.unwrap()
    }
    async fn work(mut queue: mpsc::Receiver<Job>) {
        while let Some(answer) = queue.recv().await {
            let _ = answer.send(user().await);
        }
    }

    on_both_flavors(|| async {
        let held = Arc::new(());
        let request = |user| ada().with_value(&USER, user).with_value(&HELD, held.clone());
        let inherits = OnceLock::new();
        let start = |queue| drop(task::spawn(work(queue)));
        assert_eq!(request("ada").scope(ask(&inherits, start)).await, "ada");
        assert_eq!(request("grace").scope(ask(&inherits, start)).await, "ada", "the first request's user");
        assert_eq!(Arc::strong_count(&held), 2);

        // What a request needs goes along with its job: see `a_worker_behind_a_channel`.
        let empty = OnceLock::new();
        let start = |queue| drop(task::spawn_in_empty_context(work(queue)));
        for user in ["ada", "grace"] {
            assert_eq!(request(user).scope(ask(&empty, start)).await, "nobody");
        }
        assert_eq!(Arc::strong_count(&held), 2);
    });
    assert_eq!(reported(), []);
}

/// A connection whose task a request starts keeps that request's context for the connection's other users.
#[test]
fn a_connection_of_a_pool() {
    user!("a_connection_of_a_pool");

    struct Connection {
        queries: mpsc::Sender<oneshot::Sender<&'static str>>,
    }

    impl Connection {
        /// `in_request`: the connection's task inherits the context of the request that opens it.
        fn open(in_request: bool) -> Connection {
            let (queries, mut queue) = mpsc::channel::<oneshot::Sender<_>>(1);
            let serve = async move {
                while let Some(answer) = queue.recv().await {
                    let _ = answer.send(user().await);
                }
            };
            drop(if in_request { task::spawn(serve) } else { task::spawn_in_empty_context(serve) });
            Connection { queries }
        }

        async fn query(&self) -> &'static str {
            let (answer, user) = oneshot::channel();
            self.queries.send(answer).await.unwrap();
            user.await.unwrap()
        }
    }

    on_both_flavors(|| async {
        for (in_request, expected) in [(true, "ada"), (false, "nobody")] {
            let connection = ada().run(|| Connection::open(in_request));
            let grace = ada().with_value(&USER, "grace").scope(connection.query());
            assert_eq!(grace.await, expected);
        }
        assert_eq!(inherit_context().len(), 0);
    });
    assert_eq!(reported(), []);
}
