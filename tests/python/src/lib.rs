use contextvar::{context_var, python, with_copied_context};
use pyo3::prelude::*;

#[context_var(python = "variables:USER", log)]
static USER: String;

#[context_var(python = "variables:TENANT")]
static TENANT: Option<u64>;

#[context_var(python = "variables:LOCALE")]
static LOCALE: String = "rust".to_owned();

#[context_var]
static UNTIED: u64;

#[pyfunction]
#[with_copied_context(python)]
fn user() -> PyResult<Option<String>> {
    Ok(USER.try_get().ok())
}

#[pyfunction]
#[with_copied_context(python, apply_changes)]
fn set_user(user: String) -> PyResult<Option<u64>> {
    USER.set(user);
    let untied = UNTIED.try_get().ok();
    UNTIED.set(untied.unwrap_or(0) + 1);
    Ok(untied)
}

#[pyfunction]
#[with_copied_context(python, apply_changes)]
async fn polled() -> PyResult<String> {
    let user = USER.get();
    USER.set(format!("{user}!"));
    Ok(user)
}

#[pyfunction]
fn awaited<'py>(py: Python<'py>, callback: Py<PyAny>) -> PyResult<Bound<'py, PyAny>> {
    python::coroutine_applying_changes(py, async move {
        let user = USER.get();
        USER.set(format!("{user}?"));
        tokio::task::yield_now().await;
        contextvar::task::spawn(async move {
            let output = python::call_async_applying_changes(|py| callback.bind(py).call1(("x",))).await?;
            let text = Python::attach(|py| output.extract::<String>(py))?;
            Ok::<_, PyErr>(format!("{text} {}", USER.get()))
        })
        .await
        .unwrap()
    })
}

#[pymodule]
mod rust {
    #[pymodule_export]
    use super::{awaited, polled, set_user, user};
}
