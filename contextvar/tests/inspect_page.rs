//! The page of `inspect`: its answers, and its refusals.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::fmt::Debug;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::mpsc;

use axum::Router;
use axum::extract::ConnectInfo;
use contextvar::inspect::{self, Page, PageBody};
use contextvar::{ContextVar, report, thread};
use http::header::{ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::request::Builder;
use http::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::util::{BoxCloneSyncService, MapRequest};
use tower::{Layer, Service, ServiceExt};

static TENANT: ContextVar<&str> = ContextVar::new("tenant").debug();
static PASSWORD: ContextVar<&str> = ContextVar::new("password").secret();

/// A request that the page answers. Tests change one part of it.
fn get(query: &str) -> Builder {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 50000));
    Request::get(format!("/debug/contexts{query}")).header("host", "localhost:3000").extension(loopback)
}

fn respond(page: &Page, request: Builder) -> Response<String> {
    let (head, ()) = request.body(()).unwrap().into_parts();
    page.respond(&head).map(|body| String::from_utf8(body.into()).unwrap())
}

fn status(request: Builder) -> StatusCode {
    respond(&inspect::page(), request).status()
}

/// Asserts that the page refuses the request, with this remedy.
#[track_caller]
fn assert_refused(request: Builder, remedy: &str) {
    let response = respond(&inspect::page(), request);
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    assert_eq!(response.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
    assert!(response.body().contains(remedy), "{:?}", response.body());
}

fn json(query: &str) -> Value {
    let response = respond(&inspect::page(), get(query));
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
    serde_json::from_str(response.body()).unwrap()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(|key| &**key).collect()
}

/// Runs `f` while a thread, whose context is listed, waits at the returned line.
fn with_listed_thread<R>(tenant: &'static str, f: impl FnOnce(u32) -> R) -> R {
    inspect::enable();
    let (stop, stopped) = mpsc::channel::<()>();
    let (start, started) = mpsc::channel();
    let (thread, line) = TENANT.sync_scope(tenant, || {
        PASSWORD.sync_scope("hunter2", || {
            let work = move || {
                inspect::set_name("work");
                start.send(()).unwrap();
                stopped.recv()
            };
            (thread::spawn(work), line!())
        })
    });
    started.recv().unwrap();
    let result = f(line);
    drop(stop);
    thread.join().unwrap().unwrap_err();
    result
}

#[track_caller]
fn context_of<'a>(contexts: &'a Value, tenant: &str) -> &'a Value {
    let value = format!("{tenant:?}");
    let is_it = |context: &&Value| {
        context["variables"].as_array().unwrap().iter().any(|variable| variable["value"] == *value)
    };
    contexts["contexts"].as_array().unwrap().iter().find(is_it).unwrap()
}

// Over a connection.

/// Serves the app on loopback, and returns its address.
async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async { axum::serve(listener, app).await });
    address
}

fn axum_page() -> Page {
    inspect::page().peer(|head| Some(head.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()))
}

