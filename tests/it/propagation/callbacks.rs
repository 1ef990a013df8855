//! Closures passed to other code, and messages to other tasks.

use std::future::pending;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use contextvar::{Context, copy_context, inherit_context};
use futures::channel::oneshot;
use tokio::task::{JoinHandle, spawn_blocking, yield_now};
use tokio_util::task::LocalPoolHandle;

use super::{USER, ada, assert_inherited, until_released};
use crate::support::{OnDrop, on_both_flavors, panic_text};

#[test]
fn closures_of_each_kind() {
    fn call_once<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
        std::thread::spawn(f).join().unwrap_or_else(|_| panic!("it panicked"))
    }
    fn call_mut(mut f: impl FnMut(&'static str) -> &'static str + Send + 'static) -> [&'static str; 2] {
        std::thread::spawn(move || [f("first"), f("second")]).join().unwrap()
    }
    fn call(f: impl Fn(&'static str) -> &'static str + Send + Sync + 'static) -> [&'static str; 2] {
        std::thread::scope(|s| ["first", "second"].map(|x| s.spawn(|| f(x))).map(|t| t.join().unwrap()))
    }

    let held = Arc::new(());
    ada(&held).run(|| {
        assert_eq!(call_once(copy_context().bind(|| USER.get())), "ada");

        // A value that one call sets is seen by the next call.
        let mut ctx = copy_context();
        let set = |user| USER.set(user).old_value().copied().unwrap();
        assert_eq!(call_mut(move |user| ctx.run(|| set(user))), ["ada", "first"]);

        // Each call runs in its own copy.
        let ctx = copy_context();
        assert_eq!(call(move |user| ctx.clone().run(|| set(user))), ["ada", "ada"]);

        assert_eq!(panic_text(|| call_once(copy_context().bind(|| panic!("on purpose")))), "it panicked");
        assert_eq!(USER.get(), "ada");
    });
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn closures_that_make_futures() {
    /// The signature of axum's `WebSocketUpgrade::on_upgrade`.
    fn on_upgrade<C, Fut>(callback: C) -> JoinHandle<()>
    where
        C: FnOnce(String) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(async move { callback("a socket".to_owned()).await })
    }
    async fn handle(socket: String) {
        assert_inherited();
        USER.set("grace");
        yield_now().await;
        assert_eq!((socket.as_str(), USER.get()), ("a socket", "grace"));
    }

    on_both_flavors(|| async {
        let held = Arc::new(());
        let pool = LocalPoolHandle::new(1);
        let pinned = ada(&held).run(|| {
            let make = || {
                assert_inherited();
                // Stays on the thread of the pool.
                let local = Rc::new(USER.get());
                USER.set("grace");
                async move {
                    yield_now().await;
                    format!("{local}, then {}", USER.get())
                }
            };
            pool.spawn_pinned(inherit_context().bind_async(make))
        });
        assert_eq!(pinned.await.unwrap(), "ada, then grace");

        // With `bind`, the future has no context.
        let plain = ada(&held).run(|| pool.spawn_pinned(inherit_context().bind(|| async { USER.is_set() })));
        assert!(!plain.await.unwrap());

        let upgraded = ada(&held).run(|| on_upgrade(inherit_context().bind_async_with(handle)));
        upgraded.await.unwrap();

        // A future that is aborted, and one that panics.
        for panics in [false, true] {
            let (sender, dropped) = oneshot::channel();
            let (started, starts) = oneshot::channel();
            let task = ada(&held).run(|| {
                pool.spawn_pinned(inherit_context().bind_async(move || async move {
                    let mut sender = Some(sender);
                    let _report = OnDrop(move || sender.take().unwrap().send(USER.get()).unwrap());
                    started.send(()).unwrap();
                    yield_now().await;
                    assert!(!panics, "on purpose");
                    pending::<()>().await;
                }))
            });
            starts.await.unwrap();
            if !panics {
                task.abort();
            }
            assert_eq!(dropped.await.unwrap(), "ada");
            assert_eq!(task.await.unwrap_err().is_panic(), panics);
        }
        until_released(&held).await;
        assert_eq!(USER.get(), "nobody");
    });
}

#[test]
fn closures_with_an_argument() {
    /// The signature of deadpool's `interact`.
    async fn interact<T, F, R>(connection: &Arc<Mutex<T>>, f: F) -> R
    where
        T: Send + 'static,
        F: FnOnce(&mut T) -> R + Send + 'static,
        R: Send + 'static,
    {
        let connection = connection.clone();
        spawn_blocking(move || f(&mut connection.lock().unwrap())).await.unwrap()
    }
    fn call_with<R: Send + 'static>(f: impl FnOnce(u64) -> R + Send + 'static) -> R {
        std::thread::spawn(|| f(7)).join().unwrap()
    }

    on_both_flavors(|| async {
        let held = Arc::new(());
        let rows = Arc::new(Mutex::new(Vec::new()));
        let insert = |rows: &mut Vec<&'static str>| {
            assert_inherited();
            rows.push(USER.get());
            USER.set("grace");
            rows.len()
        };
        for n in 1..3 {
            let bound = ada(&held).run(|| inherit_context().bind_mut(insert));
            assert_eq!(interact(&rows, bound).await, n);
        }
        assert_eq!(*rows.lock().unwrap(), ["ada", "ada"]);

        let bound = ada(&held).run(|| inherit_context().bind_with(|n: u64| (n, USER.get())));
        assert_eq!(call_with(bound), (7, "ada"));
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

#[test]
fn a_message_carries_its_context() {
    on_both_flavors(|| async {
        let (sender, mut receiver) =
            tokio::sync::mpsc::channel::<(Context, oneshot::Sender<&'static str>)>(1);
        // An actor that handles each message in the message's context.
        let actor = tokio::spawn(async move {
            while let Some((ctx, reply)) = receiver.recv().await {
                ctx.scope(async {
                    assert_inherited();
                    USER.set("the actor's");
                    yield_now().await;
                    reply.send(USER.get()).unwrap();
                })
                .await;
                assert!(copy_context().is_empty());
            }
        });
        let held = Arc::new(());
        for _ in 0..2 {
            let (reply, answer) = oneshot::channel();
            let message = ada(&held).run(|| (inherit_context(), reply));
            sender.send(message).await.unwrap();
            assert_eq!(answer.await.unwrap(), "the actor's");
        }
        drop(sender);
        actor.await.unwrap();
        assert_eq!(Arc::strong_count(&held), 1);
    });
}
