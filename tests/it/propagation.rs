//! PROPAGATION

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;

use contextvar::{Context, context_var};
use futures::channel::oneshot;
use tokio::task::{AbortHandle, yield_now};

use crate::support::OnDrop;

mod callbacks;
mod same_task;
mod streams;
mod threads;
mod tokio_tasks;

#[context_var]
static USER: &str = "nobody";

#[context_var]
static HELD: Arc<()>;

#[context_var(inherit = false)]
static TRANSACTION: u64;

/// The context of whoever hands work over, in the tests below.
fn ada(held: &Arc<()>) -> Context {
    Context::new().with_value(&USER, "ada").with_value(&TRANSACTION, 1).with_value(&HELD, held.clone())
}

fn assert_inherited() {
    assert_eq!(USER.get(), "ada");
    assert!(HELD.is_set());
    assert!(!TRANSACTION.is_set());
}

/// Waits until nobody else holds on to the context.
async fn until_released(held: &Arc<()>) {
    while Arc::strong_count(held) > 1 {
        yield_now().await;
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Checks that a way to start tasks has the rule: with one that ends, one that is aborted, one that panics, one that is
/// never polled.
async fn assert_task_inherits(spawn: impl Fn(Work) -> AbortHandle) {
    let held = Arc::new(());
    let spawn_as_ada = |work: Work| {
        ada(&held).run(|| {
            let abort = spawn(work);
            USER.set("later");
            abort
        })
    };

    let (sender, done) = oneshot::channel();
    spawn_as_ada(Box::pin(async {
        assert_inherited();
        USER.set("grace");
        yield_now().await;
        sender.send(USER.get()).unwrap();
    }));
    assert_eq!(done.await.unwrap(), "grace");
    until_released(&held).await;

    /// Says in whose context it is dropped.
    fn says(sender: oneshot::Sender<&'static str>) -> impl Send {
        let mut sender = Some(sender);
        OnDrop(move || sender.take().unwrap().send(USER.get()).unwrap())
    }

    let (sender, dropped) = oneshot::channel();
    let (started, starts) = oneshot::channel();
    let abort = spawn_as_ada(Box::pin(async {
        let _says = says(sender);
        started.send(()).unwrap();
        pending().await
    }));
    starts.await.unwrap();
    abort.abort();
    assert_eq!(dropped.await.unwrap(), "ada", "a task that is aborted is dropped in its context");
    until_released(&held).await;

    let (sender, dropped) = oneshot::channel();
    spawn_as_ada(Box::pin(async {
        let _says = says(sender);
        panic!("on purpose");
    }));
    assert_eq!(dropped.await.unwrap(), "ada", "and so is one that panics");
    until_released(&held).await;

    let (sender, dropped) = oneshot::channel();
    let says = says(sender);
    let never = spawn_as_ada(Box::pin(async {
        let _says = says;
        pending().await
    }));
    never.abort();
    assert_eq!(dropped.await.unwrap(), "ada", "and one that was never polled");
    until_released(&held).await;
    assert_eq!(USER.get(), "nobody");
}

type Call = Box<dyn FnOnce() + Send>;

/// The same for a way to have a closure called elsewhere. `call` waits for its end, and swallows its panic.
async fn assert_call_inherits<F: Future<Output = ()>>(call: impl Fn(Call) -> F) {
    let held = Arc::new(());
    let call_as_ada = |work: Call| {
        ada(&held).run(|| {
            let call = call(work);
            USER.set("later");
            call
        })
    };

    let (sender, done) = oneshot::channel();
    call_as_ada(Box::new(|| {
        assert_inherited();
        USER.set("grace");
        sender.send(USER.get()).unwrap();
    }))
    .await;
    assert_eq!(done.await.unwrap(), "grace");
    until_released(&held).await;

    let (sender, dropped) = oneshot::channel();
    let mut sender = Some(sender);
    let says = OnDrop(move || sender.take().unwrap().send(USER.get()).unwrap());
    call_as_ada(Box::new(|| {
        let _says = says;
        panic!("on purpose");
    }))
    .await;
    assert_eq!(dropped.await.unwrap(), "ada");
    until_released(&held).await;
    assert_eq!(USER.get(), "nobody");
}
