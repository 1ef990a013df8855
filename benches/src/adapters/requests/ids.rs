//! A request id: read by the handler, and in a header of the response. Beside tower-http.

use axum::Extension;
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::set_header::SetResponseHeaderLayer;

use super::*;

/// Adds tower-http's layer to the row of a request id that is read once.
pub(super) fn beside_tower_http(row: Row) -> Row {
    row.beside("tower-http's `SetRequestIdLayer`, read as an `Extension`", set_request_id).why_not(
        1.3,
        "only the handler can read it: nothing follows the request into calls, tasks and the body",
    )
}

pub(super) fn rows() -> Vec<Row> {
    vec![
        Row::new("a request id in a header of the response", response_header)
            .over(plain)
            .beside("tower-http's `SetRequestIdLayer` and `PropagateRequestIdLayer`", propagate),
        Row::new("`.response_header(..)`, over the layer without", response_header)
            .over(request_id)
            .beside("tower-http's `SetResponseHeaderLayer`, over no layer", set_header)
            .its_plain(plain)
            .beside("tower-http's `PropagateRequestIdLayer`, over `SetRequestIdLayer`", propagate)
            .its_plain(set_request_id),
    ]
}

fn response_header(meter: Meter) {
    let layer = id_layer().response_header(HeaderName::from_static("x-request-id"), &REQUEST_ID);
    serve(meter, Router::new().route("/", get(read_id)).layer(layer));
}

/// Every request has an id.
#[derive(Clone)]
struct NeverNeeded;

impl MakeRequestId for NeverNeeded {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        None
    }
}

async fn read(Extension(id): Extension<RequestId>) -> &'static str {
    black_box(id.header_value().len());
    ANSWER
}

fn set_request_id(meter: Meter) {
    let layer = SetRequestIdLayer::x_request_id(NeverNeeded);
    serve(meter, Router::new().route("/", get(read)).layer(layer));
}

fn propagate(meter: Meter) {
    let router = Router::new().route("/", get(read)).layer(PropagateRequestIdLayer::x_request_id());
    serve(meter, router.layer(SetRequestIdLayer::x_request_id(NeverNeeded)));
}

fn set_header(meter: Meter) {
    let name = HeaderName::from_static("x-request-id");
    let layer = SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static("r-123456"));
    serve(meter, Router::new().route("/", get(hello)).layer(layer));
}
