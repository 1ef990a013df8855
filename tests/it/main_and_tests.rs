//! `#[with_copied_context]` beside `#[tokio::main]`, `#[tokio::test]` and `#[instrument]`.

use contextvar::{context_var, with_copied_context};

#[context_var]
static NUMBER: u64 = 0;

#[tokio::main(flavor = "current_thread")]
#[with_copied_context]
async fn main_above() -> u64 {
    NUMBER.set(3);
    NUMBER.get()
}

#[with_copied_context(NUMBER = 4)]
#[tokio::main(flavor = "current_thread")]
async fn main_below() -> u64 {
    NUMBER.get()
}

#[test]
fn main_runs_in_a_copy() {
    NUMBER.set(2);
    assert_eq!(main_above(), 3);
    assert_eq!(main_below(), 4);
    assert_eq!(NUMBER.get(), 2);
}

#[with_copied_context]
async fn sets_one() -> u64 {
    NUMBER.set(1);
    tokio::task::yield_now().await;
    NUMBER.get()
}

#[tokio::test]
#[with_copied_context]
async fn tokio_test_above_the_attribute() {
    NUMBER.set(3);
    assert_eq!(sets_one().await, 1);
    assert_eq!(NUMBER.get(), 3);
}

#[with_copied_context(NUMBER = 4)]
#[tokio::test(flavor = "multi_thread")]
async fn tokio_test_below_the_attribute() {
    assert_eq!(NUMBER.get(), 4);
}

/// Other attribute macros receive the function as written, above and below the attribute.
#[test]
fn instrumented_functions_copy_in_either_order() {
    #[context_var]
    static INSIDE: Option<&str> = None;

    fn here() -> Option<&'static str> {
        tracing::Span::current().metadata().map(|span| span.name())
    }

    #[with_copied_context(INSIDE = Some("entry"))]
    #[tracing::instrument(ret)]
    async fn below() -> (Option<&'static str>, Option<&'static str>) {
        tokio::task::yield_now().await;
        (here(), INSIDE.get())
    }

    #[tracing::instrument(err)]
    #[with_copied_context(INSIDE = Some("entry"))]
    async fn above() -> Result<(Option<&'static str>, Option<&'static str>), String> {
        tokio::task::yield_now().await;
        Ok((here(), INSIDE.get()))
    }

    tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        futures::executor::block_on(async {
            assert_eq!(below().await, (Some("below"), Some("entry")));
            assert_eq!(above().await.unwrap(), (Some("above"), Some("entry")));
            assert_eq!(INSIDE.get(), None);
        });
    });
}
