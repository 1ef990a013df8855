//! The places where tasks were spawned.

use std::collections::HashMap;
use std::panic::Location;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use tokio::runtime::TaskMeta;
use tokio::task::Id;

type Spawns = HashMap<Id, &'static Location<'static>>;

static SPAWNS: LazyLock<Mutex<Spawns>> = LazyLock::new(Mutex::default);

fn lock() -> MutexGuard<'static, Spawns> {
    SPAWNS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A hook for tokio's `Builder::on_task_spawn` that records where each task is spawned, for
/// [`Report::spawned_at`](super::Report::spawned_at). Needs feature `runtime-hooks`, with tokio 1.46.1 or
/// newer.
///
/// ```
/// use contextvar::report;
///
/// let runtime = tokio::runtime::Builder::new_multi_thread()
///     .on_task_spawn(report::record_spawn)
///     .on_task_terminate(report::forget_spawn)
///     .build()
///     .unwrap();
/// # drop(runtime);
/// ```
pub fn record_spawn(task: &TaskMeta<'_>) {
    lock().insert(task.id(), task.spawned_at());
}

/// A hook for tokio's `Builder::on_task_terminate` that removes what [`record_spawn`] recorded.
pub fn forget_spawn(task: &TaskMeta<'_>) {
    lock().remove(&task.id());
}

pub(super) fn location(task: Id) -> Option<&'static Location<'static>> {
    lock().get(&task).copied()
}
