//! The Rust side of the tests, as an extension module. Each submodule belongs to the test file of the same name.

mod awaitables;
mod cancellation;
mod coroutines;
mod seed;
mod shutdown;
mod signals;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
mod rust {
    #[pymodule_export]
    use crate::awaitables::awaitables;
    #[pymodule_export]
    use crate::cancellation::cancellation;
    #[pymodule_export]
    use crate::coroutines::{coroutines, polled};
    #[pymodule_export]
    use crate::seed::seed;
    #[pymodule_export]
    use crate::shutdown::shutdown;
    #[pymodule_export]
    use crate::signals::{Channel, Gate};
}
