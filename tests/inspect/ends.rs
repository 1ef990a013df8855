//! How the work of a listed context ends.

use std::cell::Cell;
use std::future::{pending, ready};
use std::pin::pin;
use std::rc::Rc;
use std::sync::mpsc;

use contextvar::inspect::{self, Kind};
use contextvar::{Context, ContextVar, InContext, StreamInContext, copy_context, task, thread};
use futures::stream;

use crate::support::*;

static TENANT: ContextVar<&str> = ContextVar::new("tenant").debug();

#[test]
fn a_future_that_is_ready_leaves_the_list_in_its_last_poll() {
    in_root(|root| {
        let mut future = pin!(ready(()).in_copied_context());
        assert_eq!(only(root).polls(), 0);
        assert!(poll(future.as_mut()).is_ready());
        assert!(inspect::snapshot().descendants(root).is_empty());
    });
}

#[test]
fn a_context_that_is_returned_is_not_listed_any_more() {
    in_root(|root| {
        let mut future = pin!(async { TENANT.set("acme") }.in_copied_context().and_context());
        assert_eq!(only(root).kind(), Kind::Scope);
        let std::task::Poll::Ready((_, context)) = poll(future.as_mut()) else { panic!("ready") };
        assert!(inspect::snapshot().descendants(root).is_empty());
        assert_eq!(context[&TENANT], "acme");
        // It can be handed over again, as another listed context.
        let again = context.scope(pending::<()>());
        assert_eq!(variables(&only(root)), [r#"tenant="acme""#]);
        drop(again);
        wait_until_empty(root);
    });
}

#[test]
fn a_panic_in_a_poll_ends_the_poll() {
    in_root(|root| {
        let mut future = boxed(
            async {
                let unit = Unit::new("unit");
                assert_eq!(unit_parent_polls(), 1);
                drop(unit);
                panic!("deliberate")
            }
            .in_copied_context(),
        );
        panics(|| poll(future.as_mut()));
        // The thread has left the context, so contexts that it hands over are below the root again.
        let context = only(root);
        assert_eq!((context.polls(), context.running_on()), (1, None));
        let sibling = Unit::new("sibling");
        assert_eq!(shape(root), "? sibling");
        drop((sibling, future));
        wait_until_empty(root);
    });

    fn unit_parent_polls() -> u64 {
        let snapshot = inspect::snapshot();
        let running = snapshot.iter().filter(|it| it.name() == Some("unit"));
        let parents: Vec<_> = running.map(|it| snapshot.get(it.parent().unwrap()).unwrap()).collect();
        parents.iter().find(|it| it.running_on() == std::thread::current().name()).unwrap().polls()
    }
}

#[test]
fn a_panic_passes_through_nested_contexts() {
    in_root(|root| {
        let inner = async { panic!("deliberate") }.in_copied_context();
        let outer = inner.in_copied_context();
        let mut outer = boxed(outer.in_copied_context());
        panics(|| poll(outer.as_mut()));
        drop(outer);
        assert_eq!(shape(root), "");
        // The root is the innermost context again.
        let unit = Unit::new("unit");
        assert_eq!(shape(root), "unit");
        drop(unit);
    });
}

#[test]
fn the_drop_of_unfinished_work_is_no_poll_and_runs_in_its_context() {
    in_root(|root| {
        for polls in 0..3 {
            let seen = Rc::new(Cell::new(None));
            let to = Rc::clone(&seen);
            let in_drop = OnDrop(move || {
                let snapshot = inspect::snapshot();
                let [context] = snapshot.descendants(root) else { panic!("{snapshot:?}") };
                assert!(context.running_on().is_some());
                to.set(Some((context.polls(), context.finished())));
            });
            let work = async move {
                let _in_drop = in_drop;
                pending::<()>().await
            };
            let mut future = boxed(work.in_copied_context());
            for _ in 0..polls {
                assert!(poll(future.as_mut()).is_pending());
            }
            assert_eq!(only(root).polls(), polls);
            drop(future);
            assert_eq!(seen.get(), Some((polls, None)));
            wait_until_empty(root);
        }
    });
}

#[test]
fn a_closure_that_is_dropped_without_a_call_leaves_the_list() {
    in_root(|root| {
        let in_drop = OnDrop(move || assert_eq!(only(root).polls(), 0));
        drop(copy_context().bind(move || drop(in_drop)));
        wait_until_empty(root);
    });
}

#[test]
fn a_closure_that_panics_leaves_the_list() {
    in_root(|root| {
        panics(copy_context().bind(|| panic!("deliberate")));
        wait_until_empty(root);
    });
}

#[test]
fn a_stream_that_is_dropped_leaves_the_list() {
    in_root(|root| {
        let stream = StreamInContext::in_copied_context(stream::pending::<()>());
        assert_eq!(only(root).kind(), Kind::Stream);
        drop(stream);
        wait_until_empty(root);
    });
}

#[test]
fn a_task_that_is_aborted_before_its_first_poll_leaves_the_list() {
    in_root(|root| {
        current_thread().block_on(async {
            let spawned = task::spawn(pending::<()>());
            spawned.abort();
            assert_eq!(only(root).polls(), 0);
            assert!(spawned.await.unwrap_err().is_cancelled());
            wait_until_empty(root);
        });
    });
}

#[test]
fn a_task_that_panics_leaves_the_list_and_its_children_stay() {
    in_root(|root| {
        current_thread().block_on(async {
            let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
            let spawned = task::spawn(async {
                inspect::set_name("parent");
                drop(task::spawn(async {
                    inspect::set_name("child");
                    stopped.await
                }));
                panic!("deliberate");
            });
            assert!(spawned.await.unwrap_err().is_panic());
            tokio::task::yield_now().await;
            assert_eq!(shape(root), "parent!(child)");
            drop(stop);
            wait_until_empty_yielding(root).await;
        });
    });
}

async fn wait_until_empty_yielding(root: u64) {
    while !inspect::snapshot().descendants(root).is_empty() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn tasks_leave_the_list_when_their_runtime_shuts_down() {
    in_root(|root| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            drop(task::spawn(async {
                drop(task::spawn(pending::<()>()));
                pending::<()>().await
            }));
        });
        wait_until(|it| it.descendants(root).iter().filter(|it| it.polls() == 1).count() == 2);
        drop(runtime);
        assert!(inspect::snapshot().descendants(root).is_empty());
    });
}

