//! `#[with_empty_context]`, which is mainly for tests.

use std::future::Future;
use std::pin::Pin;

use contextvar::{Context, context_var, copy_context, task, with_copied_context, with_empty_context};
use rstest::{fixture, rstest};

use crate::support::{on_both_flavors, panic_text};

#[context_var]
static USER: String = "nobody".to_owned();

#[context_var]
static NUMBER: u64;

/// Asserts that the context is empty, then sets values that another test would see if contexts were shared.
fn assert_empty() {
    assert!(copy_context().is_empty());
    assert_eq!(USER.get(), "nobody");
    USER.set("left behind".to_owned());
    NUMBER.set(1);
}

#[with_empty_context]
#[test]
fn above_a_test() {
    assert_empty();
}

#[test]
#[with_empty_context]
fn below_a_test() {
    assert_empty();
}

#[with_empty_context]
#[tokio::test]
async fn above_a_tokio_test() {
    assert_empty();
    task::spawn(async { assert_eq!(USER.get(), "left behind") }).await.unwrap();
}

// The guide's page about testing shows the next two.

#[with_empty_context(USER = "ada".to_owned())]
#[tokio::test]
async fn around_the_runtime() {
    assert_eq!(tokio::spawn(async { USER.get() }).await.unwrap(), "ada"); // not so in the service
}

#[tokio::test]
async fn inside_the_test() {
    USER.scope("ada".to_owned(), async {
        assert_eq!(tokio::spawn(async { USER.get() }).await.unwrap(), "nobody");
        assert_eq!(task::spawn(async { USER.get() }).await.unwrap(), "ada");
    })
    .await;
}

#[with_empty_context(USER = "ada".to_owned())]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn around_a_runtime_with_workers() {
    assert_eq!(tokio::spawn(async { USER.get() }).await.unwrap(), "nobody");
    assert_eq!(task::spawn(async { USER.get() }).await.unwrap(), "ada");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[with_empty_context]
async fn below_a_tokio_test() {
    assert_empty();
    tokio::task::yield_now().await;
    assert_eq!(USER.get(), "left behind");
}

#[with_empty_context(USER = "ada".to_owned(), NUMBER = 7)]
#[test]
fn with_entries() {
    assert_eq!((USER.get().as_str(), NUMBER.get(), copy_context().len()), ("ada", 7, 2));
}

#[tokio::test]
#[with_empty_context(USER = "ada".to_owned(), NUMBER = USER.get().len() as u64)]
async fn with_entries_and_a_result() -> Result<(), std::num::ParseIntError> {
    let three: u64 = "3".parse()?;
    assert_eq!((USER.get().as_str(), NUMBER.get()), ("ada", three));
    Ok(())
}

#[with_empty_context(NUMBER = 7)]
#[test]
#[should_panic(expected = "number 7")]
fn with_should_panic() {
    panic!("number {}", NUMBER.get());
}

// rstest copies attributes onto the test that it generates for each case, which has no arguments.
#[with_empty_context(NUMBER = 7)]
#[rstest]
#[case("ada", 3)]
#[case("grace", 5)]
fn above_rstest(#[case] user: &str, #[case] length: usize) {
    assert_eq!((NUMBER.get(), copy_context().len(), user.len()), (7, 1, length));
    assert_eq!(USER.get(), "nobody");
    USER.set(user.to_owned());
}

#[rstest]
#[case("ada")]
#[case("grace")]
#[with_empty_context]
fn below_rstest(#[case] user: &str) {
    assert_empty();
    assert_ne!(USER.get(), user);
}

#[rstest]
#[case("ada")]
#[case("grace")]
#[tokio::test]
#[with_empty_context(NUMBER = 7)]
async fn below_rstest_and_tokio(#[case] user: &str) {
    USER.set(user.to_owned());
    tokio::task::yield_now().await;
    assert_eq!((USER.get().as_str(), NUMBER.get(), copy_context().len()), (user, 7, 2));
}

#[with_empty_context(NUMBER = 7)]
#[rstest]
#[case("ada")]
#[case("grace")]
#[tokio::test]
async fn above_rstest_and_tokio(#[case] user: &str) {
    USER.set(user.to_owned());
    tokio::task::yield_now().await;
    assert_eq!((USER.get().as_str(), NUMBER.get(), copy_context().len()), (user, 7, 2));
}

#[fixture]
fn context() -> Context {
    Context::new().with_value(&NUMBER, 7)
}

/// A fixture that returns a context.
#[rstest]
fn a_context_as_a_fixture(mut context: Context) {
    context.run(|| assert_eq!(NUMBER.get(), 7));
}

#[test]
fn the_calling_context_is_neither_seen_nor_changed() {
    #[with_empty_context]
    async fn an_async_fn() -> u64 {
        assert_empty();
        tokio::task::yield_now().await;
        NUMBER.get()
    }

    #[with_empty_context]
    fn a_future() -> impl Future<Output = ()> {
        assert_empty();
        async { assert_eq!(NUMBER.get(), 1) }
    }

    #[with_empty_context]
    fn a_boxed_future<'a>() -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(async { assert_empty() })
    }

    #[with_empty_context(USER = user.to_owned())]
    fn a_panic(user: &str) {
        panic!("{user}");
    }

    on_both_flavors(|| {
        Context::new().with_value(&USER, "ada".to_owned()).with_value(&NUMBER, 7).scope(async {
            above_a_test_by_hand();
            assert_eq!(an_async_fn().await, 1);
            a_future().await;
            a_boxed_future().await;
            tokio::spawn(an_async_fn()).await.unwrap();
            assert_eq!(panic_text(|| a_panic("grace")), "grace");
            assert_eq!((USER.get().as_str(), NUMBER.get()), ("ada", 7));
        })
    });

    #[with_empty_context]
    fn above_a_test_by_hand() {
        assert_empty();
    }
}

struct Service;

#[with_empty_context]
impl Service {
    async fn empty(&self) -> String {
        USER.get()
    }

    #[with_copied_context]
    async fn copied(&self) -> String {
        USER.get()
    }

    #[with_empty_context(skip)]
    async fn shared(&self) -> String {
        USER.set("set by `shared`".to_owned());
        USER.get()
    }

    #[with_copied_context(skip)]
    async fn shared_too(&self) -> String {
        USER.get()
    }
}

#[with_copied_context]
mod functions {
    use super::*;

    pub(super) async fn copied() -> String {
        USER.get()
    }

    #[with_empty_context(NUMBER = 5)]
    pub(super) async fn empty() -> (String, u64) {
        (USER.get(), NUMBER.get())
    }
}

#[test]
fn in_impls_and_modules() {
    on_both_flavors(|| {
        Context::new().with_value(&USER, "ada".to_owned()).scope(async {
            assert_eq!((Service.empty().await.as_str(), Service.copied().await.as_str()), ("nobody", "ada"));
            assert_eq!((functions::copied().await.as_str(), functions::empty().await.1), ("ada", 5));
            assert_eq!(functions::empty().await.0, "nobody");
            Service.shared().await;
            assert_eq!(
                (USER.get().as_str(), Service.shared_too().await.as_str()),
                ("set by `shared`", "set by `shared`")
            );
        })
    });
}
