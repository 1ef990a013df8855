//! The rules by which the page refuses requests.

use std::net::{IpAddr, SocketAddr};

use http::header::HOST;
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Version};

/// Headers by which a proxy says for which client it sends a request, apart from `x-forwarded-*`.
const PROXY_HEADERS: [&str; 6] =
    ["forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"];

/// Returns the address of the client's end of the connection, if the server has put it into the extensions.
pub(super) fn peer_in_extensions(head: &Parts) -> Option<IpAddr> {
    let extensions = &head.extensions;
    extensions.get::<SocketAddr>().map(SocketAddr::ip).or_else(|| extensions.get().copied())
}

/// Returns an error that says what to do, unless a browser or another client on this machine has sent the request
/// itself.
pub(super) fn check(head: &Parts, peer: Option<IpAddr>) -> Result<(), &'static str> {
    // A server that listens on all interfaces shows the values of its requests to no other machine.
    match peer {
        Some(peer) if is_loopback(peer) => {}
        Some(_) => {
            return Err(
                "The request comes from another machine. Open the page on the machine of the service, or \
                        through a tunnel to its loopback interface: `ssh -L`, `kubectl port-forward`.",
            );
        }
        None => {
            return Err(
                "The service does not know the address from which the request comes. In its code, give \
                        `contextvar::inspect::page()` a function that returns it: `Page::peer`.",
            );
        }
    }
    // Through a proxy on this machine, all clients come from loopback.
    if head.headers.keys().any(|name| is_of_proxy(name.as_str())) {
        return Err(
            "The request comes through a proxy. Open the page without the proxy, at the service's own \
                    port on `localhost`.",
        );
    }
    // Browsers send no HTTP/1.0. Older nginx does by default, with a local `Host` and no header of a proxy.
    if head.version < Version::HTTP_11 {
        return Err(
            "The request is one of HTTP/1.0, as a proxy sends it. Open the page without the proxy, at the \
                    service's own port on `localhost`.",
        );
    }
    // A site whose name is made to resolve to this machine is of the same origin, but keeps its name here.
    if !has_local_host(head) {
        return Err("The request is not for a host `localhost` or a loopback address. Open the page at \
                    `localhost` and the service's port.");
    }
    // A page of another site, or of another port of this machine, makes the browser send requests that it can time.
    if !head.headers.get_all("sec-fetch-site").iter().all(is_of_same_origin) {
        return Err(
            "Another site has sent the browser here. Enter the page's address in the browser's address \
                    bar.",
        );
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

/// Returns true if the request names a host, and each that it names is this machine. A server can pass on an
/// authority in the URI and a `Host` that differ.
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
