//! The forms of functions that Python calls.

use contextvar::{LookupError, context_var, python, with_copied_context};
use pyo3::exceptions::PyLookupError;
use pyo3::prelude::*;

use crate::variables::{TENANT, USER};

#[pymodule(submodule)]
pub(crate) mod forms {
    #[pymodule_export]
    use super::{
        Greeter, above, below, below_signature, borrow, fail_in_own_way, first_of, run, with_entries,
        with_signature,
    };
}

#[with_copied_context(python)]
#[pyfunction]
fn above() -> PyResult<String> {
    Ok(USER.get())
}

#[pyfunction]
#[with_copied_context(python)]
fn below() -> PyResult<String> {
    Ok(USER.get())
}

#[with_copied_context(python)]
#[pyfunction]
#[pyo3(signature = (greeting = "hello", *, mark = None))]
fn with_signature(greeting: &str, mark: Option<char>) -> PyResult<String> {
    Ok(format!("{greeting}, {}{}", USER.get(), mark.unwrap_or('.')))
}

#[pyfunction]
#[pyo3(signature = (*names))]
#[with_copied_context(python)]
fn below_signature(names: Vec<String>) -> PyResult<String> {
    Ok(names.join(&USER.get()))
}

#[context_var]
static LENGTH: usize;

/// The entries see the arguments, Python's values and the entries before them.
#[pyfunction]
#[with_copied_context(python, TENANT = format!("{prefix}{}", USER.get()), LENGTH = TENANT.get().len())]
fn with_entries(prefix: &str) -> PyResult<(String, usize)> {
    Ok((TENANT.get(), LENGTH.get()))
}

#[pyfunction]
fn run(py: Python<'_>, user: Option<String>) -> PyResult<String> {
    python::run(py, || {
        user.map(|user| USER.set(user));
        Ok(USER.get())
    })
}

#[pyfunction]
#[with_copied_context(python)]
fn borrow<'py>(key: &Bound<'py, PyAny>, dict: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    dict.set_item(key, USER.get())?;
    dict.get_item(key)
}

#[pyfunction]
#[with_copied_context(python)]
fn first_of<'a, 'py>(
    one: &'a Bound<'py, PyAny>,
    _other: &Bound<'py, PyAny>,
) -> PyResult<&'a Bound<'py, PyAny>> {
    Ok(one)
}

enum OwnError {
    Python(PyErr),
    NoUser(LookupError),
}

impl From<PyErr> for OwnError {
    fn from(error: PyErr) -> Self {
        OwnError::Python(error)
    }
}

impl From<OwnError> for PyErr {
    fn from(error: OwnError) -> Self {
        match error {
            OwnError::Python(error) => error,
            OwnError::NoUser(error) => PyLookupError::new_err(error.to_string()),
        }
    }
}

#[pyfunction]
#[with_copied_context(python)]
fn fail_in_own_way() -> Result<String, OwnError> {
    USER.try_get().map_err(OwnError::NoUser)
}

#[pyclass]
struct Greeter {
    made_by: String,
    left: usize,
}

#[pymethods]
impl Greeter {
    #[new]
    #[with_copied_context(python)]
    fn new() -> PyResult<Self> {
        Ok(Greeter { made_by: USER.get(), left: 2 })
    }

    #[with_copied_context(python)]
    fn greet(&self) -> PyResult<String> {
        Ok(format!("{} greets {}", self.made_by, USER.get()))
    }

    #[staticmethod]
    #[with_copied_context(python)]
    fn user() -> PyResult<String> {
        Ok(USER.get())
    }

    #[getter]
    #[with_copied_context(python)]
    fn reader(&self) -> PyResult<String> {
        Ok(USER.get())
    }

    #[with_copied_context(python)]
    fn __call__(&mut self, left: usize) -> PyResult<String> {
        self.left = left;
        Ok(USER.get())
    }

    fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    #[with_copied_context(python)]
    fn __next__(&mut self) -> PyResult<Option<String>> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        Ok(Some(USER.get()))
    }
}
