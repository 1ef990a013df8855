//! Work that goes on when the interpreter shuts down.

use std::future::pending;
use std::io::Write;

use contextvar::{python, with_copied_context};
use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::get_runtime;

use crate::signals::{REQUEST, request};

/// Calls the function until a call fails.
fn call_until_error(function: &Py<PyAny>) {
    while python::call(|py| function.call0(py)).is_ok() {}
}

#[pymodule(submodule)]
pub(crate) mod shutdown {
    use super::*;

    /// Spawns a task that holds an object and never ends.
    #[pyfunction]
    fn sleep_forever(py: Python<'_>, object: Py<PyAny>) -> PyResult<()> {
        let context = python::copy_context(py)?;
        get_runtime().spawn(context.scope(async move {
            pending::<()>().await;
            drop(object);
        }));
        Ok(())
    }

    /// Spawns a task that calls the function again and again.
    #[pyfunction]
    fn call_forever(py: Python<'_>, function: Py<PyAny>) -> PyResult<()> {
        let context = python::copy_context(py)?;
        get_runtime().spawn(context.scope(async move {
            call_until_error(&function);
            pending::<()>().await;
        }));
        Ok(())
    }

    /// Calls the function once, on a new thread.
    #[pyfunction]
    fn call_on_thread(py: Python<'_>, function: Py<PyAny>) -> PyResult<()> {
        let mut context = python::copy_context(py)?;
        std::thread::spawn(move || context.run(|| python::call(|py| function.call0(py)).map(drop)));
        Ok(())
    }

    /// Calls the function until a call fails, and then writes to the file without Python.
    #[pyfunction]
    fn write_at_error(py: Python<'_>, function: Py<PyAny>, path: String) -> PyResult<()> {
        let context = python::copy_context(py)?;
        get_runtime().spawn(context.scope(async move {
            call_until_error(&function);
            let mut file = std::fs::OpenOptions::new().write(true).open(path).expect("the file exists");
            file.write_all(b"error").expect("the file can be written");
        }));
        Ok(())
    }

    /// Calls a Python function and awaits what it returns, in a task that nobody awaits.
    #[pyfunction]
    fn await_in_task(py: Python<'_>, function: Py<PyAny>) -> PyResult<()> {
        let context = python::copy_context(py)?;
        get_runtime().spawn(context.scope(async move {
            let _ = python::call_async(|py| function.bind(py).call0()).await;
        }));
        Ok(())
    }

    #[pyfunction]
    #[with_copied_context(python)]
    fn get() -> PyResult<Option<String>> {
        Ok(request())
    }

    /// Calls the function on the caller's thread, after it has released the GIL.
    #[pyfunction]
    #[with_copied_context(python)]
    fn call_detached(py: Python<'_>, function: Py<PyAny>) -> PyResult<Py<PyAny>> {
        REQUEST.set("of Rust".to_owned());
        let mut context = contextvar::copy_context();
        py.detach(|| context.run(|| python::call(|py| function.call0(py))))
    }
}
