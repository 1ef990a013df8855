//! `Scoped` around futures (rules 6, 7 and 13), at each moment of the future's life.

use std::future::{pending, poll_fn, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{self as std_task, Poll, Waker};

use contextvar::{Context, ResetErrorKind, Scoped, context_var, copy_context, task};
use futures::future::FutureExt;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::support::{Log, OnDrop, on_both_flavors, panic_text};

#[context_var]
static NUMBER: u64;

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut std_task::Context::from_waker(Waker::noop()))
}

/// Returns a future that logs the number it sees when it is dropped.
fn noting<F: Future>(log: &Log, future: F) -> impl Future<Output = F::Output> + use<F> {
    let log = log.clone();
    let on_drop = OnDrop(move || log.push(NUMBER.get_or(0)));
    let mut future = Box::pin(future);
    // An async block would drop its captures before it finishes.
    poll_fn(move |cx| {
        let _capture = &on_drop;
        future.as_mut().poll(cx)
    })
}

#[test]
fn the_context_is_current_in_each_poll_and_nowhere_else() {
    on_both_flavors(|| async {
        NUMBER.set(1);
        let scope = Context::new().with_value(&NUMBER, 2).scope(async {
            assert_eq!(NUMBER.get(), 2);
            NUMBER.set(3);
            yield_now().await;
            assert_eq!(NUMBER.get(), 3);
            NUMBER.set(4);
        });
        let mut scope = pin!(scope);
        let mut polls = 0;
        poll_fn(|cx| {
            assert_eq!(NUMBER.get(), 1);
            polls += 1;
            let poll = scope.as_mut().poll(cx);
            assert_eq!(NUMBER.get(), 1);
            if polls == 1 {
                assert_eq!(scope.context()[&NUMBER], 3);
            }
            poll
        })
        .await;
        assert_eq!(polls, 2);
    });
}

#[test]
fn the_context_is_current_in_a_drop_before_the_first_poll() {
    let log = Log::default();
    drop(Context::new().with_value(&NUMBER, 2).scope(noting(&log, pending::<()>())));
    assert_eq!(log.take(), ["2"]);
}

#[test]
fn the_context_is_current_in_a_drop_while_suspended() {
    let log = Log::default();
    {
        let mut scope = pin!(Context::new().with_value(&NUMBER, 2).scope(async {
            let _on_drop = noting(&log, pending::<()>());
            NUMBER.set(3);
            pending::<()>().await;
        }));
        assert!(poll(scope.as_mut()).is_pending());
        assert!(log.take().is_empty());
    }
    assert_eq!(log.take(), ["3"]);
    assert!(!NUMBER.is_set());
}

#[test]
fn the_context_is_current_in_the_drop_at_completion() {
    let log = Log::default();
    let mut scope = pin!(Context::new().with_value(&NUMBER, 2).scope(noting(&log, ready(()))));
    assert!(poll(scope.as_mut()).is_ready());
    // At completion, not only when the `Scoped` is dropped.
    assert_eq!(log.take(), ["2"]);
}

#[test]
fn the_context_is_current_in_an_abort() {
    on_both_flavors(|| async {
        let log = Log::default();
        let (started, on_start) = oneshot::channel();
        let inner = noting(&log, async {
            started.send(()).unwrap();
            pending::<()>().await;
        });
        let task = tokio::spawn(Context::new().with_value(&NUMBER, 2).scope(inner));
        on_start.await.unwrap();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert_eq!(log.take(), ["2"]);
    });
}

