//! Stands for a library that starts tasks of its own. The tests recognize it by the name of this file.

use tokio::task::{JoinHandle, JoinSet};

pub(super) fn start<F>(worker: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    tokio::spawn(worker)
}

pub(super) fn start_local<F: Future + 'static>(worker: F) -> JoinHandle<F::Output> {
    tokio::task::spawn_local(worker)
}

pub(super) fn start_in<F>(set: &mut JoinSet<F::Output>, worker: F)
where
    F: Future<Output: Send> + Send + 'static,
{
    set.spawn(worker);
}
