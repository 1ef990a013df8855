//! Support for the argument `python` of the attributes. Not public API: it can change at any time.
//!
//! Not in `__private`, because rustc shows the paths of functions whose bounds are not satisfied.

use std::marker::PhantomData;

use pyo3::prelude::*;
use pyo3::{IntoPyObjectExt, PyErr};

use super::attach::attach;
pub use super::tied::{Conversion, Converted, Declared, Field};
use super::{border, raw};
use crate::context::{Context, copy_context};
use crate::hand_over::{Kind, Place};
use crate::scoped::Scoped;

mod bounds {
    use super::PyErr;

    /// Implemented for the types that a function in Python's context can return.
    #[diagnostic::on_unimplemented(
        message = "a function with the argument `python` must return a `Result` whose error implements `From<PyErr>`",
        label = "not such a `Result`",
        note = "the function returns an exception if a Python value is not valid for its variable: return a `PyResult`",
        note = "see https://docs.rs/contextvar/latest/contextvar/guide/errors#python-without-a-result"
    )]
    pub trait Fallible {
        fn from_exception(exception: PyErr) -> Self;
    }

    #[diagnostic::do_not_recommend]
    impl<T, E: From<PyErr>> Fallible for Result<T, E> {
        fn from_exception(exception: PyErr) -> Self {
            Err(exception.into())
        }
    }

    /// Implemented for no type: the bound of a method that is chosen for types that cannot be converted.
    #[diagnostic::on_unimplemented(
        message = "PyO3 can't convert a `{Self}` to a Python object and back",
        label = "lacks `FromPyObject`, or `IntoPyObject` for `&{Self}` or for a `{Self}` that is `Clone`",
        note = "derive `Clone`, `FromPyObject` and `IntoPyObject`, or write `python_codec = Type`, where `Type` implements \
                `contextvar::python::Codec<{Self}>`",
        note = "see https://docs.rs/contextvar/latest/contextvar/guide/errors#no-python-conversion"
    )]
    pub trait PythonValue {}
}

use bounds::{Fallible, PythonValue};

/// Returns the `Result` with the exception.
pub fn from_exception<R: Fallible>(exception: PyErr) -> R {
    R::from_exception(exception)
}

/// Returns a copy of Python's current context. Does not need the GIL on a thread that Python does not know.
fn import() -> PyResult<Context> {
    match raw::is_thread_of_python() {
        // Most likely, Python has called the function.
        true if raw::is_attached() => Python::attach(border::import),
        true => attach(border::import),
        false => Ok(copy_context()),
    }
}

fn apply_changes(context: &Context, base: &Context) -> PyResult<()> {
    if raw::is_thread_of_python() {
        attach(|py| border::apply_changes(py, context, base))
    } else {
        border::apply_changes_in_rust(context, base)
    }
}

/// Runs the body of a function in a copy of Python's current context.
pub fn run<R>(applies_changes: bool, from_exception: fn(PyErr) -> R, body: impl FnOnce() -> R) -> R {
    let base = applies_changes.then(copy_context);
    let mut context = match import() {
        Ok(context) => context,
        Err(exception) => return from_exception(exception),
    };
    let result = context.run(body);
    if let Some(base) = base {
        if let Err(exception) = apply_changes(&context, &base) {
            return from_exception(exception);
        }
    }
    result
}

/// Runs the body of an async function in a copy of Python's current context, taken at the first poll.
#[cfg_attr(feature = "inspect", track_caller)]
pub fn scope<R>(
    applies_changes: bool,
    from_exception: fn(PyErr) -> R,
    body: impl Future<Output = R>,
) -> impl Future<Output = R> {
    let place = Place::here();
    async move {
        let base = applies_changes.then(copy_context);
        let context = match import() {
            Ok(context) => context.hand_over(Kind::Scope, place),
            Err(exception) => return from_exception(exception),
        };
        let scope = Scoped::new(context, body);
        let Some(base) = base else {
            return scope.await;
        };
        let (result, context) = scope.and_context().await;
        match apply_changes(&context, &base) {
            Ok(()) => result,
            Err(exception) => from_exception(exception),
        }
    }
}

/// Finds the conversion by PyO3's traits. `(&&&conversion_of).find()` calls the method of the first of these traits
/// that applies: [`ByReference`], [`ByClone`], [`NoConversion`].
#[derive(Debug)]
pub struct ConversionOf<T>(PhantomData<fn() -> T>);

impl<T> ConversionOf<T> {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

pub trait ByReference<T> {
    fn find(&self) -> Conversion<T>;
}

impl<T> ByReference<T> for &&ConversionOf<T>
where
    for<'a, 'py> &'a T: IntoPyObject<'py>,
    for<'a, 'py> T: FromPyObject<'a, 'py>,
{
    fn find(&self) -> Conversion<T> {
        Conversion {
            to_python: |value, py| value.into_bound_py_any(py),
            from_python: extract,
            is_by_pyo3: true,
        }
    }
}

pub trait ByClone<T> {
    fn find(&self) -> Conversion<T>;
}

impl<T: Clone> ByClone<T> for &ConversionOf<T>
where
    for<'py> T: IntoPyObject<'py>,
    for<'a, 'py> T: FromPyObject<'a, 'py>,
{
    fn find(&self) -> Conversion<T> {
        Conversion {
            to_python: |value, py| value.clone().into_bound_py_any(py),
            from_python: extract,
            is_by_pyo3: true,
        }
    }
}

fn extract<T>(object: &Bound<'_, PyAny>) -> PyResult<T>
where
    for<'a, 'py> T: FromPyObject<'a, 'py>,
{
    object.extract().map_err(Into::into)
}

pub trait NoConversion<T> {
    fn find(&self) -> Conversion<T>
    where
        T: PythonValue;
}

impl<T> NoConversion<T> for ConversionOf<T> {
    fn find(&self) -> Conversion<T>
    where
        T: PythonValue,
    {
        unreachable!("no type implements `PythonValue`")
    }
}
