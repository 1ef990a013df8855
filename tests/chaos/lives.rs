//! The life of a task: random steps, each followed by a check.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use contextvar::{Context, InContext, copy_context, task, thread, with_copied_context};
use futures::FutureExt;
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::{Builder, Handle, RuntimeFlavor};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, LocalSet, yield_now};

use crate::counts::{ABORTED, LIVES, NESTED};
use crate::expected::{CheckOnDrop, Expected};
use crate::panics::{assert_deliberate, assert_joined, panic_deliberately};
use crate::variables::{BROKEN, COUNTED, FLAKY, NUMBER, TEXT};

pub(crate) struct Chaos {
    /// The number of lives after which this runtime starts no more.
    pub(crate) until: u64,
    /// Receives the tasks that their parents do not join.
    pub(crate) detached: mpsc::UnboundedSender<JoinHandle<()>>,
}

/// Takes random steps, in a context that has the `expected` values.
pub(crate) async fn live(chaos: Arc<Chaos>, mut expected: Expected, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    LIVES.add_one();
    expected.check();
    for _ in 0..random.random_range(2..10) {
        match random.random_range(0..23) {
            0..4 => expected.set(&mut random),
            4..6 => yield_now().await,
            6 => {
                let token = NUMBER.set(random.random());
                yield_now().await;
                NUMBER.reset(token);
            }
            7 => {
                // A change in a copy does not show here.
                let mut inner = expected.clone();
                copy_context().run(|| {
                    inner.set(&mut random);
                    inner.check();
                });
            }
            8 => TEXT.scope("scoped".to_owned(), async { assert_eq!(TEXT.get(), "scoped") }).await,
            9 => clone_counted(&expected),
            10 => {
                let flaky = &FLAKY[random.random_range(0..FLAKY.len())];
                match catch_unwind(|| flaky.get()) {
                    Ok(value) => assert_eq!(value, 7),
                    Err(panic) => assert_deliberate(panic),
                }
                assert_deliberate(catch_unwind(|| BROKEN.get()).unwrap_err());
            }
            11 => {
                let (inner, seed) = (expected.inherited(), random.random());
                assert_joined(task::spawn_blocking(move || run_blocking(inner, seed)).await);
            }
            12 if random.random_bool(0.1) => {
                let (inner, seed) = (expected.inherited(), random.random());
                let handle = thread::spawn(move || run_on_thread(inner, seed));
                handle.join().unwrap_or_else(assert_deliberate);
            }
            13 => move_between_tasks(&expected, &mut random).await,
            14..18 if LIVES.get() < chaos.until => spawn(&chaos, &expected, &mut random).await,
            18 if random.random_bool(0.3) => panic_deliberately(),
            19 => {
                // A future that is dropped before it is done is dropped in its context.
                let check = CheckOnDrop(expected.clone());
                let pending = async move {
                    let _check = check;
                    std::future::pending::<()>().await;
                };
                let mut pending = Box::pin(pending.in_copied_context());
                assert!(futures::poll!(&mut pending).is_pending());
            }
            20 => {
                let caught =
                    AssertUnwindSafe(async { panic_deliberately() }.in_copied_context()).catch_unwind();
                let Err(panic) = caught.await;
                assert_deliberate(panic);
            }
            21 if random.random_bool(0.2) => block_on_inside_poll(&mut expected, &mut random),
            _ => {
                // A task without a context finds no value, whichever worker it runs on.
                assert_joined(tokio::spawn(async { Expected::default().check() }).await);
            }
        }
        expected.check();
    }
}

fn clone_counted(expected: &Expected) {
    let clone = || COUNTED.try_get().ok().map(|counted| counted.n);
    match catch_unwind(AssertUnwindSafe(clone)) {
        Ok(n) => assert_eq!(n, expected.counted),
        Err(panic) => assert_deliberate(panic),
    }
}

/// Runs futures with `block_on` inside this task's poll: one in the same context, and one in a copy.
fn block_on_inside_poll(expected: &mut Expected, random: &mut StdRng) {
    let runtime = Handle::current();
    if runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
        return;
    }
    NESTED.add_one();
    tokio::task::block_in_place(|| {
        runtime.block_on(async {
            expected.check();
            yield_now().await;
            expected.set(random);
        });
        let mut inner = expected.clone();
        copy_context().run(|| {
            runtime.block_on(async {
                inner.check();
                yield_now().await;
                inner.set(random);
                inner.check();
            });
        });
        expected.check();
    });
}

