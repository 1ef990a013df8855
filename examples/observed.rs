//! A service whose variables show wherever people look: in two log files, in exported spans and log records,
//! in metrics, in error reports, in messages of panics, and in the headers of the responses.
//!
//! It handles 500 requests at the same time, which spawn tasks and blocking calls. No function is passed a
//! request's id or tenant to log it. The check is the number `n`, which is: each line, span, record, label,
//! report and header that has it must have the values of request `n`.
//!
//! ```console
//! $ cargo run -p observed    # checks everything, prints the counts, and exits
//! ```

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::path::Path as FilePath;
use std::sync::{Arc, LazyLock, Mutex};

use anyhow::Context as _;
use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderName, Request, StatusCode, request};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use contextvar::metrics::ContextRecorder;
use contextvar::opentelemetry::{ContextLogProcessor, ContextSpanProcessor, ContextTracer, MetricAttributes};
use contextvar::tower::ContextLayer;
use contextvar::tracing::ContextFormat;
use contextvar::{ContextSnapshot, context_var, for_each_log_field, task};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use opentelemetry::KeyValue;
use opentelemetry::logs::AnyValue;
use opentelemetry::metrics::Counter;
use opentelemetry::trace::TracerProvider;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_sdk::logs::{InMemoryLogExporter, SdkLoggerProvider};
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData};
use opentelemetry_sdk::metrics::{InMemoryMetricExporter, PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use sentry_core::test::TestTransport;
use sentry_core::{ClientOptions, Hub, Level};
use serde::Serialize;
use tokio::sync::Barrier;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::{Instrument, error, info, info_span};
use tracing_subscriber::fmt::format::{Format, JsonFields};
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

const REQUESTS: u64 = 500;

#[context_var(name = "request_id", log)]
static REQUEST_ID: u64;

#[context_var(name = "tenant", log, metric)]
static TENANT: String;

/// Most requests do not set it. Logs and metrics show the default.
#[context_var(name = "plan", log, log_default, metric)]
static PLAN: &str = "free";

#[context_var(name = "user", log = serde)]
static USER: User;

/// Never shows anywhere.
#[context_var(name = "token", secret)]
static TOKEN: String;

#[derive(Serialize)]
struct User {
    name: String,
    admin: bool,
}

/// The values that request `n` must show.
fn tenant_of(n: u64) -> String {
    format!("tenant-{}", n % 10)
}

fn plan_of(n: u64) -> &'static str {
    if n % 4 == 0 { "paid" } else { "free" }
}

fn fails(n: u64) -> bool {
    n % 10 == 3
}

fn panics(n: u64) -> bool {
    n % 50 == 7
}

/// Where the service shows its variables, for this program to check.
struct Observed {
    spans: InMemorySpanExporter,
    records: InMemoryLogExporter,
    meters: InMemoryMetricExporter,
    meter_provider: SdkMeterProvider,
    labels: Snapshotter,
    sentry: Arc<TestTransport>,
}

fn observe(json: &FilePath, text: &FilePath) -> Result<Observed> {
    let (spans, records) = (InMemorySpanExporter::default(), InMemoryLogExporter::default());
    let tracer_provider = SdkTracerProvider::builder()
        .with_span_processor(ContextSpanProcessor::new())
        .with_simple_exporter(spans.clone())
        .build();
    let logger_provider = SdkLoggerProvider::builder()
        .with_log_processor(ContextLogProcessor::new())
        .with_simple_exporter(records.clone())
        .build();
    let format = Format::default().json();
    tracing_subscriber::registry()
        .with(
            layer()
                .fmt_fields(JsonFields::new())
                .event_format(ContextFormat::new(format))
                .with_writer(Mutex::new(File::create(json)?)),
        )
        .with(
            layer()
                .event_format(ContextFormat::new(Format::default()))
                .with_ansi(false)
                .with_writer(Mutex::new(File::create(text)?)),
        )
        .with(tracing_opentelemetry::layer().with_tracer(ContextTracer::new(tracer_provider.tracer("shop"))))
        .with(OpenTelemetryTracingBridge::new(&logger_provider))
        .with(tracing_subscriber::filter::LevelFilter::INFO)
        .init();

    let recorder = DebuggingRecorder::new();
    let labels = recorder.snapshotter();
    metrics::set_global_recorder(ContextRecorder::new(recorder))?;

    let meters = InMemoryMetricExporter::default();
    let meter_provider =
        SdkMeterProvider::builder().with_reader(PeriodicReader::builder(meters.clone()).build()).build();
    opentelemetry::global::set_meter_provider(meter_provider.clone());

    let sentry = TestTransport::new();
    let options = ClientOptions {
        dsn: Some("https://public@sentry.invalid/1".parse()?),
        transport: Some(Arc::new(sentry.clone())),
        before_send: Some(Arc::new(|mut event| {
            for_each_log_field(|name, value| {
                event.tags.insert(name.to_owned(), value.to_string());
            });
            Some(event)
        })),
        ..ClientOptions::default()
    };
    Hub::main().bind_client(Some(Arc::new(options.into())));

    Ok(Observed { spans, records, meters, meter_provider, labels, sentry })
}

