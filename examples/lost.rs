//! Eight ways to lose the context of a request, how each is reported, and what to write instead.
//!
//! The service works for the tenant that a request names. It is written twice, part by part. The `wrong_`
//! version of each part loses the request's context and works for the tenant `public`. The `mended_` version
//! works for the request's tenant.
//!
//! ```console
//! $ cargo run --example lost    # serves both versions, prints the reports, checks them, and exits
//! ```
//!
//! A report names the line that reads or sets the variable, and each such line ends in a comment with the
//! report's cause. The mistake itself can be elsewhere: look for the code that starts or calls that line.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::error::Error;
use std::io;

use axum::body::{self, Body};
use axum::extract::{FromRequestParts, Request};
use axum::http::{HeaderMap, StatusCode, request::Parts};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};
use contextvar::hyper::ContextService;
use contextvar::report::{self, Report};
use contextvar::tower::ContextLayer;
use contextvar::{Context, context_var, inherit_context, task, with_copied_context};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

#[context_var(name = "tenant")]
static TENANT: String = "public".to_owned();

#[context_var(name = "user")]
static USER: String;

/// Gives each request a context with its tenant.
fn context() -> ContextLayer {
    ContextLayer::new().set_if_some(&TENANT, |request| header(&request.headers, "x-tenant"))
}

fn header(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

// 1. A middleware finds the request's context only if the `ContextLayer` is outside of it. In axum, a layer
//    is outside of the layers that were added before it. `wrong_service` adds the two in the wrong order.

async fn find_plan(mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(TENANT.get()); // reported: NoContext
    next.run(request).await
}

async fn plan(Extension(tenant): Extension<String>) -> String {
    tenant
}

// 2. A variable cannot be set where there is no context: `set` panics, and `try_set` returns an error. axum
//    applies a layer only to the routes that were added before it. `wrong_service` adds the route of this
//    extractor after the `ContextLayer`.

struct Login;

impl<S: Sync> FromRequestParts<S> for Login {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(request: &mut Parts, _: &S) -> Result<Login, Self::Rejection> {
        let user = header(&request.headers, "x-user").unwrap_or_default();
        let set = USER.try_set(user); // reported: NoContext
        set.map(|_| Login).map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "login failed"))
    }
}

async fn profile(_: Login) -> String {
    USER.get()
}

fn wrong_service() -> Router {
    let worker = wrong_worker();
    Router::new()
        .route("/middleware", get(plan))
        .route("/task", get(wrong_task))
        .route("/blocking", get(wrong_blocking))
        .route("/thread", get(wrong_thread))
        .route("/worker", get(move || wrong_queue(worker.clone())))
        .route("/upgrade", get(wrong_upgrade))
        .layer(context())
        .layer(from_fn(find_plan)) // 1: outside of the context
        .route("/extractor", get(profile)) // 2: added after the context
}

fn mended_service() -> Router {
    let worker = mended_worker();
    Router::new()
        .route("/middleware", get(plan))
        .route("/extractor", get(profile))
        .route("/task", get(mended_task))
        .route("/blocking", get(mended_blocking))
        .route("/thread", get(mended_thread))
        .route("/worker", get(move || mended_queue(worker.clone())))
        .route("/upgrade", get(mended_upgrade))
        .layer(from_fn(find_plan))
        .layer(context())
}

// 3. tokio starts a task without a context. `contextvar::task::spawn` gives the task a copy of the caller's.

async fn wrong_task() -> String {
    let order = tokio::spawn(async { TENANT.get() }); // reported: NoContext
    order.await.unwrap()
}

async fn mended_task() -> String {
    let order = task::spawn(async { TENANT.get() });
    order.await.unwrap()
}

// 4. tokio starts a blocking call without a context. `task::spawn_blocking` gives it a copy.

async fn wrong_blocking() -> String {
    let query = tokio::task::spawn_blocking(|| TENANT.get()); // reported: NoContext
    query.await.unwrap()
}

async fn mended_blocking() -> String {
    let query = task::spawn_blocking(|| TENANT.get());
    query.await.unwrap()
}

// 5. The standard library starts a thread with an empty context. Reads in such a thread are reported if
//    `report_threads` has turned these reports on.

async fn wrong_thread() -> String {
    let (done, signature) = oneshot::channel();
    std::thread::spawn(|| done.send(TENANT.get())); // reported: Thread
    signature.await.unwrap()
}

async fn mended_thread() -> String {
    let (done, signature) = oneshot::channel();
    contextvar::thread::spawn(|| done.send(TENANT.get()));
    signature.await.unwrap()
}

// 6. A worker starts before the first request and works for all requests. Send the request's context in the
//    message. The worker needs no context of its own, so a plain `tokio::spawn` is right for it.

type WrongJob = oneshot::Sender<String>;

fn wrong_worker() -> mpsc::Sender<WrongJob> {
    let (sender, mut jobs) = mpsc::channel::<WrongJob>(8);
    tokio::spawn(async move {
        while let Some(reply) = jobs.recv().await {
            let _ = reply.send(TENANT.get()); // reported: NoContext
        }
    });
    sender
}

async fn wrong_queue(worker: mpsc::Sender<WrongJob>) -> String {
    let (reply, answer) = oneshot::channel();
    worker.send(reply).await.unwrap();
    answer.await.unwrap()
}

type MendedJob = (Context, oneshot::Sender<String>);

fn mended_worker() -> mpsc::Sender<MendedJob> {
    let (sender, mut jobs) = mpsc::channel::<MendedJob>(8);
    tokio::spawn(async move {
        while let Some((context, reply)) = jobs.recv().await {
            let _ = context.scope(async { reply.send(TENANT.get()) }).await;
        }
    });
    sender
}

