//! Every way of passing work on that the page on propagation lists. One rule holds for all of them: the work
//! runs in a copy of the context, taken by the caller, at the call.

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

/// Returns the context of the caller in the tests below.
fn ada(held: &Arc<()>) -> Context {
    Context::new().with_value(&USER, "ada").with_value(&TRANSACTION, 1).with_value(&HELD, held.clone())
}

fn assert_inherited() {
    assert_eq!(USER.get(), "ada");
    assert!(HELD.is_set());
    assert!(!TRANSACTION.is_set());
}

/// Waits until no other reference to `held` exists, so every context with it has been dropped.
async fn until_released(held: &Arc<()>) {
    while Arc::strong_count(held) > 1 {
        yield_now().await;
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Asserts that tasks started by `spawn` follow the rule: a task that finishes, one that is aborted, one that
/// panics and one that is never polled.
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

    /// Returns a value that sends the user of its context when it is dropped.
    fn report(sender: oneshot::Sender<&'static str>) -> impl Send {
        let mut sender = Some(sender);
        OnDrop(move || sender.take().unwrap().send(USER.get()).unwrap())
    }

    let (sender, dropped) = oneshot::channel();
    let (started, starts) = oneshot::channel();
    let abort = spawn_as_ada(Box::pin(async {
        let _report = report(sender);
        started.send(()).unwrap();
        pending().await
    }));
    starts.await.unwrap();
    abort.abort();
    assert_eq!(dropped.await.unwrap(), "ada", "an aborted task is dropped in its context");
    until_released(&held).await;

    let (sender, dropped) = oneshot::channel();
    spawn_as_ada(Box::pin(async {
        let _report = report(sender);
        panic!("on purpose");
    }));
    assert_eq!(dropped.await.unwrap(), "ada", "a task that panics is dropped in its context");
    until_released(&held).await;

    let (sender, dropped) = oneshot::channel();
    let report = report(sender);
    let never = spawn_as_ada(Box::pin(async {
        let _report = report;
        pending().await
    }));
    never.abort();
    assert_eq!(dropped.await.unwrap(), "ada", "a task that is never polled is dropped in its context");
    until_released(&held).await;
    assert_eq!(USER.get(), "nobody");
}

type Call = Box<dyn FnOnce() + Send>;

/// Asserts the same of closures that `call` runs elsewhere. `call` waits for the closure's end and discards
/// its panic.
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
    let report = OnDrop(move || sender.take().unwrap().send(USER.get()).unwrap());
    call_as_ada(Box::new(|| {
        let _report = report;
        panic!("on purpose");
    }))
    .await;
    assert_eq!(dropped.await.unwrap(), "ada");
    until_released(&held).await;
    assert_eq!(USER.get(), "nobody");
}
