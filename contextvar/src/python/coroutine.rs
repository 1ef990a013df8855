//! Rust futures as Python coroutines.

use std::any::{Any, type_name};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Mutex, OnceLock};
use std::task::Poll;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::{IntoPyObjectExt, intern};
use pyo3_async_runtimes::TaskLocals;
use pyo3_async_runtimes::err::RustPanic;
use pyo3_async_runtimes::tokio::{get_runtime, scope};
use tokio::task::AbortHandle;

use super::{Changes, attach, border, event_loop, raw};
use crate::context::{Context, copy_context as copy_rust_context};
use crate::hand_over::{Kind, Place};
use crate::scoped::Scoped;

/// Returns a coroutine that runs `future` on the tokio runtime.
#[cfg_attr(feature = "inspect", track_caller)]
pub(super) fn new<'py, F, T>(py: Python<'py>, future: F, changes: Changes) -> PyResult<Bound<'py, PyAny>>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    let function = match changes {
        Changes::Isolated => "coroutine",
        Changes::Applied => "coroutine_applying_changes",
    };
    let place = Place::here();
    let start = Box::new(move |py: Python<'_>| start(py, future, changes, place));
    let start = Start { start: Mutex::new(Some(start)), task: OnceLock::new() };
    let coroutine = event_loop::function(py, function)?.call1((start,))?;
    let name = PyString::intern(py, name_of::<F>());
    coroutine.setattr(intern!(py, "__name__"), &name)?;
    coroutine.setattr(intern!(py, "__qualname__"), &name)?;
    Ok(coroutine)
}

/// Returns the name of a future for tracebacks and warnings: that of the function, if it is an async block.
fn name_of<F>() -> &'static str {
    let name = type_name::<F>();
    name.trim_end_matches("::{{closure}}")
}

type StartFn = Box<dyn FnOnce(Python<'_>) -> PyResult<(Py<PyAny>, AbortHandle)> + Send>;

/// Starts a future when its coroutine is first awaited. Returns asyncio's future for the result.
#[pyclass(frozen, module = "contextvar")]
struct Start {
    start: Mutex<Option<StartFn>>,
    task: OnceLock<AbortHandle>,
}

#[pymethods]
impl Start {
    fn __call__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let start = self.start.lock().unwrap_or_else(|error| error.into_inner()).take();
        let start = start.ok_or_else(|| PyRuntimeError::new_err("the future has been started already"))?;
        let (result, task) = start(py)?;
        self.task.get_or_init(|| task);
        Ok(result)
    }

    /// Drops the future, if it has not finished. The coroutine has ended: its task was canceled, or it was closed.
    fn abort(&self) {
        if let Some(task) = self.task.get() {
            task.abort();
        }
    }
}

/// Returns asyncio's future for the result, and the task of `future`.
fn start<F, T>(
    py: Python<'_>,
    future: F,
    changes: Changes,
    place: Place,
) -> PyResult<(Py<PyAny>, AbortHandle)>
where
    F: Future<Output = PyResult<T>> + Send + 'static,
    T: for<'a> IntoPyObject<'a> + Send + 'static,
{
    let base = copy_rust_context();
    let context = border::import(py)?;
    let event_loop = event_loop::for_context(py, Some(&context))?;
    let result = event_loop.call_method0(intern!(py, "create_future"))?;
    let mut locals = TaskLocals::new(event_loop.clone());
    if let Some(python) = border::python_of(py, &context) {
        // Callbacks of the event loop run in that context, while threads copy the other one.
        locals = locals.with_context(raw::copy(python)?.into_any());
    }
    let end = End { event_loop: event_loop.unbind(), result: result.clone().unbind(), changes, base };
    let future = Scoped::new(context.hand_over(Kind::Task, place), scope(locals, future));
    let task = get_runtime().spawn(async move {
        let (output, context) = run(future).await;
        // Waiting for the GIL would keep a thread of the runtime from other tasks.
        drop(get_runtime().spawn_blocking(move || end.deliver(output, context)));
    });
    Ok((result.unbind(), task.abort_handle()))
}

/// The output of a future, or the payload of its panic.
type Outcome<T> = Result<PyResult<T>, Box<dyn Any + Send>>;

/// Returns the output of the future, and its context, which is empty after a panic.
async fn run<T>(future: Scoped<impl Future<Output = PyResult<T>>>) -> (Outcome<T>, Context) {
    let mut future = pin!(future.and_context());
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(|(output, context)| (Ok(output), context)),
        Err(panic) => Poll::Ready((Err(panic), Context::new())),
    })
    .await
}

/// Where the output of a future goes.
struct End {
    event_loop: Py<PyAny>,
    /// asyncio's future.
    result: Py<PyAny>,
    changes: Changes,
    /// The Rust context in which the future was started, in case the future's context does not come from Python.
    base: Context,
}

impl End {
    fn deliver<T>(self, outcome: Outcome<T>, mut context: Context)
    where
        T: for<'a> IntoPyObject<'a>,
    {
        attach::try_attach(|py| {
            let convert = |output: PyResult<T>| {
                let convert = || context.run(|| output.and_then(|value| value.into_py_any(py)));
                catch_unwind(AssertUnwindSafe(convert))
            };
            let converted = outcome.and_then(convert).unwrap_or_else(|panic| {
                Err(RustPanic::new_err(format!("rust future panicked: {}", panic_message(&*panic))))
            });
            let output = match self.changes {
                Changes::Isolated => converted,
                Changes::Applied => {
                    let finish = Finish { output: Mutex::new(Some(converted)), context, base: self.base };
                    finish.into_py_any(py)
                }
            };
            let set = SetResult { result: self.result, output: Mutex::new(Some(output)) };
            // Fails if the event loop has been closed. Then nothing awaits the result.
            let _ = event_loop::call_soon(self.event_loop.bind(py), set, None);
        });
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown error")
}

/// Sets the result of asyncio's future, on the thread of the event loop.
#[pyclass(frozen, module = "contextvar")]
struct SetResult {
    result: Py<PyAny>,
    output: Mutex<Option<PyResult<Py<PyAny>>>>,
}

#[pymethods]
impl SetResult {
    fn __call__(&self, py: Python<'_>) -> PyResult<()> {
        let output = self.output.lock().unwrap_or_else(|error| error.into_inner()).take();
        let result = self.result.bind(py);
        // The future was canceled meanwhile.
        if result.call_method0(intern!(py, "done"))?.is_truthy()? {
            return Ok(());
        }
        match output {
            Some(Ok(value)) => drop(result.call_method1(intern!(py, "set_result"), (value,))?),
            Some(Err(error)) => {
                let set = |error: PyErr| result.call_method1(intern!(py, "set_exception"), (error,));
                // A future refuses a `StopIteration`.
                drop(set(error).or_else(set)?);
            }
            None => (),
        }
        Ok(())
    }
}

/// Applies the changes of a future's context to that of the task that awaits it. Returns the future's output.
#[pyclass(frozen, module = "contextvar")]
struct Finish {
    output: Mutex<Option<PyResult<Py<PyAny>>>>,
    context: Context,
    base: Context,
}

#[pymethods]
impl Finish {
    fn __call__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let output = self.output.lock().unwrap_or_else(|error| error.into_inner()).take();
        border::apply_changes(py, &self.context, &self.base)?;
        output.unwrap_or_else(|| Ok(py.None()))
    }
}