#[test]
fn the_context_is_current_in_a_runtime_shutdown() {
    #[context_var]
    static HELD: Arc<()>;

    for mut builder in
        [tokio::runtime::Builder::new_current_thread(), tokio::runtime::Builder::new_multi_thread()]
    {
        let (log, held) = (Log::default(), Arc::new(()));
        let number = |n| Context::new().with_value(&NUMBER, n).with_value(&HELD, held.clone());
        let runtime = builder.build().unwrap();
        let (started, on_start) = oneshot::channel();
        let inner = noting(&log, async {
            started.send(()).unwrap();
            pending::<()>().await;
        });
        runtime.spawn(number(2).scope(inner));
        // This task is possibly never polled.
        runtime.spawn(number(3).scope(noting(&log, pending::<()>())));
        runtime.block_on(on_start).unwrap();
        drop(runtime);
        let mut seen = log.take();
        seen.sort();
        assert_eq!(seen, ["2", "3"]);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

#[test]
fn the_context_is_current_in_the_drop_of_a_blocking_call_that_never_ran() {
    let log = Log::default();
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        NUMBER.set(5);
        let (occupied, on_occupied) = oneshot::channel();
        let (release, on_release) = std::sync::mpsc::channel::<()>();
        task::spawn_blocking(move || {
            occupied.send(()).unwrap();
            let _ = on_release.recv();
        });
        on_occupied.await.unwrap();
        let inner = noting(&log, pending::<()>());
        // The only thread is busy, so this call waits in the queue.
        let queued = task::spawn_blocking(move || drop(inner));
        NUMBER.set(6);
        queued.abort();
        drop(release);
        assert!(queued.await.unwrap_err().is_cancelled());
    });
    drop(runtime);
    assert_eq!(log.take(), ["5"]);
}

#[test]
fn a_panic_in_a_poll_restores_the_context() {
    on_both_flavors(|| async {
        NUMBER.set(1);
        let scope = Context::new().with_value(&NUMBER, 2).scope(async {
            yield_now().await;
            panic!("on purpose");
        });
        let mut scope = Box::pin(scope);
        assert!(poll(scope.as_mut()).is_pending());
        assert_eq!(panic_text(|| poll(scope.as_mut())), "on purpose");
        assert_eq!(NUMBER.get(), 1);
        // The rest of the future is still dropped in its context.
        drop(scope);
        assert_eq!(NUMBER.get(), 1);
    });
}

#[test]
fn a_panic_in_the_drop_of_a_future_restores_the_context() {
    let make = || {
        let on_drop = OnDrop(|| panic!("in drop, with {}", NUMBER.get()));
        Context::new().with_value(&NUMBER, 2).scope(poll_fn(move |_| {
            let _capture = &on_drop;
            Poll::Ready(())
        }))
    };
    NUMBER.set(1);
    let unpolled = make();
    assert_eq!(panic_text(|| drop(unpolled)), "in drop, with 2");
    assert_eq!(NUMBER.get(), 1);
    let finished = make();
    assert_eq!(panic_text(|| finished.now_or_never()), "in drop, with 2");
    assert_eq!(NUMBER.get(), 1);
}

#[test]
fn a_finished_scope_has_dropped_its_context() {
    let log = Log::default();
    #[context_var]
    static HELD: OnDrop<Box<dyn FnMut() + Send + Sync>>;

    let note = log.clone();
    let context = Context::new().with_value(&HELD, OnDrop(Box::new(move || note.push("dropped"))));
    let mut scope = pin!(context.scope(ready(7)));
    assert_eq!(poll(scope.as_mut()), Poll::Ready(7));
    assert_eq!(log.take(), ["dropped"]);
    assert!(scope.context().is_empty());
    let text = panic_text(|| poll(scope.as_mut()));
    let expected = "`Scoped` polled after it has finished\nsee \
                    https://docs.rs/contextvar/latest/contextvar/guide/errors#polled-after-its-end";
    assert_eq!(text, expected);
}

#[test]
fn and_context_returns_the_context() {
    let scope = Context::new().with_value(&NUMBER, 1).scope(async {
        NUMBER.set(NUMBER.get() + 1);
        NUMBER.set(5)
    });
    let (token, mut context) = scope.and_context().now_or_never().unwrap();
    assert_eq!(context[&NUMBER], 5);
    // The context is the one that the future ran in, so the token is good.
    context.run(|| NUMBER.reset(token));
    assert_eq!(context[&NUMBER], 2);
}

