//! The core in WebAssembly, on `wasm_bindgen_futures`, whose tasks all run on one thread. `scripts/wasm` runs
//! it in Node.
#![cfg(target_family = "wasm")]

use std::future;
use std::io::ErrorKind;
use std::task::Poll;

use contextvar::{Context, ContextVar, InContext, StreamInContext, context_var, thread, with_copied_context};
use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use futures::stream;
use js_sys::Promise;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use wasm_bindgen_test::wasm_bindgen_test;

/// Returns to the event loop once: a promise resolves in a later microtask.
async fn await_promise() {
    JsFuture::from(Promise::new(&mut |resolve, _| {
        resolve.call0(&resolve).expect("a promise can be resolved");
    }))
    .await
    .expect("the promise is not rejected");
}

/// Moves the task to the end of the executor's queue once.
async fn yield_now() {
    let mut yielded = false;
    future::poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Spawns `future` and returns a future of its output.
fn spawn<T: 'static>(future: impl Future<Output = T> + 'static) -> impl Future<Output = T> {
    let (output, joined) = oneshot::channel();
    spawn_local(async {
        let _ = output.send(future.await);
    });
    async { joined.await.expect("the task completes") }
}

/// A step of `count`: the task, the number it read, and the number after its `set`.
type Step = (u64, u64, u64);

/// Adds ten to `number` three times, each time in another poll.
async fn count(task: u64, number: &'static ContextVar<u64>, steps: mpsc::UnboundedSender<Step>) {
    for step in 0..3 {
        let read = number.get_or(0);
        number.set(read + 10);
        steps.unbounded_send((task, read, number.get())).expect("the test has the receiver");
        if step % 2 == 0 {
            yield_now().await;
        } else {
            await_promise().await;
        }
    }
}

/// Asserts that the two tasks took turns.
fn assert_interleaved(steps: &[Step]) {
    let tasks: Vec<_> = steps.iter().map(|step| step.0).collect();
    assert_eq!(tasks, [1, 2, 1, 2, 1, 2]);
}

const ISOLATED: [Step; 6] =
    [(1, 100, 110), (2, 200, 210), (1, 110, 120), (2, 210, 220), (1, 120, 130), (2, 220, 230)];

#[wasm_bindgen_test]
async fn interleaved_tasks_each_see_their_own_context() {
    static NUMBER: ContextVar<u64> = ContextVar::new("number");
    NUMBER.set(7);
    let (sender, steps) = mpsc::unbounded();
    let one = spawn(count(1, &NUMBER, sender.clone()).in_context(Context::new().with_value(&NUMBER, 100)));
    let two = spawn(NUMBER.sync_scope(200, || count(2, &NUMBER, sender).in_copied_context()));
    // Neither task sees the value that the test sets between their steps.
    yield_now().await;
    assert_eq!(NUMBER.get(), 7);
    NUMBER.set(8);
    one.await;
    two.await;
    let steps: Vec<_> = steps.collect().await;
    assert_interleaved(&steps);
    assert_eq!(steps, ISOLATED);
    assert_eq!(NUMBER.get(), 8);
}

#[wasm_bindgen_test]
async fn annotated_functions_each_see_their_own_context() {
    #[context_var]
    static NUMBER: u64 = 0;

    #[with_copied_context(NUMBER = task * 100)]
    async fn annotated(task: u64, steps: mpsc::UnboundedSender<Step>) {
        count(task, &NUMBER, steps).await;
    }

    let (sender, steps) = mpsc::unbounded();
    let (one, two) = (spawn(annotated(1, sender.clone())), spawn(annotated(2, sender)));
    one.await;
    two.await;
    assert_eq!(steps.collect::<Vec<_>>().await, ISOLATED);
    assert!(!NUMBER.is_set());
}

/// Tasks without a context, and the test itself, use the thread's own context.
#[wasm_bindgen_test]
async fn tasks_without_a_context_share_the_context_of_the_thread() {
    static NUMBER: ContextVar<u64> = ContextVar::new("number");
    NUMBER.set(100);
    let (sender, steps) = mpsc::unbounded();
    let one = spawn(count(1, &NUMBER, sender.clone()));
    let two = spawn(count(2, &NUMBER, sender));
    let given_one = spawn(async { NUMBER.set(0) }.in_copied_context());
    one.await;
    two.await;
    given_one.await;
    let steps: Vec<_> = steps.collect().await;
    assert_interleaved(&steps);
    assert_eq!(
        steps,
        [(1, 100, 110), (2, 110, 120), (1, 120, 130), (2, 130, 140), (1, 140, 150), (2, 150, 160)]
    );
    assert_eq!(NUMBER.get(), 160);
}

#[wasm_bindgen_test]
async fn a_stream_is_polled_in_its_context() {
    static NUMBER: ContextVar<u64> = ContextVar::with_default("number", || 0);
    let numbers = stream::unfold((), |()| async {
        await_promise().await;
        NUMBER.set(NUMBER.get() + 1);
        Some((NUMBER.get(), ()))
    });
    let numbers = numbers.take(3).in_context(Context::new().with_value(&NUMBER, 5));
    assert_eq!(spawn(numbers.collect::<Vec<_>>()).await, [6, 7, 8]);
    assert!(!NUMBER.is_set());
}

#[wasm_bindgen_test]
fn a_thread_cannot_be_spawned() {
    let error = thread::Builder::new().spawn(|| ()).expect_err("the platform has no threads");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
