//! The Rust core, as the Python module `engine`. Its variables are tied to those of `context.py`, and are never passed
//! as arguments.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use anyhow::ensure;
use contextvar::tracing::ContextFormat;
use contextvar::{baggage, context_var, python, task, thread};
use http::Request;
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use pyo3::prelude::*;
use tokio::sync::oneshot;
use tracing::info;

#[context_var(name = "request_id", python = "context:REQUEST_ID", log, baggage = "request_id")]
static REQUEST_ID: String;

#[context_var(name = "user", python = "context:USER", log, baggage = "user")]
static USER: String;

/// Not logged, and not sent to other services.
#[context_var(name = "locale", python = "context:LOCALE")]
static LOCALE: String;

#[pymodule]
mod engine {
    use super::*;

    #[pymodule_export]
    use super::place_order;

    #[pymodule_init]
    fn init(_module: &Bound<'_, PyModule>) -> PyResult<()> {
        // Both languages log one JSON object per line, with the same field names.
        tracing_subscriber::fmt().json().flatten_event(true).map_event_format(ContextFormat::new).init();
        Ok(())
    }
}

/// Awaited by Python. Calls `notify(step)` for each step of the work. Returns the values that each step saw, and the
/// stock service's answer.
#[pyfunction]
fn place_order(py: Python<'_>, stock_url: String, notify: Py<PyAny>) -> PyResult<Bound<'_, PyAny>> {
    python::coroutine(py, async move { Ok(run_steps(stock_url, Arc::new(notify)).await?) })
}

async fn run_steps(
    stock_url: String,
    notify: Arc<Py<PyAny>>,
) -> anyhow::Result<(BTreeMap<&'static str, Step>, String)> {
    let step = |name| {
        let notify = notify.clone();
        move || Step::run(name, &notify)
    };
    let received = step("received")()?;
    let [price, tax] = ["priced", "taxed"].map(step).map(|step| task::spawn(async move { step() }));
    let invoice = task::spawn_blocking(step("invoiced"));
    let audit = step("audited");
    let (audited, audit_result) = oneshot::channel();
    thread::spawn(move || {
        // Fails if the request was canceled meanwhile.
        let _ = audited.send(audit());
    });

    let stock = reserve(&stock_url).await?;
    let steps = [
        ("received", received),
        ("priced", price.await??),
        ("taxed", tax.await??),
        ("invoiced", invoice.await??),
        ("audited", audit_result.await??),
    ];
    Ok((steps.into(), stock))
}

/// The values that a step saw in each language.
#[derive(IntoPyObject)]
struct Step {
    rust: Values,
    python: Values,
}

impl Step {
    /// Logs in Rust, and calls a Python function, which also logs.
    fn run(name: &str, notify: &Py<PyAny>) -> PyResult<Step> {
        info!("{name}");
        let python = python::call(|py| notify.bind(py).call1((name,))?.extract())?;
        Ok(Step { rust: Values::get(), python })
    }
}

/// The values of the variables.
#[derive(FromPyObject, IntoPyObject)]
#[pyo3(from_item_all)]
struct Values {
    request_id: String,
    user: String,
    locale: String,
}

impl Values {
    fn get() -> Values {
        Values { request_id: REQUEST_ID.get(), user: USER.get(), locale: LOCALE.get() }
    }
}

/// Asks the stock service. The baggage tells the service which request and user this is for.
async fn reserve(url: &str) -> anyhow::Result<String> {
    static CLIENT: LazyLock<Client<HttpConnector, String>> =
        LazyLock::new(|| Client::builder(TokioExecutor::new()).build_http());

    let mut request = Request::post(url).body(String::new())?;
    baggage::inject_headers(request.headers_mut());
    let response = CLIENT.request(request).await?;
    let status = response.status();
    ensure!(status.is_success(), "{url} answers {status}");
    let body = response.into_body().collect().await?.to_bytes();
    info!("reserved");
    Ok(String::from_utf8(body.into())?)
}
