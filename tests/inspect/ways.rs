//! The kind and the place of each way to hand a context over.

use std::future::{pending, ready};
use std::pin::{Pin, pin};
use std::sync::mpsc;

use contextvar::inspect::{self, Kind};
use contextvar::{
    Context, ContextVar, InContext, StreamInContext, copy_context, inherit_context, task, thread,
    with_copied_context,
};
use futures::{StreamExt, stream};
use tokio::task::{JoinHandle, LocalSet};

use crate::support::*;

static TENANT: ContextVar<&str> = ContextVar::new("tenant").debug();

/// Checks a value that holds a context: the context is listed with this kind and place until the value is dropped.
#[track_caller]
fn check<T>(root: u64, kind: Kind, (value, line): (T, u32)) {
    let context = only(root);
    assert_place(&context, kind, file!(), line);
    assert_eq!(context.parent(), Some(root));
    assert_eq!(context.polls(), 0);
    assert_eq!(context.finished(), None);
    drop(value);
    wait_until_empty(root);
}

#[test]
fn a_future_or_a_stream_in_a_context_is_listed_where_it_was_wrapped() {
    in_root(|root| {
        check(root, Kind::Scope, at!(Context::new().scope(ready(()))));
        check(root, Kind::Scope, at!(ready(()).in_context(Context::new())));
        check(root, Kind::Scope, at!(ready(()).in_copied_context()));
        check(root, Kind::Task, at!(ready(()).in_inherited_context()));
        check(root, Kind::Scope, at!(TENANT.scope("acme", ready(()))));
        check(root, Kind::Stream, at!(StreamInContext::in_context(stream::empty::<()>(), Context::new())));
        check(root, Kind::Stream, at!(StreamInContext::in_copied_context(stream::empty::<()>())));
        check(root, Kind::Stream, at!(StreamInContext::in_inherited_context(stream::empty::<()>())));
    });
}

#[test]
fn a_closure_in_a_context_is_listed_where_it_was_wrapped() {
    in_root(|root| {
        check(root, Kind::Closure, at!(copy_context().bind(|| ())));
        check(root, Kind::Closure, at!(copy_context().bind_with(|_: u8| ())));
        check(root, Kind::Closure, at!(copy_context().bind_mut(|_: &mut u8| ())));
        check(root, Kind::Closure, at!(copy_context().bind_async(|| ready(()))));
        check(root, Kind::Closure, at!(copy_context().bind_async_with(|_: u8| ready(()))));
    });
}

#[test]
fn a_closure_that_makes_a_future_hands_its_listing_to_the_future() {
    in_root(|root| {
        let (make, line) = at!(inherit_context().bind_async(|| ready(7)));
        let mut future = pin!(make());
        assert_place(&only(root), Kind::Closure, file!(), line);
        assert_eq!(only(root).polls(), 1);
        assert!(poll(future.as_mut()).is_ready());
        wait_until_empty(root);
    });
}

const OF_ATTRIBUTE: u32 = line!() + 1;
#[with_copied_context]
async fn of_attribute() {
    pending::<()>().await;
}

const OF_ATTRIBUTE_WITH_VALUE: u32 = line!() + 1;
#[with_copied_context(TENANT = "acme")]
async fn of_attribute_with_value() {
    pending::<()>().await;
}

const OF_ATTRIBUTE_FOR_FUTURES: u32 = line!() + 1;
#[with_copied_context(future)]
fn of_attribute_for_futures() -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(pending())
}

