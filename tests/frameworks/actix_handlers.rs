//! actix-web's handlers: the attribute above and below `#[get]`, and on a module of handlers.

use actix_web::test::{TestRequest, call_and_read_body, init_service};
use actix_web::web::Path;
use actix_web::{App, get, rt};
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
