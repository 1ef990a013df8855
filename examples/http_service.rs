//! An HTTP service that runs each handler in its own context.
//!
//! A request has an id, a tenant and a user. They are set once, where the request comes in. All code that
//! works on the request can read them: nested functions, spawned tasks, a blocking call, a thread, and the
//! log.
//!
//! ```console
//! $ cargo run --example http_service                            # sends itself requests, checks the answers, and exits
//! $ cargo run --example http_service -- --serve 127.0.0.1:3000  # serves until ctrl-c
//! $ curl -H 'x-request-id: 42' http://127.0.0.1:3000/acme/ada
//! ```

use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{env, io};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use contextvar::tower::ContextLayer;
use contextvar::tracing::ContextFormat;
use contextvar::{context_var, task, thread};
use futures::stream::{self, StreamExt};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{error, info};
use uuid::Uuid;

// The service.

#[context_var(name = "request_id", log)]
static REQUEST_ID: String;

#[context_var(name = "tenant", log)]
static TENANT: String;

#[context_var(name = "user", log)]
static USER: String;

fn service() -> Router {
    let context = ContextLayer::new().set(&REQUEST_ID, request_id);
    Router::new().route("/{tenant}/{user}", get(handler)).layer(context)
}

fn request_id(request: &Parts) -> String {
    let given =
        request.headers.get("x-request-id").and_then(|id| id.to_str().ok()).filter(|id| !id.is_empty());
    given.map_or_else(|| Uuid::new_v4().to_string(), str::to_owned)
}

/// Works on the request in many places, and answers with the values that each place saw.
async fn handler(Path((tenant, user)): Path<(String, String)>) -> Result<String, StatusCode> {
    TENANT.set(tenant);
    USER.set(user);
    info!("request");
    let account = load_account().await;

    let audit = task::spawn(write_audit());
    let mail = task::spawn(send_mail());
    let report = task::spawn_blocking(|| log_place("blocking call: report"));
    let (done, signature) = oneshot::channel();
    thread::spawn(|| done.send(log_place("thread: signature")));

    let (audit, mail, report) = tokio::try_join!(audit, mail, report).map_err(failed)?;
    let signature = signature.await.map_err(failed)?;
    info!("response");
    Ok([account, audit, mail, report, signature].concat())
}

fn failed(error: impl Error) -> StatusCode {
    error!("failed: {error}");
    StatusCode::INTERNAL_SERVER_ERROR
}

async fn load_account() -> String {
    query_database().await
}

async fn query_database() -> String {
    tokio::time::sleep(Duration::from_millis(2)).await;
    log_place("nested function: account")
}

async fn write_audit() -> String {
    tokio::task::yield_now().await;
    log_place("task: audit")
}

async fn send_mail() -> String {
    tokio::time::sleep(Duration::from_millis(1)).await;
    log_place("task: mail")
}

/// Logs a line, and returns the values that are logged, as a line. No argument identifies the request.
fn log_place(place: &str) -> String {
    info!("{place}");
    let mut line = place.to_owned();
    contextvar::for_each_log_field(|name, value| line += &format!(" {name}={value}"));
    line + "\n"
}

// The program.

const USAGE: &str = "usage: http_service [--serve ADDR], for example --serve 127.0.0.1:3000";

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<_> = env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => check().await,
        ["--serve", address] => serve(address).await,
        ["--help" | "-h"] => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(format!("unknown arguments {:?}; {USAGE}", args.join(" ")).into()),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::from(2)
    })
}

async fn serve(address: &str) -> Result<ExitCode, Box<dyn Error>> {
    let listener = listen(address).await?;
    tracing_subscriber::fmt().map_event_format(ContextFormat::new).init();
    println!("serving http://{}/{{tenant}}/{{user}} until ctrl-c", listener.local_addr()?);
    tokio::select! {
        served = axum::serve(listener, service()).with_graceful_shutdown(ctrl_c()).into_future() => served?,
        // A client that never ends its request would keep the service running. A second ctrl-c does not wait
        // for it.
        () = async { ctrl_c().await; ctrl_c().await } => {}
    }
    println!("stopped");
    Ok(ExitCode::SUCCESS)
}

async fn ctrl_c() {
    tokio::signal::ctrl_c().await.unwrap_or_else(|error| error!("can't wait for ctrl-c: {error}"));
}

async fn listen(address: &str) -> Result<TcpListener, String> {
    TcpListener::bind(address).await.map_err(|error| format!("can't listen on {address:?}: {error}"))
}

