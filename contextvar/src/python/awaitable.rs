//! Python awaitables as Rust futures.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard};

use pyo3::exceptions::PyRuntimeError;
use pyo3::exceptions::asyncio::CancelledError;
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

/// Calls `f` in a Python context, and starts a task for the awaitable that it returns.
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
    let event_loop = call.event_loop()?;
    let context = call.leave();
    let (sender, receiver) = oneshot::channel();
    let state = State { event_loop: event_loop.clone().unbind(), task: None, is_canceled: false, end: None };
    let state = Arc::new(Mutex::new(state));
    let start =
        Start { unstarted: Mutex::new(Some((awaitable.unbind(), sender))), state: state.clone(), changes };
    event_loop::call_soon(&event_loop, start, Some(context.as_any()))?;
    Ok((Running { state, receiver }, values))
}

/// The state of a task that its future and the event loop share.
struct State {
    event_loop: Py<PyAny>,
    /// The task, while it runs. The event loop itself holds tasks weakly.
    task: Option<Py<PyAny>>,
    /// True from the drop of the future until the task is canceled.
    is_canceled: bool,
    /// The context at the end of the task.
    end: Option<Py<PyContext>>,
}

impl State {
    /// Returns the task if it must be canceled. Returns it only once.
    fn take_canceled(&mut self, py: Python<'_>) -> Option<Py<PyAny>> {
        let task = self.task.as_ref()?;
        mem::take(&mut self.is_canceled).then(|| task.clone_ref(py))
    }
}

/// Passes the output of a task to its future. Only the event loop holds the sender, so the future ends with an error if
/// the event loop drops the sender.
type Sender = oneshot::Sender<PyResult<Py<PyAny>>>;

/// A task on an event loop. Cancels the task if dropped before the task has finished.
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
            Err(PyRuntimeError::new_err("the event loop was closed before it started the task"))
        })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.lock();
        // The task has finished, or the event loop was closed.
        if self.receiver.is_terminated() {
            return;
        }
        state.is_canceled = true;
        drop(state);
        let state = self.state.clone();
        if raw::is_attached() {
            cancel(&state);
        } else {
            // Waiting for the GIL would keep a thread of the runtime from other tasks.
            drop(get_runtime().spawn_blocking(move || cancel(&state)));
        }
    }
}

/// Cancels the task, if it has been started.
fn cancel(state: &Mutex<State>) {
    attach::try_attach(|py| {
        let (task, event_loop) = {
            let mut state = lock(state);
            // `Start` cancels a task that it is creating.
            let Some(task) = state.take_canceled(py) else { return };
            (task, state.event_loop.clone_ref(py))
        };
        let cancel = task.getattr(py, intern!(py, "cancel"));
        // Fails if the event loop has been closed. Then the task never runs again.
        let _ = cancel.and_then(|cancel| event_loop::call_soon(event_loop.bind(py), cancel, None));
    });
}

/// Starts the task, on the thread of the event loop and in the task's context.
#[pyclass(frozen, module = "contextvar")]
struct Start {
    unstarted: Mutex<Option<(Py<PyAny>, Sender)>>,
    state: Arc<Mutex<State>>,
    changes: Changes,
}

#[pymethods]
impl Start {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let unstarted = lock(&self.unstarted).take();
        let Some((awaitable, sender)) = unstarted else { return Ok(()) };
        let (event_loop, is_canceled) = {
            let state = lock(&self.state);
            (state.event_loop.clone_ref(py), state.is_canceled)
        };
        if is_canceled {
            // A coroutine that was never awaited would warn, and a task or a future would go on.
            let end = ["close", "cancel"].into_iter().find_map(|end| awaitable.getattr(py, end).ok());
            return end.map_or(Ok(()), |end| end.call0(py).map(drop));
        }
        let task = match self.create_task(event_loop.bind(py), awaitable) {
            Ok(task) => task,
            Err(error) => {
                // Fails if the future was dropped.
                let _ = sender.send(Err(error));
                return Ok(());
            }
        };
        lock(&self.state).task = Some(task.clone().unbind());
        let done = Done { sender: Mutex::new(Some(sender)), state: self.state.clone() };
        task.call_method1(intern!(py, "add_done_callback"), (done,))?;
        // The future can have been dropped while the task was created.
        cancel(&self.state);
        Ok(())
    }
}

impl Start {
    /// Returns a task for `awaitable`. User code can run meanwhile: a task factory, or an eager task.
    fn create_task<'py>(
        &self,
        event_loop: &Bound<'py, PyAny>,
        awaitable: Py<PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = event_loop.py();
        let at_end = (self.changes == Changes::Applied).then(|| AtEnd { state: self.state.clone() });
        let coroutine = event_loop::function(py, "run")?.call1((awaitable, at_end))?;
        event_loop.call_method1(intern!(py, "create_task"), (coroutine,))
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
    sender: Mutex<Option<Sender>>,
    state: Arc<Mutex<State>>,
}

#[pymethods]
impl Done {
    fn __call__(&self, task: &Bound<'_, PyAny>) {
        let output = task.call_method0(intern!(task.py(), "result")).map(Bound::unbind);
        let sender = lock(&self.sender).take();
        let _task = lock(&self.state).task.take();
        let Some(Err(Err(error))) = sender.map(|sender| sender.send(output)) else { return };
        // The future was dropped, so no caller sees an exception that the task's cleanup raises.
        let py = task.py();
        if !error.is_instance_of::<CancelledError>(py) {
            error.write_unraisable(py, Some(task));
        }
    }
}