#[test]
fn a_token_is_good_across_polls_and_in_no_other_scope() {
    on_both_flavors(|| async {
        let ((), context) = Context::new()
            .scope(async {
                let token = NUMBER.set(1);
                yield_now().await;
                let error = copy_context().scope(async { NUMBER.try_reset(token) }).await.unwrap_err();
                assert_eq!(error.kind(), ResetErrorKind::DifferentContext);
                yield_now().await;
                NUMBER.reset(error.into_token());
            })
            .and_context()
            .await;
        assert!(context.is_empty());
    });
}

#[test]
fn spawning_a_scope_is_create_task_with_a_context() {
    on_both_flavors(|| async {
        NUMBER.set(1);
        let ctx = copy_context();
        NUMBER.set(2);
        let task = tokio::spawn(ctx.scope(async {
            yield_now().await;
            NUMBER.set(NUMBER.get() + 10);
            NUMBER.get()
        }));
        assert_eq!(task.await.unwrap(), 11);
        assert_eq!(NUMBER.get(), 2);
    });
}

#[test]
fn task_spawn_copies_in_the_caller_at_the_call() {
    on_both_flavors(|| async {
        NUMBER.set(1);
        let task = task::spawn(async {
            yield_now().await;
            NUMBER.set(NUMBER.get() + 10);
            NUMBER.get()
        });
        let blocking = task::spawn_blocking(|| {
            NUMBER.set(NUMBER.get() + 20);
            NUMBER.get()
        });
        NUMBER.set(2);
        assert_eq!((task.await.unwrap(), blocking.await.unwrap()), (11, 21));
        let local = tokio::task::LocalSet::new();
        let task = local
            .run_until(async {
                let task = task::spawn_local(async {
                    yield_now().await;
                    NUMBER.set(NUMBER.get() + 30);
                    NUMBER.get()
                });
                NUMBER.set(3);
                task.await.unwrap()
            })
            .await;
        assert_eq!(task, 32);
        assert_eq!(NUMBER.get(), 3);
    });
}

#[test]
fn scope_of_a_variable_runs_in_a_copy_taken_at_the_call() {
    #[context_var]
    static OTHER: u64;

    on_both_flavors(|| async {
        OTHER.set(1);
        NUMBER.set(1);
        let scope = NUMBER.scope(5, async {
            yield_now().await;
            OTHER.set(OTHER.get() + 10);
            (NUMBER.get(), OTHER.get())
        });
        OTHER.set(2);
        assert_eq!(scope.await, (5, 11));
        assert_eq!((NUMBER.get(), OTHER.get()), (1, 2));
    });
}

#[test]
fn a_future_moved_between_tasks_keeps_its_context() {
    on_both_flavors(|| async {
        let mut future = Box::pin(Context::new().with_value(&NUMBER, 2).scope(async {
            NUMBER.set(3);
            yield_now().await;
            NUMBER.set(NUMBER.get() + 1);
            NUMBER.get()
        }));
        let future = task::spawn(async move {
            NUMBER.set(50);
            assert!(poll(future.as_mut()).is_pending());
            [future]
        });
        let [future] = future.await.unwrap();
        let task = task::spawn(async move {
            NUMBER.set(60);
            (future.await, NUMBER.get())
        });
        assert_eq!(task.await.unwrap(), (4, 60));
    });
}

#[test]
fn a_scope_can_be_polled_on_different_threads() {
    let mut scope: Pin<Box<Scoped<_>>> = Box::pin(Context::new().scope(async {
        for n in 0..4 {
            assert_eq!(NUMBER.get_or(0), n);
            NUMBER.set(n + 1);
            yield_now_without_a_runtime().await;
        }
        NUMBER.get()
    }));
    for _ in 0..4 {
        let thread = std::thread::spawn(move || {
            assert!(poll(scope.as_mut()).is_pending());
            assert!(!NUMBER.is_set());
            scope
        });
        scope = thread.join().unwrap();
    }
    assert_eq!(poll(scope.as_mut()), Poll::Ready(4));
}

async fn yield_now_without_a_runtime() {
    let mut yielded = false;
    poll_fn(|_| if std::mem::replace(&mut yielded, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}