/// Sends overlapping requests to the service, and checks that none of them saw values of another request.
async fn check() -> Result<ExitCode, Box<dyn Error>> {
    const REQUESTS: usize = 400;
    const CONCURRENT: usize = 64;
    const LINES_PER_REQUEST: usize = 7;

    let log = Arc::new(Log::default());
    let format =
        tracing_subscriber::fmt().without_time().with_level(false).with_target(false).with_ansi(false);
    format.with_writer(log.clone()).map_event_format(ContextFormat::new).init();
    let listener = listen("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("sending {REQUESTS} requests, {CONCURRENT} at a time, to {url}");
    tokio::spawn(axum::serve(listener, service()).into_future());

    let client = Client::builder(TokioExecutor::new()).build_http();
    let requests = stream::iter(0..REQUESTS).map(|n| request(&client, &url, n));
    let answers: Vec<_> = requests.buffer_unordered(CONCURRENT).collect().await;
    let log = std::mem::take(&mut *log.0.lock().unwrap());
    println!("\nthe log of two requests:");
    two_requests(&log).for_each(|line| println!("  {line}"));

    let mut mistakes: Vec<_> = answers.iter().filter_map(|answer| answer.clone().err()).collect();
    for own in answers.iter().flatten() {
        let lines: Vec<_> = log.iter().filter(|line| id(line) == id(own)).collect();
        if lines.len() != LINES_PER_REQUEST || lines.iter().any(|line| owner(line) != own) {
            mistakes.push(format!("{own}: the log has {} lines with its id", lines.len()));
        }
    }
    if log.len() != REQUESTS * LINES_PER_REQUEST {
        mistakes.push(format!("the log has {} lines", log.len()));
    }
    let switches = log.windows(2).filter(|pair| owner(&pair[0]) != owner(&pair[1])).count();
    if switches < REQUESTS {
        mistakes.push("the requests did not overlap, so this run proves nothing".to_owned());
    }

    println!("\n{REQUESTS} requests, {} log lines, {switches} switches between requests", log.len());
    if mistakes.is_empty() {
        println!("ok: no request saw values of another request");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("FAILED: {} mistakes, of which these are the first:", mistakes.len());
    mistakes.iter().take(5).for_each(|mistake| eprintln!("  {mistake}"));
    Ok(ExitCode::FAILURE)
}

/// Sends a request. Returns the request's values, or an error if some part of the work saw other values.
async fn request(client: &Client<HttpConnector, Body>, url: &str, n: usize) -> Result<String, String> {
    let mut request = Request::get(format!("{url}/t{n}/u{n}"));
    // Every third request has no id, so that the service generates one.
    let given = (n % 3 != 0).then(|| format!("id-{n}"));
    if let Some(id) = &given {
        request = request.header("x-request-id", id);
    }
    let answer = async {
        let response = client.request(request.body(Body::empty())?).await?;
        let body = to_bytes(Body::new(response.into_body()), 10_000).await?;
        Ok::<_, Box<dyn Error>>(String::from_utf8(body.into())?)
    };
    let answer =
        timeout(Duration::from_secs(30), answer).await.map_err(|_| format!("request {n}: no answer"))?;
    let answer = answer.map_err(|error| format!("request {n}: {error}"))?;

    let generated = Uuid::parse_str(id(&answer)).unwrap_or_default();
    let own = format!("request_id={} tenant=t{n} user=u{n}", given.unwrap_or_else(|| generated.to_string()));
    let is_correct = answer.lines().count() == 5 && answer.lines().all(|line| owner(line) == own);
    if is_correct { Ok(own) } else { Err(format!("request {n} saw\n{answer}")) }
}

/// Returns the lines of a request from the middle of the log, and of the next request that interleaves with
/// it.
fn two_requests(log: &[String]) -> impl Iterator<Item = &String> {
    let (_, rest) = log.split_at(log.len() / 2);
    let one = rest.first().map(|line| owner(line));
    let other = rest.iter().map(|line| owner(line)).find(|owner| Some(*owner) != one);
    log.iter().filter(move |line| [one, other].contains(&Some(owner(line))))
}

/// Returns the values at the end of a line of the log or of an answer.
fn owner(line: &str) -> &str {
    line.find("request_id=").map_or("", |start| &line[start..])
}

fn id(line: &str) -> &str {
    owner(line).split([' ', '=']).nth(1).unwrap_or_default()
}

/// A log in memory.
#[derive(Default)]
struct Log(Mutex<Vec<String>>);

impl io::Write for &Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().push(String::from_utf8_lossy(line).trim_end().to_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
