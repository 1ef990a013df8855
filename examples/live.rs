//! A shop that generates its own load, and the page that shows its requests while they run: the tasks, threads and
//! bodies that work for each, their variables, and the tasks that outlive it.
//!
//! ```console
//! $ cargo run --example live                        # serves until ctrl-c
//! $ cargo run --example live -- 3000                # on this port
//! $ cargo run --example live -- --contexts 10000    # also starts this many idle tasks
//! $ cargo run --example live -- --check             # checks the page against the shop's own records
//! ```
//!
//! Open the address in the first line of the output. `/track` starts a task that waits forever, so some finished
//! requests stay in the list: check "Only leftovers". docs/inspect.md explains the page.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Mutex;
use std::{env, process};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::routing::get;
use contextvar::tower::ContextLayer;
use contextvar::{context_var, inspect, task, thread};
use futures::stream::{self, Stream};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

#[path = "live/check.rs"]
mod check;
#[path = "live/load.rs"]
mod load;
#[path = "live/pace.rs"]
mod pace;

// The shop.

#[context_var(name = "request_id")]
static REQUEST_ID: u64;

#[context_var(name = "tenant")]
static TENANT: String = "public".to_owned();

#[context_var(name = "user")]
static USER: String;

/// The page shows that a request has a token, but never the token.
#[context_var(name = "token", secret)]
static TOKEN: String;

#[context_var(name = "job")]
static JOB: u64;

const PAGE: &str = "/debug/contexts";

fn shop() -> Router {
    let context = ContextLayer::new()
        .set_if_some(&REQUEST_ID, |request| header(request, "x-request-id")?.parse().ok())
        .set_if_some(&TENANT, |request| header(request, "x-tenant"))
        .set_if_some(&USER, |request| header(request, "x-user"))
        .set_if_some(&TOKEN, |request| header(request, "authorization"));
    // The page refuses clients on other machines, so it needs the client's address.
    let page = inspect::page().peer(|head| Some(head.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()));
    Router::new()
        .route("/products", get(products))
        .route("/checkout", get(checkout))
        .route("/search", get(search))
        .route("/track", get(track))
        .layer(context)
        // Outside of the layer, so that the page does not list its own requests.
        .route_service(PAGE, page)
        .route("/ledger", get(ledger))
}

fn header(request: &Parts, name: &str) -> Option<String> {
    request.headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// A fast request.
async fn products() -> String {
    inspect::set_name("products");
    format!("the products of {}", TENANT.get())
}

/// A slow request: two tasks, a blocking call and a thread work for it. The receipt streams line by line.
async fn checkout() -> Result<Body, StatusCode> {
    inspect::set_name("checkout");
    let in_flight = InFlight::new();
    let stock = task::spawn(reserve_stock());
    let invoice = task::spawn_blocking(print_invoice);
    let (signature, signed) = oneshot::channel();
    thread::spawn(|| {
        inspect::set_name("sign");
        pace::blocking_work(1000);
        signature.send(())
    });
    let done = async { Ok::<_, Box<dyn Error>>((stock.await?, invoice.await?, signed.await?)) };
    done.await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    Ok(Body::from_stream(receipt(in_flight)))
}

async fn reserve_stock() {
    inspect::set_name("reserve stock");
    let warehouse = task::spawn(ask_warehouse());
    pace::work(1200).await;
    let _ = warehouse.await;
}

async fn ask_warehouse() {
    inspect::set_name("ask the warehouse");
    pace::work(1800).await;
}

fn print_invoice() {
    inspect::set_name("print the invoice");
    pace::blocking_work(700);
}

const RECEIPT_LINES: u32 = 2;

fn receipt(in_flight: InFlight) -> impl Stream<Item = Result<String, Infallible>> {
    stream::unfold((0, in_flight), |(line, in_flight)| async move {
        if line == RECEIPT_LINES {
            return None;
        }
        pace::work(1100).await;
        Some((Ok(format!("line {line} of {}\n", TENANT.get())), (line + 1, in_flight)))
    })
}

/// A mistake: the plain `tokio::spawn` gives the task no context, so it searches for the tenant `public`. The second
/// tab of the page lists this place.
async fn search() -> String {
    inspect::set_name("search");
    let tenant = tokio::spawn(async { TENANT.get() }).await;
    format!("nothing found for {}", tenant.unwrap_or_default())
}

/// Another mistake: the request is answered at once, but its task waits for a message that is never sent. The task
/// keeps the request's values alive, and the page marks the request as finished.
async fn track() -> &'static str {
    inspect::set_name("track");
    let (parcel, arrived) = oneshot::channel();
    PARCELS.lock().unwrap().insert(REQUEST_ID.get(), parcel);
    task::spawn(async {
        inspect::set_name("await the parcel");
        let _ = arrived.await;
    });
    "you will hear from us"
}

/// A background job that belongs to no request.
async fn refresh_prices() {
    inspect::set_name("refresh prices");
    for job in 1.. {
        JOB.set(job);
        let _ = task::spawn(fetch_prices()).await;
    }
}

async fn fetch_prices() {
    inspect::set_name("fetch prices");
    pace::work(2000).await;
}

// The shop's own records, to check the page against.

/// The senders that would end the tasks of the requests that track a parcel, by request id.
static PARCELS: Mutex<BTreeMap<u64, oneshot::Sender<()>>> = Mutex::new(BTreeMap::new());

/// The ids of the checkouts that are in progress.
static CHECKOUTS: Mutex<BTreeSet<u64>> = Mutex::new(BTreeSet::new());

struct InFlight(u64);

impl InFlight {
    fn new() -> Self {
        let id = REQUEST_ID.get();
        CHECKOUTS.lock().unwrap().insert(id);
        InFlight(id)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        CHECKOUTS.lock().unwrap().remove(&self.0);
    }
}

async fn ledger() -> String {
    let leaked: Vec<_> = PARCELS.lock().unwrap().keys().copied().collect();
    json!({ "checkouts": *CHECKOUTS.lock().unwrap(), "leaked": leaked }).to_string()
}

// The program.

const USAGE: &str = "usage: live [PORT] [--contexts NUMBER] [--check]";

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            // Does not wait for blocking calls that the check still holds.
            process::exit(1)
        }
    }
}

async fn run() -> load::Result<()> {
    let (mut port, mut idle, mut is_check) = (0, 0, false);
    let mut args = env::args().skip(1);
    while let Some(arg) = args.next() {
        match &*arg {
            "--check" => is_check = true,
            "--contexts" => idle = args.next().ok_or(USAGE)?.parse()?,
            port_arg => port = port_arg.parse().map_err(|_| USAGE)?,
        }
    }
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let url = format!("http://{}", listener.local_addr()?);
    println!("{url}{PAGE} shows the requests of this shop");
    inspect::on_signal()?;
    println!("`kill -USR1 {}` prints them here; ctrl-c ends the shop", process::id());

    let shop = shop().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, shop).into_future());
    if is_check {
        return check::run(&url).await;
    }
    start_job();
    hold_contexts(idle);
    tokio::spawn(load::run(load::Client::new(), url));
    Ok(tokio::signal::ctrl_c().await?)
}

fn start_job() -> JoinHandle<()> {
    task::spawn_in_empty_context(refresh_prices())
}

/// Starts this many tasks that wait forever, in trees of ten.
fn hold_contexts(number: u64) {
    for tree in 0..number / 10 {
        task::spawn_in_empty_context(async move {
            TENANT.set(format!("tenant-{tree}"));
            for _ in 1..10 {
                task::spawn(pending::<()>());
            }
            pending::<()>().await
        });
    }
}
