//! Closures that other code calls elsewhere.

use contextvar::report::Cause;
use contextvar::{InContext, inherit_context, with_copied_context};
use tokio_util::task::LocalPoolHandle;

use crate::support::on_both_flavors;

/// The four wrong ways to hand a function over to `spawn_pinned`, and the four right ones.
#[test]
fn a_closure_that_makes_a_future() {
    user!("a_closure_that_makes_a_future");

    #[with_copied_context]
    async fn annotated() -> &'static str {
        user().await
    }

    on_both_flavors(|| {
        ada().scope(async {
            let pool = LocalPoolHandle::new(1);
            let start = reported().iter().map(|(_, count)| count).sum::<u64>();
            let lost = || reported().iter().map(|(_, count)| count).sum::<u64>() - start;

            assert_eq!((pool.spawn_pinned(user).await.unwrap(), lost()), ("nobody", 1));
            assert_eq!((pool.spawn_pinned(annotated).await.unwrap(), lost()), ("nobody", 2));
            let late = || user().in_inherited_context();
            assert_eq!((pool.spawn_pinned(late).await.unwrap(), lost()), ("nobody", 3));
            let bound = inherit_context().bind(user);
            assert_eq!((pool.spawn_pinned(bound).await.unwrap(), lost()), ("nobody", 4));

            let right = inherit_context().bind_async(user);
            assert_eq!(pool.spawn_pinned(right).await.unwrap(), "ada");
            let right = inherit_context().bind(annotated);
            assert_eq!(pool.spawn_pinned(right).await.unwrap(), "ada");
            let right = inherit_context().bind(|| user().in_inherited_context());
            assert_eq!(pool.spawn_pinned(right).await.unwrap(), "ada");
            let ctx = inherit_context();
            assert_eq!(pool.spawn_pinned(move || ctx.scope(user())).await.unwrap(), "ada");
            assert_eq!(lost(), 4);
        })
    });
    assert_eq!(reported(), [(Cause::NoContext, 8)]);
}

/// A pool that lends a connection to a closure on another thread, as deadpool's `interact` does.
#[test]
fn a_closure_with_an_argument() {
    user!("a_closure_with_an_argument");

    struct Connection(u32);

    impl Connection {
        fn query(&mut self) -> (&'static str, u32) {
            self.0 += 1;
            (user_now(), self.0)
        }
    }

    async fn interact<F, R>(f: F) -> R
    where
        F: FnOnce(&mut Connection) -> R + Send + 'static,
        R: Send + 'static,
    {
        let mut connection = Connection(0);
        tokio::task::spawn_blocking(move || f(&mut connection)).await.unwrap()
    }

    on_both_flavors(|| {
        ada().scope(async {
            assert_eq!(interact(|connection| connection.query()).await, ("nobody", 1));
            assert_eq!(interact(inherit_context().bind_mut(Connection::query)).await, ("ada", 1));
            let mut ctx = inherit_context();
            assert_eq!(interact(move |connection| ctx.run(|| connection.query())).await, ("ada", 1));
        })
    });
    assert_eq!(reported(), [(Cause::NoContext, 2)]);
}

/// A callback that is registered in a request, and called from a task that was started before.
#[test]
fn a_callback() {
    user!("a_callback");

    type Callback = Box<dyn Fn() -> &'static str + Send>;

    on_both_flavors(|| async {
        let (register, callbacks) = tokio::sync::oneshot::channel::<[Callback; 2]>();
        let events = tokio::spawn(async { callbacks.await.unwrap().map(|callback| callback()) });
        ada().run(|| {
            let ctx = inherit_context();
            let bound = move || ctx.clone().run(user_now);
            assert!(register.send([Box::new(user_now), Box::new(bound)]).is_ok());
        });
        assert_eq!(events.await.unwrap(), ["nobody", "ada"]);
    });
    assert_eq!(reported(), [(Cause::NoContext, 2)]);
}

/// `run` with an async function: only the future is made in the context (`await copy.run(f)` in Python).
#[test]
fn run_with_an_async_function() {
    user!("run_with_an_async_function");
    on_both_flavors(|| async {
        let task = tokio::spawn(async { (ada().run(user).await, ada().scope(user()).await) });
        assert_eq!(task.await.unwrap(), ("nobody", "ada"));
    });
    assert_eq!(reported(), [(Cause::NoContext, 2)]);
}
