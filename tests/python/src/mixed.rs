//! Runs random programs whose blocks alternate between Python and Rust. See `programs.py` for the steps.

mod frame;

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use contextvar::{python, with_copied_context};
use pyo3::prelude::*;

use frame::run_frame;

#[pymodule]
pub(crate) mod mixed {
    #[pymodule_export]
    use super::{
        Program, Raised, call, call_applying_changes, call_detached, call_detached_applying_changes,
        coroutine, coroutine_applying_changes, polled, polled_applying_changes,
    };
}

pyo3::create_exception!(rust.mixed, Raised, pyo3::exceptions::PyException);

/// The kind of a step, and its numbers. The last number is the index of the inner block, if the step has one.
type Step = (String, Vec<usize>);

/// A program and the values that its blocks have seen.
#[pyclass(frozen)]
struct Program(Arc<Inner>);

struct Inner {
    blocks: Vec<Vec<Step>>,
    traces: Vec<Mutex<Vec<String>>>,
    /// The blocks that ran in Rust.
    ran: Mutex<HashSet<usize>>,
    python: Objects,
}

struct Objects {
    /// Python's list of blocks.
    blocks: Py<PyAny>,
    /// The functions that run a block in Python.
    call: Py<PyAny>,
    call_async: Py<PyAny>,
    event_loop: Py<PyAny>,
}

#[pymethods]
impl Program {
    #[new]
    fn new(
        blocks: Bound<'_, PyAny>,
        call: Py<PyAny>,
        call_async: Py<PyAny>,
        event_loop: Py<PyAny>,
    ) -> PyResult<Self> {
        let python = Objects { blocks: blocks.clone().unbind(), call, call_async, event_loop };
        let blocks: Vec<Vec<Step>> = blocks.extract()?;
        let traces = blocks.iter().map(|_| Mutex::default()).collect();
        Ok(Program(Arc::new(Inner { blocks, traces, ran: Mutex::default(), python })))
    }

    #[getter]
    fn blocks(&self, py: Python<'_>) -> Py<PyAny> {
        self.0.python.blocks.clone_ref(py)
    }

    /// Returns what each block has seen.
    #[getter]
    fn traces(&self) -> Vec<Vec<String>> {
        self.0.traces.iter().map(|trace| trace.lock().unwrap().clone()).collect()
    }

    /// Returns the blocks that ran in Rust.
    #[getter]
    fn ran_in_rust(&self) -> HashSet<usize> {
        self.0.ran.lock().unwrap().clone()
    }

    fn record(&self, block: usize, seen: String) {
        self.0.record(block, seen);
    }
}

impl Inner {
    fn record(&self, block: usize, seen: impl Into<String>) {
        self.traces[block].lock().unwrap().push(seen.into());
    }

    /// Calls a Python function with this program.
    fn call_python<'py>(
        self: &Arc<Self>,
        py: Python<'py>,
        function: &Py<PyAny>,
        block: usize,
    ) -> PyResult<Bound<'py, PyAny>> {
        function.bind(py).call1((Program(self.clone()), block))
    }
}

/// Runs `future`, which does not wait.
fn run_now<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("synchronous steps do not wait"),
    }
}

#[pyfunction]
#[with_copied_context(python)]
fn call(program: &Program, block: usize) -> PyResult<()> {
    run_now(run_frame(program.0.clone(), block))
}

#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn call_applying_changes(program: &Program, block: usize) -> PyResult<()> {
    run_now(run_frame(program.0.clone(), block))
}

#[pyfunction]
fn call_detached(py: Python<'_>, program: &Program, block: usize) -> PyResult<()> {
    python::run(py, || py.detach(|| run_now(run_frame(program.0.clone(), block))))
}

#[pyfunction]
fn call_detached_applying_changes(py: Python<'_>, program: &Program, block: usize) -> PyResult<()> {
    python::run_applying_changes(py, || py.detach(|| run_now(run_frame(program.0.clone(), block))))
}

#[pyfunction]
fn coroutine<'py>(py: Python<'py>, program: &Program, block: usize) -> PyResult<Bound<'py, PyAny>> {
    python::coroutine(py, run_frame(program.0.clone(), block))
}

#[pyfunction]
fn coroutine_applying_changes<'py>(
    py: Python<'py>,
    program: &Program,
    block: usize,
) -> PyResult<Bound<'py, PyAny>> {
    python::coroutine_applying_changes(py, run_frame(program.0.clone(), block))
}

#[pyfunction]
#[with_copied_context(python)]
async fn polled(program: Py<Program>, block: usize) -> PyResult<()> {
    run_frame(program.get().0.clone(), block).await
}

#[pyfunction]
#[with_copied_context(python, apply_changes)]
async fn polled_applying_changes(program: Py<Program>, block: usize) -> PyResult<()> {
    run_frame(program.get().0.clone(), block).await
}
