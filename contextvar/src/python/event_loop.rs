//! asyncio's event loops.

use pyo3::exceptions::PyRuntimeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyModule};

use super::border;
use crate::context::Context;

/// Returns the event loop that runs on this thread. Does not load asyncio: if it is not loaded, no event loop runs.
pub(super) fn running(py: Python<'_>) -> PyResult<Option<Bound<'_, PyAny>>> {
    static GET_RUNNING_LOOP: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    static MODULES: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

    let get = match GET_RUNNING_LOOP.get(py) {
        Some(get) => get.bind(py),
        None => {
            let modules = MODULES.get_or_try_init(py, || -> PyResult<_> {
                Ok(py.import("sys")?.getattr("modules")?.cast_into()?.unbind())
            })?;
            if !modules.bind(py).contains(intern!(py, "asyncio.events"))? {
                return Ok(None);
            }
            let find =
                || -> PyResult<_> { Ok(py.import("asyncio.events")?.getattr("_get_running_loop")?.unbind()) };
            GET_RUNNING_LOOP.get_or_try_init(py, find)?.bind(py)
        }
    };
    let running = get.call0()?;
    Ok((!running.is_none()).then_some(running))
}

/// Returns the event loop for a coroutine that code in the context `rust` runs: the event loop of the call from Python
/// that the context comes from, or else the one that runs on this thread or that pyo3-async-runtimes has.
pub(super) fn for_context<'py>(py: Python<'py>, rust: Option<&Context>) -> PyResult<Bound<'py, PyAny>> {
    if let Some(event_loop) = rust.and_then(|rust| border::event_loop_of(py, rust)) {
        return Ok(event_loop);
    }
    pyo3_async_runtimes::tokio::get_current_loop(py).map_err(|error| {
        let none = PyRuntimeError::new_err(
            "there is no event loop to run the awaitable: Rust's context does not come from a call that a Python \
             coroutine has made",
        );
        none.set_cause(py, Some(error));
        none
    })
}

/// Calls `callback` on the thread of the event loop, in `context`, or else in a copy of the current context.
pub(super) fn call_soon<'py>(
    event_loop: &Bound<'py, PyAny>,
    callback: impl IntoPyObject<'py, Error: Into<PyErr>>,
    context: Option<&Bound<'py, PyAny>>,
) -> PyResult<()> {
    let py = event_loop.py();
    let kwargs = PyDict::new(py);
    if let Some(context) = context {
        kwargs.set_item(intern!(py, "context"), context)?;
    }
    let callback = callback.into_pyobject(py).map_err(Into::into)?;
    let callback = pyo3::BoundObject::into_bound(pyo3::BoundObject::into_any(callback));
    event_loop.call_method(intern!(py, "call_soon_threadsafe"), (callback,), Some(&kwargs))?;
    Ok(())
}

/// Returns a function from the Python code of this module.
pub(super) fn function<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static MODULE: PyOnceLock<Py<PyModule>> = PyOnceLock::new();

    let load = || -> PyResult<_> {
        // The name goes into `sys.modules`, where it must not hide a package.
        Ok(PyModule::from_code(py, COROUTINES, c"contextvar.py", c"_contextvar_coroutines")?.unbind())
    };
    MODULE.get_or_try_init(py, load)?.bind(py).getattr(name)
}

/// Coroutines that asyncio treats like any other: they appear in tracebacks, and warn if they are never awaited.
const COROUTINES: &std::ffi::CStr = c"
async def coroutine(start):
    try:
        return await start()
    finally:
        start.abort()


async def coroutine_applying_changes(start):
    try:
        finish = await start()
    finally:
        start.abort()
    return finish()


async def run(awaitable, at_end):
    try:
        return await awaitable
    finally:
        if at_end is not None:
            at_end()
";
