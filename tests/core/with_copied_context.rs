//! `#[with_copied_context]`: when it copies, and which values the caller and the body see (rule 8).

use std::pin::Pin;

use contextvar::{Context, context_var, copy_context, with_copied_context};
use futures::FutureExt;
use tokio::task::yield_now;

use crate::support::{Log, OnDrop, on_both_flavors, panic_text};

#[context_var]
static NUMBER: u64 = 0;

#[context_var]
static TEXT: String;

#[with_copied_context]
async fn add(n: u64) -> u64 {
    let sum = NUMBER.get() + n;
    NUMBER.set(sum);
    yield_now().await;
    assert_eq!(NUMBER.get(), sum);
    sum
}

#[test]
fn the_copy_is_taken_at_the_call() {
    on_both_flavors(|| async {
        NUMBER.set(1);
        let future = add(10);
        NUMBER.set(2);
        assert_eq!(future.await, 11);
        assert_eq!(NUMBER.get(), 2);
    });
}

#[test]
fn a_plain_spawn_carries_the_calling_context() {
    on_both_flavors(|| async {
        NUMBER.set(1);
        let task = tokio::spawn(add(10));
        NUMBER.set(2);
        assert_eq!(task.await.unwrap(), 11);
        assert_eq!(NUMBER.get(), 2);
    });
}

#[test]
fn run_returns_a_future_in_a_copy_of_the_context() {
    on_both_flavors(|| async {
        NUMBER.set(1);
        let mut ctx = copy_context();
        ctx.set(&NUMBER, 5);
        // The trap: the body of a plain async fn would run in this task's context.
        assert_eq!(ctx.run(|| add(10)).await, 15);
        assert_eq!(NUMBER.get(), 1);
        // The body ran in a copy of `ctx`, which is unchanged.
        assert_eq!(ctx[&NUMBER], 5);
    });
}

#[test]
fn sibling_and_nested_calls_are_isolated() {
    #[with_copied_context]
    async fn twice(n: u64) -> u64 {
        let once = add(n).await;
        assert_eq!(NUMBER.get(), 1);
        once + add(n).await
    }

    on_both_flavors(|| async {
        NUMBER.set(1);
        assert_eq!(tokio::join!(twice(1), twice(2)), (4, 6));
    });
}

#[test]
fn entries_are_evaluated_at_the_first_poll_in_the_copy_in_order() {
    async fn entries(log: &Log) {
        #[with_copied_context(NUMBER = note(log, "first"), TEXT = format!("{}", note(log, "second")))]
        async fn body(log: &Log) {
            log.push(format!("body sees {} and {}", NUMBER.get(), TEXT.get()));
        }
        fn note(log: &Log, name: &str) -> u64 {
            log.push(format!("{name} sees {}", NUMBER.get()));
            NUMBER.get() + 1
        }

        NUMBER.set(1);
        let future = body(log);
        NUMBER.set(100);
        assert!(log.take().is_empty());
        future.await;
        assert_eq!(log.take(), ["first sees 1", "second sees 2", "body sees 2 and 3"]);
        assert_eq!(NUMBER.get(), 100);
        assert!(!TEXT.is_set());
    }
    on_both_flavors(|| async { entries(&Log::default()).await });
}

#[test]
fn entries_can_borrow_arguments_that_the_body_moves() {
    #[with_copied_context(TEXT = user.clone(), NUMBER = list.len() as u64)]
    async fn body(user: String, (list, n): (Vec<u8>, u64)) -> (String, Vec<u8>, u64) {
        let moved = (user, list);
        (moved.0 + &TEXT.get(), moved.1, n + NUMBER.get())
    }

    on_both_flavors(|| async {
        let result = body("ada".to_owned(), (vec![1, 2], 3)).await;
        assert_eq!(result, ("adaada".to_owned(), vec![1, 2], 5));
    });
}