/// Runs as a blocking call, which sometimes runs a future with `block_on`.
fn run_blocking(mut expected: Expected, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    expected.check();
    if random.random() {
        let inner = expected.clone();
        Handle::current().block_on(async move {
            inner.check();
            yield_now().await;
            inner.check();
        });
    }
    expected.set(&mut random);
    expected.check();
}

/// Runs on a new thread in an inherited context: spawns a plain thread that exits with values set, or runs a
/// runtime of its own with a `LocalSet`.
fn run_on_thread(expected: Expected, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    expected.check();
    let mut own = Expected::default();
    if random.random() {
        // A plain thread has a context of its own, which is empty at first and is emptied again when the
        // thread exits.
        std::thread::spawn(move || {
            own.set_without_panics(&mut random);
            own.check();
        })
        .join()
        .unwrap();
        return;
    }
    let runtime = Builder::new_current_thread().build().unwrap();
    let local = LocalSet::new();
    runtime.block_on(local.run_until(async {
        let mut inherited = expected.clone();
        let (readable, seed) = (inherited.clone(), random.random());
        // A task without a context that is polled inside this one can read this one's values, but cannot
        // write them.
        let without_context = tokio::task::spawn_local(async move {
            readable.check();
            assert!(NUMBER.try_set(seed).is_err());
        });
        let spawned = task::spawn_local(async move {
            let mut random = StdRng::seed_from_u64(seed);
            inherited.check();
            inherited.set(&mut random);
            inherited.check();
        });
        assert_joined(without_context.await);
        assert_joined(spawned.await);
        expected.check();
    }));
}

/// Polls a future in this task, then in another one, which sometimes completes it.
async fn move_between_tasks(expected: &Expected, random: &mut StdRng) {
    let (mut inner, seed) = (expected.clone(), random.random());
    let mut future = async move {
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..3 {
            inner.set(&mut random);
            let check = CheckOnDrop(inner.clone());
            yield_now().await;
            inner.check();
            drop(check);
        }
    }
    .in_copied_context()
    .boxed();
    match AssertUnwindSafe(async { futures::poll!(&mut future).is_ready() }).catch_unwind().await {
        Ok(done) => assert!(!done),
        Err(panic) => return assert_deliberate(panic),
    }
    let completes = random.random();
    let other = tokio::spawn(async move {
        if completes {
            future.await
        } else {
            assert!(futures::poll!(&mut future).is_pending())
        }
        Expected::default().check();
    });
    assert_joined(other.await);
}

#[with_copied_context]
async fn live_annotated(chaos: Arc<Chaos>, expected: Expected, seed: u64) {
    live(chaos, expected, seed).await;
}

/// Spawns another life in one of five ways, then aborts, detaches or joins it.
fn spawn<'a>(chaos: &Arc<Chaos>, expected: &Expected, random: &'a mut StdRng) -> BoxFuture<'a, ()> {
    let (chaos, expected, seed) = (chaos.clone(), expected.clone(), random.random());
    let detached = chaos.detached.clone();
    let handle = match random.random_range(0..5) {
        0 => task::spawn(live(chaos, expected.inherited(), seed)),
        1 => tokio::spawn(live_annotated(chaos, expected, seed)),
        2 => tokio::spawn(copy_context().scope(live(chaos, expected, seed))),
        3 => task::spawn_in_empty_context(live(chaos, Expected::default(), seed)),
        _ => {
            let life = live(chaos, Expected { number: Some(1), ..Expected::default() }, seed);
            tokio::spawn(Context::new().with_value(&NUMBER, 1).scope(life))
        }
    };
    // Boxed because the types are recursive: a life awaits this future, which spawns lives.
    Box::pin(async move {
        match random.random_range(0..4) {
            0 => {
                ABORTED.add_one();
                handle.abort();
                assert_joined(handle.await);
            }
            1 => {
                ABORTED.add_one();
                yield_now().await;
                handle.abort();
                let _ = detached.send(handle);
            }
            2 => drop(detached.send(handle)),
            _ => assert_joined(handle.await),
        }
    })
}
