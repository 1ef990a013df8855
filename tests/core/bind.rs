//! `Context::bind` and its variants: closures that run in a context, and the futures that they make.

use std::future::pending;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use contextvar::{Context, context_var, copy_context, inherit_context};
use futures::FutureExt;
use futures::executor::block_on;
use tokio::task::yield_now;

use crate::support::{Log, OnDrop, on_both_flavors, panic_text};

#[context_var]
static USER: String;

#[context_var]
static TENANT: u64 = 1;

#[test]
fn a_bound_closure_runs_and_drops_in_its_context() {
    let log = Log::default();
    let base = || Context::new().with_value(&USER, "ada".to_owned()).with_value(&TENANT, 7);
    let mut ctx = base();
    ctx.set(&USER, "grace".to_owned());
    let dropped = OnDrop({
        let log = log.clone();
        move || log.push(format!("dropped in {:?}'s", USER.try_get().ok()))
    });
    let bound = ctx.clone().bind(move || {
        let _dropped = dropped;
        USER.set("sets its own".to_owned());
        TENANT.get()
    });
    fn is_send<T: Send + 'static>(closure: T) -> T {
        closure
    }
    let seven = std::thread::spawn(is_send(ctx.bind(|| TENANT.get()))).join().unwrap();
    assert_eq!((seven, bound()), (7, 7));
    assert_eq!(log.take(), [r#"dropped in Some("sets its own")'s"#]);
    assert!(!USER.is_set());

    // A closure that is never called is dropped in the context.
    let dropped = OnDrop({
        let log = log.clone();
        move || log.push(format!("dropped in {:?}'s", USER.try_get().ok()))
    });
    drop(base().bind(move || drop(dropped)));
    assert_eq!(log.take(), [r#"dropped in Some("ada")'s"#]);

    // A panic restores the previous context.
    assert_eq!(panic_text(base().bind(|| panic!("as ever"))), "as ever");
    assert!(!USER.is_set());
}

fn ada() -> Context {
    Context::new().with_value(&USER, "ada".to_owned()).with_value(&TENANT, 7)
}

/// Returns a value that logs the user of the context in which it is dropped.
fn reports(log: &Log, what: &'static str) -> impl Drop + Send + 'static {
    let log = log.clone();
    OnDrop(move || log.push(format!("{what} dropped in {:?}", USER.try_get().ok())))
}

/// Calls its closure on another thread, with a connection that stays there: the signature of deadpool's
/// `interact`.
fn interact<T, F, R>(mut connection: T, f: F) -> R
where
    T: Send + 'static,
    F: FnOnce(&mut T) -> R + Send + 'static,
    R: Send + 'static,
{
    thread::spawn(move || f(&mut connection)).join().unwrap()
}

/// Calls its closure in a task and runs the future there: the signature of axum's `on_upgrade`.
async fn on_upgrade<C, Fut>(socket: u64, callback: C)
where
    C: FnOnce(u64) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    tokio::spawn(async move { callback(socket).await }).await.unwrap();
}

#[test]
fn a_bound_closure_with_an_argument_runs_and_drops_in_its_context() {
    let log = Log::default();

    // The argument, and what the closure owns, are dropped in the context, after what the closure sets.
    let owned = reports(&log, "owned");
    let bound = ada().bind_with(move |argument| {
        let _owned = (argument, owned);
        USER.set("grace".to_owned());
        TENANT.get()
    });
    assert_eq!(bound(reports(&log, "argument")), 7);
    assert_eq!(log.take(), [r#"argument dropped in Some("grace")"#, r#"owned dropped in Some("grace")"#]);

    let owned = reports(&log, "owned");
    let mut lent = 1;
    let bound = ada().bind_mut(move |lent: &mut u64| {
        let _owned = owned;
        *lent += TENANT.get();
        USER.set("grace".to_owned()).old_value().cloned()
    });
    assert_eq!((bound(&mut lent).unwrap(), lent), ("ada".to_owned(), 8));
    assert_eq!(log.take(), [r#"owned dropped in Some("grace")"#]);

    // Dropped without a call.
    let owned = reports(&log, "owned");
    drop(ada().bind_with(move |_: u64| drop(owned)));
    let owned = reports(&log, "owned");
    drop(ada().bind_mut(move |_: &mut u64| drop(owned)));
    assert_eq!(log.take(), [r#"owned dropped in Some("ada")"#; 2]);

    // A panic.
    let bound = ada().bind_with(|_argument| panic!("with"));
    let argument = reports(&log, "argument");
    assert_eq!(panic_text(|| bound(argument)), "with");
    assert_eq!(log.take(), [r#"argument dropped in Some("ada")"#]);
    assert_eq!(panic_text(|| ada().bind_mut(|_: &mut u64| panic!("mut"))(&mut 0)), "mut");
    assert!(!USER.is_set());
}

#[test]
fn a_lent_value_can_be_of_any_type() {
    let insert = |rows: &mut Vec<String>| {
        rows.push(USER.get());
        rows.len()
    };
    assert_eq!(interact(Vec::new(), ada().bind_mut(insert)), 1);
    assert_eq!(interact("ada".to_owned(), ada().bind_mut(String::pop)), Some('a'));
    // Unsized, and borrowed.
    let sort = |users: &mut [&str]| users.sort_by_key(|user| *user != USER.get());
    let name = String::from("ada");
    let mut users = ["grace", &name];
    ada().bind_mut(sort)(&mut users);
    assert_eq!(users, ["ada", "grace"]);
}

#[test]
fn a_bound_closure_and_the_future_that_it_makes_share_a_context() {
    async fn handle(socket: u64) {
        assert_eq!((socket, USER.get().as_str(), TENANT.get()), (5, "ada", 7));
        TENANT.set(8);
        yield_now().await;
        assert_eq!((USER.get().as_str(), TENANT.get()), ("ada", 8));
    }

    on_both_flavors(|| async {
        let held = Arc::new(());
        let of_closure = held.clone();
        let make = move || {
            // What the closure sets is seen by the future.
            let token = USER.set("grace".to_owned());
            async move {
                let _of_closure = of_closure;
                yield_now().await;
                USER.reset(token);
                TENANT.set(8);
                yield_now().await;
                (USER.get(), TENANT.get())
            }
        };
        let bound = ada().bind_async(make);
        let task = tokio::spawn(async move {
            let made = bound();
            assert!(!USER.is_set());
            made.await
        });
        assert_eq!(task.await.unwrap(), ("ada".to_owned(), 8));
        assert_eq!(Arc::strong_count(&held), 1);

        on_upgrade(5, ada().bind_async_with(handle)).await;
        on_upgrade(5, ada().bind_async_with(|socket: u64| handle(socket))).await;
        on_upgrade(5, ada().bind_async_with(async |socket: u64| handle(socket).await)).await;
        assert!(!USER.is_set());
    });
}

#[test]
fn a_bound_closure_and_its_future_drop_in_their_context() {
    let log = Log::default();

    // Dropped without a call.
    let owned = reports(&log, "owned");
    drop(ada().bind_async(move || async move { drop(owned) }));
    let owned = reports(&log, "owned");
    drop(ada().bind_async_with(move |_: u64| async move { drop(owned) }));
    assert_eq!(log.take(), [r#"owned dropped in Some("ada")"#; 2]);

    // Dropped after the call, and after the first poll.
    for polls in 0..2 {
        let make = |argument| async move {
            let _argument = argument;
            USER.set("grace".to_owned());
            pending::<()>().await;
        };
        let mut made = pin!(Some(ada().bind_async_with(make)(reports(&log, "argument"))));
        for _ in 0..polls {
            assert_eq!(made.as_mut().as_pin_mut().unwrap().now_or_never(), None);
        }
        made.set(None);
        let user = ["ada", "grace"][polls];
        assert_eq!(log.take(), [format!("argument dropped in Some({user:?})")]);
    }

    // A panic of the closure, and one of the future.
    let bound = ada().bind_async_with(|argument| {
        let _argument = argument;
        if TENANT.get() == 7 {
            panic!("in the closure");
        }
        async {}
    });
    let argument = reports(&log, "argument");
    assert_eq!(panic_text(|| bound(argument)), "in the closure");
    assert_eq!(log.take(), [r#"argument dropped in Some("ada")"#]);
    let bound = ada().bind_async(|| async { assert_eq!(TENANT.get(), 0, "in the future") });
    assert!(panic_text(|| block_on(bound())).contains("in the future"));
    assert!(!USER.is_set());
}

/// The closure of a scheduler, which calls it many times.
#[test]
fn a_closure_that_is_called_many_times_makes_each_future_in_a_copy() {
    async fn twice<Fut: Future>(f: impl Fn() -> Fut) -> [Fut::Output; 2] {
        [f().await, f().await]
    }
    async fn twice_with<Fut: Future>(mut f: impl FnMut(u64) -> Fut + 'static) -> [Fut::Output; 2] {
        [f(1).await, f(2).await]
    }
    async fn add(n: u64) -> u64 {
        TENANT.set(TENANT.get() + n);
        yield_now().await;
        TENANT.get()
    }

    on_both_flavors(|| async {
        // The future runs in the context.
        let ctx = ada();
        assert_eq!(twice(move || ctx.clone().scope(add(1))).await, [8, 8]);
        let ctx = ada();
        assert_eq!(twice_with(move |n| ctx.clone().scope(add(n))).await, [8, 9]);

        // The closure, which reads a variable, runs in the context as well.
        let offset = 10;
        let f = move || add(TENANT.get() + offset);
        let ctx = ada();
        assert_eq!(twice(move || ctx.clone().bind_async(f)()).await, [24, 24]);
        // A closure that cannot be copied.
        let offset = Box::new(10);
        let f = move |n| add(TENANT.get() + *offset + n);
        let ctx = ada();
        assert_eq!(twice_with(move |n| ctx.clone().bind_async_with(&f)(n)).await, [25, 26]);
        let mut calls = 0;
        let mut f = move |n| {
            calls += n;
            add(TENANT.get() + calls)
        };
        let ctx = ada();
        assert_eq!(twice_with(move |n| ctx.clone().bind_async_with(&mut f)(n)).await, [15, 17]);
        assert!(!TENANT.is_set());
    });
}

#[test]
fn bound_closures_are_send_and_small() {
    fn is_send<T: Send + 'static>(closure: T) -> T {
        closure
    }

    ada().run(|| {
        // Neither the future nor the argument nor the result needs to be `Send`.
        let made = is_send(inherit_context().bind_async(|| async { Rc::new(USER.get()) }));
        let made_with = is_send(inherit_context().bind_async_with(|n: Rc<u64>| async move { n }));
        let with = is_send(inherit_context().bind_with(|n: Rc<u64>| n));
        let lent = is_send(inherit_context().bind_mut(|n: &mut Rc<u64>| Rc::clone(n)));
        assert_eq!(*block_on(made()), "ada");
        assert_eq!((*block_on(made_with(Rc::new(1))), *with(Rc::new(2)), *lent(&mut Rc::new(3))), (1, 2, 3));

        let size = size_of::<Context>();
        assert_eq!(size_of_val(&copy_context().bind(|| ())), size_of_val(&copy_context().scope(|| ())));
        let big = [0_u64; 8];
        let bound = copy_context().bind_async_with(move |n: usize| async move { big[n] });
        // The tag of an `Option`. Other tests of the workspace turn on feature `carry`, which adds a word.
        assert!(size_of_val(&bound) <= size + size_of_val(&big) + 16, "{}", size_of_val(&bound));
        assert_eq!(block_on(bound(3)), 0);
    });
}
