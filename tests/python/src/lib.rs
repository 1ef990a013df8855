//! The Rust side of the tests, as an extension module. Each submodule belongs to the test file of the same name.

use pyo3::prelude::*;

mod callbacks;
mod changes;
mod counts;
mod forms;
mod generators;
mod mixed;
mod values;
mod variables;

#[pymodule(gil_used = false)]
mod rust {
    #[pymodule_export]
    use crate::{
        callbacks::callbacks, changes::changes, counts::counts, forms::forms, generators::generators,
        mixed::mixed, values::values,
    };
}
