use contextvar::with_copied_context;
use pyo3::prelude::*;

#[with_copied_context(apply_changes)]
fn count() -> PyResult<u64> {
    Ok(7)
}

fn main() {}
