use contextvar::with_copied_context;
use pyo3::prelude::*;

#[pyclass]
struct Greeter;

#[with_copied_context(python)]
#[pymethods]
impl Greeter {
    fn greet(&self) -> PyResult<String> {
        Ok("hello".to_owned())
    }
}

fn main() {}
