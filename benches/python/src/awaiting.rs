//! Futures that are ready, awaited in Python, and coroutines that do nothing, awaited in Rust.

use contextvar::python;
use pyo3::prelude::*;
use pyo3_async_runtimes::tokio;

#[pyfunction]
pub(crate) fn coroutine(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    python::coroutine(py, async { Ok(()) })
}

#[pyfunction]
pub(crate) fn future_into_py(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    tokio::future_into_py(py, async { Ok(()) })
}

/// Awaits `function()`, `n` times.
#[pyfunction]
pub(crate) fn call_async(py: Python<'_>, function: Py<PyAny>, n: usize) -> PyResult<Bound<'_, PyAny>> {
    python::coroutine(py, async move {
        for _ in 0..n {
            python::call_async(|py| function.bind(py).call0()).await?;
        }
        Ok(())
    })
}

#[pyfunction]
pub(crate) fn into_future(py: Python<'_>, function: Py<PyAny>, n: usize) -> PyResult<Bound<'_, PyAny>> {
    tokio::future_into_py(py, async move {
        for _ in 0..n {
            Python::attach(|py| tokio::into_future(function.bind(py).call0()?))?.await?;
        }
        Ok(())
    })
}
