//! An HTTP service whose handlers each run in a context of their own.
//!
//! A request has an id, a tenant and a user. The handler sets them once; whatever works on the request finds
//! them: nested functions, spawned tasks, a blocking call, a thread, and the log.
//!
//! ```console
//! $ cargo run --example http_service                            # sends itself requests, checks, and exits
//! $ cargo run --example http_service -- --serve 127.0.0.1:3000  # serves until ctrl-c
//! $ curl -H 'x-request-id: 42' http://127.0.0.1:3000/acme/ada
//! ```

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::Path;
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use contextvar::{context_var, task, thread, with_copied_context};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tracing::{Event, Subscriber, info};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;
use uuid::Uuid;

// The service -------------------------------------------------------------------------------------------------

#[context_var]
static REQUEST_ID: String;

#[context_var]
static TENANT: String;

#[context_var]
static USER: String;

fn router() -> Router {
    Router::new().route("/{tenant}/{user}", get(handler))
}

/// `GET /{tenant}/{user}`: answers with what each part of the work saw.
#[with_copied_context(REQUEST_ID = request_id(&headers), TENANT = tenant, USER = user)]
async fn handler(headers: HeaderMap, Path((tenant, user)): Path<(String, String)>) -> Json<Vec<Seen>> {
    info!("request");
    let nested = load_profile().await;
    let audit = task::spawn(see_in("first task"));
    let notify = task::spawn(see_in("second task"));
    let blocking = task::spawn_blocking(|| see("blocking call"));
    let (send, thread) = oneshot::channel();
    thread::spawn(move || send.send(see("thread")));

    let seen = [nested, joined(audit).await, joined(notify).await, joined(blocking).await];
    let seen = seen.into_iter().chain(thread.await).collect();
    info!("response");
    Json(seen)
}

fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    given.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

async fn load_profile() -> Seen {
    tokio::task::yield_now().await;
    load_from_database().await
}

async fn load_from_database() -> Seen {
    see_in("nested function").await
}

async fn see_in(place: &'static str) -> Seen {
    tokio::task::yield_now().await;
    see(place)
}

/// Nothing was handed down to here but the place's name.
fn see(place: &str) -> Seen {
    info!("in the {place}");
    Seen { place: place.to_owned(), request_id: REQUEST_ID.get(), tenant: TENANT.get(), user: USER.get() }
}

async fn joined(task: tokio::task::JoinHandle<Seen>) -> Seen {
    task.await.expect("`see` does not panic")
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Seen {
    place: String,
    request_id: String,
    tenant: String,
    user: String,
}

// The log -----------------------------------------------------------------------------------------------------

/// Puts the context's variables before each line.
struct WithContext;

impl<S, N> FormatEvent<S, N> for WithContext
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, cx: &FmtContext<'_, S, N>, mut out: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let or_none = |value: Result<String, _>| value.unwrap_or_else(|_| "-".to_owned());
        let (id, tenant, user) = (REQUEST_ID.try_get(), TENANT.try_get(), USER.try_get());
        write!(out, "request_id={} tenant={} user={} ", or_none(id), or_none(tenant), or_none(user))?;
        cx.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

/// A log in memory, for the program to look at.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect()
    }
}

// The program -------------------------------------------------------------------------------------------------

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match &*args.iter().map(String::as_str).collect::<Vec<_>>() {
        [] => demonstrate().await,
        ["--serve", address] => serve_until_ctrl_c(address).await,
        _ => Err("usage: http_service [--serve ADDR], for example --serve 127.0.0.1:3000".to_owned()),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

async fn listen(address: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("can't listen on {address}: {error}"))
}

