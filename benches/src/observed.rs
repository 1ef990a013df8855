//! Puts load on an HTTP service whose variables show in logs, spans, metrics and headers, each alone and all
//! together. Each service runs in a process of its own, because subscribers and recorders are global.

use std::env;
use std::error::Error;
use std::hint::black_box;
use std::io::{self, BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use axum::Router;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::routing::get;
use contextvar::metrics::ContextRecorder;
use contextvar::opentelemetry::ContextSpanProcessor;
use contextvar::tower::ContextLayer;
use contextvar::tracing::ContextFormat;
use contextvar::{baggage, context_var};
use metrics_util::registry::{AtomicStorage, Registry};
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider, SpanData, SpanExporter};
use tokio::net::TcpListener;
use tracing_subscriber::fmt::format::{Format, JsonFields};

use crate::load::{REQUEST_ID, TENANT, run_wrk, text, with_context};
use crate::pairs::{Median, SECONDS, by_turns};
use crate::report::{header, number, row};

/// The argument that makes this program run one service.
pub(crate) const SERVE: &str = "--serve";

const CONNECTIONS: u32 = 64;
// A multiple of four: see `by_turns`.
const ROUNDS: usize = 48;

/// Each feature: its name, and its letter in the name of a service. A service has a capital letter if the
/// variables show.
const FEATURES: [(&str, &str); 6] = [
    ("a line of JSON in a log", "l"),
    ("a span of OpenTelemetry", "s"),
    ("a counter of the crate `metrics`", "m"),
    ("a header of the response", "h"),
    ("baggage", "b"),
    ("all of them", "lsmhb"),
];

#[context_var(baggage = "locale")]
static LOCALE: String;

pub(crate) fn table() -> Result<String, Box<dyn Error>> {
    let mut table = header("", ["without variables", "with", "ratio (95 % interval)"].into_iter());
    // The noise first: a service to itself.
    table += &compare("the noise: all of them, without variables in both", ["lsmhb", "lsmhb"])?;
    for (name, letters) in FEATURES {
        table += &compare(name, [letters, &letters.to_uppercase()])?;
    }
    Ok(table)
}

/// Returns the row that compares two services.
fn compare(name: &str, services: [&str; 2]) -> Result<String, Box<dyn Error>> {
    let services = [Service::start(services[0])?, Service::start(services[1])?];
    let rounds: Vec<[f64; 2]> =
        by_turns(ROUNDS, |service| Ok(run_wrk(services[service].address, CONNECTIONS, SECONDS)?.per_second))?;
    let [without, with] =
        [0, 1].map(|service| number(Median::of(rounds.iter().map(|loads| loads[service])).median));
    let ratio = Median::of(rounds.iter().map(|loads| loads[1] / loads[0])).to_string();
    Ok(row(name, [without, with, ratio].into_iter().map(Some)))
}

struct Service {
    process: Child,
    address: SocketAddr,
}

impl Service {
    fn start(name: &str) -> Result<Self, Box<dyn Error>> {
        let mut command = Command::new(env::current_exe()?);
        let mut process = command.args([SERVE, name]).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("stdout is piped")?).read_line(&mut line)?;
        Ok(Service { address: line.trim().parse()?, process })
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill().and_then(|()| self.process.wait());
    }
}

/// What the handler does besides its work.
#[derive(Default)]
struct Observed {
    logs: bool,
    counts: bool,
    sends: bool,
    tracer: Option<SdkTracer>,
}

static OBSERVED: OnceLock<Observed> = OnceLock::new();

/// Runs a service until the process is killed. Prints its address.
pub(crate) fn serve(name: &str) -> Result<(), Box<dyn Error>> {
    let has = |letter: char| name.contains([letter, letter.to_ascii_uppercase()]);
    let shows = |letter: char| name.contains(letter.to_ascii_uppercase());
    let mut observed = Observed { logs: has('l'), counts: has('m'), sends: has('b'), tracer: None };

    let lines = tracing_subscriber::fmt().with_writer(io::sink).fmt_fields(JsonFields::new());
    let format = Format::default().json();
    match (has('l'), shows('l')) {
        (_, true) => lines.event_format(ContextFormat::new(format)).init(),
        (true, _) => lines.event_format(format).init(),
        _ => (),
    }
    if has('s') {
        let provider = SdkTracerProvider::builder().with_simple_exporter(Discard);
        let provider =
            if shows('s') { provider.with_span_processor(ContextSpanProcessor::new()) } else { provider };
        observed.tracer = Some(provider.build().tracer("load"));
    }
    let counters = Counters(Registry::atomic());
    match (has('m'), shows('m')) {
        (_, true) => metrics::set_global_recorder(ContextRecorder::new(counters))?,
        (true, _) => metrics::set_global_recorder(counters)?,
        _ => (),
    }
    let mut layer = ContextLayer::new()
        .set(&REQUEST_ID, |request: &Parts| text(&request.headers, "x-request-id"))
        .set(&TENANT, |request: &Parts| text(&request.headers, "x-tenant"));
    if shows('h') {
        layer = layer.response_header(HeaderName::from_static("x-request-id"), &REQUEST_ID);
    }
    if shows('b') {
        layer = layer.extract_baggage(|error| eprintln!("{error}"));
    }
    OBSERVED.set(observed).map_err(|_| "one service per process")?;

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        println!("{}", listener.local_addr()?);
        io::stdout().flush()?;
        axum::serve(listener, Router::new().route("/", get(handler)).layer(layer)).await?;
        Ok(())
    })
}

async fn handler(headers: HeaderMap) -> Result<String, StatusCode> {
    let observed = OBSERVED.get().expect("set before the service starts");
    let _span = observed.tracer.as_ref().map(|tracer| tracer.start("handler"));
    if observed.logs {
        tracing::info!("handled");
    }
    if observed.counts {
        metrics::counter!("requests").increment(1);
    }
    if observed.sends {
        LOCALE.set("en".to_owned());
        black_box(baggage::headers());
    }
    with_context(headers).await
}

/// Discards spans.
#[derive(Debug)]
pub(crate) struct Discard;

impl SpanExporter for Discard {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        black_box(batch);
        Ok(())
    }
}

/// Counts.
pub(crate) struct Counters(pub(crate) Registry<metrics::Key, AtomicStorage>);

impl metrics::Recorder for Counters {
    fn describe_counter(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn describe_gauge(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn describe_histogram(&self, _: metrics::KeyName, _: Option<metrics::Unit>, _: metrics::SharedString) {}

    fn register_counter(&self, key: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Counter {
        self.0.get_or_create_counter(key, |counter| counter.clone().into())
    }

    fn register_gauge(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Gauge {
        metrics::Gauge::noop()
    }

    fn register_histogram(&self, _: &metrics::Key, _: &metrics::Metadata<'_>) -> metrics::Histogram {
        metrics::Histogram::noop()
    }
}