/// Sends a request as a browser does, and returns the head and the body of the response.
async fn exchange(address: SocketAddr, method: &str, query: &str) -> (String, String) {
    let mut connection = TcpStream::connect(address).await.unwrap();
    let host = format!("localhost:{}", address.port());
    let request = format!(
        "{method} /debug/contexts{query} HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: none\r\nConnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).await.unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn axum_serves_the_page_and_its_data_to_this_machine() {
    let address = serve(Router::new().route_service("/debug/contexts", axum_page())).await;

    let (head, body) = exchange(address, "GET", "").await;
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: text/html; charset=utf-8\r\n"), "{head}");
    assert!(body.starts_with("<!DOCTYPE html>") && body.trim_end().ends_with("</html>"));

    let (stop, stopped) = mpsc::channel::<()>();
    let thread = TENANT.sync_scope("served", || thread::spawn(move || stopped.recv()));
    let (_, body) = exchange(address, "GET", "?contexts").await;
    assert_eq!(context_of(&serde_json::from_str(&body).unwrap(), "served")["kind"], "thread");
    drop(stop);
    thread.join().unwrap().unwrap_err();
}

#[tokio::test]
async fn axum_answers_head_without_a_body_and_post_with_the_methods_that_are_allowed() {
    let address = serve(Router::new().route_service("/debug/contexts", axum_page())).await;

    let (head, body) = exchange(address, "HEAD", "").await;
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert!(!head.contains("content-length: 0"), "{head}");
    assert_eq!(body, "");

    let (head, _) = exchange(address, "POST", "").await;
    assert!(head.starts_with("http/1.1 405 "), "{head}");
    assert!(head.contains("\r\nallow: get, head\r\n"), "{head}");
}

#[tokio::test]
async fn axum_refuses_where_the_page_is_not_told_the_peer() {
    let address = serve(Router::new().route_service("/debug/contexts", inspect::page())).await;
    let (head, body) = exchange(address, "GET", "?contexts").await;
    assert!(head.starts_with("http/1.1 403 "), "{head}");
    assert!(body.contains("Page::peer"), "{body}");
}

#[cfg(feature = "tower")]
#[tokio::test]
async fn a_request_for_the_page_is_in_the_list_inside_of_a_context_layer() {
    let page = Router::new().route_service("/debug/contexts", axum_page());
    let layer = contextvar::tower::ContextLayer::new().set(&TENANT, |_| "looks at the page");
    let address = serve(page.layer(layer)).await;
    let (_, body) = exchange(address, "GET", "?contexts").await;
    assert_eq!(context_of(&serde_json::from_str(&body).unwrap(), "looks at the page")["kind"], "request");
}

#[tokio::test]
async fn hyper_serves_the_page() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, peer) = listener.accept().await.unwrap();
        let page = MapRequest::new(inspect::page(), move |mut request: Request<_>| {
            request.extensions_mut().insert(peer);
            request
        });
        let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
        let served = server.serve_connection(TokioIo::new(stream), TowerToHyperService::new(page)).await;
        served.map_err(|error| error.to_string())
    });
    let (head, body) = exchange(address, "GET", "?contexts").await;
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert!(serde_json::from_str::<Value>(&body).unwrap()["contexts"].is_array());
}

