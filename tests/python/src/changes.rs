//! Changes that the caller sees.

use contextvar::{context_var, copy_context, python, task, with_copied_context};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::get_runtime;

use crate::variables::{LOCALE, NOTE, SESSION, TENANT, USER};

#[pymodule(submodule)]
pub(crate) mod changes {
    #[pymodule_export]
    use super::{
        Account, call, call_applying, call_directly, call_directly_and_set, call_in_blocking_call,
        call_in_scope, call_one_after_the_other, fail_applying, run_applying, second_note, set, set_applying,
        set_in_rust, unset, unset_all, values,
    };
}

/// Returns the user, the tenant, the locale and the note in Rust.
#[pyfunction]
#[with_copied_context(python)]
fn values() -> PyResult<[Option<String>; 4]> {
    Ok([&USER, &TENANT, &LOCALE, &NOTE].map(|var| var.is_set().then(|| var.get())))
}

fn set_all(user: Option<String>, tenant: Option<String>, note: Option<String>) {
    user.map(|user| USER.set(user));
    tenant.map(|tenant| TENANT.set(tenant));
    note.map(|note| NOTE.set(note));
}

#[pyfunction]
#[pyo3(signature = (*, user = None, tenant = None, note = None))]
#[with_copied_context(python)]
fn set(user: Option<String>, tenant: Option<String>, note: Option<String>) -> PyResult<()> {
    set_all(user, tenant, note);
    Ok(())
}

#[pyfunction]
#[pyo3(signature = (*, user = None, tenant = None, note = None))]
#[with_copied_context(python, apply_changes)]
fn set_applying(user: Option<String>, tenant: Option<String>, note: Option<String>) -> PyResult<()> {
    set_all(user, tenant, note);
    Ok(())
}

#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn fail_applying() -> PyResult<()> {
    set_all(Some("grace".to_owned()), Some("failed".to_owned()), Some("failed".to_owned()));
    Err(PyValueError::new_err("failed"))
}

#[pyfunction]
fn run_applying(py: Python<'_>, user: String) -> PyResult<String> {
    python::run_applying_changes(py, || Ok(USER.set(user)).map(|_| USER.get()))
}

#[pyclass]
#[derive(Default)]
struct Account {
    logins: usize,
}

#[pymethods]
impl Account {
    #[new]
    fn new() -> Self {
        Account::default()
    }

    #[with_copied_context(python, apply_changes)]
    fn login(&mut self, user: String) -> PyResult<usize> {
        USER.set(user);
        self.logins += 1;
        Ok(self.logins)
    }
}

/// Calls `function`, and returns what Rust sees of its changes, and its result.
#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn call<'py>(function: &Bound<'py, PyAny>) -> PyResult<([Option<String>; 3], Bound<'py, PyAny>)> {
    let result = python::call(|_| function.call0())?;
    Ok(([&USER, &TENANT, &NOTE].map(|var| var.try_get().ok()), result))
}

/// Sets variables, calls `function`, and applies changes all the way. Returns what Rust sees of the changes, and the
/// result.
#[pyfunction]
#[pyo3(signature = (function, *, user = None, tenant = None, note = None))]
#[with_copied_context(python, apply_changes)]
fn call_applying<'py>(
    function: &Bound<'py, PyAny>,
    user: Option<String>,
    tenant: Option<String>,
    note: Option<String>,
) -> PyResult<([Option<String>; 3], Bound<'py, PyAny>)> {
    set_all(user, tenant, note);
    let result = python::call_applying_changes(|_| function.call0())?;
    Ok(([&USER, &TENANT, &NOTE].map(|var| var.try_get().ok()), result))
}

/// Sets the user, and calls `function` without this crate, in the caller's Python context.
#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn call_directly<'py>(function: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    USER.set("grace".to_owned());
    function.call0()
}

#[context_var]
static SECOND_NOTE: String;

/// Sets a second note, and calls `function` without this crate, in the caller's Python context.
#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn call_directly_and_set(second: String, function: &Bound<'_, PyAny>) -> PyResult<()> {
    SECOND_NOTE.set(second);
    function.call0()?;
    Ok(())
}

#[pyfunction]
#[with_copied_context(python)]
fn second_note() -> PyResult<Option<String>> {
    Ok(SECOND_NOTE.try_get().ok())
}

/// Sets the tenant and the note in Rust's current context.
#[pyfunction]
fn set_in_rust(tenant: String, note: String) {
    set_all(None, Some(tenant), Some(note));
}

/// Calls the first function, and then the second one, which sees the changes of the first one.
#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn call_one_after_the_other<'py>(
    first: &Bound<'py, PyAny>,
    second: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyAny>> {
    python::call_applying_changes(|_| first.call0())?;
    python::call(|_| second.call0())
}

/// Sets the user while `function` runs, which sets it as well.
#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn call_in_scope(function: &Bound<'_, PyAny>) -> PyResult<()> {
    let token = USER.set("grace".to_owned());
    python::call_applying_changes(|_| function.call0())?;
    USER.reset(token);
    Ok(())
}

/// Calls `function` from a blocking call, and applies its changes all the way.
#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn call_in_blocking_call(py: Python<'_>, function: Py<PyAny>) -> PyResult<Py<PyAny>> {
    let base = copy_context();
    let call = move || python::call_applying_changes(|py| function.call0(py));
    py.detach(|| {
        let task = async { task::spawn_blocking_returning_context(call).await };
        let (result, context) = get_runtime().block_on(task).expect("no panic");
        context.apply_changes_to_current(&base);
        result
    })
}

/// Calls `function` in a context in which the user and the note are unset.
#[pyfunction]
fn unset<'py>(py: Python<'py>, function: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let mut context = python::copy_context(py)?;
    context.unset(&USER);
    context.unset(&NOTE);
    context.run(|| python::call(|_| function.call0()))
}

/// Unsets the user and the note, sets the tenant, and applies the changes.
#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn unset_all() -> PyResult<()> {
    let base = copy_context();
    let mut context = base.clone();
    context.unset(&USER);
    context.unset(&NOTE);
    context.set(&TENANT, "applied".to_owned());
    SESSION.set("applied".to_owned());
    context.apply_changes_to_current(&base);
    Ok(())
}
