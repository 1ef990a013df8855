//! Python awaitables that Rust awaits.

use contextvar::{python, task, thread, with_copied_context};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::get_runtime;

use crate::signals::{Channel, Gate, REQUEST, request};

/// The result of a call, and the variable's value afterwards.
type Called = PyResult<(Py<PyAny>, Option<String>)>;

async fn call_function(function: Py<PyAny>, applies_changes: bool) -> Called {
    let result = match applies_changes {
        false => python::call_async(|py| function.bind(py).call0()).await?,
        true => python::call_async_applying_changes(|py| function.bind(py).call0()).await?,
    };
    Ok((result, request()))
}

/// Blocks this thread until the call ends.
fn call_blocking(function: Py<PyAny>, applies_changes: bool) -> Called {
    get_runtime().block_on(call_function(function, applies_changes))
}

/// Calls and drops the call when the gate opens.
async fn call_until(function: Py<PyAny>, gate: Gate) -> PyResult<()> {
    tokio::select! {
        biased;
        result = python::call_async(|py| function.bind(py).call0()) => result.map(drop),
        () = gate.pass() => Ok(()),
    }
}

#[pymodule(submodule)]
pub(crate) mod awaitables {
    use super::*;

    /// Sets the variable and calls the function, in one of several places.
    #[pyfunction]
    fn call(
        py: Python<'_>,
        place: String,
        function: Py<PyAny>,
        applies_changes: bool,
    ) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async move {
            REQUEST.set("of Rust".to_owned());
            match &*place {
                "future" => call_function(function, applies_changes).await,
                "task" => task::spawn(call_function(function, applies_changes)).await.expect("no panic"),
                "thread" => {
                    let thread = thread::spawn(move || call_blocking(function, applies_changes));
                    let joined = task::spawn_blocking(move || thread.join());
                    joined.await.expect("no panic").expect("no panic")
                }
                _ => Err(PyValueError::new_err(place)),
            }
        })
    }

    /// Does the same where the event loop polls the future.
    #[pyfunction]
    #[with_copied_context(python)]
    async fn call_polled(function: Py<PyAny>, applies_changes: bool) -> Called {
        REQUEST.set("of Rust".to_owned());
        call_function(function, applies_changes).await
    }

    /// Does the same on the caller's thread, which blocks.
    #[pyfunction]
    #[with_copied_context(python)]
    fn call_and_block(py: Python<'_>, function: Py<PyAny>, applies_changes: bool) -> Called {
        REQUEST.set("of Rust".to_owned());
        let context = contextvar::copy_context();
        py.detach(move || {
            let mut context = context;
            context.run(|| call_blocking(function, applies_changes))
        })
    }

    /// Calls the function. Its changes reach the caller.
    #[pyfunction]
    fn call_applying_all_changes(py: Python<'_>, function: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine_applying_changes(py, async move {
            python::call_async_applying_changes(|py| function.bind(py).call0()).await
        })
    }

    /// Drops the call when the gate opens.
    #[pyfunction]
    fn drop_call(py: Python<'_>, function: Py<PyAny>, gate: Gate) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async move {
            REQUEST.set("of Rust".to_owned());
            call_until(function, gate).await
        })
    }

    /// Does the same on the thread of the event loop.
    #[pyfunction]
    #[with_copied_context(python)]
    async fn drop_call_polled(function: Py<PyAny>, gate: Gate) -> PyResult<()> {
        REQUEST.set("of Rust".to_owned());
        call_until(function, gate).await
    }

    /// Aborts the task of the call when the gate opens.
    #[pyfunction]
    fn abort_call(py: Python<'_>, function: Py<PyAny>, gate: Gate) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async move {
            REQUEST.set("of Rust".to_owned());
            let task = task::spawn(call_function(function, false));
            gate.pass().await;
            task.abort();
            Ok(task.await.is_err_and(|error| error.is_cancelled()))
        })
    }

    /// Starts a task that calls the function when the gate opens, and sends whether the call has failed.
    #[pyfunction]
    #[with_copied_context(python)]
    fn call_later(py: Python<'_>, function: Py<PyAny>, gate: Gate, channel: Channel) -> PyResult<()> {
        let context = contextvar::copy_context();
        py.detach(|| {
            get_runtime().spawn(context.scope(async move {
                gate.pass().await;
                let result = call_function(function, false).await;
                channel.send(result.err().map(|error| error.to_string()));
            }))
        });
        Ok(())
    }
}
