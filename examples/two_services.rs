//! A gateway and a backend in two processes. Values that the gateway sets appear in the backend's logs and
//! database.
//!
//! The gateway gives each request an id, and takes the tenant and the locale from its headers. It calls the
//! backend with baggage and `traceparent` in the headers. The backend logs and writes a row to a SQLite file,
//! from a task and a blocking call whose arguments do not identify the request.
//!
//! ```console
//! $ cargo run -p two_services    # starts both, sends 300 overlapping requests, checks everything, and exits
//! ```

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, StatusCode, request};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use contextvar::tower::ContextLayer;
use contextvar::tracing::ContextFormat;
use contextvar::{baggage, context_var, task};
use futures::stream::{self, StreamExt, TryStreamExt};
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{FutureExt, TraceContextExt, TraceId, Tracer, TracerProvider};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::SdkTracerProvider;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Middleware, Next};
use rusqlite::Connection;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tracing::info;
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

// The variables of both services.

#[context_var(name = "request_id", log, baggage = "request.id")]
static REQUEST_ID: Uuid;

#[context_var(name = "tenant", log, baggage = "tenant")]
static TENANT: String;

#[context_var(name = "locale", log, baggage = "locale")]
static LOCALE: String = "en".to_owned();

/// Is in the logs of both services. OpenTelemetry's header `traceparent` carries it to the backend.
#[context_var(name = "trace_id", log)]
static TRACE_ID: TraceId;

/// Is in the gateway's logs, and is not sent to the backend.
#[context_var(name = "client", log)]
static CLIENT: String;

fn init_logging() {
    tracing_subscriber::fmt().json().map_event_format(ContextFormat::new).init();
}

// The gateway.

async fn gateway(backend: String) -> Result<()> {
    init_logging();
    let layer = ContextLayer::new()
        .set(&REQUEST_ID, |_| Uuid::new_v4())
        .set_or_reject(
            &TENANT,
            |request| header(request, "x-tenant").ok_or("the header x-tenant is missing"),
            |error| (StatusCode::UNAUTHORIZED, error).into_response(),
        )
        .set_if_some(&LOCALE, |request| header(request, "accept-language"))
        .set_if_some(&CLIENT, |request| header(request, "user-agent"));
    let client = ClientBuilder::new(reqwest::Client::new()).with(SendContext).build();
    let state = Gateway { backend, client, tracer: SdkTracerProvider::default() };
    serve(Router::new().route("/orders", post(order)).layer(layer).with_state(state)).await
}

#[derive(Clone)]
struct Gateway {
    backend: String,
    client: ClientWithMiddleware,
    tracer: SdkTracerProvider,
}

/// Answers with the ids of the request and of its trace.
async fn order(State(gateway): State<Gateway>, item: String) -> std::result::Result<String, StatusCode> {
    let span = gateway.tracer.tracer("gateway").start("order");
    let trace = opentelemetry::Context::new().with_span(span);
    TRACE_ID.set(trace.span().span_context().trace_id());
    info!("order");
    // The task inherits the variables and the trace.
    let stored = async { task::spawn(store(gateway, item)).await }.with_context(trace).await;
    stored.map_err(failed)?.map_err(failed)?;
    Ok(format!("{} {}", REQUEST_ID.get(), TRACE_ID.get()))
}

async fn store(gateway: Gateway, item: String) -> reqwest_middleware::Result<()> {
    let request = gateway.client.post(format!("{}/store", gateway.backend)).body(item);
    request.send().await?.error_for_status()?;
    Ok(())
}

/// Adds the baggage and the trace to all requests of a client.
struct SendContext;

#[async_trait]
impl Middleware for SendContext {
    async fn handle(
        &self,
        mut request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        baggage::inject_headers(request.headers_mut());
        TraceContextPropagator::new().inject(&mut HeaderInjector(request.headers_mut()));
        next.run(request, extensions).await
    }
}

// The backend.

async fn backend(database: PathBuf) -> Result<()> {
    init_logging();
    Connection::open(&database)?.execute(
        "CREATE TABLE orders (request_id TEXT, tenant TEXT, locale TEXT, trace TEXT, item TEXT)",
        (),
    )?;
    let layer = ContextLayer::new().extract_baggage(|error| eprintln!("{error}"));
    serve(Router::new().route("/store", post(write)).layer(layer).with_state(database)).await
}

async fn write(
    State(database): State<PathBuf>,
    headers: HeaderMap,
    item: String,
) -> std::result::Result<(), StatusCode> {
    let trace = TraceContextPropagator::new().extract(&HeaderExtractor(&headers));
    TRACE_ID.set(trace.span().span_context().trace_id());
    let written = async { task::spawn(audit(database, item)).await }.with_context(trace).await;
    written.map_err(failed)?.map_err(failed)
}

async fn audit(database: PathBuf, item: String) -> Result<()> {
    tokio::task::yield_now().await;
    info!("order");
    task::spawn_blocking(move || insert(&database, &item)).await?
}

/// Takes the values of the request from the variables.
fn insert(database: &Path, item: &str) -> Result<()> {
    let connection = Connection::open(database)?;
    connection.busy_timeout(std::time::Duration::from_secs(30))?;
    let trace = opentelemetry::Context::map_current(|trace| trace.span().span_context().trace_id());
    connection.execute(
        "INSERT INTO orders VALUES (?1, ?2, ?3, ?4, ?5)",
        (REQUEST_ID.get().to_string(), TENANT.get(), LOCALE.get(), trace.to_string(), item),
    )?;
    info!("stored");
    Ok(())
}

// Functions of both services.

fn header(request: &request::Parts, name: &str) -> Option<String> {
    Some(request.headers.get(name)?.to_str().ok()?.to_owned())
}

