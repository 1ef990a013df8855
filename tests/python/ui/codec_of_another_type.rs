use contextvar::{context_var, python};
use pyo3::prelude::*;

struct Seconds;

impl python::Codec<f64> for Seconds {
    fn to_python<'py>(value: &f64, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(value.into_pyobject(py)?.into_any())
    }

    fn from_python(object: &Bound<'_, PyAny>) -> PyResult<f64> {
        object.extract()
    }
}

#[context_var(python = "app:TIMEOUT", python_codec = Seconds)]
static TIMEOUT: u64;

fn main() {}
