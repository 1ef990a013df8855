//! Calls of a Python function that does nothing. Each function here calls it `n` times.

use contextvar::{python, with_copied_context};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyContext;

use crate::entering::{Value, first, new_value};

fn call_n_times(function: &Py<PyAny>, n: usize) -> PyResult<()> {
    (0..n).try_for_each(|_| python::call(|py| function.call0(py).map(drop)))
}

#[pyfunction]
#[with_copied_context(python)]
pub(crate) fn call(function: Py<PyAny>, n: usize) -> PyResult<()> {
    call_n_times(&function, n)
}

/// Sets the first variable once, so that each call has a change to pass.
#[pyfunction]
#[with_copied_context(python)]
pub(crate) fn sets_then_calls(function: Py<PyAny>, n: usize) -> PyResult<()> {
    first().set(new_value());
    call_n_times(&function, n)
}

#[pyfunction]
pub(crate) fn call0(function: &Bound<'_, PyAny>, n: usize) -> PyResult<()> {
    (0..n).try_for_each(|_| function.call0().map(drop))
}

fn copy_context(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    static COPY_CONTEXT: PyOnceLock<Py<PyAny>> = PyOnceLock::new();

    COPY_CONTEXT.import(py, "contextvars", "copy_context")?.call0()
}

#[pyfunction]
pub(crate) fn run_in_copy(function: &Bound<'_, PyAny>, n: usize) -> PyResult<()> {
    let py = function.py();
    (0..n).try_for_each(|_| copy_context(py)?.call_method1(intern!(py, "run"), (function,)).map(drop))
}

#[pyfunction]
pub(crate) fn set_and_run_in_copy(
    function: &Bound<'_, PyAny>,
    n: usize,
    var: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = function.py();
    let value: Value = new_value();
    (0..n).try_for_each(|_| {
        let context = copy_context(py)?;
        let set = var.getattr(intern!(py, "set"))?;
        context.call_method1(intern!(py, "run"), (set, &value))?;
        context.call_method1(intern!(py, "run"), (function,)).map(drop)
    })
}

fn on_thread(py: Python<'_>, f: impl FnOnce() -> PyResult<()> + Send + 'static) -> PyResult<()> {
    py.detach(|| contextvar::thread::spawn(f).join().expect("no panic"))
}

#[pyfunction]
#[with_copied_context(python)]
pub(crate) fn call_on_thread(py: Python<'_>, function: Py<PyAny>, n: usize) -> PyResult<()> {
    on_thread(py, move || call_n_times(&function, n))
}

#[pyfunction]
pub(crate) fn attach_and_call0(py: Python<'_>, function: Py<PyAny>, n: usize) -> PyResult<()> {
    on_thread(py, move || (0..n).try_for_each(|_| Python::attach(|py| function.call0(py).map(drop))))
}

#[pyfunction]
pub(crate) fn attach_and_run_in_copy(py: Python<'_>, function: Py<PyAny>, n: usize) -> PyResult<()> {
    let context = copy_context(py)?.cast_into::<PyContext>()?.unbind();
    let call = move |py: Python<'_>| {
        let copy = context.bind(py).call_method0(intern!(py, "copy"))?;
        copy.call_method1(intern!(py, "run"), (&function,)).map(drop)
    };
    on_thread(py, move || (0..n).try_for_each(|_| Python::attach(&call)))
}
