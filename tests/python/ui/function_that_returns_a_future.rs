use contextvar::with_copied_context;
use pyo3::prelude::*;

#[with_copied_context(python)]
fn count() -> impl Future<Output = PyResult<u64>> {
    async { Ok(7) }
}

fn main() {}
