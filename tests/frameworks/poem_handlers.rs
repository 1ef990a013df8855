//! poem's handlers: the attribute above and below `#[handler]`, and on an implementation of `Endpoint`.

use contextvar::{context_var, with_copied_context};
use poem::test::TestClient;
use poem::web::Path;
use poem::{Endpoint, Request, Route, handler};

#[context_var]
static USER: String = "nobody".to_owned();

/// Answers with the value that it finds, and with the one that it sets.
async fn visit() -> String {
    let found = USER.get();
    USER.set("visitor".to_owned());
    tokio::task::yield_now().await;
    format!("{found}, {}", USER.get())
}

#[with_copied_context]
#[handler]
async fn above() -> String {
    visit().await
}

#[poem::handler]
#[with_copied_context]
async fn below() -> String {
    visit().await
}

#[with_copied_context(USER = user.clone())]
#[handler]
async fn entry_above(Path(user): Path<String>) -> String {
    visit().await
}

#[handler]
#[with_copied_context(USER = user.clone())]
async fn entry_below(Path(user): Path<String>) -> String {
    visit().await
}

/// poem also accepts plain functions as handlers.
#[with_copied_context]
#[handler]
fn not_async() -> String {
    let found = USER.get();
    USER.set("visitor".to_owned());
    format!("{found}, {}", USER.get())
}

struct Visit;

#[with_copied_context(USER = "ada".to_owned())]
impl Endpoint for Visit {
    type Output = String;

    async fn call(&self, _: Request) -> poem::Result<String> {
        Ok(visit().await)
    }
}

#[handler]
async fn plain() -> String {
    visit().await
}

#[tokio::test]
async fn each_request_keeps_the_values_of_its_handler() {
    let app = Route::new()
        .at("/above", above)
        .at("/below", below)
        .at("/entry_above/:user", entry_above)
        .at("/entry_below/:user", entry_below)
        .at("/not_async", not_async)
        .at("/endpoint", Visit)
        .at("/plain", plain);
    let client = TestClient::new(app);
    let get = async |path| client.get(path).send().await.0.into_body().into_string().await.unwrap();

    USER.set("grace".to_owned());
    for _ in 0..2 {
        assert_eq!(get("/above").await, "grace, visitor");
        assert_eq!(get("/below").await, "grace, visitor");
        assert_eq!(get("/entry_above/ada").await, "ada, visitor");
        assert_eq!(get("/entry_below/ada").await, "ada, visitor");
        assert_eq!(get("/not_async").await, "grace, visitor");
        assert_eq!(get("/endpoint").await, "ada, visitor");
        assert_eq!(USER.get(), "grace");
    }

    // A handler without the attribute shares the context of its caller.
    assert_eq!(get("/plain").await, "grace, visitor");
    assert_eq!(get("/plain").await, "visitor, visitor");
}
