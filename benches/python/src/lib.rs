//! The Rust side of the benchmark. `rows.py` calls it.

mod awaiting;
mod calling_back;
mod entering;
mod reading;

use pyo3::prelude::*;

#[pymodule]
mod rust {
    #[pymodule_export]
    use crate::awaiting::{call_async, coroutine, future_into_py, into_future};
    #[pymodule_export]
    use crate::calling_back::{attach_and_call0, attach_and_run_in_copy, call_on_thread};
    #[pymodule_export]
    use crate::calling_back::{call, call0, run_in_copy, set_and_run_in_copy, sets_then_calls};
    #[pymodule_export]
    use crate::entering::{
        apply, apply_one, enter, enter_and_read, in_scopes, in_task_locals, nothing, returns_one,
        takes_arguments,
    };
    #[pymodule_export]
    use crate::reading::{attach, get, lazy_reads, set};
}