async fn mended_queue(worker: mpsc::Sender<MendedJob>) -> String {
    let (reply, answer) = oneshot::channel();
    worker.send((inherit_context(), reply)).await.unwrap();
    answer.await.unwrap()
}

// 7. `#[with_copied_context]` copies the context at the call of the function. A callback is called in a task
//    that has no context to copy. Bind the callback to the request's context.

struct Socket;

/// Does what axum's `WebSocketUpgrade::on_upgrade` does: a task of its own calls the callback.
async fn on_upgrade<Fut>(callback: impl FnOnce(Socket) -> Fut + Send + 'static) -> String
where
    Fut: Future<Output = String> + Send,
{
    tokio::spawn(async { callback(Socket).await }).await.unwrap()
}

#[with_copied_context]
async fn chat(_: Socket) -> String {
    TENANT.get() // reported: LostContext
}

async fn wrong_upgrade() -> String {
    on_upgrade(chat).await
}

async fn mended_upgrade() -> String {
    on_upgrade(inherit_context().bind_async_with(chat)).await
}

// 8. One task serves all requests of a connection. If that task has a context, each request sees the values
//    that earlier requests have set. A `ContextService` gives each request a context of its own. The task for
//    the connection then needs none.

async fn wrong_server(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service_fn(admin);
        task::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn mended_server(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let service = ContextService::new(service_fn(admin));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn admin(request: Request<Incoming>) -> Result<Response<String>, Infallible> {
    if let Some(tenant) = request.uri().query() {
        TENANT.set(tenant.to_owned()); // reported: Connection
    }
    Ok(Response::new(TENANT.get()))
}

// The program.

/// The paths of requests to the service, and the right answers. User `ada` sends them for tenant `acme`.
const SERVICE: [(&str, &str); 7] = [
    ("/middleware", "acme"),
    ("/extractor", "ada"),
    ("/task", "acme"),
    ("/blocking", "acme"),
    ("/thread", "acme"),
    ("/worker", "acme"),
    ("/upgrade", "acme"),
];

/// The same for the server with `admin`. The second request names no tenant.
const ADMIN: [(&str, &str); 2] = [("/admin?acme", "acme"), ("/admin", "public")];

/// Starts the comment on a line that is reported. It has two parts, so that this line is not one of them.
const MARK: &str = concat!("// ", "reported: ");

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    report::set_reporter(report::stderr);
    report::report_threads(true);

    println!("with eight mistakes:");
    let mut wrong = send(&SERVICE, async |listener| axum::serve(listener, wrong_service()).await).await?;
    wrong.extend(send(&ADMIN, wrong_server).await?);
    let reports = report::all();
    let counts: Vec<u64> = reports.iter().map(Report::count).collect();

    println!("\nmended:");
    let mut failures = send(&SERVICE, async |listener| axum::serve(listener, mended_service()).await).await?;
    failures.extend(send(&ADMIN, mended_server).await?);
    // A place is reported once, and counted each time.
    let again = report::all().into_iter().enumerate().filter(|(n, it)| counts.get(*n) != Some(&it.count()));
    failures.extend(again.map(|(_, report)| format!("reported after it was mended: {}", place(&report))));

    let marked = include_str!("lost.rs").lines().zip(1..).filter_map(|(line, number)| {
        let (_, cause) = line.split_once(MARK)?;
        Some(format!("{}:{number} {cause}", file!()))
    });
    let expected: BTreeSet<String> = marked.collect();
    let reported: BTreeSet<String> = reports.iter().map(place).collect();
    failures.extend(expected.difference(&reported).map(|place| format!("not reported: {place}")));
    failures.extend(reported.difference(&expected).map(|place| format!("not expected: {place}")));
    let totals = [("wrong answers", wrong.len()), ("comments", expected.len()), ("reports", reports.len())];
    let not_eight = totals.iter().filter(|(_, n)| *n != 8);
    failures.extend(not_eight.map(|(what, n)| format!("{n} {what} for eight mistakes")));

    if failures.is_empty() {
        println!("\nok: eight mistakes, eight reports, and none after they are mended");
        return Ok(());
    }
    failures.iter().for_each(|failure| eprintln!("FAILED: {failure}"));
    Err("the reports or the answers are not the expected ones".into())
}

fn place(report: &Report) -> String {
    format!("{}:{} {:?}", report.location().file(), report.location().line(), report.cause())
}

/// Sends requests to a server, all on one connection. Returns the answers that are not right.
async fn send(
    requests: &[(&str, &str)],
    server: impl AsyncFnOnce(TcpListener) -> io::Result<()>,
) -> Result<Vec<String>, Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let stream = TcpStream::connect(listener.local_addr()?).await?;
    let (mut client, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let exchange = async {
        let mut wrong = Vec::new();
        for (path, right) in requests {
            let request = Request::get(*path).header("host", "localhost");
            let request = request.header("x-tenant", "acme").header("x-user", "ada");
            client.ready().await?;
            let response = client.send_request(request.body(Body::empty())?).await?;
            let answer = body::to_bytes(Body::new(response.into_body()), usize::MAX).await?;
            let answer = String::from_utf8_lossy(&answer);
            println!("GET {path}: {answer}");
            if answer != *right {
                wrong.push(format!("GET {path}: {answer:?} instead of {right:?}"));
            }
        }
        Ok(wrong)
    };
    // The server is dropped after the last answer.
    tokio::select! {
        wrong = exchange => wrong,
        stopped = server(listener) => Err(format!("the server has stopped: {stopped:?}").into()),
    }
}
