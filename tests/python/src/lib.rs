//! The Rust side of the tests, as an extension module. Each submodule belongs to the test file of the same name.

use pyo3::prelude::*;

mod mixed;

#[pymodule]
mod rust {
    #[pymodule_export]
    use super::mixed::mixed;
}
