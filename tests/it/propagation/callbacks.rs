//! Closures passed to other code, and messages to other tasks.

use std::sync::Arc;

use contextvar::{Context, copy_context, inherit_context};
use futures::channel::oneshot;
use tokio::task::yield_now;

use super::{USER, ada, assert_inherited};
use crate::support::{on_both_flavors, panic_text};

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