fn failed(error: impl std::fmt::Display) -> StatusCode {
    tracing::error!("failed: {error}");
    StatusCode::INTERNAL_SERVER_ERROR
}

/// Serves on a free port, and prints the address as the first line.
async fn serve(app: Router) -> Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?);
    Ok(axum::serve(listener, app.route("/", get(|| async { "up" }))).await?)
}

// The check.

const REQUESTS: usize = 300;

/// A request with its expected values.
struct Order {
    item: String,
    tenant: String,
    locale: String,
    request_id: String,
    trace: String,
}

async fn check() -> Result<()> {
    let directory = env::temp_dir().join(format!("two-services-{}", Uuid::new_v4()));
    std::fs::create_dir(&directory)?;
    let database = directory.join("orders.sqlite");
    let backend = Service::start("backend", database.as_os_str()).await?;
    let gateway = Service::start("gateway", format!("http://{}", backend.address).as_ref()).await?;

    let client = reqwest::Client::new();
    let refused = client.post(format!("http://{}/orders", gateway.address)).send().await?;
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    let orders = stream::iter(0..REQUESTS).map(|n| send(&client, gateway.address, n)).buffer_unordered(64);
    let orders: Vec<Order> = orders.try_collect().await?;
    let (gateway_logs, backend_logs) = (gateway.stop().await?, backend.stop().await?);

    assert_rows(&database, &orders)?;
    assert_logs(&gateway_logs, &orders, &["order"], Some("check"));
    assert_logs(&backend_logs, &orders, &["order", "stored"], None);
    std::fs::remove_dir_all(&directory)?;
    println!(
        "{REQUESTS} requests through two processes: each log line and each row has the id, tenant, locale and trace of \
         its request"
    );
    Ok(())
}

/// Another process of this program that runs one of the services.
struct Service {
    process: Child,
    address: SocketAddr,
    logs: JoinHandle<io::Result<String>>,
}

impl Service {
    async fn start(service: &str, argument: &OsStr) -> Result<Self> {
        let mut command = Command::new(env::current_exe()?);
        let mut process =
            command.arg(service).arg(argument).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let mut output = BufReader::new(process.stdout.take().expect("stdout is piped"));
        let mut address = String::new();
        output.read_line(&mut address).await?;
        // Reads from now on, because a process blocks when its pipe is full.
        let logs = tokio::spawn(async move {
            let mut logs = String::new();
            output.read_to_string(&mut logs).await?;
            Ok(logs)
        });
        Ok(Self { process, address: address.trim().parse()?, logs })
    }

    /// Stops the service and returns its log.
    async fn stop(mut self) -> Result<String> {
        self.process.kill().await?;
        Ok(self.logs.await??)
    }
}

async fn send(client: &reqwest::Client, gateway: SocketAddr, n: usize) -> Result<Order> {
    let (item, tenant) = (format!("item {n}"), format!("tenant {}, with a comma", n % 7));
    let locale = ["en", "fr", "de"][n % 3].to_owned();
    let request = client.post(format!("http://{gateway}/orders")).header("x-tenant", &tenant);
    let request = request.header("accept-language", &locale).header("user-agent", "check");
    let answer = request.body(item.clone()).send().await?.error_for_status()?.text().await?;
    let (request_id, trace) = answer.split_once(' ').ok_or("the answer is not two words")?;
    Ok(Order { item, tenant, locale, request_id: request_id.to_owned(), trace: trace.to_owned() })
}

fn assert_rows(database: &Path, orders: &[Order]) -> Result<()> {
    let connection = Connection::open(database)?;
    let mut select = connection.prepare("SELECT item, request_id, tenant, locale, trace FROM orders")?;
    let rows = select.query_map((), |row| {
        Ok((row.get::<_, String>(0)?, [row.get::<_, String>(1)?, row.get(2)?, row.get(3)?, row.get(4)?]))
    })?;
    let rows = rows.collect::<rusqlite::Result<HashMap<_, _>>>()?;
    assert_eq!(rows.len(), orders.len());
    for order in orders {
        let expected = [&order.request_id, &order.tenant, &order.locale, &order.trace];
        assert_eq!(rows[&order.item].each_ref(), expected);
    }
    Ok(())
}

fn assert_logs(logs: &str, orders: &[Order], messages: &[&str], client: Option<&str>) {
    let lines = logs.lines().map(|line| serde_json::from_str(line).expect("a line of JSON"));
    let lines: Vec<serde_json::Value> = lines.collect();
    assert_eq!(lines.len(), orders.len() * messages.len());
    for order in orders {
        for message in messages {
            let is_it = |line: &&serde_json::Value| {
                line["fields"]["request_id"] == *order.request_id && line["fields"]["message"] == **message
            };
            let found: Vec<_> = lines.iter().filter(is_it).collect();
            assert_eq!(found.len(), 1);
            let fields = &found[0]["fields"];
            let shown = ["tenant", "locale", "trace_id"].map(|name| fields[name].as_str());
            assert_eq!(shown, [&order.tenant, &order.locale, &order.trace].map(|value| Some(&**value)));
            assert_eq!(fields["client"].as_str(), client);
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<_> = env::args_os().skip(1).collect();
    match arguments.iter().map(|argument| argument.to_str()).collect::<Vec<_>>()[..] {
        [] => check().await,
        [Some("gateway"), Some(address)] => gateway(address.to_owned()).await,
        [Some("backend"), _] => backend(PathBuf::from(&arguments[1])).await,
        _ => {
            Err(io::Error::other("usage: two_services [gateway BACKEND-URL | backend DATABASE-FILE]").into())
        }
    }
}
