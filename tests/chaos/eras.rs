//! Eras: the times of runtimes, one after the other.

use std::sync::Arc;
use std::time::Duration;

use contextvar::Context;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::task::yield_now;

use crate::counts::{LIVES, PENDING, RUNTIMES, SHUT_DOWN};
use crate::expected::{CheckOnDrop, Expected};
use crate::lives::{Chaos, live};
use crate::panics::assert_joined;

/// The number of tasks without a parent that are spawned at once.
pub(crate) const ROOTS: usize = 64;

/// Builds a runtime and runs lives on it until `until` lives have begun. Then the runtime either waits for
/// all of them, or shuts down while tasks are pending.
pub(crate) fn run_era(random: &mut StdRng, until: u64) {
    RUNTIMES.add_one();
    let runtime: Runtime = match RUNTIMES.get() as usize % 5 {
        0 => Builder::new_current_thread().build().unwrap(),
        workers => Builder::new_multi_thread().worker_threads(workers).build().unwrap(),
    };
    // The first runtime is shut down with tasks pending, so that at least one is.
    let waits = RUNTIMES.get() > 1 && random.random_bool(0.5);
    runtime.block_on(async {
        let (detached, mut handles) = mpsc::unbounded_channel();
        let chaos = Arc::new(Chaos { until, detached });
        while LIVES.get() < until {
            for _ in 0..ROOTS {
                let life = live(chaos.clone(), Expected::default(), random.random());
                chaos.detached.send(tokio::spawn(Context::new().scope(life))).unwrap();
            }
            yield_now().await;
            while let Ok(handle) = handles.try_recv() {
                assert_joined(handle.await);
            }
        }
        if !waits {
            for _ in 0..ROOTS {
                let life = live(chaos.clone(), Expected::default(), random.random());
                drop(tokio::spawn(Context::new().scope(life)));
                drop(tokio::spawn(Context::new().scope(live_until_shutdown(random.random()))));
            }
            yield_now().await;
            return;
        }
        drop(chaos);
        while let Some(handle) = handles.recv().await {
            assert_joined(handle.await);
        }
    });
    if !waits {
        SHUT_DOWN.add_one();
        PENDING.add(runtime.metrics().num_alive_tasks());
    }
    if random.random() {
        drop(runtime);
    } else {
        runtime.shutdown_timeout(Duration::from_secs(60));
    }
}

async fn live_until_shutdown(seed: u64) {
    let mut expected = Expected::default();
    expected.set_without_panics(&mut StdRng::seed_from_u64(seed));
    let _check = CheckOnDrop(expected);
    std::future::pending::<()>().await;
}
