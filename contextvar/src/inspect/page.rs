//! The page.

mod access;
mod body;
mod html;

use std::convert::Infallible;
use std::fmt;
use std::future::{self, Ready};
use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use serde::Serialize;
use tower_service::Service;

pub use self::body::PageBody;
use super::{finished::finished, lost::lost, snapshot};

/// Headers of every response.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const TEXT: &str = "text/plain; charset=utf-8";

/// A service that shows the list of contexts as a page, for one route of a server. The page updates while you look
/// at it. Returned by [`inspect::page`](super::page).
///
/// ```no_run
/// use std::net::SocketAddr;
///
/// use axum::Router;
/// use axum::extract::ConnectInfo;
/// use contextvar::inspect;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// let page = inspect::page().peer(|head| Some(head.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip()));
/// let app = Router::new().route_service("/debug/contexts", page);
/// axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await
/// # }
/// ```
///
/// Then open `http://localhost:3000/debug/contexts`. The page has three tabs: the requests as trees with the work
/// that they started; the places that read or write without a context ([`report::all`](crate::report::all)); and the
/// requests of the last minutes over time.
///
/// The page is one document. It loads nothing from elsewhere, and it changes nothing in the process. Once a second
/// its script fetches the data as JSON from the same path: `?contexts`, `?lost` or `?finished`. If a
/// `contextvar::tower::ContextLayer` wraps the page's route, the list has these requests as well. Each answer to
/// `?contexts` takes a [`snapshot`](super::snapshot) on the thread that serves it: about 20 ms with 10 000 contexts.
///
/// # Access
///
/// The page shows the values of all clients' requests, except for [secrets](crate::ContextVar::secret). It therefore
/// answers only clients on the same machine, and refuses proxies. A refused request gets status 403 and a text with
/// the remedy. The page answers a request if all of the following are true:
///
/// - It comes from a loopback address. The page needs that address: see [`peer`](Page::peer).
/// - It has no header of a proxy (`Forwarded`, `X-Forwarded-*`, `Via`, `X-Real-IP` and others).
/// - It is at least HTTP/1.1: older nginx versions add no header, but send HTTP/1.0.
/// - Its host is `localhost`, a name below `localhost`, or a loopback address. A site whose name resolves to this
///   machine therefore can't read the page.
/// - Its `Sec-Fetch-Site`, if it has one, is `same-origin` or `none`.
///
/// From another machine, use a tunnel: `ssh -L 3000:localhost:3000 server` or `kubectl port-forward`.
///
/// These rules do not stop two kinds of clients. Other users of the same machine can open the page. A proxy on the
/// same machine, or the sidecar of a service mesh, looks like a local client if it adds no header: configure it to
/// refuse the page's path, or set a rule of your own with [`allow`](Page::allow).
///
/// # hyper
///
/// Put the address of each connection into the extensions of its requests:
///
/// ```no_run
/// use contextvar::inspect;
/// use hyper_util::rt::{TokioExecutor, TokioIo};
/// use hyper_util::server::conn::auto::Builder;
/// use hyper_util::service::TowerToHyperService;
/// use tower::util::MapRequest;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// let page = inspect::page();
/// loop {
///     let (stream, peer) = listener.accept().await?;
///     let page = MapRequest::new(page.clone(), move |mut request: http::Request<_>| {
///         request.extensions_mut().insert(peer);
///         request
///     });
///     tokio::spawn(async move {
///         let service = TowerToHyperService::new(page);
///         Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
///     });
/// }
/// # }
/// ```
///
/// # tonic
///
/// Browsers need HTTP/1.1, which tonic accepts after `accept_http1(true)`:
///
/// ```ignore
/// let page = inspect::page().peer(|head| Some(head.extensions.get::<TcpConnectInfo>()?.remote_addr()?.ip()));
/// let routes = Routes::new(greeter).into_axum_router().route_service("/debug/contexts", page);
/// Server::builder().accept_http1(true).add_routes(routes.into()).serve(address).await
/// ```
///
/// # actix
///
/// actix has its own types for requests and responses, so the handler converts them for
/// [`respond`](Page::respond):
///
/// ```ignore
/// async fn contexts(request: HttpRequest, page: web::Data<Page>) -> HttpResponse {
///     let mut head = http::Request::builder().method(request.method().as_str()).uri(request.uri().to_string());
///     if request.version() < actix_web::http::Version::HTTP_11 {
///         head = head.version(http::Version::HTTP_10);
///     }
///     for (name, value) in request.headers() {
///         head = head.header(name.as_str(), value.as_bytes());
///     }
///     if let Some(peer) = request.peer_addr() {
///         head = head.extension(peer);
///     }
///     let Ok(head) = head.body(()) else { return HttpResponse::BadRequest().finish() };
///     let (head, body) = page.respond(&head.into_parts().0).into_parts();
///     let mut response = HttpResponse::build(StatusCode::from_u16(head.status.as_u16()).expect("a known status"));
///     for (name, value) in &head.headers {
///         response.insert_header((name.as_str(), value.as_bytes()));
///     }
///     response.body(body)
/// }
///
/// let page = web::Data::new(inspect::page());
/// App::new().app_data(page.clone()).route("/debug/contexts", web::route().to(contexts))
/// ```
#[derive(Clone)]
pub struct Page {
    peer: Function<Option<IpAddr>>,
    /// The rule in place of the built-in ones.
    allow: Option<Function<bool>>,
}

