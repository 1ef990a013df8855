//! A token and a deadline for each request.

// Recipe

use std::time::Duration;

use contextvar::{context_var, with_copied_context};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

#[context_var]
static CANCELLATION: CancellationToken;

#[context_var]
static DEADLINE: Instant;

/// Runs a request. When it ends or is dropped, its parts are canceled, in all of its tasks.
#[with_copied_context(CANCELLATION = CancellationToken::new(), DEADLINE = Instant::now() + limit)]
async fn run_request<T>(limit: Duration, request: impl Future<Output = T>) -> T {
    let _cancel = CANCELLATION.get().drop_guard();
    request.await
}

/// Runs a part of a request, in any of its tasks. Returns `None` if it was canceled or took too long.
async fn run_part<F: Future>(part: F) -> Option<F::Output> {
    let (cancellation, deadline) = (CANCELLATION.get(), DEADLINE.get());
    timeout_at(deadline, cancellation.run_until_cancelled(part)).await.ok()?
}

// Test

use std::future::pending;

use contextvar::{Context, task};
use tokio::sync::oneshot;

const MINUTE: Duration = Duration::from_secs(60);

/// Starts a request with a task that never ends by itself. Returns the request and the task's result.
async fn start() -> (tokio::task::JoinHandle<()>, oneshot::Receiver<Option<()>>) {
    let (started, is_started) = oneshot::channel();
    let (sender, result) = oneshot::channel();
    let request = run_request(MINUTE, async {
        task::spawn(async {
            let part = async {
                started.send(()).unwrap();
                pending().await
            };
            sender.send(run_part(part).await).unwrap();
        });
        pending().await
    });
    let request = tokio::spawn(request);
    is_started.await.unwrap();
    (request, result)
}

#[tokio::test]
async fn a_request_cancels_its_own_tasks() {
    let (first, first_result) = start().await;
    let (second, mut second_result) = start().await;
    first.abort();
    assert_eq!(first_result.await, Ok(None));
    assert!(second_result.try_recv().is_err());
    second.abort();
    assert_eq!(second_result.await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_that_of_the_request() {
    let start = Instant::now();
    // Parts in tasks of two requests, whose deadlines differ.
    let request = |limit| {
        run_request(limit, async move {
            let task = task::spawn(async { (run_part(pending::<()>()).await, Instant::now()) });
            task.await.unwrap()
        })
    };
    let (short, long) = tokio::join!(tokio::spawn(request(MINUTE)), tokio::spawn(request(3 * MINUTE)));
    assert_eq!(short.unwrap(), (None, start + MINUTE));
    assert_eq!(long.unwrap(), (None, start + 3 * MINUTE));

    let in_time = run_request(MINUTE, async { task::spawn(run_part(async { 7 })).await.unwrap() });
    assert_eq!(in_time.await, Some(7));
}

#[tokio::test]
async fn a_part_can_have_a_token_of_its_own() {
    run_request(MINUTE, async {
        let child = CANCELLATION.get().child_token();
        child.cancel();
        assert_eq!(CANCELLATION.scope(child, run_part(pending::<()>())).await, None);
        // The request goes on.
        assert_eq!(run_part(async { 7 }).await, Some(7));

        let child = CANCELLATION.get().child_token();
        CANCELLATION.get().cancel();
        assert_eq!(CANCELLATION.scope(child, run_part(pending::<()>())).await, None);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_default_is_shared_by_all_requests() {
    #[allow(deprecated, reason = "shows what the lint warns about")]
    #[context_var]
    static CANCELLATION: CancellationToken = CancellationToken::new();

    #[context_var]
    static DEADLINE: Instant = Instant::now() + MINUTE;

    Context::new().run(|| CANCELLATION.get().cancel());
    Context::new().run(|| assert!(CANCELLATION.get().is_cancelled()));

    let deadline = Context::new().run(|| DEADLINE.get());
    tokio::time::advance(MINUTE).await;
    Context::new().run(|| assert_eq!((DEADLINE.get(), Instant::now()), (deadline, deadline)));
}
