//! The variables that are tied to Python variables, each with its conversion.

use std::any::{TypeId, type_name};

use pyo3::exceptions::{PyException, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString};

use super::attach::attach;
use super::raw::PyVar;
use crate::context::Context;
use crate::storage::AnyVariable;
use crate::var::{ContextValue, ContextVar};

/// A variable that is declared with `python = "module:NAME"`. The attribute submits it to `inventory`.
#[expect(missing_debug_implementations, reason = "only expansions name it")]
pub struct Declared {
    /// The module of the Python variable.
    pub module: &'static str,
    /// The variable's name in the module, or its dotted path there.
    pub name: &'static str,
    /// The path of the static, for messages.
    pub path: &'static str,
    /// The variable with its conversion.
    pub var: &'static dyn Field,
}

inventory::collect!(Declared);

/// A declared variable whose counterpart has been found.
pub(super) struct Tied {
    pub(super) python: PyVar,
    pub(super) rust: &'static Declared,
}

impl Tied {
    /// Returns the [`address`] of Rust's variable.
    pub(super) fn address(&self) -> *const () {
        self.rust.var.erase()
    }
}

/// Returns the declared variables, in the order of their [addresses](Tied::address). Finds their counterparts
/// on first use.
pub(super) fn tied(py: Python<'_>) -> PyResult<&'static [Tied]> {
    static TIED: PyOnceLock<Vec<Tied>> = PyOnceLock::new();

    if let Some(tied) = TIED.get(py) {
        return Ok(tied);
    }
    // A module can call Rust while it is imported, so the cell is not locked during imports.
    let found = attach(find_all)?;
    Ok(TIED.get_or_init(py, || found))
}

fn find_all(py: Python<'_>) -> PyResult<Vec<Tied>> {
    let find = |rust: &'static Declared| Ok(Tied { python: rust.find(py)?, rust });
    let mut tied = inventory::iter::<Declared>.into_iter().map(find).collect::<PyResult<Vec<_>>>()?;
    tied.sort_unstable_by_key(|tied| (tied.python.address(), tied.rust.path));
    match tied.windows(2).find(|pair| pair[0].python.address() == pair[1].python.address()) {
        None => {
            tied.sort_unstable_by_key(Tied::address);
            Ok(tied)
        }
        Some(pair) => Err(PyRuntimeError::new_err(format!(
            "two variables are tied to Python's `{}:{}`: `{}` and `{}`. Tie one of them to another Python variable",
            pair[0].rust.module, pair[0].rust.name, pair[0].rust.path, pair[1].rust.path
        ))),
    }
}

impl Declared {
    /// Finds the Python variable.
    fn find(&self, py: Python<'_>) -> PyResult<PyVar> {
        let Declared { module, name, path, .. } = self;
        let explain = |error: PyErr| {
            let message =
                format!("Rust's `{path}` is tied to Python's `{module}:{name}`: {}", text(py, &error));
            replace(py, error, message)
        };
        let mut object = py.import(*module).map_err(explain)?.into_any();
        for name in name.split('.') {
            object = object.getattr(name).map_err(explain)?;
        }
        PyVar::from_object(object).map_err(|object| {
            let is = object.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
            PyTypeError::new_err(format!(
                "Rust's `{path}` is tied to Python's `{module}:{name}`, which is not a ContextVar, but of type `{is}`"
            ))
        })
    }

    /// Returns Python's object for the variable's value in `context`, or `None` if the variable is not set there.
    pub(super) fn to_python<'py>(
        &self,
        py: Python<'py>,
        context: &Context,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.var.to_python(py, context).map_err(|error| {
            let rust = self.var.type_name();
            self.explain(
                py,
                error,
                &format!(
                    "the value of Rust's `{}`, of type `{rust}`, can't be converted to a Python object",
                    self.path
                ),
            )
        })
    }

    /// Sets the variable in `context` to the value of `object`, or unsets it.
    pub(super) fn set_from_python(
        &self,
        object: Option<&Bound<'_, PyAny>>,
        context: &mut Context,
    ) -> PyResult<()> {
        let Some(object) = object else {
            self.var.unset(context);
            return Ok(());
        };
        self.var.set_from_python(object, context).map_err(|error| {
            let Declared { module, name, path, .. } = self;
            let is = object.get_type().name().map_or_else(|_| "object".to_owned(), |name| name.to_string());
            let rust = self.var.type_name();
            let message = format!(
                "the value of Python's `{module}:{name}`, of type `{is}`, is not valid for Rust's `{path}`, of type \
                 `{rust}`"
            );
            self.explain(object.py(), error, &message)
        })
    }

    /// Returns an exception with `message` and `error` as its cause. The text of the cause can contain the value, so
    /// the cause is left out for a secret variable. Returns `error` itself if it is not an `Exception`, for example a
    /// `KeyboardInterrupt`.
    fn explain(&self, py: Python<'_>, error: PyErr, message: &str) -> PyErr {
        if !error.is_instance_of::<PyException>(py) {
            return error;
        }
        let is_type_error = error.is_instance_of::<PyTypeError>(py);
        let message = if self.var.is_secret() {
            message.to_owned()
        } else {
            format!("{message}: {}", text(py, &error))
        };
        let explained =
            if is_type_error { PyTypeError::new_err(message) } else { PyValueError::new_err(message) };
        if !self.var.is_secret() {
            explained.set_cause(py, Some(error));
        }
        explained
    }
}

/// Returns the text of an exception.
fn text(py: Python<'_>, error: &PyErr) -> String {
    error.value(py).to_string()
}

