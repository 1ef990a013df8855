//! Puts load on an HTTP service, with and without context variables.
//!
//! In one service a `ContextLayer` and variables carry the request's id and tenant. In the others, headers and
//! arguments do. All do the same work: a nested call and two tasks with an answer each. Each service checks
//! that its answer has the id that came in with the request.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use contextvar::context_var;
use contextvar::tower::ContextLayer;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower::layer::layer_fn;

use crate::equivalent::{DoesNothing, Equivalent};
use crate::pairs::{Median, SECONDS, by_turns};
use crate::report::{header, number, row};

const CONNECTIONS: [u32; 2] = [64, 512];
// A multiple of eight: see `by_turns`.
const ROUNDS: usize = 40;

const SERVICES: [&str; 4] =
    ["a layer that does nothing", "the same service again", "an equivalent layer", "contextvar"];

/// What is divided by what: indexes of `SERVICES`.
const RATIOS: [(&str, usize, usize); 3] = [
    ("the noise: the service with a layer that does nothing, to itself", 1, 0),
    ("an equivalent layer, to a layer that does nothing", 2, 0),
    ("**contextvar, to an equivalent layer**", 3, 2),
];

type Figure = fn(&Load) -> f64;

const FIGURES: [(&str, Figure); 3] = [
    ("requests per second", |load| load.per_second),
    ("p50, ms", |load| load.p50_ms),
    ("p99, ms", |load| load.p99_ms),
];

#[context_var(name = "request_id", log)]
pub(crate) static REQUEST_ID: String;

#[context_var(name = "tenant", log, metric)]
pub(crate) static TENANT: String;

/// The number of answers that were checked, and of those that had values of another request.
static CHECKED: AtomicU64 = AtomicU64::new(0);
static MIXED_UP: AtomicU64 = AtomicU64::new(0);

pub(crate) fn tables() -> Result<String, Box<dyn Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let with_arguments = || Router::new().route("/", get(with_arguments));
    let layer = ContextLayer::new()
        .set(&REQUEST_ID, |request: &Parts| text(&request.headers, "x-request-id"))
        .set(&TENANT, |request: &Parts| text(&request.headers, "x-tenant"));
    let services = [
        start(&runtime, with_arguments().layer(layer_fn(DoesNothing)))?,
        start(&runtime, with_arguments().layer(layer_fn(DoesNothing)))?,
        start(&runtime, with_arguments().layer(layer_fn(Equivalent)))?,
        start(&runtime, Router::new().route("/", get(with_context)).layer(layer))?,
    ];

    let mut tables = String::new();
    for connections in CONNECTIONS {
        let rounds: Vec<[Load; 4]> = by_turns(ROUNDS, |service| load(services[service], connections))?;
        tables += &format!("## {connections} connections\n\n");
        tables += &header("medians", FIGURES.iter().map(|(name, _)| *name));
        for (service, name) in SERVICES.into_iter().enumerate() {
            let median = |(_, figure): (_, Figure)| {
                Some(number(Median::of(rounds.iter().map(|round| figure(&round[service]))).median))
            };
            tables += &row(name, FIGURES.into_iter().map(median));
        }
        tables += "\n";
        tables +=
            &header("ratios within a round, and their 95 % intervals", FIGURES.iter().map(|(name, _)| *name));
        for (name, over, under) in RATIOS {
            let ratio = |(_, figure): (_, Figure)| {
                let ratios = rounds.iter().map(|round| figure(&round[over]) / figure(&round[under]));
                Some(Median::of(ratios).to_string())
            };
            tables += &row(name, FIGURES.into_iter().map(ratio));
        }
        tables += "\n";
    }
    let (checked, mixed_up) = (CHECKED.load(Ordering::Relaxed), MIXED_UP.load(Ordering::Relaxed));
    tables += &format!(
        "The services checked {checked} answers; {mixed_up} of them had values of another request.\n"
    );
    if mixed_up == 0 { Ok(tables) } else { Err(tables.into()) }
}

