//! Calls from Python.

use std::hint::black_box;

use contextvar::with_copied_context;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

include!(concat!(env!("OUT_DIR"), "/variables.rs"));

/// Returns a value that is not the one in Python.
pub(crate) fn new_value() -> Value {
    "7".parse().expect("the types can be parsed")
}

/// Returns the first tied variable.
pub(crate) fn first() -> &'static contextvar::ContextVar<Value> {
    VARS.first().expect("a variable is tied")
}

/// Returns the value of a variable as one does without the library.
#[allow(dead_code, reason = "where no variable is tied")]
fn get(py: Python<'_>, index: usize) -> PyResult<Value> {
    static PYTHON: PyOnceLock<Vec<Py<PyAny>>> = PyOnceLock::new();

    let find = || {
        let module = py.import("variables")?;
        (0..TIED).map(|n| Ok(module.getattr(format!("V{n}"))?.unbind())).collect::<PyResult<_>>()
    };
    let variable = PYTHON.get_or_try_init(py, find)?[index].bind(py);
    variable.call_method0(intern!(py, "get"))?.extract()
}

#[pyfunction]
pub(crate) fn nothing() -> PyResult<()> {
    Ok(())
}

#[pyfunction]
#[with_copied_context(python)]
pub(crate) fn enter() -> PyResult<()> {
    Ok(())
}

#[pyfunction]
#[with_copied_context(python)]
pub(crate) fn enter_and_read() -> PyResult<()> {
    first().with(|value| _ = black_box(value));
    Ok(())
}

#[pyfunction]
#[with_copied_context(python, apply_changes)]
pub(crate) fn apply() -> PyResult<()> {
    Ok(())
}

#[pyfunction]
#[with_copied_context(python, apply_changes)]
pub(crate) fn apply_one() -> PyResult<()> {
    first().set(new_value());
    Ok(())
}

/// Returns a value for Python to set.
#[pyfunction]
pub(crate) fn returns_one() -> Value {
    new_value()
}