/// An error of request `n`, which is reported later, in no context.
type Report = (u64, anyhow::Error);

static REPORTS: Mutex<Vec<Report>> = Mutex::new(Vec::new());

/// All requests are inside of the handler at the same time.
static ALL_HERE: LazyLock<Barrier> = LazyLock::new(|| Barrier::new(REQUESTS as usize));

static ORDERS: LazyLock<Counter<u64>> =
    LazyLock::new(|| opentelemetry::global::meter("shop").u64_counter("orders").build());

static ATTRIBUTES: LazyLock<MetricAttributes> = LazyLock::new(MetricAttributes::new);

fn service() -> Router {
    let header = |request: &request::Parts, name| -> Option<String> {
        Some(request.headers.get(name)?.to_str().ok()?.to_owned())
    };
    let layer = ContextLayer::new()
        .set_or_reject(
            &REQUEST_ID,
            move |request| header(request, "x-n").and_then(|n| n.parse().ok()).ok_or("no number"),
            |error| (StatusCode::BAD_REQUEST, error).into_response(),
        )
        .set(&TENANT, move |request| header(request, "x-tenant").unwrap_or_default())
        .set_if_some(&PLAN, move |request| header(request, "x-plan").map(|_| "paid"))
        .set(&USER, move |request| User { name: header(request, "x-user").unwrap_or_default(), admin: false })
        .set(&TOKEN, |_| "sesame".to_owned())
        .response_header(HeaderName::from_static("x-request-id"), &REQUEST_ID)
        .response_header(HeaderName::from_static("x-plan"), &PLAN);
    Router::new().route("/order/{n}", get(order)).layer(CatchPanicLayer::new()).layer(layer)
}

