//! Spans and log records of 100 overlapping requests, sent to an OpenTelemetry collector over OTLP/HTTP. Each
//! has the variables of its request as attributes.
//!
//! The collector is the one at `OTEL_EXPORTER_OTLP_ENDPOINT`, or else at `http://localhost:4318`.
//! `scripts/interop` runs this program with a collector of its own, which checks every span and record.
//!
//! ```console
//! $ cargo run -p telemetry
//! ```

use std::error::Error;
use std::sync::Arc;

use contextvar::opentelemetry::{ContextLogProcessor, ContextSpanProcessor, ContextTracer};
use contextvar::{context_var, task, with_copied_context};
use opentelemetry::trace::{Tracer, TracerProvider};
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, SpanExporter};
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use serde_json::json;
use tokio::sync::Barrier;
use tracing::{Instrument, info, info_span};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry;
use tracing_subscriber::util::SubscriberInitExt;

const REQUESTS: u64 = 100;

#[context_var(log, name = "request_id")]
static REQUEST_ID: u64;

#[context_var(log, name = "tenant")]
static TENANT: String;

#[context_var(log, name = "share")]
static SHARE: f64;

#[context_var(log, name = "is_premium")]
static IS_PREMIUM: bool;

#[context_var(log = serde, name = "cart")]
static CART: serde_json::Value;

/// The arguments are for the names of the spans and the texts of the events. Nothing below takes them as
/// attributes.
#[with_copied_context(
    REQUEST_ID = n,
    TENANT = format!("tenant-{n}"),
    SHARE = n as f64 / 4.0,
    IS_PREMIUM = n % 2 == 0,
    CART = json!({ "items": [n, n + 1], "note": null }),
)]
async fn handle(n: u64, tracer: SdkTracer, all_here: Arc<Barrier>) -> Result<(), tokio::task::JoinError> {
    async {
        info!("started {n}");
        all_here.wait().await;
        tracer.in_span(format!("direct {n}"), |_| ());

        let call = task::spawn_blocking(move || {
            tracer.in_span(format!("call {n}"), |_| info!("called {n}"));
        });
        // Opened here, and entered in a task that has no variables.
        let moved = info_span!("moved", otel.name = format!("moved {n}"));
        let moved = task::spawn_in_empty_context(async {}.instrument(moved));
        let task = task::spawn(async move {
            all_here.wait().await;
            info!("worked {n}");
        });
        tokio::try_join!(task, call, moved)?;
        Ok(())
    }
    .instrument(info_span!("request", otel.name = format!("request {n}")))
    .await
}

fn main() -> Result<(), Box<dyn Error>> {
    let spans = SdkTracerProvider::builder()
        .with_span_processor(ContextSpanProcessor::new())
        .with_batch_exporter(SpanExporter::builder().with_http().build()?)
        .build();
    let records = SdkLoggerProvider::builder()
        .with_log_processor(ContextLogProcessor::new())
        .with_batch_exporter(LogExporter::builder().with_http().build()?)
        .build();
    let tracer = spans.tracer("telemetry");
    registry()
        // Without the events of the client that exports.
        .with(Targets::new().with_target("telemetry", LevelFilter::INFO))
        .with(tracing_opentelemetry::layer().with_tracer(ContextTracer::new(tracer.clone())))
        .with(OpenTelemetryTracingBridge::new(&records))
        .init();

    tokio::runtime::Runtime::new()?.block_on(async {
        let all_here = Arc::new(Barrier::new(REQUESTS as usize));
        let handle = |n| tokio::spawn(handle(n, tracer.clone(), all_here.clone()));
        for request in (0..REQUESTS).map(handle).collect::<Vec<_>>() {
            request.await??;
        }
        Ok::<_, Box<dyn Error>>(())
    })?;
    spans.shutdown()?;
    records.shutdown()?;
    println!("exported the spans and log records of {REQUESTS} requests");
    Ok(())
}