#[tokio::test]
async fn tower_layers_take_the_page() {
    fn assert_page<S>(_: &S)
    where
        S: Service<Request<String>, Response = Response<PageBody>, Error = Infallible>,
        S: Clone + Debug + Send + Sync + 'static,
        S::Future: Send + Sync + Unpin,
    {
    }
    fn assert_body<B>()
    where
        B: http_body::Body<Data = axum::body::Bytes, Error = Infallible>,
        B: Debug + Default + Send + Sync + Unpin + 'static,
    {
    }
    assert_page(&inspect::page());
    assert_body::<PageBody>();

    let page = tower_http::catch_panic::CatchPanicLayer::new().layer(inspect::page());
    let page = BoxCloneSyncService::new(page);
    let response = page.oneshot(get("").body(()).unwrap()).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

// Refused requests.

#[test]
fn requests_from_other_machines_are_refused() {
    let with_peer = |peer: IpAddr| get("").extension(SocketAddr::new(peer, 50000));
    let mapped = |address: Ipv4Addr| IpAddr::from(address.to_ipv6_mapped());
    let loopback = Ipv4Addr::LOCALHOST;
    for peer in [loopback.into(), [127, 8, 9, 1].into(), Ipv6Addr::LOCALHOST.into(), mapped(loopback)] {
        assert_eq!(status(with_peer(peer)), StatusCode::OK, "{peer}");
    }
    let private = Ipv4Addr::new(192, 168, 0, 1);
    for peer in [private.into(), mapped(private), Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()]
    {
        assert_refused(with_peer(peer), "ssh -L");
    }
}

#[test]
fn the_data_is_refused_like_the_page() {
    for query in ["?contexts", "?lost", "?finished", "?other"] {
        assert_refused(get(query).extension(SocketAddr::from(([192, 168, 0, 1], 50000))), "ssh -L");
    }
}

#[test]
fn requests_from_an_unknown_address_are_refused() {
    let request = || Request::get("/").header("host", "localhost");
    assert_refused(request(), "Page::peer");
    assert_eq!(status(request().extension(IpAddr::from(Ipv4Addr::LOCALHOST))), StatusCode::OK);
    assert_refused(request().extension(IpAddr::from([192, 168, 0, 1])), "ssh -L");

    let page = inspect::page().peer(|_| None);
    assert_eq!(respond(&page, get("")).status(), StatusCode::FORBIDDEN);
}

#[test]
fn the_function_for_the_peer_takes_precedence_over_the_extensions() {
    let page = inspect::page().peer(|head| head.extensions.get::<(IpAddr,)>().map(|peer| peer.0));
    let from = |peer: [u8; 4]| respond(&page, get("").extension((IpAddr::from(peer),))).status();
    assert_eq!(from([127, 0, 0, 1]), StatusCode::OK);
    assert_eq!(from([192, 168, 0, 1]), StatusCode::FORBIDDEN);
}

#[test]
fn requests_through_a_proxy_are_refused() {
    let headers = [
        "forwarded",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
        "x-real-ip",
        "via",
        "cf-connecting-ip",
        "true-client-ip",
        "x-client-ip",
    ];
    for header in headers {
        assert_refused(get("").header(header, "127.0.0.1"), "without the proxy");
    }
    assert_eq!(status(get("").header("user-agent", "127.0.0.1")), StatusCode::OK);
}

/// nginx sends HTTP/1.0, the address of its upstream as the host, and no header of a proxy.
#[test]
fn requests_of_http_1_0_are_refused() {
    assert_refused(get("").version(Version::HTTP_10), "without the proxy");
    assert_refused(get("").version(Version::HTTP_09), "without the proxy");
    assert_eq!(status(get("").version(Version::HTTP_2)), StatusCode::OK);
}

#[test]
fn requests_for_another_host_are_refused() {
    let peer = SocketAddr::from(([127, 0, 0, 1], 50000));
    let with_host = |host: &str| Request::get("/").extension(peer).header("host", host);
    let with_uri = |uri: &str| Request::get(uri).extension(peer);
    let local = [
        "localhost",
        "localhost:3000",
        "LocalHost",
        "shop.localhost:80",
        "127.0.0.1",
        "127.0.0.2:3000",
        "[::1]",
        "[::1]:3000",
        "[::ffff:127.0.0.1]:3000",
    ];
    for host in local {
        assert_eq!(status(with_host(host)), StatusCode::OK, "{host}");
        assert_eq!(status(with_uri(&format!("http://{host}/"))), StatusCode::OK, "{host}");
    }
    let other = [
        "example.com",
        "localhost.example.com",
        "notlocalhost",
        "127.0.0.1.example.com",
        "localhost@example.com",
        "192.168.0.1:3000",
        "0.0.0.0",
        "[::]",
        "[2001:db8::1]",
    ];
    for host in other {
        assert_refused(with_host(host), "Open the page at `localhost`");
        assert_refused(with_uri(&format!("http://{host}/")), "Open the page at `localhost`");
    }
    assert_refused(with_host(""), "Open the page at `localhost`");
    assert_refused(with_host("localhost, example.com"), "Open the page at `localhost`");
    assert_refused(with_uri("/"), "Open the page at `localhost`");
    // Each host counts.
    assert_refused(with_host("localhost").header("host", "example.com"), "Open the page at `localhost`");
    assert_refused(
        with_uri("http://example.com/").header("host", "localhost"),
        "Open the page at `localhost`",
    );
    assert_refused(
        with_uri("http://localhost/").header("host", "example.com"),
        "Open the page at `localhost`",
    );
}

#[test]
fn requests_from_another_site_are_refused() {
    for site in ["same-origin", "none"] {
        assert_eq!(status(get("").header("sec-fetch-site", site)), StatusCode::OK, "{site}");
    }
    for site in ["cross-site", "same-site", "", "anything"] {
        assert_refused(get("").header("sec-fetch-site", site), "address bar");
    }
    let twice = get("").header("sec-fetch-site", "none").header("sec-fetch-site", "cross-site");
    assert_refused(twice, "address bar");
}

#[test]
fn a_rule_of_the_service_replaces_the_built_in_ones() {
    let page = inspect::page().allow(|head| head.headers.contains_key("x-operator"));
    let from_afar = || Request::get("/").version(Version::HTTP_10).header("via", "1.1 proxy");
    assert_eq!(respond(&page, from_afar().header("x-operator", "ada")).status(), StatusCode::OK);

    for refused in [from_afar(), get("")] {
        let response = respond(&page, refused);
        assert_eq!(response.status(), StatusCode::FORBIDDEN);
        assert!(response.body().contains("Page::allow"), "{}", response.body());
    }
}

// Answers.

#[test]
fn only_get_and_head_are_allowed() {
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "get"] {
        let response = respond(&inspect::page(), get("?contexts").method(method));
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{method}");
        assert_eq!(response.headers()[ALLOW], "GET, HEAD");
    }
}