type Function<T> = Arc<dyn Fn(&Parts) -> T + Send + Sync>;

impl Page {
    pub(super) fn new() -> Self {
        Page { peer: Arc::new(access::peer_in_extensions), allow: None }
    }

    /// Sets the function that returns the address of the client's end of the connection. The page refuses a request
    /// for which it returns `None`.
    ///
    /// Without this function, the page takes the `SocketAddr` or the `IpAddr` from the request's extensions, where a
    /// hyper server can put it. [`Page`] has the functions for axum and tonic.
    ///
    /// Do not take the address from a header: clients can send any header.
    pub fn peer(mut self, peer: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.peer = Arc::new(peer);
        self
    }

    /// Sets the rule that decides which requests the page answers, in place of all [built-in ones](Page#access).
    ///
    /// The rule must admit only people who may see every value in the list. It must refuse all other clients, and
    /// requests that another site sends from such a person's browser.
    ///
    /// ```
    /// use contextvar::inspect;
    /// use http::{Request, StatusCode};
    ///
    /// // The ingress removes this header from what clients send, and sets it for signed-in operators.
    /// let page = inspect::page().allow(|head| {
    ///     let is_operator = head.headers.get("x-role").is_some_and(|role| role == "operator");
    ///     let is_cross_site = head.headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    ///     is_operator && !is_cross_site
    /// });
    ///
    /// let (head, ()) = Request::get("/debug/contexts").header("x-role", "operator").body(()).unwrap().into_parts();
    /// assert_eq!(page.respond(&head).status(), StatusCode::OK);
    /// let (head, ()) = Request::get("/debug/contexts").body(()).unwrap().into_parts();
    /// assert_eq!(page.respond(&head).status(), StatusCode::FORBIDDEN);
    /// ```
    pub fn allow(mut self, allow: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.allow = Some(Arc::new(allow));
        self
    }

    /// Returns the response to a request, for frameworks that do not take a tower service.
    pub fn respond(&self, head: &Parts) -> Response<Bytes> {
        let mut response = match self.check(head) {
            Err(refusal) => {
                let text = format!("Refused. {refusal}\n");
                with_type(StatusCode::FORBIDDEN, TEXT, text)
            }
            Ok(()) if head.method != Method::GET && head.method != Method::HEAD => {
                let mut response = with_type(StatusCode::METHOD_NOT_ALLOWED, TEXT, "Use GET.\n".to_owned());
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
                response
            }
            Ok(()) => match head.uri.query() {
                Some("contexts") => json(&snapshot()),
                Some("lost") => json(&lost()),
                Some("finished") => json(&finished()),
                _ => html(),
            },
        };
        for (name, value) in HEADERS {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        if head.method == Method::HEAD {
            *response.body_mut() = Bytes::new();
        }
        response
    }

    fn check(&self, head: &Parts) -> Result<(), &'static str> {
        match &self.allow {
            Some(allow) if allow(head) => Ok(()),
            Some(_) => Err("The service's own rule refuses the request: see `Page::allow` in its code."),
            None => access::check(head, (self.peer)(head)),
        }
    }
}

fn with_type(status: StatusCode, content_type: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn json(data: &impl Serialize) -> Response<Bytes> {
    let text = serde_json::to_string(data).expect("the keys are strings, and no `Serialize` fails");
    with_type(StatusCode::OK, JSON, text)
}

fn html() -> Response<Bytes> {
    let nonce = html::nonce();
    let mut response = with_type(StatusCode::OK, HTML, html::document(&nonce));
    let policy = HeaderValue::try_from(html::policy(&nonce)).expect("visible ASCII");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

impl<B> Service<Request<B>> for Page {
    type Response = Response<PageBody>;
    type Error = Infallible;
    type Future = Ready<Result<Response<PageBody>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (head, _body) = request.into_parts();
        future::ready(Ok(self.respond(&head).map(PageBody::new)))
    }
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Page").finish_non_exhaustive()
    }
}
