//! Support for the argument `python` of the attributes.

use pyo3::PyErr;

use crate::context::copy_context;
use crate::python::attach::attach;
use crate::python::border;
pub use crate::python::tied::{
    ByClone, ByReference, Convert, Converted, Declared, Extract, Field, NoConversion,
};

/// Implemented for what a function can return that runs in Python's context.
#[diagnostic::on_unimplemented(
    message = "the context of Python can be unreadable: return a `Result`",
    label = "not a `Result` whose error implements `From<PyErr>`",
    note = "a function with the argument `python` returns the exception if a value of Python is not one for its variable"
)]
pub trait Fallible {
    fn from_exception(exception: PyErr) -> Self;
}

impl<T, E: From<PyErr>> Fallible for Result<T, E> {
    fn from_exception(exception: PyErr) -> Self {
        Err(exception.into())
    }
}

/// Runs the body of a function in a copy of Python's current context.
pub fn run<R: Fallible>(applies_changes: bool, body: impl FnOnce() -> R) -> R {
    let base = copy_context();
    let mut context = match attach(border::import) {
        Ok(context) => context,
        Err(exception) => return R::from_exception(exception),
    };
    let result = context.run(body);
    if applies_changes {
        if let Err(exception) = attach(|py| border::apply_changes(py, &context, &base)) {
            return R::from_exception(exception);
        }
    }
    result
}

/// Runs the body of an async function in a copy of the context that is Python's current one at the first poll.
pub async fn scope<R: Fallible>(applies_changes: bool, body: impl Future<Output = R>) -> R {
    let base = copy_context();
    let context = match attach(border::import) {
        Ok(context) => context,
        Err(exception) => return R::from_exception(exception),
    };
    if !applies_changes {
        return context.scope(body).await;
    }
    let (result, context) = context.scope(body).and_context().await;
    match attach(|py| border::apply_changes(py, &context, &base)) {
        Ok(()) => result,
        Err(exception) => R::from_exception(exception),
    }
}
