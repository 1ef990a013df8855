//! actix-web's handlers: the attribute above and below `#[get]`, and on a module of handlers. And the page of
//! `inspect`.

use actix_web::body::to_bytes;
use actix_web::http::{StatusCode, Version};
use actix_web::test::{TestRequest, call_and_read_body, call_service, init_service};
use actix_web::web::{self, Path};
use actix_web::{App, HttpRequest, HttpResponse, get, rt};
use contextvar::inspect::{self, Page};
use contextvar::{context_var, with_copied_context};

#[context_var]
static USER: String = "nobody".to_owned();

/// Answers with the value that it finds, and with the one that it sets.
async fn visit() -> String {
    let found = USER.get();
    USER.set("visitor".to_owned());
    rt::task::yield_now().await;
    format!("{found}, {}", USER.get())
}

#[with_copied_context]
#[get("/above")]
async fn above() -> String {
    visit().await
}

#[get("/below")]
#[with_copied_context]
async fn below() -> String {
    visit().await
}

#[with_copied_context(USER = user.to_string())]
#[get("/entry_above/{user}")]
async fn entry_above(user: Path<String>) -> String {
    visit().await
}

#[get("/entry_below/{user}")]
#[with_copied_context(USER = user.to_string())]
async fn entry_below(user: Path<String>) -> String {
    visit().await
}

#[with_copied_context(USER = "ada".to_owned())]
mod handlers {
    use super::*;

    #[get("/in_module")]
    pub(super) async fn in_module() -> String {
        visit().await
    }
}

#[get("/plain")]
async fn plain() -> String {
    visit().await
}

#[actix_web::test]
async fn each_request_keeps_the_values_of_its_handler() {
    let app = App::new().service(above).service(below).service(entry_above).service(entry_below);
    let app = &init_service(app.service(handlers::in_module).service(plain)).await;
    let get = async |path| call_and_read_body(app, TestRequest::get().uri(path).to_request()).await;

    USER.set("grace".to_owned());
    for _ in 0..2 {
        assert_eq!(get("/above").await, "grace, visitor");
        assert_eq!(get("/below").await, "grace, visitor");
        assert_eq!(get("/entry_above/ada").await, "ada, visitor");
        assert_eq!(get("/entry_below/ada").await, "ada, visitor");
        assert_eq!(get("/in_module").await, "ada, visitor");
        assert_eq!(USER.get(), "grace");
    }

    // A handler without the attribute shares the context of its caller.
    assert_eq!(get("/plain").await, "grace, visitor");
    assert_eq!(get("/plain").await, "visitor, visitor");
}

/// The handler in the docs of [`Page`].
async fn contexts(request: HttpRequest, page: web::Data<Page>) -> HttpResponse {
    let mut head = http::Request::builder().method(request.method().as_str()).uri(request.uri().to_string());
    if request.version() < Version::HTTP_11 {
        head = head.version(http::Version::HTTP_10);
    }
    for (name, value) in request.headers() {
        head = head.header(name.as_str(), value.as_bytes());
    }
    if let Some(peer) = request.peer_addr() {
        head = head.extension(peer);
    }
    let Ok(head) = head.body(()) else { return HttpResponse::BadRequest().finish() };
    let (head, body) = page.respond(&head.into_parts().0).into_parts();
    let mut response =
        HttpResponse::build(StatusCode::from_u16(head.status.as_u16()).expect("a known status"));
    for (name, value) in &head.headers {
        response.insert_header((name.as_str(), value.as_bytes()));
    }
    response.body(body)
}

#[actix_web::test]
async fn the_page_is_served_to_this_machine() {
    let page = web::Data::new(inspect::page());
    let app = &init_service(App::new().app_data(page).route("/contexts", web::route().to(contexts))).await;
    let get = async |request: TestRequest| {
        let response = call_service(app, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = to_bytes(response.into_body()).await.unwrap();
        (status.as_u16(), headers, String::from_utf8(body.into()).unwrap())
    };
    let local = |uri: &str| {
        let request = TestRequest::get().uri(uri).peer_addr(([127, 0, 0, 1], 50000).into());
        request.insert_header(("host", "localhost:3000"))
    };

    let (status, headers, body) = get(local("/contexts")).await;
    assert_eq!((status, headers.get("x-frame-options").unwrap().as_bytes()), (200, &b"DENY"[..]));
    assert!(body.starts_with("<!DOCTYPE html>"));
    let (status, headers, body) = get(local("/contexts?contexts")).await;
    assert_eq!((status, headers.get("content-type").unwrap().as_bytes()), (200, &b"application/json"[..]));
    assert!(body.contains(r#""contexts":["#), "{body}");

    assert_eq!(get(local("/contexts").method(actix_web::http::Method::POST)).await.0, 405);
    let refused = [
        local("/contexts").peer_addr(([192, 168, 0, 1], 50000).into()),
        local("/contexts").insert_header(("host", "example.com")),
        local("/contexts").insert_header(("x-forwarded-for", "127.0.0.1")),
        local("/contexts").version(Version::HTTP_10),
        TestRequest::get().uri("/contexts").insert_header(("host", "localhost")),
    ];
    for request in refused {
        assert_eq!(get(request).await.0, 403);
    }
}
