//! Python generators that call Rust, and that Rust drives.

use contextvar::{python, with_copied_context};
use pyo3::prelude::*;

use crate::variables::USER;

#[pymodule(submodule)]
pub(crate) mod generators {
    #[pymodule_export]
    use super::{drive, user};
}

#[pyfunction]
#[with_copied_context(python)]
fn user() -> PyResult<Option<String>> {
    Ok(USER.try_get().ok())
}

/// Calls `next` on each generator in turn, each time with another user. Returns what they yield.
#[pyfunction]
#[with_copied_context(python)]
fn drive<'py>(
    generators: Vec<Bound<'py, PyAny>>,
    users: Vec<String>,
) -> PyResult<Vec<Vec<Bound<'py, PyAny>>>> {
    let next = |user: &String| {
        USER.set(user.clone());
        python::call(|_| generators.iter().map(|generator| generator.call_method0("__next__")).collect())
    };
    users.iter().map(next).collect()
}
