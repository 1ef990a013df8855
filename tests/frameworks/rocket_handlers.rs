//! Rocket's handlers: the attribute above and below `#[get]`, and on a module of handlers.

use contextvar::{context_var, with_copied_context};
use rocket::local::asynchronous::Client;
use rocket::response::stream::TextStream;
use rocket::{get, routes};

#[context_var]
static USER: String = "nobody".to_owned();

/// Answers with the value that it finds, and with the one that it sets.
async fn visit() -> String {
    let found = USER.get();
    USER.set("visitor".to_owned());
    rocket::tokio::task::yield_now().await;
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

#[with_copied_context(USER = user.to_owned())]
#[get("/entry_above/<user>")]
async fn entry_above(user: &str) -> String {
    visit().await
}

#[get("/entry_below/<user>")]
#[with_copied_context(USER = user.to_owned())]
async fn entry_below(user: &str) -> String {
    visit().await
}

/// Rocket also accepts plain functions as handlers.
#[with_copied_context]
#[get("/not_async")]
fn not_async() -> String {
    let found = USER.get();
    USER.set("visitor".to_owned());
    format!("{found}, {}", USER.get())
}

/// The return type is a macro that expands to an `impl` type.
#[with_copied_context(USER = "ada".to_owned())]
#[get("/streamed")]
async fn streamed() -> TextStream![String] {
    let answer = visit().await;
    TextStream! { yield answer }
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

#[rocket::async_test]
async fn each_request_keeps_the_values_of_its_handler() {
    let routes =
        routes![above, below, entry_above, entry_below, not_async, streamed, handlers::in_module, plain];
    let app = rocket::custom(rocket::Config::debug_default()).mount("/", routes);
    let client = Client::untracked(app).await.unwrap();
    let get = async |path| client.get(path).dispatch().await.into_string().await.unwrap();

    USER.set("grace".to_owned());
    for _ in 0..2 {
        assert_eq!(get("/above").await, "grace, visitor");
        assert_eq!(get("/below").await, "grace, visitor");
        assert_eq!(get("/entry_above/ada").await, "ada, visitor");
        assert_eq!(get("/entry_below/ada").await, "ada, visitor");
        assert_eq!(get("/not_async").await, "grace, visitor");
        assert_eq!(get("/streamed").await, "ada, visitor");
        assert_eq!(get("/in_module").await, "ada, visitor");
        assert_eq!(USER.get(), "grace");
    }

    // A handler without the attribute shares the context of its caller.
    assert_eq!(get("/plain").await, "grace, visitor");
    assert_eq!(get("/plain").await, "visitor, visitor");
}
