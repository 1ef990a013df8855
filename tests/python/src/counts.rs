//! Crossings whose references the tests count.

use std::thread as std_thread;

use contextvar::{copy_context, python, thread, with_copied_context};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::variables::{NOTE, TENANT};

#[pymodule(submodule)]
pub(crate) mod counts {
    #[pymodule_export]
    use super::{attach, call, call_applying, call_on_threads, fail, fail_applying, run, run_applying};
}

/// Attaches a thread to Python: PyO3 then releases the references that threads without Python have dropped.
#[pyfunction]
fn attach() {
    Python::attach(|_| ());
}

fn set_values() {
    TENANT.set("rust".to_owned());
    NOTE.set("rust".to_owned());
}

#[pyfunction]
#[with_copied_context(python)]
fn run() -> PyResult<()> {
    set_values();
    Ok(())
}

#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn run_applying() -> PyResult<()> {
    set_values();
    Ok(())
}

#[pyfunction]
#[with_copied_context(python)]
fn fail() -> PyResult<()> {
    set_values();
    Err(PyValueError::new_err("failed"))
}

#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn fail_applying() -> PyResult<()> {
    set_values();
    Err(PyValueError::new_err("failed"))
}

#[pyfunction]
#[with_copied_context(python)]
fn call(function: &Bound<'_, PyAny>) -> PyResult<()> {
    set_values();
    python::call(|_| function.call0())?;
    Ok(())
}

#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn call_applying(function: &Bound<'_, PyAny>) -> PyResult<()> {
    set_values();
    python::call_applying_changes(|_| function.call0())?;
    Ok(())
}

/// Calls `function` on two threads, which drop their contexts without being attached.
#[pyfunction]
#[with_copied_context(python)]
fn call_on_threads(py: Python<'_>, function: Py<PyAny>) -> PyResult<()> {
    set_values();
    let calls = [function.clone_ref(py), function]
        .map(|function| move || python::call_applying_changes(|py| function.call0(py)).map(drop));
    py.detach(|| {
        let [one, other] = calls;
        let threads = [thread::spawn(one), std_thread::spawn(copy_context().bind(other))];
        threads.map(|thread| thread.join().expect("no panic")).into_iter().collect()
    })
}
