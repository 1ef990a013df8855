//! Rust futures that Python awaits: on the runtime (`coroutines`), and polled by the event loop (`polled`).

use contextvar::{python, task, with_copied_context};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3_async_runtimes::tokio::{future_into_py, get_current_locals, into_future};
use tokio::task::yield_now;

use crate::signals::{Channel, Gate, REQUEST, SendOnDrop, request};

/// How a future ends.
#[derive(FromPyObject)]
enum Ending {
    /// "return", "fail" or "panic".
    Name(String),
    /// Waits for the gate, after a message on the channel.
    Wait(Gate, Channel),
}

/// Sets the variable.
async fn set_request(value: String, ending: Ending) -> PyResult<String> {
    REQUEST.set(value);
    match ending {
        Ending::Name(name) if name == "return" => Ok(REQUEST.get()),
        Ending::Name(name) if name == "fail" => Err(PyValueError::new_err("failed")),
        Ending::Name(name) => panic!("{name}"),
        Ending::Wait(gate, channel) => {
            channel.send(Some("waiting".to_owned()));
            gate.pass().await;
            Ok(REQUEST.get())
        }
    }
}

/// Reads the variable, waits for the gate, and reads it again. Sends the variable when the future is dropped.
pub(crate) async fn wait_for_gate(
    gate: Gate,
    channel: Channel,
) -> PyResult<(Option<String>, Option<String>)> {
    let _guard = SendOnDrop(channel.clone());
    let before = request();
    channel.send(Some("waiting".to_owned()));
    gate.pass().await;
    Ok((before, request()))
}

/// Reads the variable before and after many suspensions. Returns the different values.
async fn read_often() -> PyResult<Vec<Option<String>>> {
    let mut seen = vec![request()];
    for _ in 0..20 {
        yield_now().await;
        seen.push(request());
    }
    seen.dedup();
    Ok(seen)
}

/// Does the same in tasks and blocking calls.
async fn read_in_tasks() -> PyResult<Vec<Option<String>>> {
    let mut seen = read_often().await?;
    let tasks: Vec<_> = (0..4).map(|_| task::spawn(read_often())).collect();
    for task in tasks {
        seen.extend(task.await.expect("no panic")?);
        seen.push(task::spawn_blocking(request).await.expect("no panic"));
    }
    seen.dedup();
    Ok(seen)
}

/// An output whose conversion does what the text says.
struct Output(&'static str);

impl<'py> IntoPyObject<'py> for Output {
    type Target = PyAny;
    type Output = Bound<'py, PyAny>;
    type Error = PyErr;

    fn into_pyobject(self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        match self.0 {
            "read" => Ok(request().into_pyobject(py)?.into_any()),
            "fail" => Err(PyValueError::new_err("no object")),
            text => panic!("{text}"),
        }
    }
}

#[pymodule(submodule)]
pub(crate) mod coroutines {
    use super::*;

    #[pyfunction]
    fn get(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async { Ok(request()) })
    }

    #[pyfunction]
    fn set(py: Python<'_>, value: String, ending: Ending) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, set_request(value, ending))
    }

    #[pyfunction]
    fn set_applying_changes(py: Python<'_>, value: String, ending: Ending) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine_applying_changes(py, set_request(value, ending))
    }

    #[pyfunction]
    fn wait(py: Python<'_>, gate: Gate, channel: Channel) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, wait_for_gate(gate, channel))
    }

    /// Sends the variable's value when it is dropped, also before it is polled.
    #[pyfunction]
    fn guarded(py: Python<'_>, channel: Channel) -> PyResult<Bound<'_, PyAny>> {
        let guard = SendOnDrop(channel);
        python::coroutine(py, async move {
            drop(guard);
            Ok(())
        })
    }

    #[pyfunction]
    fn read(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, read_in_tasks())
    }

    #[pyfunction]
    fn fail(py: Python<'_>, exception: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async move {
            Err::<(), _>(Python::attach(|py| PyErr::from_value(exception.into_bound(py))))
        })
    }

    /// Ends with an output whose conversion reads the variable, fails or panics.
    #[pyfunction]
    fn convert<'py>(py: Python<'py>, how: &str, applies_changes: bool) -> PyResult<Bound<'py, PyAny>> {
        let output = Output(["read", "fail"].into_iter().find(|name| *name == how).unwrap_or("panic"));
        let future = async move {
            REQUEST.set("of the future".to_owned());
            Ok(output)
        };
        match applies_changes {
            false => python::coroutine(py, future),
            true => python::coroutine_applying_changes(py, future),
        }
    }

    /// Calls a function in the context that pyo3-async-runtimes finds. Returns what another function returns, which
    /// is called in Rust's.
    #[pyfunction]
    fn call_in_locals(
        py: Python<'_>,
        in_locals: Py<PyAny>,
        function: Py<PyAny>,
    ) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async move {
            Python::attach(|py| {
                get_current_locals(py)?.context(py).call_method1("run", (in_locals,)).map(drop)
            })?;
            python::call(|py| function.call0(py))
        })
    }

    /// Awaits a Python coroutine with `into_future`. Returns the variable's value afterwards and the result.
    #[pyfunction]
    fn await_by_into_future(py: Python<'_>, function: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async move {
            let future = Python::attach(|py| into_future(function.bind(py).call0()?))?;
            let result = future.await?;
            Ok((request(), result))
        })
    }

    /// Creates an awaitable with `future_into_py`, inside a coroutine, and awaits it with `await_`.
    #[pyfunction]
    fn await_by_future_into_py(py: Python<'_>, await_: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async move {
            let future = contextvar::copy_context().scope(read_often());
            let awaitable = Python::attach(|py| future_into_py(py, future).map(Bound::unbind))?;
            python::call_async(|py| await_.bind(py).call1((awaitable,))).await
        })
    }
}

#[pymodule(submodule)]
pub(crate) mod polled {
    use super::*;

    #[pyfunction]
    #[with_copied_context(python)]
    async fn get() -> PyResult<Option<String>> {
        Ok(request())
    }

    #[pyfunction]
    #[with_copied_context(python)]
    async fn set(value: String, ending: Ending) -> PyResult<String> {
        set_request(value, ending).await
    }

    #[pyfunction]
    #[with_copied_context(python, apply_changes)]
    async fn set_applying_changes(value: String, ending: Ending) -> PyResult<String> {
        set_request(value, ending).await
    }

    #[pyfunction]
    #[with_copied_context(python)]
    async fn wait(gate: Gate, channel: Channel) -> PyResult<(Option<String>, Option<String>)> {
        wait_for_gate(gate, channel).await
    }

    #[pyfunction]
    #[with_copied_context(python)]
    async fn read() -> PyResult<Vec<Option<String>>> {
        read_often().await
    }

    #[pyfunction]
    #[with_copied_context(python)]
    async fn fail(exception: Py<PyAny>) -> PyResult<()> {
        Err(Python::attach(|py| PyErr::from_value(exception.into_bound(py))))
    }
}