#[test]
fn head_has_the_headers_of_get_and_no_body() {
    for query in ["", "?contexts", "?lost", "?finished"] {
        let [head, get] = ["HEAD", "GET"].map(|method| respond(&inspect::page(), get(query).method(method)));
        assert_eq!((head.status(), head.body().as_str()), (StatusCode::OK, ""));
        assert_ne!(get.body(), "");
        let names = |response: &Response<String>| -> BTreeSet<_> {
            response.headers().keys().map(|name| name.to_string()).collect()
        };
        assert_eq!(names(&head), names(&get));
        assert_eq!(head.headers()[CONTENT_TYPE], get.headers()[CONTENT_TYPE]);
    }
}

#[test]
fn each_response_tells_browsers_to_keep_it_to_themselves() {
    let responses = [
        get(""),
        get("?contexts"),
        get("?lost"),
        get("?finished"),
        get("").method("POST"),
        get("").header("via", "1.1 proxy"),
    ];
    for request in responses {
        let response = respond(&inspect::page(), request);
        let headers = response.headers();
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
        assert_eq!(headers["x-frame-options"], "DENY");
        // Without this one, other origins can't read it.
        assert!(!headers.contains_key("access-control-allow-origin"));
    }
}

#[test]
fn the_page_allows_only_its_own_style_and_script() {
    let mut nonces = BTreeSet::new();
    for query in ["", "?", "?other", "?contexts&lost"] {
        let response = respond(&inspect::page(), get(query));
        assert_eq!(response.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        let html = response.body();
        let nonce = html.split_once("<style nonce=\"").unwrap().1.split_once('"').unwrap().0;
        assert!(nonce.len() == 32 && nonce.bytes().all(|byte| byte.is_ascii_hexdigit()), "{nonce}");
        assert_eq!(html.matches(&format!("<script nonce=\"{nonce}\">")).count(), 1);
        assert_eq!(
            response.headers()[CONTENT_SECURITY_POLICY],
            *format!(
                "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            )
        );
        assert!(nonces.insert(nonce.to_owned()), "{nonce} was used before");
    }
}

#[test]
fn the_page_is_complete_and_loads_nothing_from_elsewhere() {
    let response = respond(&inspect::page(), get(""));
    let html = response.body();
    for placeholder in ["NONCE", "/*STYLE*/", "/*SCRIPT*/"] {
        assert!(!html.contains(placeholder), "{placeholder}");
    }
    for file in [
        "style.css",
        "script.js",
        "text.js",
        "model.js",
        "rows.js",
        "details.js",
        "requests.js",
        "lost.js",
        "timeline.js",
    ] {
        let path = format!("{}/src/inspect/page/{file}", env!("CARGO_MANIFEST_DIR"));
        assert!(html.contains(&std::fs::read_to_string(path).unwrap()), "{file}");
    }
    // The style and the script contain no text that would end them early.
    for tag in ["<style", "</style", "<script", "</script"] {
        assert_eq!(html.to_lowercase().matches(tag).count(), 1, "{tag}");
    }
    for reference in ["http://", "https://", "src=", "<link", "@import", "url("] {
        assert!(!html.contains(reference), "{reference}");
    }
}

#[test]
fn contexts_are_listed_with_all_their_fields() {
    let (contexts, line) = with_listed_thread("fields", |line| (json("?contexts"), line));
    assert_eq!(keys(&contexts), ["contexts", "time_ms"].into());
    assert!(contexts["time_ms"].as_u64().unwrap() > 1_700_000_000_000);

    let context = context_of(&contexts, "fields");
    let fields = [
        "number",
        "parent",
        "kind",
        "file",
        "line",
        "column",
        "name",
        "age_us",
        "finished_us",
        "polls",
        "busy_us",
        "longest_poll_us",
        "last_polled_us",
        "running_on",
        "running_us",
        "task_id",
        "variables",
        "size",
    ];
    assert_eq!(keys(context), fields.into());
    assert!(context["number"].as_u64().unwrap() > 0);
    assert_eq!(context["parent"], Value::Null);
    assert_eq!(context["kind"], "thread");
    assert_eq!(context["file"], file!());
    assert_eq!(context["line"], line);
    assert_eq!(context["name"], "work");
    assert_eq!(context["finished_us"], Value::Null);
    assert_eq!(context["polls"], 1);
    assert!(context["running_on"].is_string());
    assert_eq!(context["task_id"], Value::Null);
    for number in ["column", "age_us", "busy_us", "longest_poll_us", "last_polled_us", "running_us", "size"] {
        assert!(context[number].is_u64(), "{number}: {}", context[number]);
    }
}

#[test]
fn values_are_escaped_and_secrets_are_redacted() {
    let tenant = "</script><script>alert(1)</script>\"\\\u{1}";
    let (body, contexts) = with_listed_thread(tenant, |_| {
        let response = respond(&inspect::page(), get("?contexts"));
        (response.body().clone(), serde_json::from_str::<Value>(response.body()).unwrap())
    });
    let mut variables = context_of(&contexts, tenant)["variables"].as_array().unwrap().clone();
    variables.sort_by_key(|variable| variable["name"].to_string());
    assert_eq!(
        variables,
        [
            json!({"name": "password", "value": "<redacted>"}),
            json!({"name": "tenant", "value": format!("{tenant:?}")}),
        ]
    );
    assert!(!body.contains("hunter2"));
    // The document itself contains no value.
    assert!(!respond(&inspect::page(), get("")).body().contains("alert(1)"));
}

#[test]
fn finished_contexts_are_listed_with_all_their_fields() {
    let line = with_listed_thread("finished", |line| line);
    let finished = json("?finished");
    assert_eq!(keys(&finished), ["contexts", "since_ms", "time_ms"].into());
    assert!(finished["since_ms"].is_f64());
    let contexts = finished["contexts"].as_array().unwrap();
    let context = contexts.iter().find(|context| context["line"] == line).unwrap();
    let fields = [
        "number",
        "parent",
        "kind",
        "file",
        "line",
        "column",
        "name",
        "started_ms",
        "ended_ms",
        "busy_us",
        "polls",
    ];
    assert_eq!(keys(context), fields.into());
    assert_eq!((&context["kind"], &context["file"]), (&json!("thread"), &json!(file!())));
    assert_eq!((&context["parent"], &context["polls"]), (&Value::Null, &json!(1)));
    assert_eq!(context["name"], "work");
    let times = ["started_ms", "ended_ms"].map(|time| context[time].as_f64().unwrap());
    let now = finished["time_ms"].as_u64().unwrap() as f64;
    assert!(0.0 <= times[1] - times[0] && times[1] <= now + 2.0, "{times:?} {now}");
}

/// Returns the place in the answer to `?lost` where the variable was read.
fn lost_read(variable: &str) -> Value {
    let mut lost = json("?lost");
    assert_eq!(keys(&lost), ["places"].into());
    let places = lost["places"].as_array_mut().unwrap();
    let index = places.iter().position(|place| place["variable"] == variable).unwrap();
    places.swap_remove(index)
}

#[test]
fn lost_reads_are_listed_with_all_their_fields() {
    static LOST: ContextVar<u8> = ContextVar::new("lost in a thread");

    inspect::enable();
    report::report_threads(true);
    let line = line!() + 1;
    let read = || assert_eq!(LOST.get_or(7), 7);
    std::thread::spawn(move || (read(), read())).join().unwrap();

    let place = lost_read("lost in a thread");
    let fields =
        ["file", "line", "column", "variable", "access", "cause", "count", "task_id", "text", "remedy"];
    assert_eq!(keys(&place), fields.into());
    assert_eq!((&place["file"], &place["line"]), (&json!(file!()), &json!(line)));
    assert_eq!((&place["access"], &place["cause"]), (&json!("read"), &json!("thread")));
    assert_eq!((&place["count"], &place["task_id"]), (&json!(2), &Value::Null));
    let remedy = place["remedy"].as_str().unwrap();
    assert!(remedy.starts_with("Start the thread with `contextvar::thread::spawn`"), "{remedy}");
    let column = &place["column"];
    assert_eq!(
        place["text"],
        format!(
            "{}:{line}:{column}: context variable `lost in a thread` was read in this thread, in the thread's own \
             context, which inherits nothing.",
            file!()
        )
    );
}

#[cfg(feature = "tokio")]
#[tokio::test]
async fn a_lost_read_in_a_task_has_the_task_and_the_cause() {
    static LOST: ContextVar<u8> = ContextVar::new("lost in a task");

    inspect::enable();
    let task = tokio::spawn(async { LOST.get_or(7) });
    let id = task.id().to_string();
    task.await.unwrap();

    let place = lost_read("lost in a task");
    assert_eq!(place["cause"], "no context");
    assert_eq!(place["task_id"].to_string(), id);
    assert!(
        place["text"]
            .as_str()
            .unwrap()
            .contains(&format!(" in tokio task {id}, which was given no context."))
    );
}
