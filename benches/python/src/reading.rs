//! Reads of variables, and what a design would cost that asks Python at each read.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use contextvar::{context_var, with_copied_context};
use pyo3::intern;
use pyo3::prelude::*;

#[context_var]
static UNTIED: u64 = 7;

/// Reads a variable that is not tied, `n` times.
#[pyfunction]
#[with_copied_context(python)]
pub(crate) fn get(n: usize) -> PyResult<()> {
    UNTIED.set(8);
    for _ in 0..n {
        black_box(UNTIED.get());
    }
    Ok(())
}

/// Sets a variable that is not tied and restores it, `n` times.
#[pyfunction]
#[with_copied_context(python)]
pub(crate) fn set(n: usize) -> PyResult<()> {
    for _ in 0..n {
        let token = UNTIED.set(black_box(8));
        UNTIED.reset(token);
    }
    Ok(())
}

/// Attaches a thread, `n` times.
#[pyfunction]
pub(crate) fn attach(py: Python<'_>, n: usize) {
    py.detach(|| {
        for _ in 0..n {
            Python::attach(|py| _ = black_box(py));
        }
    });
}

/// Reads a variable of Python from code that has released the GIL, `n` times. Returns the nanoseconds per read. Leaves
/// other threads some microseconds first, to take the GIL.
#[pyfunction]
pub(crate) fn lazy_reads(py: Python<'_>, var: Py<PyAny>, n: usize, pause: u64) -> PyResult<f64> {
    py.detach(|| {
        if pause > 0 {
            thread::sleep(Duration::from_micros(pause));
        }
        let start = Instant::now();
        for _ in 0..n {
            Python::attach(|py| var.bind(py).call_method0(intern!(py, "get"))?.extract::<String>())?;
        }
        Ok(start.elapsed().as_nanos() as f64 / n as f64)
    })
}