#[test]
fn a_thread_leaves_the_list_before_it_is_joined() {
    in_root(|root| {
        thread::spawn(|| ()).join().unwrap();
        assert!(inspect::snapshot().descendants(root).is_empty());
        assert!(thread::spawn(|| panic!("deliberate")).join().is_err());
        assert!(inspect::snapshot().descendants(root).is_empty());
    });
}

#[test]
fn work_in_a_thread_that_exits_is_listed() {
    in_root(|root| {
        struct AtExit(Cell<Option<mpsc::Sender<Option<String>>>>);

        impl Drop for AtExit {
            fn drop(&mut self) {
                let context = Context::new().with_value(&TENANT, "at exit");
                let seen = context.bind(|| {
                    inspect::set_name("at exit");
                    let snapshot = inspect::snapshot();
                    let context = snapshot.iter().find(|it| it.name() == Some("at exit")).cloned();
                    context.map(|it| format!("{:?} {:?}", variables(&it), it.running_on().is_some()))
                })();
                self.0.take().unwrap().send(seen).unwrap();
            }
        }

        thread_local! {
            static AT_EXIT: AtExit = const { AtExit(Cell::new(None)) };
        }

        // The destructor runs before those of the list, or after them.
        for is_first in [false, true] {
            let (send, receive) = mpsc::channel();
            let thread = std::thread::spawn(move || {
                if is_first {
                    AT_EXIT.with(|it| it.0.set(Some(send)));
                    drop(Unit::new("unit"));
                } else {
                    drop(Unit::new("unit"));
                    AT_EXIT.with(|it| it.0.set(Some(send)));
                }
            });
            thread.join().unwrap();
            assert_eq!(receive.recv().unwrap().as_deref(), Some(r#"["tenant=\"at exit\""] true"#));
        }
        wait_until_empty(root);
        wait_until(|it| it.iter().all(|it| it.name() != Some("at exit")));
    });
}
