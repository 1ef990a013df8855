//! Fixtures of rstest.

// Recipe

use contextvar::{context_var, with_empty_context};
use rstest::{fixture, rstest};

#[context_var]
static USER: &str = "nobody";

#[fixture]
fn login(#[default("ada")] user: &'static str) {
    USER.set(user);
}

#[with_empty_context]
#[rstest]
fn a_fixture_sets_a_variable(_login: ()) {
    assert_eq!(USER.get(), "ada");
}

#[with_empty_context]
#[rstest]
#[case("ada", "hello, ada")]
#[case("grace", "hello, grace")]
#[tokio::test]
async fn a_case_sets_a_variable(#[case] user: &'static str, #[case] greeting: &str) {
    USER.set(user); // an entry of `with_empty_context` cannot use `user`
    assert_eq!(format!("hello, {}", USER.get()), greeting);
}

// Test

use std::thread;
use std::time::Duration;

use contextvar::{Context, copy_context};

#[with_empty_context]
#[rstest]
fn a_fixture_takes_an_argument(
    #[from(login)]
    #[with("grace")]
    _login: (),
) {
    assert_eq!((USER.get(), copy_context().len()), ("grace", 1));
}

/// rstest calls a fixture inside the test, wherever the attribute is.
#[rstest]
#[with_empty_context]
fn the_attribute_is_below(_login: ()) {
    assert_eq!(USER.get(), "ada");
}

#[rstest]
#[case(1)]
#[tokio::test]
#[with_empty_context]
async fn the_attribute_is_at_the_end(_login: (), #[case] variables: usize) {
    tokio::task::yield_now().await;
    assert_eq!((USER.get(), copy_context().len()), ("ada", variables));
}

#[fixture]
async fn async_login() {
    USER.set("ada");
}

#[with_empty_context]
#[rstest]
#[tokio::test]
async fn an_async_fixture_sets_a_variable_when_it_is_awaited(#[future] async_login: ()) {
    assert_eq!(USER.get(), "nobody");
    async_login.await;
    assert_eq!(USER.get(), "ada");
}

#[fixture]
#[once]
fn login_once() {
    USER.set("ada");
}

/// The function that rstest calls for the fixture's value runs the fixture only in the first test.
#[test]
fn a_fixture_that_runs_once_sets_its_variable_in_one_test() {
    let see = || {
        let () = login_once::default();
        USER.get()
    };
    assert_eq!([Context::new().run(see), Context::new().run(see)], ["ada", "nobody"]);
}

/// With a limit, rstest runs the body on a thread of its own, and the fixtures outside of it.
#[with_empty_context]
#[rstest]
#[timeout(Duration::from_secs(60))]
fn a_limit_loses_the_variable(_login: (), #[from(current_thread)] fixtures: thread::ThreadId) {
    assert_ne!(thread::current().id(), fixtures);
    assert_eq!((USER.get(), copy_context().len()), ("nobody", 0));
}

#[fixture]
fn current_thread() -> thread::ThreadId {
    thread::current().id()
}
