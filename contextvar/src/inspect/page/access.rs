//! The rules by which the page refuses requests.

use std::net::{IpAddr, SocketAddr};

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Version};

/// Headers in which a proxy names the client of a request, apart from `x-forwarded-*`.
const PROXY_HEADERS: [&str; 11] = [
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "true-client-ip",
    "cf-connecting-ip",
    "fly-client-ip",
    "fastly-client-ip",
    "cdn-loop",
];

/// Returns the address of the client's end of the connection, if the server has put it into the extensions.
pub(super) fn peer_in_extensions(head: &Parts) -> Option<IpAddr> {
    let extensions = &head.extensions;
    extensions.get::<SocketAddr>().map(SocketAddr::ip).or_else(|| extensions.get().copied())
}

/// Returns an error with the remedy, unless a browser or another client on this machine sent the request directly.
pub(super) fn check(head: &Parts, peer: Option<IpAddr>) -> Result<(), &'static str> {
    // A server that listens on all interfaces must not show the values of its requests to other machines.
    match peer {
        Some(peer) if is_loopback(peer) => {}
        Some(_) => {
            return Err(
                "The request comes from another machine. Open the page on the machine of the service, or \
                        through a tunnel to its loopback interface: `ssh -L`, `kubectl port-forward`.",
            );
        }
        None => {
            return Err("The page has no address for the client. In the service's code, give \
                        `contextvar::inspect::page()` a function that returns the address: `Page::peer`.");
        }
    }
    // All clients of a proxy on this machine come from loopback.
    if head.headers.keys().any(|name| is_of_proxy(name.as_str())) {
        return Err(
            "The request comes through a proxy. Open the page without the proxy, at the service's own \
                    port on `localhost`.",
        );
    }
    // Browsers send no HTTP/1.0. Older nginx versions do by default, with a local `Host` and no proxy header.
    if head.version < Version::HTTP_11 {
        return Err(
            "The request uses HTTP/1.0, as proxies do and browsers do not. Open the page without the proxy, at the \
                    service's own port on `localhost`.",
        );
    }
    // A site whose name is made to resolve to this machine has the same origin, but its name is still in the host.
    if !has_local_host(head) {
        return Err("The request's host is neither `localhost` nor a loopback address. Open the page at \
                    `localhost` and the service's port.");
    }
    // A page of another site, or of another port of this machine, makes the browser send requests that it can time.
    if !head.headers.get_all("sec-fetch-site").iter().all(is_of_same_origin) {
        return Err("Another site sent this request. Enter the page's address in the browser's address bar.");
    }
    Ok(())
}

/// An IPv6 socket shows an IPv4 loopback address as a mapped one.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

fn is_of_proxy(header: &str) -> bool {
    header.starts_with("x-forwarded-") || PROXY_HEADERS.contains(&header)
}

fn is_of_same_origin(site: &HeaderValue) -> bool {
    site == "same-origin" || site == "none"
}

/// Returns true if the request names at least one host, and only hosts that are this machine. The authority in the
/// URI and the `Host` header can differ.
fn has_local_host(head: &Parts) -> bool {
    let of_headers = head.headers.get_all(HOST).iter().map(|host| Authority::try_from(host.as_bytes()).ok());
    let mut hosts = head.uri.authority().cloned().map(Some).into_iter().chain(of_headers).peekable();
    hosts.peek().is_some() && hosts.all(|host| host.is_some_and(|authority| is_local(authority.host())))
}

fn is_local(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    match address.parse() {
        Ok(address) => is_loopback(address),
        // Browsers and resolvers send every name below `localhost` to this machine.
        Err(_) => host.rsplit('.').next().is_some_and(|name| name.eq_ignore_ascii_case("localhost")),
    }
}
