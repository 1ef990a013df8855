//! Attaches threads to the interpreter, until it shuts down.
//!
//! The interpreter kills a thread that waits for the GIL when it ends, in the middle of Rust code. So the shutdown
//! waits for the threads that this crate has attached, and this crate attaches no more threads.

use std::process;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread};
use std::time::Duration;

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// The number of threads that are attached, and [`SHUT_DOWN`].
static ATTACHED: AtomicUsize = AtomicUsize::new(0);

/// Set when the interpreter begins to shut down.
const SHUT_DOWN: usize = 1 << (usize::BITS - 1);

/// The process whose threads [`ATTACHED`] counts. A forked process inherits the number, but not the threads.
static PROCESS: PyOnceLock<u32> = PyOnceLock::new();

/// The thread that shuts the interpreter down.
static WAITING: OnceLock<Thread> = OnceLock::new();

/// One of the threads in [`ATTACHED`].
struct Attached;

impl Attached {
    fn new() -> Option<Attached> {
        let attached = Attached;
        let before = ATTACHED.fetch_add(1, Ordering::SeqCst);
        (before & SHUT_DOWN == 0).then_some(attached)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if ATTACHED.fetch_sub(1, Ordering::SeqCst) == SHUT_DOWN + 1 {
            if let Some(thread) = WAITING.get() {
                thread.unpark();
            }
        }
    }
}

/// Calls `f`, which can run any Python code, with this thread attached to the interpreter. Returns an error if the
/// interpreter is shutting down or does not exist.
pub(super) fn attach<R>(f: impl FnOnce(Python<'_>) -> PyResult<R>) -> PyResult<R> {
    try_attach(f).unwrap_or_else(|| {
        Err(PyRuntimeError::new_err("the Python interpreter is shutting down, or is not running"))
    })
}

/// Calls `f`, which can run any Python code, with this thread attached to the interpreter. Returns `None` if the
/// interpreter is shutting down or does not exist.
pub(super) fn try_attach<R>(f: impl FnOnce(Python<'_>) -> R) -> Option<R> {
    // Python's daemon threads are killed as well, so threads that are already attached also count.
    let _attached = if is_waiting() { None } else { Some(Attached::new()?) };
    Python::try_attach(|py| {
        wait_at_exit(py);
        f(py)
    })
}

/// Returns true on the thread that shuts the interpreter down, which still runs the other `atexit` handlers.
fn is_waiting() -> bool {
    WAITING.get().is_some_and(|thread| thread.id() == thread::current().id())
}

/// Makes the shutdown of the interpreter wait for the threads in [`ATTACHED`].
pub(super) fn wait_at_exit(py: Python<'_>) {
    let register = || -> PyResult<u32> {
        let wait = wrap_pyfunction!(wait_for_threads, py)?;
        py.import("atexit")?.call_method1("register", (wait,))?;
        Ok(process::id())
    };
    if let Err(error) = PROCESS.get_or_try_init(py, register) {
        error.write_unraisable(py, None);
    }
}

#[pyfunction]
fn wait_for_threads(py: Python<'_>) -> PyResult<()> {
    /// How long a signal can wait for its handler.
    const SIGNALS: Duration = Duration::from_millis(50);

    WAITING.get_or_init(thread::current);
    ATTACHED.fetch_or(SHUT_DOWN, Ordering::SeqCst);
    let counts = PROCESS.get(py) == Some(&process::id());
    while counts && ATTACHED.load(Ordering::SeqCst) != SHUT_DOWN {
        py.detach(|| thread::park_timeout(SIGNALS));
        // Ctrl+C ends the wait.
        py.check_signals()?;
    }
    Ok(())
}
