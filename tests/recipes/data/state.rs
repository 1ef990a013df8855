//! Counters of a request.

// Recipe

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use contextvar::{context_var, with_copied_context};
use tokio::time::{Duration, Instant};

#[context_var]
static QUERIES: Arc<AtomicU64>; // all copies of a request's context have the same counter

#[context_var]
static TIME: Arc<Mutex<Duration>>;

#[context_var]
static COPIED: u64 = 0; // each copy has a number of its own

#[with_copied_context(QUERIES = Arc::default(), TIME = Arc::default())]
async fn run_request(request: impl Future<Output = ()>) -> (u64, Duration, u64) {
    request.await;
    (QUERIES.get().load(Ordering::Relaxed), *TIME.get().lock().unwrap(), COPIED.get())
}

async fn run_query(query: impl Future<Output = ()>) {
    let start = Instant::now();
    query.await;
    QUERIES.with(|queries| queries.fetch_add(1, Ordering::Relaxed));
    TIME.with(|time| *time.lock().unwrap() += start.elapsed());
    COPIED.set(COPIED.get() + 1);
}

// Test

use contextvar::task;
use tokio::task::JoinSet;

const SECOND: Duration = Duration::from_secs(1);

/// Runs `count` queries, each in a task of its own, after one in the task of the request.
async fn queries(count: u64) {
    run_query(tokio::time::sleep(SECOND)).await;
    let mut tasks = JoinSet::new();
    for _ in 0..count {
        tasks.spawn(task_of_request());
    }
    tasks.join_all().await;
}

#[with_copied_context]
async fn task_of_request() {
    task::spawn(run_query(tokio::time::sleep(SECOND))).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_tasks_of_a_request_add_to_its_counters() {
    let request = |count| tokio::spawn(run_request(queries(count)));
    for (count, request) in [2, 5].map(|count| (count, request(count))) {
        // What the tasks set in their copies is not seen here.
        let expected = (count + 1, SECOND * (count as u32 + 1), 1);
        assert_eq!(request.await.unwrap(), expected);
    }
    assert!(!QUERIES.is_set());
}