#[test]
fn a_function_with_the_attribute_is_listed_with_the_place_of_its_attribute() {
    in_root(|root| {
        check(root, Kind::Scope, (of_attribute(), OF_ATTRIBUTE));
        check(root, Kind::Scope, (of_attribute_for_futures(), OF_ATTRIBUTE_FOR_FUTURES));

        let mut future = Box::pin(of_attribute_with_value());
        assert!(poll(future.as_mut()).is_pending());
        let context = only(root);
        assert_place(&context, Kind::Scope, file!(), OF_ATTRIBUTE_WITH_VALUE);
        assert_eq!((context.polls(), variables(&context)), (1, vec![r#"tenant="acme""#.to_owned()]));
        drop(future);
        wait_until_empty(root);
    });
}

#[test]
fn a_task_is_listed_where_it_was_spawned() {
    in_root(|root| {
        let runtime = current_thread();
        let _enter = runtime.enter();
        let check_task = |(spawned, line): (JoinHandle<()>, u32)| {
            let context = only(root);
            assert_place(&context, Kind::Task, file!(), line);
            assert_eq!((context.parent(), context.task_id(), context.polls()), (Some(root), None, 0));
            spawned.abort();
            assert!(runtime.block_on(spawned).unwrap_err().is_cancelled());
            wait_until_empty(root);
        };
        check_task(at!(task::spawn(pending::<()>())));
    });
}

/// Such a task is meant to outlive the code that spawns it, and keeps none of its values.
#[test]
fn a_task_in_an_empty_context_is_a_root() {
    in_root(|root| {
        let runtime = current_thread();
        let _enter = runtime.enter();
        let (spawned, line) = at!(task::spawn_in_empty_context(ready(())));
        let find = || {
            let snapshot = inspect::snapshot();
            snapshot
                .roots()
                .find(|it| it.location().line() == line && it.location().file() == file!())
                .cloned()
        };
        let context = find().unwrap();
        assert_place(&context, Kind::Task, file!(), line);
        assert_eq!((context.parent(), context.variables().count()), (None, 0));
        assert!(inspect::snapshot().descendants(root).is_empty());
        runtime.block_on(spawned).unwrap();
        assert!(find().is_none());
    });
}

#[test]
fn a_local_task_is_listed_where_it_was_spawned() {
    in_root(|root| {
        let local = LocalSet::new();
        let _enter = local.enter();
        let (spawned, line) = at!(task::spawn_local(pending::<()>()));
        assert_place(&only(root), Kind::Task, file!(), line);
        drop((spawned, local));
        wait_until_empty(root);
    });
}

#[test]
fn a_polled_task_shows_the_id_that_tokio_shows() {
    in_root(|root| {
        current_thread().block_on(async {
            let (send, receive) = tokio::sync::oneshot::channel::<()>();
            let spawned = task::spawn(receive);
            tokio::task::yield_now().await;
            assert_eq!(only(root).task_id().map(|id| id.to_string()), Some(spawned.id().to_string()));
            drop(send);
            spawned.await.unwrap().unwrap_err();
            wait_until_empty(root);
        });
    });
}

#[test]
fn a_blocking_call_is_listed_where_it_was_spawned() {
    in_root(|root| {
        let runtime = current_thread();
        let _enter = runtime.enter();
        let (stop, stopped) = mpsc::channel::<()>();
        let (spawned, line) = at!(task::spawn_blocking(move || stopped.recv()));
        let snapshot = wait_until(|it| it.descendants(root).iter().any(|it| it.running_on().is_some()));
        let context = &snapshot.descendants(root)[0];
        assert_place(context, Kind::BlockingCall, file!(), line);
        assert_eq!((snapshot.descendants(root).len(), context.polls()), (1, 1));
        assert_eq!(context.task_id().map(|id| id.to_string()), Some(spawned.id().to_string()));
        drop(stop);
        runtime.block_on(spawned).unwrap().unwrap_err();
        wait_until_empty(root);

        let (stop, stopped) = mpsc::channel::<()>();
        let (spawned, line) = at!(task::spawn_blocking_returning_context(move || stopped.recv()));
        assert_place(&only(root), Kind::BlockingCall, file!(), line);
        drop(stop);
        let (_, context) = runtime.block_on(spawned).unwrap();
        // The context lives on, but its work has ended.
        wait_until_empty(root);
        drop(context);
    });
}

#[test]
fn a_thread_is_listed_where_it_was_spawned() {
    in_root(|root| {
        let wait = |stopped: mpsc::Receiver<()>| move || stopped.recv().unwrap_err();
        let check_thread = |line, name: Option<&str>| {
            let snapshot = wait_until(|it| it.descendants(root).iter().any(|it| it.running_on().is_some()));
            let [context] = snapshot.descendants(root) else { panic!("{snapshot:?}") };
            assert_place(context, Kind::Thread, file!(), line);
            assert_eq!((context.parent(), context.polls(), context.task_id()), (Some(root), 1, None));
            assert!(name.is_none() || context.running_on() == name, "{context:?}");
        };

        let (stop, stopped) = mpsc::channel();
        let (spawned, line) = at!(thread::spawn(wait(stopped)));
        check_thread(line, None);
        drop(stop);
        spawned.join().unwrap();
        wait_until_empty(root);

        let (stop, stopped) = mpsc::channel();
        let builder = thread::Builder::new().name("worker 7".to_owned());
        let (spawned, line) = at!(builder.spawn(wait(stopped)));
        check_thread(line, Some("worker 7"));
        drop(stop);
        spawned.unwrap().join().unwrap();
        wait_until_empty(root);

        let (stop, stopped) = mpsc::channel();
        thread::scope(|scope| {
            let (_, line) = at!(scope.spawn(wait(stopped)));
            check_thread(line, None);
            drop(stop);
        });
        wait_until_empty(root);

        let (stop, stopped) = mpsc::channel();
        thread::scope(|scope| {
            let (spawned, line) = at!(thread::Builder::new().spawn_scoped(scope, wait(stopped)));
            check_thread(line, None);
            drop((stop, spawned));
        });
        wait_until_empty(root);
    });
}

#[test]
fn a_context_that_code_only_enters_is_not_listed() {
    in_root(|root| {
        copy_context().run(|| {
            assert!(contextvar::inspect::snapshot().descendants(root).is_empty());
            // A context handed over inside is below the listed context around it.
            check(root, Kind::Scope, at!(ready(()).in_copied_context()));
        });
    });
}

#[test]
fn a_stream_counts_its_polls_and_leaves_the_list_at_its_end() {
    in_root(|root| {
        let mut stream = StreamInContext::in_copied_context(stream::iter([1, 2]));
        let next = |stream: &mut contextvar::Scoped<_>| poll(pin!(StreamExt::next(stream)));
        assert!(next(&mut stream).is_ready());
        assert_eq!(only(root).polls(), 1);
        assert!(next(&mut stream).is_ready());
        assert_eq!(only(root).polls(), 2);
        assert!(next(&mut stream).is_ready());
        wait_until_empty(root);
        assert!(next(&mut stream).is_ready());
    });
}
