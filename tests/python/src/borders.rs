//! What a call must leave alone: the thread's context, the caller's context, and the GIL.

use contextvar::{context_var, python, with_copied_context};
use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::get_runtime;
use std::sync::mpsc::channel;

use crate::variables::{NOTE, USER};

#[pymodule(submodule)]
pub(crate) mod borders {
    #[pymodule_export]
    use super::{
        apply_without_context, call_from_thread, call_without_context, enter, keep, set_meddler,
        user_without_context, work_while_the_gil_is_held,
    };
}

/// A conversion that sets a Python variable.
struct Meddler;

#[context_var(python = "variables:MEDDLER", python_codec = Meddler)]
static MEDDLER: String;

impl python::Codec<String> for Meddler {
    fn to_python<'py>(value: &String, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        py.import("variables")?.getattr("TEXT")?.call_method1("set", ("going out",))?;
        Ok(value.into_pyobject(py)?.into_any())
    }

    fn from_python(object: &Bound<'_, PyAny>) -> PyResult<String> {
        object.py().import("variables")?.getattr("TEXT")?.call_method1("set", ("coming in",))?;
        object.extract()
    }
}

/// Enters Rust and does nothing else.
#[pyfunction]
#[with_copied_context(python)]
fn enter() -> PyResult<()> {
    Ok(())
}

#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn set_meddler(value: String) -> PyResult<()> {
    MEDDLER.set(value);
    Ok(())
}

/// Keeps an untied value in Python's context.
#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn keep(note: String) -> PyResult<()> {
    NOTE.set(note);
    Ok(())
}

/// Returns the values in the thread's own context.
#[pyfunction]
fn user_without_context() -> Option<String> {
    USER.try_get().ok()
}

/// Sets the variable in the thread's own context, calls, and unsets it.
#[pyfunction]
fn call_without_context<'py>(function: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let _reset = USER.set("thread".to_owned()).reset_on_drop();
    python::call(|_| function.call0())
}

#[pyfunction]
fn apply_without_context<'py>(function: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    python::call_applying_changes(|_| function.call0())
}

/// Calls from a Rust thread that has its own value, and has entered no context.
#[pyfunction]
fn call_from_thread(py: Python<'_>, function: Py<PyAny>) -> PyResult<Py<PyAny>> {
    let call = move || {
        USER.set("thread".to_owned());
        python::call(|py| function.call0(py))
    };
    py.detach(|| std::thread::spawn(call).join().expect("no panic"))
}

/// Holds the GIL while it waits for a task that uses everything that needs no Python value.
#[pyfunction]
#[with_copied_context(python)]
fn work_while_the_gil_is_held() -> PyResult<Option<String>> {
    #[with_copied_context(python, apply_changes)]
    fn read_and_write() -> PyResult<Option<String>> {
        let user = USER.try_get().ok();
        USER.set("changed".to_owned());
        Ok(user)
    }

    let (sender, receiver) = channel();
    let task = async move {
        let before = read_and_write()?;
        let nested = contextvar::task::spawn(async { USER.try_get().ok() });
        assert_eq!(nested.await.expect("no panic"), Some("changed".to_owned()));
        sender.send(before).expect("the function waits");
        PyResult::Ok(())
    };
    let scope = contextvar::copy_context().scope(task);
    drop(get_runtime().spawn(scope));
    Ok(receiver.recv().expect("the task answers"))
}
