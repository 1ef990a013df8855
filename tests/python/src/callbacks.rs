//! Calls back into Python.

use std::panic::resume_unwind;
use std::thread as std_thread;

use contextvar::{Context, copy_context, python, task, thread, with_copied_context};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use pyo3_async_runtimes::tokio::get_runtime;
use tokio::runtime::Builder;

use crate::variables::{NOTE, TENANT};

#[pymodule(submodule)]
pub(crate) mod callbacks {
    #[pymodule_export]
    use super::{call, call_from, call_from_two_tasks, call_unentered, note, panic, tenant};
}

/// Sets the tenant, and calls `function` from a place.
#[pyfunction]
#[with_copied_context(python)]
fn call_from(py: Python<'_>, place: &str, function: Py<PyAny>) -> PyResult<Py<PyAny>> {
    TENANT.set("rust".to_owned());
    NOTE.set("from rust".to_owned());
    let call = move || python::call(|py| function.call0(py));
    if place == "here" {
        return call();
    }
    // The other threads need the GIL.
    py.detach(|| {
        let runtime = get_runtime();
        let joined = match place {
            "here, detached" => return call(),
            "empty context" => return Context::new().run(call),
            "block_on" => return runtime.block_on(async { call() }),
            "contextvar::thread::scope" => {
                return thread::scope(|scope| scope.spawn(call).join().expect("no panic"));
            }
            "contextvar::thread" => return thread::spawn(call).join().expect("no panic"),
            "bound std::thread" => {
                return std_thread::spawn(copy_context().bind(call)).join().expect("no panic");
            }
            "std::thread" => return std_thread::spawn(call).join().expect("no panic"),
            "task" => runtime.block_on(async { task::spawn(async move { call() }).await }),
            "spawn_blocking" => runtime.block_on(async { task::spawn_blocking(call).await }),
            "task without a context" => runtime.block_on(runtime.spawn(async move { call() })),
            "task on this thread" => {
                let runtime = Builder::new_current_thread().build()?;
                runtime.block_on(async { tokio::spawn(async move { call() }).await })
            }
            "task in an empty context" => {
                runtime.block_on(async { task::spawn_in_empty_context(async move { call() }).await })
            }
            _ => return Err(PyValueError::new_err(place.to_owned())),
        };
        joined.expect("no panic")
    })
}

/// Calls `function` from two tasks at the same time, each with its own tenant. Returns both results.
#[pyfunction]
#[with_copied_context(python)]
fn call_from_two_tasks(py: Python<'_>, function: Py<PyAny>) -> PyResult<[Py<PyAny>; 2]> {
    let call = |tenant: &'static str| {
        let function = function.clone_ref(py);
        async move {
            TENANT.set(tenant.to_owned());
            python::call(|py| function.call0(py))
        }
    };
    let calls = [call("one"), call("two")];
    py.detach(|| {
        get_runtime().block_on(async {
            let [one, two] = calls.map(task::spawn);
            Ok([one.await.expect("no panic")?, two.await.expect("no panic")?])
        })
    })
}

/// Sets the note, and calls `function`.
#[pyfunction]
#[pyo3(signature = (note, function, *args))]
#[with_copied_context(python)]
fn call<'py>(
    note: String,
    function: Bound<'py, PyAny>,
    args: Bound<'py, PyTuple>,
) -> PyResult<Bound<'py, PyAny>> {
    NOTE.set(note);
    python::call(|_| function.call1(args))
}

/// Calls `function` without entering a Rust context.
#[pyfunction]
fn call_unentered(function: Bound<'_, PyAny>) -> PyResult<Bound<'_, PyAny>> {
    python::call(|_| function.call0())
}

/// Returns the note, if it is set.
#[pyfunction]
#[with_copied_context(python)]
fn note() -> PyResult<Option<String>> {
    Ok(NOTE.try_get().ok())
}

/// Returns the tenant, if it is set.
#[pyfunction]
#[with_copied_context(python)]
fn tenant() -> PyResult<Option<String>> {
    Ok(TENANT.try_get().ok())
}

/// Sets variables and panics, without a message on stderr.
#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn panic() -> PyResult<()> {
    TENANT.set("panicked".to_owned());
    NOTE.set("panicked".to_owned());
    resume_unwind(Box::new("a panic"))
}
