use contextvar::with_copied_context;
use pyo3::prelude::*;

#[pyfunction]
#[with_copied_context(python)]
async fn count() -> u64 {
    7
}

fn main() {}
