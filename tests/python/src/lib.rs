//! The Rust side of the tests, as an extension module. Each submodule belongs to the test file of the same name.

use pyo3::prelude::*;

mod awaitables;
mod borders;
mod callbacks;
mod cancellation;
mod changes;
mod coroutines;
mod counts;
mod forms;
mod generators;
mod mixed;
mod seed;
mod shutdown;
mod signals;
mod values;
mod variables;

#[pymodule(gil_used = false)]
mod rust {
    #[pymodule_export]
    use crate::{
        awaitables::awaitables,
        borders::borders,
        callbacks::callbacks,
        cancellation::cancellation,
        changes::changes,
        coroutines::{coroutines, polled},
        counts::counts,
        forms::forms,
        generators::generators,
        mixed::mixed,
        seed::seed,
        shutdown::shutdown,
        signals::{Channel, Gate},
        values::values,
    };
}