async fn serve_until_ctrl_c(address: &str) -> Result<ExitCode, String> {
    let listener = listen(address).await?;
    tracing_subscriber::fmt().event_format(WithContext).init();
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    println!("serving http://{address}/{{tenant}}/{{user}}; ctrl-c ends it");
    let ctrl_c = async { tokio::signal::ctrl_c().await.unwrap_or_else(|error| eprintln!("error: {error}")) };
    let serve = axum::serve(listener, router()).with_graceful_shutdown(ctrl_c);
    serve.await.map_err(|error| error.to_string())?;
    println!("bye");
    Ok(ExitCode::SUCCESS)
}

const REQUESTS: usize = 400;
const AT_ONCE: usize = 64;
const PLACES: [&str; 5] = ["nested function", "first task", "second task", "blocking call", "thread"];

/// Sends the service requests that overlap, and checks that none saw another's values.
async fn demonstrate() -> Result<ExitCode, String> {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt().event_format(WithContext).with_writer(move || writer.clone()).init();
    let listener = listen("127.0.0.1:0").await?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let server = tokio::spawn(async { axum::serve(listener, router()).await });
    println!("sending {REQUESTS} requests, {AT_ONCE} at a time, to http://{address}\n");

    let client = reqwest::Client::new();
    let requests = (0..REQUESTS).map(|n| request(&client, address, n));
    let answers: Vec<_> = stream::iter(requests).buffer_unordered(AT_ONCE).collect().await;
    server.abort();

    let lines = log.lines();
    println!("a part of the log, in the order in which it was written:");
    lines.iter().skip(lines.len() / 2).take(16).for_each(|line| println!("  {line}"));

    let mixed_up = answers.iter().filter_map(|answer| answer.as_ref().err());
    let wrong_lines = lines.iter().filter(|line| !is_one_request(line));
    let mistakes: Vec<String> = mixed_up.chain(wrong_lines).cloned().collect();
    let ids: HashSet<&String> = answers.iter().flatten().collect();
    let expected_lines = REQUESTS * (PLACES.len() + 2);
    if mistakes.is_empty() && ids.len() == REQUESTS && lines.len() == expected_lines {
        println!("\n{REQUESTS} requests and {expected_lines} lines of log: none saw another's values.");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("\n{} mistakes", mistakes.len());
    eprintln!("{} different ids, {} of {expected_lines} lines of log", ids.len(), lines.len());
    mistakes.iter().take(5).for_each(|mistake| eprintln!("  {mistake}"));
    Ok(ExitCode::FAILURE)
}

/// Sends request number `n`, compares the answer with what was sent, and gives the request's id.
async fn request(client: &reqwest::Client, address: SocketAddr, n: usize) -> Result<String, String> {
    let url = format!("http://{address}/tenant-{n}/user-{n}");
    // Every third request leaves it to the service to make an id.
    let given = (n % 3 != 0).then(|| format!("id-{n}"));
    let mut request = client.get(url);
    if let Some(id) = &given {
        request = request.header("x-request-id", id);
    }
    let answer = async { request.send().await?.error_for_status()?.json::<Vec<Seen>>().await };
    let seen = answer.await.map_err(|error| format!("request {n}: {error}"))?;

    let id = given.or_else(|| Some(seen.first()?.request_id.clone())).unwrap_or_default();
    let expected = PLACES.map(|place| Seen {
        place: place.to_owned(),
        request_id: id.clone(),
        tenant: format!("tenant-{n}"),
        user: format!("user-{n}"),
    });
    if seen == expected { Ok(id) } else { Err(format!("request {n} saw {seen:?}")) }
}

/// Whether the id, the tenant and the user of a line of the log belong to one request.
fn is_one_request(line: &str) -> bool {
    let number = |key: &str, prefix: &str| {
        let value = line.split(' ').find_map(|word| word.strip_prefix(key))?;
        value.strip_prefix(prefix).map(str::to_owned)
    };
    let (tenant, user) = (number("tenant=", "tenant-"), number("user=", "user-"));
    let id = number("request_id=", "id-");
    tenant.is_some() && tenant == user && (id.is_none() || id == tenant)
}