#[test]
fn a_plain_fn_runs_in_a_copy() {
    #[with_copied_context(TEXT = text.to_owned())]
    fn plain(text: &str) -> u64 {
        assert_eq!(TEXT.get(), text);
        NUMBER.set(NUMBER.get() + 1);
        NUMBER.get()
    }

    NUMBER.set(1);
    assert_eq!((plain("a"), plain("b")), (2, 2));
    assert_eq!(NUMBER.get(), 1);
    assert!(!TEXT.is_set());

    #[with_copied_context]
    fn panics() {
        NUMBER.set(7);
        panic!("on purpose");
    }
    assert_eq!(panic_text(panics), "on purpose");
    assert_eq!(NUMBER.get(), 1);
}

/// The return types look like those of futures, but are none.
#[test]
fn a_returned_value_that_is_no_future_is_left_alone() {
    #[with_copied_context(NUMBER = 2)]
    fn numbers() -> impl Iterator<Item = u64> {
        std::iter::once(NUMBER.get())
    }

    #[with_copied_context(NUMBER = 3)]
    fn pinned() -> Pin<Box<dyn Fn() -> u64>> {
        let number = NUMBER.get();
        Box::pin(move || number)
    }

    NUMBER.set(1);
    assert_eq!(numbers().next(), Some(2));
    assert_eq!(pinned()(), 3);
    assert_eq!(NUMBER.get(), 1);
}

#[test]
fn arguments_are_dropped_in_the_copy() {
    #[with_copied_context(NUMBER = 5)]
    async fn takes(_log: impl Sized, _: impl Sized) {
        NUMBER.set(6);
        std::future::ready(()).await;
    }

    on_both_flavors(|| async {
        let log = Log::default();
        let note = |name: &'static str| {
            let log = log.clone();
            OnDrop(move || log.push(format!("{name} {}", NUMBER.get())))
        };
        NUMBER.set(1);
        drop(takes(note("named"), note("ignored")));
        let mut unpolled = log.take();
        unpolled.sort();
        assert_eq!(unpolled, ["ignored 1", "named 1"]);
        takes(note("named"), note("ignored")).await;
        assert_eq!(log.take(), ["ignored 6", "named 6"]);
    });
}

/// Also if the body uses only a part of `self`, or nothing of it.
#[test]
fn self_lives_as_long_as_the_future() {
    struct Service<T: Sized>(u64, T);
    impl<T> Service<T> {
        #[with_copied_context]
        async fn unused(self) {}

        #[with_copied_context]
        async fn used_in_part(self) -> u64 {
            self.0
        }
    }

    let log = Log::default();
    let service = || {
        let log = log.clone();
        Service(7, OnDrop(move || log.push(NUMBER.get())))
    };
    let mut ctx = Context::new().with_value(&NUMBER, 1);
    let (unused, used) = ctx.run(|| (service().unused(), service().used_in_part()));
    assert!(log.take().is_empty());
    drop(unused);
    assert_eq!(log.take(), ["1"]);
    assert_eq!(used.now_or_never(), Some(7));
    assert_eq!(log.take(), ["1"]);
}

#[test]
fn a_call_without_a_context_makes_one() {
    on_both_flavors(|| async {
        let task = tokio::spawn(async {
            assert!(NUMBER.try_set(1).is_err());
            assert_eq!(add(2).await, 2);
            NUMBER.is_set()
        });
        assert!(!task.await.unwrap());
    });
}

#[test]
fn a_method_spawned_from_run_keeps_its_context() {
    struct Service;
    impl Service {
        #[with_copied_context(NUMBER = NUMBER.get() + n)]
        async fn call(self, n: u64) -> u64 {
            yield_now().await;
            NUMBER.get()
        }
    }

    on_both_flavors(|| async {
        let mut ctx = Context::new().with_value(&NUMBER, 40);
        let task = ctx.run(|| tokio::spawn(Service.call(2)));
        assert_eq!(task.await.unwrap(), 42);
    });
}