fn start(runtime: &Runtime, service: Router) -> io::Result<SocketAddr> {
    let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0)))?;
    let address = listener.local_addr()?;
    runtime.spawn(async move { axum::serve(listener, service).await });
    Ok(address)
}

#[derive(Clone, Copy)]
pub(crate) struct Load {
    requests: f64,
    pub(crate) per_second: f64,
    p50_ms: f64,
    p99_ms: f64,
}

fn load(address: SocketAddr, connections: u32) -> Result<Load, Box<dyn Error>> {
    let before = CHECKED.load(Ordering::Relaxed);
    let load = run_wrk(address, connections, SECONDS)?;
    let checked = CHECKED.load(Ordering::Relaxed) - before;
    if (checked as f64) < load.requests {
        return Err(format!("wrk got {} answers, but only {checked} were checked", load.requests).into());
    }
    Ok(load)
}

/// Puts load on a service. Every answer must be a success.
pub(crate) fn run_wrk(address: SocketAddr, connections: u32, seconds: u32) -> Result<Load, Box<dyn Error>> {
    let mut wrk = Command::new("wrk");
    wrk.args(["--threads", "2", "--script", concat!(env!("CARGO_MANIFEST_DIR"), "/src/load.lua")]);
    wrk.args([format!("--connections={connections}"), format!("--duration={seconds}s")]);
    let output = wrk.arg(format!("http://{address}/")).output();
    let output =
        output.map_err(|error| format!("can't run wrk, which is in Debian's package `wrk`: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers = text.lines().find_map(|line| line.strip_prefix("result ")).unwrap_or_default();
    let numbers: Vec<f64> = numbers.split(' ').map(str::parse).collect::<Result<_, _>>().unwrap_or_default();
    let &[requests, seconds, p50_ms, p99_ms, 0.0] = &numbers[..] else {
        return Err(
            format!("unexpected output of wrk:\n{text}{}", String::from_utf8_lossy(&output.stderr)).into()
        );
    };
    eprintln!("{connections} connections: {:.0} requests per second, p99 {p99_ms:.2} ms", requests / seconds);
    Ok(Load { requests, per_second: requests / seconds, p50_ms, p99_ms })
}

pub(crate) fn text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// Returns the answer if it has this request's values.
fn checked(headers: &HeaderMap, answer: String) -> Result<String, StatusCode> {
    CHECKED.fetch_add(1, Ordering::Relaxed);
    let part = |name| headers.get(name).map_or(&b""[..], |value| value.as_bytes());
    let expected = [part("x-request-id"), b" ", part("x-tenant")].concat();
    if answer.as_bytes() == expected {
        return Ok(answer);
    }
    MIXED_UP.fetch_add(1, Ordering::Relaxed);
    Err(StatusCode::INTERNAL_SERVER_ERROR)
}

pub(crate) async fn with_context(headers: HeaderMap) -> Result<String, StatusCode> {
    async fn id() -> String {
        tokio::task::yield_now().await;
        REQUEST_ID.get()
    }
    async fn tenant() -> String {
        tokio::task::yield_now().await;
        TENANT.get()
    }
    let (id, tenant) = (contextvar::task::spawn(id()), contextvar::task::spawn(tenant()));
    checked(&headers, format!("{} {}", id.await.unwrap_or_default(), tenant.await.unwrap_or_default()))
}

async fn with_arguments(headers: HeaderMap) -> Result<String, StatusCode> {
    async fn later(value: String) -> String {
        tokio::task::yield_now().await;
        value
    }
    let (id, tenant) = (text(&headers, "x-request-id"), text(&headers, "x-tenant"));
    let (id, tenant) = (tokio::spawn(later(id)), tokio::spawn(later(tenant)));
    checked(&headers, format!("{} {}", id.await.unwrap_or_default(), tenant.await.unwrap_or_default()))
}
