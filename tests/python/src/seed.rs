//! The five programs: the nested functions for callers in Python, and callers for nested functions in Python.

use contextvar::{Context, context_var, copy_context, python, with_copied_context};
use pyo3::prelude::*;
use uuid::Uuid;

#[context_var(name = "ctx", python = "seed_variables:ctx")]
static CTX: Uuid;

/// Prints with Python's `print`, whose output the test captures.
fn print(label: &str, value: Uuid) -> PyResult<()> {
    python::call(|py| {
        py.import("builtins")?.call_method1("print", (format!("{label}: {value}"),))?;
        Ok(())
    })
}

fn set_and_copy() -> PyResult<Context> {
    CTX.set(Uuid::new_v4());
    print("Current context value", CTX.get())?;
    let original = copy_context();
    let copy = copy_context();
    print("Original context value", original[&CTX])?;
    print("Copy context value", copy[&CTX])?;
    Ok(copy)
}

#[pymodule(submodule)]
pub(crate) mod seed {
    use super::*;

    // Nested functions.

    #[pyfunction]
    fn nested(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async { print("Nested context value", CTX.get()) })
    }

    #[pyfunction]
    fn nested_that_sets(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine_applying_changes(py, async {
            CTX.set(Uuid::new_v4());
            print("Nested context value", CTX.get())
        })
    }

    #[pyfunction]
    fn nested2(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async { print("Nested context2 value", CTX.get()) })
    }

    #[pyfunction]
    #[with_copied_context(python, apply_changes)]
    fn nested_context() -> PyResult<()> {
        print("Inside nested_context, before set", CTX.get())?;
        CTX.set(Uuid::new_v4());
        print("Inside nested_context, after set", CTX.get())
    }

    #[pyfunction]
    #[with_copied_context(python)]
    fn nested_context2() -> PyResult<()> {
        print("nested_context2 value", CTX.get())
    }

    // Callers. Each takes the two nested functions.

    #[pyfunction]
    fn kept_through_nested_awaits(
        py: Python<'_>,
        nested: Py<PyAny>,
        nested2: Py<PyAny>,
    ) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async move {
            if !CTX.is_set() {
                CTX.set(Uuid::new_v4());
            }
            print("Current context value", CTX.get())?;
            python::call_async(|py| nested.bind(py).call0()).await?;
            python::call_async(|py| nested2.bind(py).call0()).await
        })
    }

    #[pyfunction]
    fn nested_set(py: Python<'_>, nested: Py<PyAny>, nested2: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async move {
            CTX.set(Uuid::new_v4());
            print("Current context value", CTX.get())?;
            python::call_async_applying_changes(|py| nested.bind(py).call0()).await?;
            python::call_async(|py| nested2.bind(py).call0()).await
        })
    }

    #[pyfunction]
    #[with_copied_context(python)]
    fn synchronous(nested_context: Py<PyAny>, nested_context2: Py<PyAny>) -> PyResult<()> {
        CTX.set(Uuid::new_v4());
        print("Initial context value", CTX.get())?;
        let mut copy = copy_context();
        print("Value in copied context", copy[&CTX])?;
        copy.run(|| python::call_applying_changes(|py| nested_context.call0(py)))?;
        print("Context value after copy.run()", CTX.get())?;
        python::call(|py| nested_context2.call0(py))?;
        Ok(())
    }

    #[pyfunction]
    fn trap(py: Python<'_>, nested: Py<PyAny>, nested2: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async move {
            let mut copy = set_and_copy()?;
            // `run` only makes the future, which is polled outside.
            copy.run(|| python::call_async_applying_changes(|py| nested.bind(py).call0())).await?;
            print("Context value after copy", CTX.get())?;
            copy.run(|| python::call_async(|py| nested2.bind(py).call0())).await
        })
    }

    #[pyfunction]
    fn task_in_copy(py: Python<'_>, nested: Py<PyAny>, nested2: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
        python::coroutine(py, async move {
            let copy = set_and_copy()?;
            let call = async move { python::call_async_applying_changes(|py| nested.bind(py).call0()).await };
            tokio::spawn(copy.scope(call)).await.expect("no panic")?;
            print("Context value after copy", CTX.get())?;
            python::call_async(|py| nested2.bind(py).call0()).await
        })
    }
}