async fn order(Path(n): Path<u64>) -> Result<String, StatusCode> {
    async {
        info!(n, "received");
        ALL_HERE.wait().await;
        let stock = task::spawn(check_stock(n).instrument(info_span!("stock", n)));
        let price = task::spawn_blocking(move || info_span!("price", n).in_scope(|| info!(n, "priced")));
        metrics::counter!("orders", "expected_tenant" => tenant_of(n), "expected_plan" => plan_of(n))
            .increment(1);
        let expected =
            [KeyValue::new("expected_tenant", tenant_of(n)), KeyValue::new("expected_plan", plan_of(n))];
        ORDERS.add(1, &ATTRIBUTES.current(&expected));
        price.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        match stock.await {
            Ok(Ok(())) if panics(n) => panic!("on purpose"),
            Ok(Ok(())) => Ok(format!("ordered {n}")),
            Ok(Err(error)) => {
                error!(n, "failed");
                REPORTS.lock().unwrap().push((n, error));
                Err(StatusCode::CONFLICT)
            }
            Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
    .instrument(info_span!("order", n))
    .await
}

async fn check_stock(n: u64) -> anyhow::Result<()> {
    info!(n, "checking");
    tokio::task::yield_now().await;
    if fails(n) {
        sentry_core::capture_message(&format!("out of stock: {n}"), Level::Error);
        return Err(anyhow::anyhow!("out of stock: {n}")).with_context(ContextSnapshot::capture);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let directory = std::env::temp_dir().join(format!("contextvar-observed-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let (json, text) = (directory.join("log.json"), directory.join("log.txt"));
    let observed = observe(&json, &text)?;

    // A hook of one's own: it runs in the context of the code that panics.
    static PANICS: Mutex<Vec<ContextSnapshot>> = Mutex::new(Vec::new());
    std::panic::set_hook(Box::new(|_| PANICS.lock().unwrap().push(ContextSnapshot::capture())));

    let service = service();
    let requests: Vec<_> = (0..REQUESTS)
        .map(|n| {
            let mut request = Request::get(format!("/order/{n}"))
                .header("x-n", n)
                .header("x-tenant", tenant_of(n))
                .header("x-user", format!("user {n}"));
            if plan_of(n) == "paid" {
                request = request.header("x-plan", "1");
            }
            let service = service.clone();
            let request = request.body(Body::empty()).expect("a valid request");
            tokio::spawn(async move { (n, service.oneshot(request).await.expect("infallible")) })
        })
        .collect();
    let mut responses = Vec::new();
    for request in requests {
        responses.push(request.await?);
    }
    let _ = std::panic::take_hook();

    println!("{REQUESTS:>5} overlapping requests");
    check_responses(&responses)?;
    check_json(&fs::read_to_string(&json)?)?;
    check_text(&fs::read_to_string(&text)?)?;
    check_spans(&observed)?;
    check_records(&observed)?;
    check_labels(&observed)?;
    check_meters(&observed)?;
    check_reports(&observed)?;
    check_panics(&PANICS.lock().unwrap())?;
    fs::remove_dir_all(&directory)?;
    println!("Each shows the values of its own request.");
    Ok(())
}

/// Events in each log: three for each request, and one for each that fails. tower-http adds one for each that
/// panics, which knows no `n`: it must have the values of one request.
fn events() -> u64 {
    3 * REQUESTS + count(fails) + count(panics)
}

fn count(f: fn(u64) -> bool) -> u64 {
    (0..REQUESTS).filter(|&n| f(n)).count() as u64
}

/// Returns an error if the values that were shown are not those of request `n`.
fn check(what: &str, n: u64, request_id: &str, tenant: &str, plan: &str) -> Result<()> {
    if request_id == n.to_string() && tenant == tenant_of(n) && plan == plan_of(n) {
        return Ok(());
    }
    Err(format!("{what} of request {n} shows {request_id}, {tenant} and {plan}").into())
}

fn check_count(count: usize, what: &str, expected: u64) -> Result<()> {
    println!("{count:>5} {what}");
    if count as u64 == expected { Ok(()) } else { Err(format!("expected {expected}").into()) }
}

fn check_responses(responses: &[(u64, Response)]) -> Result<()> {
    for (n, response) in responses {
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        // A header shows values, and no default.
        check(
            "the response",
            *n,
            header("x-request-id").unwrap_or_default(),
            &tenant_of(*n),
            header("x-plan").unwrap_or("free"),
        )?;
        let expected = if fails(*n) {
            409
        } else if panics(*n) {
            500
        } else {
            200
        };
        if response.status() != expected {
            return Err(format!("the response to request {n} is {}", response.status()).into());
        }
    }
    check_count(responses.len(), "headers of responses", REQUESTS)
}

fn check_json(lines: &str) -> Result<()> {
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(line)?;
        let fields = &line["fields"];
        // Typed: a number, a string, an object.
        let id = fields["request_id"].as_u64().ok_or_else(|| format!("no id in {line}"))?;
        let n = fields["n"].as_u64().unwrap_or(id);
        let text = |name: &str| fields[name].as_str().unwrap_or_default();
        check("a line of JSON", n, &id.to_string(), text("tenant"), text("plan"))?;
        if fields["user"] != serde_json::json!({"name": format!("user {n}"), "admin": false}) {
            return Err(format!("the user of another request in {line}").into());
        }
    }
    check_secret(lines)?;
    check_count(lines.lines().count(), "lines in the log of JSON", events())
}

fn check_text(lines: &str) -> Result<()> {
    for line in lines.lines() {
        // The fields of the event come after those of its spans.
        let fields: BTreeMap<&str, &str> = line.split(' ').filter_map(|word| word.split_once('=')).collect();
        let field = |name| fields.get(name).copied().unwrap_or_default();
        let n = fields.get("n").copied().unwrap_or(field("request_id")).parse()?;
        check("a line of text", n, field("request_id"), field("tenant"), field("plan"))?;
    }
    check_secret(lines)?;
    check_count(lines.lines().count(), "lines in the log of text", events())
}

fn check_secret(text: &str) -> Result<()> {
    if text.contains("sesame") { Err("a log shows the secret".into()) } else { Ok(()) }
}

fn check_spans(observed: &Observed) -> Result<()> {
    let spans = observed.spans.get_finished_spans()?;
    for span in &spans {
        let attribute = |name: &str| {
            let attribute = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
            attribute.map(|attribute| attribute.value.to_string()).unwrap_or_default()
        };
        check(
            "a span",
            attribute("n").parse()?,
            &attribute("request_id"),
            &attribute("tenant"),
            &attribute("plan"),
        )?;
    }
    check_count(spans.len(), "spans", 3 * REQUESTS)
}

fn check_records(observed: &Observed) -> Result<()> {
    let records = observed.records.get_emitted_logs()?;
    for log in &records {
        let attribute = |name: &str| {
            let mut attributes = log.record.attributes_iter();
            match attributes.find(|(key, _)| key.as_str() == name) {
                Some((_, AnyValue::String(text))) => text.to_string(),
                Some((_, AnyValue::Int(number))) => number.to_string(),
                _ => String::new(),
            }
        };
        let id = attribute("request_id");
        let n = Some(attribute("n")).filter(|n| !n.is_empty()).unwrap_or(id.clone()).parse()?;
        check("a log record", n, &id, &attribute("tenant"), &attribute("plan"))?;
    }
    check_count(records.len(), "log records", events())
}

/// Labels cannot have the request's number: they have what is expected of them instead.
fn check_expected(what: &str, labels: &BTreeMap<&str, String>) -> Result<()> {
    let label = |name| labels.get(name).map(|text| &**text).unwrap_or_default();
    if label("tenant") == label("expected_tenant")
        && label("plan") == label("expected_plan")
        && labels.len() == 4
    {
        return Ok(());
    }
    Err(format!("{what} has the labels {labels:?}").into())
}

fn check_labels(observed: &Observed) -> Result<()> {
    let mut total = 0;
    for (key, _, _, value) in observed.labels.snapshot().into_vec() {
        let labels = key.key().labels().map(|label| (label.key(), label.value().to_owned())).collect();
        check_expected("a counter", &labels)?;
        if let DebugValue::Counter(count) = value {
            total += count;
        }
    }
    check_count(total as usize, "counts of the crate `metrics`", REQUESTS)
}

fn check_meters(observed: &Observed) -> Result<()> {
    observed.meter_provider.force_flush()?;
    let mut total = 0;
    for metrics in observed.meters.get_finished_metrics()? {
        for metric in metrics.scope_metrics().flat_map(|scope| scope.metrics()) {
            let AggregatedMetrics::U64(MetricData::Sum(sum)) = metric.data() else {
                return Err(format!("an unexpected metric: {metric:?}").into());
            };
            for point in sum.data_points() {
                let labels = point.attributes().map(|it| (it.key.as_str(), it.value.to_string())).collect();
                check_expected("a meter", &labels)?;
                total += point.value();
            }
        }
    }
    check_count(total as usize, "counts of OpenTelemetry's meter", REQUESTS)
}

/// The reports are written here, where there is no request.
fn check_reports(observed: &Observed) -> Result<()> {
    let number = |text: &str| text.rsplit(' ').next().unwrap_or_default().parse::<u64>();
    let events = observed.sentry.fetch_and_clear_events();
    for event in &events {
        let n = number(event.message.as_deref().unwrap_or_default())?;
        let tag = |name| event.tags.get(name).map(|tag| &**tag).unwrap_or_default();
        check("a report to sentry", n, tag("request_id"), tag("tenant"), tag("plan"))?;
    }
    check_count(events.len(), "reports to sentry", count(fails))?;

    let reports = REPORTS.lock().unwrap();
    for (n, error) in &*reports {
        let report = format!("{error:?}");
        let fields: BTreeMap<&str, &str> =
            report.split_whitespace().filter_map(|word| word.split_once('=')).collect();
        let field = |name| fields.get(name).copied().unwrap_or_default();
        check("an error", *n, field("request_id"), field("tenant"), field("plan"))?;
    }
    check_count(reports.len(), "errors", count(fails))
}

fn check_panics(panics: &[ContextSnapshot]) -> Result<()> {
    for snapshot in panics {
        let field = |name| snapshot.get(name).unwrap_or_default();
        check("a panic", field("request_id").parse()?, field("request_id"), field("tenant"), field("plan"))?;
    }
    check_count(panics.len(), "panics", count(crate::panics))
}