/// Returns an exception of the same type with another message, and `error` as its cause.
fn replace(py: Python<'_>, error: PyErr, message: String) -> PyErr {
    let replaced = match error.get_type(py).call1((message,)) {
        Ok(exception) => PyErr::from_value(exception),
        Err(_) => return error,
    };
    replaced.set_cause(py, Some(error));
    replaced
}

/// Converts a variable's values to Python objects and back.
///
/// ```standalone_crate
/// use std::time::Duration;
///
/// use contextvar::{context_var, python};
/// use pyo3::prelude::*;
///
/// /// A number of seconds in Python.
/// struct Seconds;
///
/// impl python::Codec<Duration> for Seconds {
///     fn to_python<'py>(value: &Duration, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
///         Ok(value.as_secs_f64().into_pyobject(py)?.into_any())
///     }
///
///     fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Duration> {
///         let seconds = object.extract()?;
///         Duration::try_from_secs_f64(seconds).map_err(|error| pyo3::exceptions::PyValueError::new_err(error.to_string()))
///     }
/// }
///
/// #[context_var(python = "app.context:TIMEOUT", python_codec = Seconds)]
/// static TIMEOUT: Duration;
/// ```
#[diagnostic::on_unimplemented(
    note = "see https://docs.rs/contextvar/latest/contextvar/guide/errors#codec-of-another-type"
)]
pub trait Codec<T> {
    /// Converts a value to an object.
    ///
    /// # Errors
    ///
    /// Returns an exception if the value cannot be converted. A call into Python then fails with a `TypeError` or
    /// `ValueError` that quotes the exception, except for a secret variable.
    fn to_python<'py>(value: &T, py: Python<'py>) -> PyResult<Bound<'py, PyAny>>;

    /// Converts an object to a value.
    ///
    /// # Errors
    ///
    /// Returns an exception if the object cannot be converted. The call from Python then fails with a `TypeError` or
    /// `ValueError` that quotes the exception, except for a secret variable.
    fn from_python(object: &Bound<'_, PyAny>) -> PyResult<T>;
}

/// A [`Converted`] variable of any type.
#[allow(missing_docs, clippy::wrong_self_convention)]
pub trait Field: Sync {
    fn erase(&self) -> *const ();

    fn type_name(&self) -> &'static str;

    fn is_secret(&self) -> bool;

    fn is_set(&self, context: &Context) -> bool;

    /// Returns false if the conversion of `object` runs no Python code for certain.
    fn can_run_python(&self, object: &Bound<'_, PyAny>) -> bool;

    fn to_python<'py>(&self, py: Python<'py>, context: &Context) -> PyResult<Option<Bound<'py, PyAny>>>;

    fn set_from_python(&self, object: &Bound<'_, PyAny>, context: &mut Context) -> PyResult<()>;

    fn unset(&self, context: &mut Context);
}

/// Returns the address of a variable, which identifies it.
pub(super) fn address(variable: &'static dyn AnyVariable) -> *const () {
    (&raw const *variable).cast()
}

/// The functions that convert a variable's values.
#[expect(missing_debug_implementations, reason = "only expansions name it")]
pub struct Conversion<T> {
    /// Converts a value to an object.
    pub to_python: for<'py> fn(&T, Python<'py>) -> PyResult<Bound<'py, PyAny>>,
    /// Converts an object to a value.
    pub from_python: fn(&Bound<'_, PyAny>) -> PyResult<T>,
    /// True if the functions are those of PyO3's traits.
    pub is_by_pyo3: bool,
}

/// A variable and its conversion.
#[expect(missing_debug_implementations, reason = "only expansions name it")]
pub struct Converted<T: 'static> {
    var: &'static ContextVar<T>,
    conversion: fn() -> Conversion<T>,
}

impl<T> Converted<T> {
    /// Returns a variable with its conversion: by its [`Codec`], or by PyO3's traits.
    pub const fn new(var: &'static ContextVar<T>, conversion: fn() -> Conversion<T>) -> Self {
        Converted { var, conversion }
    }
}

impl<T: ContextValue> Field for Converted<T> {
    fn erase(&self) -> *const () {
        address(self.var.variable())
    }

    fn type_name(&self) -> &'static str {
        type_name::<T>()
    }

    fn is_secret(&self) -> bool {
        self.var.variable().is_secret()
    }

    fn is_set(&self, context: &Context) -> bool {
        context.contains(self.var)
    }

    fn can_run_python(&self, object: &Bound<'_, PyAny>) -> bool {
        let is_plain = [
            TypeId::of::<String>(),
            TypeId::of::<bool>(),
            TypeId::of::<i32>(),
            TypeId::of::<i64>(),
            TypeId::of::<u32>(),
            TypeId::of::<u64>(),
            TypeId::of::<usize>(),
            TypeId::of::<f64>(),
        ]
        .contains(&TypeId::of::<T>());
        // An object of another type can have an `__index__` or a `__float__`.
        let is_exact = || {
            object.is_exact_instance_of::<PyString>()
                || object.is_exact_instance_of::<PyInt>()
                || object.is_exact_instance_of::<PyFloat>()
                || object.is_exact_instance_of::<PyBool>()
        };
        !(is_plain && (self.conversion)().is_by_pyo3 && is_exact())
    }

    fn to_python<'py>(&self, py: Python<'py>, context: &Context) -> PyResult<Option<Bound<'py, PyAny>>> {
        context.get(self.var).map(|value| ((self.conversion)().to_python)(value, py)).transpose()
    }

    fn set_from_python(&self, object: &Bound<'_, PyAny>, context: &mut Context) -> PyResult<()> {
        let value = ((self.conversion)().from_python)(object)?;
        context.set(self.var, value);
        Ok(())
    }

    fn unset(&self, context: &mut Context) {
        context.unset(self.var);
    }
}
