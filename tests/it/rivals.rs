//! What other crates for this get wrong, each as a test that fails on them.

use std::panic::AssertUnwindSafe;
use std::pin::pin;

use contextvar::{Context, ContextVar, InContext, context_var, copy_context, task};
use futures::FutureExt;
use tokio::runtime::Builder;
use tokio::task::yield_now;

use crate::support::{Log, OnDrop, on_both_flavours, panic_text};

#[context_var]
static NUMBER: u64;

/// A fork of a fork was empty.
#[test]
fn a_copy_of_a_copy_has_it_all() {
    on_both_flavours(|| async {
        NUMBER.set(1);
        let task = task::spawn(async {
            task::spawn(async { task::spawn_blocking(|| NUMBER.get()).await.unwrap() }).await.unwrap()
        });
        assert_eq!(task.await.unwrap(), 1);
        assert_eq!(copy_context().run(|| copy_context().run(copy_context)).get(&NUMBER), Some(&1));
    });
}

/// A panic in a poll left the task's values on the worker thread, where an unrelated task read them.
#[test]
fn a_panic_leaves_nothing_on_the_worker_thread() {
    for mut builder in [Builder::new_current_thread(), Builder::new_multi_thread()] {
        let runtime = builder.worker_threads(1).build().unwrap();
        runtime.block_on(async {
            let panics = tokio::spawn(Context::new().with_value(&NUMBER, 1).scope(async {
                NUMBER.set(2);
                yield_now().await;
                panic!("on purpose");
            }));
            assert!(panics.await.unwrap_err().is_panic());
            let seen = tokio::spawn(async { (NUMBER.try_get().ok(), copy_context().len()) });
            assert_eq!(seen.await.unwrap(), (None, 0));
            let scoped = tokio::spawn(Context::new().scope(async { NUMBER.try_get().ok() }));
            assert_eq!(scoped.await.unwrap(), None);
        });
    }
}

/// A value whose `Drop` panicked in a set disabled the thread.
#[test]
fn a_panic_in_the_drop_of_a_replaced_value_disables_nothing() {
    #[context_var]
    static BOMB: OnDrop<fn()>;

    NUMBER.set(1);
    BOMB.set(OnDrop(|| panic!("in drop")));
    assert_eq!(panic_text(|| BOMB.set(OnDrop(|| ()))), "in drop");
    assert_eq!(NUMBER.get(), 1);
    NUMBER.set(2);
    assert_eq!(copy_context().run(|| NUMBER.get()), 2);
}

/// A replaced value's `Drop` saw no context.
#[test]
fn the_drop_of_a_replaced_value_sees_the_context() {
    #[context_var]
    static REPORTS: OnDrop<Box<dyn FnMut() + Send + Sync>>;

    let log = Log::default();
    let note = log.clone();
    let mut ctx = Context::new().with_value(&NUMBER, 1);
    ctx.run(|| {
        REPORTS.set(OnDrop(Box::new(move || note.push(NUMBER.get()))));
        REPORTS.set(OnDrop(Box::new(|| ())));
    });
    assert_eq!(log.take(), ["1"]);
}

/// A cancelled future's destructors saw no context.
#[test]
fn the_destructors_of_a_cancelled_future_see_its_context() {
    on_both_flavours(|| async {
        let log = Log::default();
        let note = log.clone();
        let suspended = async move {
            let _on_drop = OnDrop(move || note.push(NUMBER.get_or(0)));
            std::future::pending::<()>().await;
        };
        {
            let mut scope = pin!(Context::new().with_value(&NUMBER, 1).scope(suspended));
            assert!(scope.as_mut().now_or_never().is_none());
        }
        assert_eq!(log.take(), ["1"]);
    });
}

/// Values of the wrong type read as missing. Here a variable has a type, and another does not compile.
///
/// Two values of one type overwrote each other. Here the variable is the key.
#[test]
fn two_variables_of_one_type_and_one_name_are_two() {
    static FIRST: ContextVar<u64> = ContextVar::new("same");
    static SECOND: ContextVar<u64> = ContextVar::new("same");

    FIRST.set(1);
    assert!(!SECOND.is_set());
    SECOND.set(2);
    assert_eq!((FIRST.get(), SECOND.get()), (1, 2));
    assert_eq!(copy_context().len(), 2);
}

/// An extension trait on every type broke `TASK_LOCAL.scope(..)`.
#[test]
fn the_traits_leave_other_types_methods_alone() {
    tokio::task_local! {
        static LOCAL: u64;
    }

    on_both_flavours(|| async {
        NUMBER.set(2);
        let sum = LOCAL.scope(1, async { LOCAL.get() + NUMBER.get() }.in_copied_context()).await;
        assert_eq!(sum, 3);
        assert_eq!(LOCAL.sync_scope(4, || LOCAL.get()), 4);
    });
}

/// No inheritance, no copy, and a wrapper per variable.
#[test]
fn all_variables_are_inherited_through_one_wrapper() {
    let vars: Vec<&'static ContextVar<usize>> =
        (0..40).map(|_| &*Box::leak(Box::new(ContextVar::new("one of many")))).collect();
    let mut ctx = Context::new();
    for (n, var) in vars.iter().enumerate() {
        ctx.set(var, n);
    }
    let sum = ctx
        .scope(async { task::spawn(async move { vars.iter().map(|var| var.get()).sum::<usize>() }).await });
    let runtime = Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(sum).unwrap(), (0..40).sum::<usize>());
}

/// A panic that was caught inside a scope must not make the next poll see another context.
#[test]
fn a_caught_panic_leaves_the_scope_s_context_current() {
    let seen = Context::new().with_value(&NUMBER, 1).scope(async {
        let inner = AssertUnwindSafe(async { panic!("on purpose") }).catch_unwind();
        assert!(inner.await.is_err());
        NUMBER.get()
    });
    assert_eq!(seen.now_or_never(), Some(1));
}
