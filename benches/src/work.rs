//! The work that all peers do: futures, runtimes, and the request.

use std::hint::black_box;
use std::pin::{Pin, pin};
use std::sync::LazyLock;
use std::task::{Context, Poll, Waker};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::measure::{Meter, Reading};

pub(crate) static CURRENT_THREAD: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_current_thread().build().unwrap());
pub(crate) static MULTI_THREAD: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).build().unwrap());

/// Never completes, and wakes its task in each poll. For measuring the cost of entering and leaving a poll.
pub(crate) async fn endless() {
    loop {
        yield_now().await;
    }
}

/// A future for measuring the size of wrappers. It holds a word, as most futures do, so that padding does not
/// vary.
pub(crate) async fn with_a_word(word: u64) -> u64 {
    yield_now().await;
    word
}

/// Measures a poll of `future`, which must be a wrapped [`endless`].
pub(crate) fn polls(meter: Meter, future: impl Future<Output = ()>) -> Reading {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    meter.time(|| future.as_mut().poll(&mut context).is_pending())
}

/// Measures spawning and joining. Runs in a task, so that on the multi-thread runtime most tasks stay on the
/// worker that spawned them. Waking another thread costs more than any difference between the peers.
pub(crate) async fn spawns(meter: Meter, spawn: impl Fn() -> JoinHandle<u64>) -> Reading {
    let start = meter.start();
    for _ in 0..meter.repeats {
        black_box(spawn().await.unwrap());
    }
    start.stop()
}

/// Runs the request: three tasks in copies, one blocking call, 200 polls (50 of each task and of the request
/// itself), and 40 reads spread over them. The caller sets the eight variables.
///
/// Without `with_blocking` it does not call `spawn_blocking`.
pub(crate) async fn request(
    with_blocking: bool,
    spawn: impl Fn() -> JoinHandle<u64>,
    spawn_blocking: impl FnOnce() -> JoinHandle<u64>,
    read: fn(u32) -> u64,
) -> u64 {
    let tasks = [spawn(), spawn(), spawn()];
    let blocking = with_blocking.then(spawn_blocking);
    let mut sum = request_part(9, read).await;
    for task in tasks {
        sum += task.await.unwrap();
    }
    if let Some(blocking) = blocking {
        sum += blocking.await.unwrap();
    }
    sum
}

/// Runs one of the request's tasks. `read` gets a number, and reads variables of both types by turns.
pub(crate) async fn request_part(reads: u32, read: fn(u32) -> u64) -> u64 {
    let mut sum = 0;
    for poll in 0..50 {
        yield_now().await;
        if poll % 5 == 0 && poll / 5 < reads {
            sum += black_box(read(poll / 5));
        }
    }
    sum
}

/// Is pending once, and wakes its task immediately.
pub(crate) async fn yield_now() {
    struct YieldNow(bool);

    impl Future for YieldNow {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            if self.0 {
                return Poll::Ready(());
            }
            self.0 = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    }

    YieldNow(false).await;
}
