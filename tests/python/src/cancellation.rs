//! Tasks that are canceled.

use contextvar::{python, task};
use pyo3::prelude::*;

use crate::coroutines::wait_for_gate;
use crate::signals::{Channel, Gate, SendOnDrop};

#[pymodule(submodule)]
pub(crate) mod cancellation {
    use super::*;

    /// Waits for the gate in a task, which is aborted when the coroutine is canceled.
    #[pyfunction]
    fn wait_in_task(py: Python<'_>, gate: Gate, channel: Channel) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async move {
            let mut tasks = tokio::task::JoinSet::new();
            tasks.spawn(contextvar::copy_context().scope(wait_for_gate(gate, channel)));
            tasks.join_next().await.expect("a task").expect("no panic")
        })
    }

    /// Aborts a task, before or after it has been polled. Returns true if it was canceled.
    #[pyfunction]
    fn abort(py: Python<'_>, channel: Channel, is_running: bool) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async move {
            let (started, wait) = tokio::sync::oneshot::channel::<()>();
            let guard = SendOnDrop(channel);
            let task = task::spawn(async move {
                let _guard = guard;
                drop(started);
                std::future::pending::<()>().await;
            });
            if is_running {
                let _ = wait.await;
            }
            task.abort();
            Ok(task.await.is_err_and(|error| error.is_cancelled()))
        })
    }
}
