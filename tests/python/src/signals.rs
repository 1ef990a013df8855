//! Objects that tests wait for, in both languages.

use std::sync::Arc;

use contextvar::context_var;
use contextvar::python;
use pyo3::prelude::*;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, Semaphore};

/// The variable of all tests with async functions.
#[context_var(python = "async_variables:REQUEST")]
pub(crate) static REQUEST: String;

/// Returns the variable's value, or `None` if it is not set.
pub(crate) fn request() -> Option<String> {
    REQUEST.try_get().ok()
}

/// Blocks every task until it is opened.
#[pyclass(frozen, from_py_object)]
#[derive(Clone)]
pub(crate) struct Gate(Arc<Semaphore>);

#[pymethods]
impl Gate {
    #[new]
    fn new() -> Self {
        Gate(Arc::new(Semaphore::new(0)))
    }

    fn open(&self) {
        self.0.close();
    }
}

impl Gate {
    pub(crate) async fn pass(&self) {
        // A closed semaphore lets all tasks go on, with an error.
        let _ = self.0.acquire().await;
    }
}

/// Passes texts from Rust to Python.
#[pyclass(frozen, from_py_object)]
#[derive(Clone)]
pub(crate) struct Channel {
    sender: UnboundedSender<Option<String>>,
    receiver: Arc<Mutex<UnboundedReceiver<Option<String>>>>,
}

#[pymethods]
impl Channel {
    #[new]
    fn new() -> Self {
        let (sender, receiver) = unbounded_channel();
        Channel { sender, receiver: Arc::new(Mutex::new(receiver)) }
    }

    /// Awaits the next text.
    fn receive<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let receiver = self.receiver.clone();
        python::coroutine(py, async move { Ok(receiver.lock().await.recv().await.flatten()) })
    }

    /// Blocks the thread until the next text.
    fn receive_blocking(&self, py: Python<'_>) -> Option<String> {
        py.detach(|| self.receiver.blocking_lock().blocking_recv().flatten())
    }

    /// Returns true if no text waits to be received.
    fn is_empty(&self) -> bool {
        self.receiver.try_lock().is_ok_and(|receiver| receiver.is_empty())
    }
}

impl Channel {
    pub(crate) fn send(&self, text: Option<String>) {
        self.sender.send(text).expect("the receiver is part of the channel");
    }
}

/// Sends the variable's value when it is dropped.
pub(crate) struct SendOnDrop(pub(crate) Channel);

impl Drop for SendOnDrop {
    fn drop(&mut self) {
        self.0.send(request().map(|request| format!("dropped in {request}")));
    }
}
