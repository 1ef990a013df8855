//! Awaitables of Python as futures of Rust.

use std::sync::{Arc, Mutex, MutexGuard};

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyContext;
use pyo3_async_runtimes::tokio::get_runtime;
use tokio::sync::oneshot;

use super::border::{self, Call};
use super::{Changes, attach, event_loop, raw};

/// Calls `f` and awaits what it returns on the event loop.
pub(super) async fn call<F>(f: F) -> PyResult<Py<PyAny>>
where
    F: for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>>,
{
    let (mut running, _) = attach::attach(|py| start(py, f, Changes::Isolated, |_| Ok(())))?;
    running.output().await
}

/// Does what [`call`] does, and applies the changes of the task to the current context.
pub(super) async fn call_applying_changes<F>(f: F) -> PyResult<Py<PyAny>>
where
    F: for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>>,
{
    let (mut running, before) = attach::attach(|py| start(py, f, Changes::Applied, |call| call.values()))?;
    let output = running.output().await;
    let context = running.lock().end.take();
    if let Some(context) = context {
        attach::attach(|py| border::apply_changes_of(context.bind(py), &before))?;
    }
    output
}

/// Calls `f` in a context of Python, and starts a task for the awaitable that it returns.
fn start<F, V>(
    py: Python<'_>,
    f: F,
    changes: Changes,
    read: impl FnOnce(&Call<'_>) -> PyResult<V>,
) -> PyResult<(Running, V)>
where
    F: for<'py> FnOnce(Python<'py>) -> PyResult<Bound<'py, PyAny>>,
{
    let call = Call::enter(py)?;
    let values = read(&call)?;
    let awaitable = f(py)?;
    let event_loop = event_loop::for_context(py, call.rust())?;
    let context = call.leave();
    let (sender, receiver) = oneshot::channel();
    let state = State { event_loop: event_loop.clone().unbind(), task: None, is_canceled: false, end: None };
    let state = Arc::new(Mutex::new(state));
    let awaitable = Mutex::new(Some((awaitable.unbind(), sender)));
    let start = Start { state: state.clone(), awaitable, changes };
    event_loop::call_soon(&event_loop, start, Some(context.as_any()))?;
    Ok((Running { state, receiver }, values))
}

/// What the future and the event loop know of a task.
struct State {
    event_loop: Py<PyAny>,
    /// The task while it runs and has not been canceled.
    task: Option<Py<PyAny>>,
    is_canceled: bool,
    /// The context at the end of the task.
    end: Option<Py<PyContext>>,
}

/// Sends the output to the future. Only the event loop holds it, so the future learns if the event loop is closed.
type Sender = oneshot::Sender<PyResult<Py<PyAny>>>;

/// A task on an event loop. Cancels the task if it is dropped first.
struct Running {
    state: Arc<Mutex<State>>,
    receiver: oneshot::Receiver<PyResult<Py<PyAny>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|error| error.into_inner())
}

impl Running {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    async fn output(&mut self) -> PyResult<Py<PyAny>> {
        let output = (&mut self.receiver).await;
        output.unwrap_or_else(|_| {
            Err(PyRuntimeError::new_err("the event loop was closed before the awaitable had finished"))
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has finished, or the event loop was closed.
        if self.receiver.is_terminated() {
            return;
        }
        let task = {
            let mut state = self.lock();
            state.is_canceled = true;
            state.task.take()
        };
        // `Start` finds out by itself.
        let Some(task) = task else { return };
        let state = self.state.clone();
        if raw::is_attached() {
            cancel(&state, task);
        } else {
            // Waiting for the GIL would keep a thread of the runtime from other tasks.
            drop(get_runtime().spawn_blocking(move || cancel(&state, task)));
        }
    }
}

/// Cancels the task.
fn cancel(state: &Mutex<State>, task: Py<PyAny>) {
    attach::try_attach(|py| {
        let event_loop = lock(state).event_loop.clone_ref(py);
        let cancel = task.getattr(py, intern!(py, "cancel"));
        // The event loop has been closed, and the task with it.
        let _ = cancel.and_then(|cancel| event_loop::call_soon(event_loop.bind(py), cancel, None));
    });
}

/// Starts the task, on the thread of the event loop and in the task's context.
#[pyclass(frozen, module = "contextvar")]
struct Start {
    state: Arc<Mutex<State>>,
    awaitable: Mutex<Option<(Py<PyAny>, Sender)>>,
    changes: Changes,
}

#[pymethods]
impl Start {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let taken = lock(&self.awaitable).take();
        let Some((awaitable, sender)) = taken else { return Ok(()) };
        let (event_loop, is_canceled) = {
            let state = lock(&self.state);
            (state.event_loop.clone_ref(py), state.is_canceled)
        };
        if is_canceled {
            // A coroutine that was never awaited would warn.
            if let Ok(close) = awaitable.getattr(py, intern!(py, "close")) {
                close.call0(py)?;
            }
            return Ok(());
        }
        let at_end = (self.changes == Changes::Applied).then(|| AtEnd { state: self.state.clone() });
        let coroutine = event_loop::function(py, "run")?.call1((awaitable, at_end))?;
        let task = event_loop.bind(py).call_method1(intern!(py, "create_task"), (coroutine,))?;
        let done = Done { state: self.state.clone(), sender: Mutex::new(Some(sender)) };
        task.call_method1(intern!(py, "add_done_callback"), (done,))?;
        let task = task.unbind();
        {
            let mut state = lock(&self.state);
            if !state.is_canceled {
                state.task = Some(task);
                return Ok(());
            }
        }
        // The future was dropped meanwhile.
        cancel(&self.state, task);
        Ok(())
    }
}

/// Keeps the context at the end of the task.
#[pyclass(frozen, module = "contextvar")]
struct AtEnd {
    state: Arc<Mutex<State>>,
}

#[pymethods]
impl AtEnd {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let context = raw::copy_current(py)?.unbind();
        lock(&self.state).end = Some(context);
        Ok(())
    }
}

/// Passes the result of the task to the future.
#[pyclass(frozen, module = "contextvar")]
struct Done {
    state: Arc<Mutex<State>>,
    sender: Mutex<Option<Sender>>,
}

#[pymethods]
impl Done {
    fn __call__(&self, task: &Bound<'_, PyAny>) {
        let output = task.call_method0(intern!(task.py(), "result")).map(Bound::unbind);
        let _task = lock(&self.state).task.take();
        let sender = lock(&self.sender).take();
        if let Some(sender) = sender {
            // The future was dropped.
            let _ = sender.send(output);
        }
    }
}
