//! One tied variable of each type.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

use contextvar::{ContextVar, context_var, python, with_copied_context};
use pyo3::exceptions::{PyKeyError, PyLookupError, PyRuntimeError};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::variables::{LOCALE, USER};

#[pymodule(submodule)]
pub(crate) mod values {
    #[pymodule_export]
    use super::{
        Point, describe, is_set_later, locale, object, object_again, send, send_object, send_without_context,
    };
}

#[context_var(python = "variables:TEXT")]
static TEXT: String;

#[context_var(python = "variables:BYTE")]
static BYTE: u8;

#[context_var(python = "variables:BIG")]
static BIG: i64;

#[context_var(python = "variables:FLAG")]
static FLAG: bool;

#[context_var(python = "variables:RATIO")]
static RATIO: f64;

#[context_var(python = "variables:MAYBE")]
static MAYBE: Option<String>;

#[context_var(python = "variables:LIST")]
static LIST: Vec<u32>;

#[context_var(python = "variables:MAP")]
static MAP: HashMap<String, i64>;

#[derive(Clone, Debug, FromPyObject, IntoPyObject)]
#[pyo3(from_item_all)]
struct Record {
    name: String,
    size: Option<u32>,
}

#[context_var(python = "variables:RECORD")]
static RECORD: Record;

#[context_var(python = "variables:OBJECT")]
static OBJECT: Py<PyAny>;

/// A codec for strings of the form `low..high`.
struct Dots;

#[derive(Debug)]
struct Limits {
    low: i32,
    high: i32,
}

impl python::Codec<Arc<Limits>> for Dots {
    fn to_python<'py>(value: &Arc<Limits>, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(PyString::new(py, &format!("{}..{}", value.low, value.high)).into_any())
    }

    fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Arc<Limits>> {
        let [low, high]: [String; 2] = object.call_method1("split", ("..",))?.extract()?;
        Ok(Arc::new(Limits { low: low.parse()?, high: high.parse()? }))
    }
}

#[context_var(python = "variables:SHARED", python_codec = Dots)]
static SHARED: Arc<Limits>;

#[pyclass(from_py_object, get_all, eq)]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Point {
    x: i32,
    y: i32,
}

#[pymethods]
impl Point {
    #[new]
    fn new(x: i32, y: i32) -> Self {
        Point { x, y }
    }
}

#[context_var(python = "variables:POINT")]
static POINT: Point;

/// A codec that refuses the value `no`, in both directions.
struct Refuses;

impl python::Codec<String> for Refuses {
    fn to_python<'py>(value: &String, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match value.as_str() {
            "no" => Err(PyLookupError::new_err("no object for no")),
            _ => Ok(PyString::new(py, value).into_any()),
        }
    }

    fn from_python(object: &Bound<'_, PyAny>) -> PyResult<String> {
        match object.extract::<String>()?.as_str() {
            "no" => Err(PyKeyError::new_err("no value for no")),
            value => Ok(value.to_owned()),
        }
    }
}

#[context_var(python = "variables:FUSSY", python_codec = Refuses)]
static FUSSY: String;

/// A codec that refuses every value and quotes it.
struct Quotes;

impl python::Codec<String> for Quotes {
    fn to_python<'py>(value: &String, _py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Err(PyRuntimeError::new_err(format!("not {value}")))
    }

    fn from_python(object: &Bound<'_, PyAny>) -> PyResult<String> {
        Err(PyRuntimeError::new_err(format!("not {object}")))
    }
}

#[context_var(python = "variables:PIN", python_codec = Quotes, secret)]
static PIN: String;

#[context_var(python = "variables:KEY", secret)]
static KEY: String;

#[context_var(python = "variables:Namespace.NESTED")]
static NESTED: String;

fn shown<T: Debug>(var: &'static ContextVar<T>) -> Option<String> {
    var.is_set().then(|| var.with(|value| format!("{value:?}")))
}

/// Defines [`describe`] and [`send`], which take the name of a variable.
macro_rules! variables {
    ($($var:ident = $value:expr,)*) => {
        /// Returns the variable's value in Rust as `Debug` shows it, or `None` if the variable is not set in Rust.
        #[pyfunction]
        #[with_copied_context(python)]
        fn describe(name: &str) -> PyResult<Option<String>> {
            match name {
                $(stringify!($var) => Ok(shown(&$var)),)*
                _ => Err(PyKeyError::new_err(name.to_owned())),
            }
        }

        /// Sets the variable in Rust, and calls `function`.
        #[pyfunction]
        #[with_copied_context(python)]
        fn send<'py>(name: &str, function: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
            match name {
                $(stringify!($var) => drop($var.set($value)),)*
                _ => return Err(PyKeyError::new_err(name.to_owned())),
            }
            python::call(|_| function.call0())
        }
    };
}

variables! {
    TEXT = "grüße".to_owned(),
    BYTE = 255,
    BIG = i64::MIN,
    FLAG = true,
    RATIO = 0.5,
    MAYBE = None,
    LIST = vec![3, 2, 1],
    MAP = HashMap::from([("one".to_owned(), 1)]),
    RECORD = Record { name: "disk".to_owned(), size: None },
    SHARED = Arc::new(Limits { low: -1, high: 7 }),
    POINT = Point { x: 3, y: 4 },
    FUSSY = "no".to_owned(),
    PIN = "1234".to_owned(),
    KEY = "5678".to_owned(),
    NESTED = "deep".to_owned(),
    LOCALE = "fr".to_owned(),
    USER = "grace".to_owned(),
}

/// Returns the object that the variable is set to.
#[pyfunction]
#[with_copied_context(python)]
fn object(py: Python<'_>) -> PyResult<Py<PyAny>> {
    Ok(OBJECT.with(|object| object.clone_ref(py)))
}

/// Sets the variable in Rust to the object, and calls `function`.
#[pyfunction]
#[with_copied_context(python)]
fn send_object<'py>(object: Py<PyAny>, function: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    OBJECT.set(object);
    python::call(|_| function.call0())
}

/// Sets the variable to the object that it is set to, and calls `function`.
#[pyfunction]
#[with_copied_context(python)]
fn object_again<'py>(py: Python<'py>, function: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    OBJECT.set(OBJECT.with(|object| object.clone_ref(py)));
    python::call(|_| function.call0())
}

/// Returns the value in Rust, or Rust's default.
#[pyfunction]
#[with_copied_context(python)]
fn locale() -> PyResult<String> {
    Ok(LOCALE.get())
}

/// Calls `function` directly, and returns whether the user is set in Rust.
#[pyfunction]
#[with_copied_context(python)]
fn is_set_later(function: &Bound<'_, PyAny>) -> PyResult<bool> {
    function.call0()?;
    Ok(USER.is_set())
}

/// Sets the user in Rust, and calls `function` directly, without handing Rust's values to it.
#[pyfunction]
#[with_copied_context(python)]
fn send_without_context<'py>(function: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    USER.set("grace".to_owned());
    function.call0()
}
