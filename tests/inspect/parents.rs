//! The parent of a context.

use std::panic::{RefUnwindSafe, UnwindSafe};
use std::thread as plain;

use contextvar::inspect::{self, Kind};
use contextvar::{Context, InContext, Scoped, task, thread};
use tokio::task::LocalSet;

use crate::support::*;

#[test]
fn a_context_is_below_the_one_that_was_current_at_the_hand_over() {
    in_root(|root| {
        let mut a = Unit::new("a");
        let mut b = a.child("b");
        let c = b.child("c");
        let d = a.child("d");
        let e = Unit::new("e");
        assert_eq!(shape(root), "a(b(c) d) e");
        drop((a, b, c, d, e));
        assert_eq!(shape(root), "");
    });
}

#[test]
fn a_finished_context_stays_while_one_that_it_has_handed_over_lives() {
    in_root(|root| {
        let mut a = Unit::new("a");
        let b = a.child("b");
        drop(a);
        assert_eq!(shape(root), "a!(b)");
        let snapshot = inspect::snapshot();
        let finished = &snapshot.descendants(root)[0];
        assert_eq!((finished.variables().count(), finished.running_on(), finished.size()), (0, None, 0));
        drop(b);
        assert_eq!(shape(root), "");
    });
}

#[test]
fn contexts_that_end_before_their_parent_stay_while_a_descendant_lives() {
    in_root(|root| {
        let mut a = Unit::new("a");
        let mut b = a.child("b");
        let mut c = b.child("c");
        let d = c.child("d");
        drop(c);
        drop(b);
        assert_eq!(shape(root), "a(b!(c!(d)))");
        drop(a);
        assert_eq!(shape(root), "a!(b!(c!(d)))");
        drop(d);
        assert_eq!(shape(root), "");
    });
}

#[test]
fn a_chain_of_ended_jobs_shows_the_last_one_only() {
    in_root(|root| {
        let mut job = Unit::new("first");
        for name in ["second", "third", "fourth"] {
            job = job.child(name);
        }
        // The root lives, so it stands for the jobs before the third one.
        assert_eq!(shape(root), "third!(fourth)");
        drop(job);
        assert_eq!(shape(root), "");
    });
}

#[test]
fn an_ended_context_stays_below_its_parent_while_that_one_is_in_the_list() {
    in_root(|root| {
        let mut job = Unit::new("job");
        let mut x = job.child("x");
        let y = job.child("y");
        drop(job);
        let z = x.child("z");
        drop(x);
        // Without `y` the job would have left the list.
        assert_eq!(shape(root), "job!(x!(z) y)");
        drop(y);
        assert_eq!(shape(root), "x!(z)");
        drop(z);
        assert_eq!(shape(root), "");
    });
}

#[test]
fn a_context_that_other_tasks_are_polled_in_is_the_parent_of_what_they_hand_over() {
    in_root(|root| {
        current_thread().block_on(async {
            // A task without a context can read the context around it, so its work inherits that context.
            let by_task = tokio::spawn(async move {
                let unit = Unit::new("by task");
                assert_eq!(shape(root), "by task");
                drop(unit);
            });
            by_task.await.unwrap();
            let local = LocalSet::new();
            local.spawn_local(async move {
                let unit = Unit::new("by local task");
                assert_eq!(shape(root), "local set(by local task)");
                drop(unit);
            });
            let local = async move {
                inspect::set_name("local set");
                local.await;
            };
            local.in_copied_context().await;
        });
        assert_eq!(shape(root), "");
    });
}

#[test]
fn a_task_does_not_name_the_context_around_it() {
    in_root(|root| {
        let name = || inspect::snapshot().get(root).unwrap().name().map(str::to_owned);
        let before = name();
        current_thread().block_on(async {
            tokio::spawn(async { inspect::set_name("other") }).await.unwrap();
        });
        assert_eq!(name(), before);
        inspect::set_name("new");
        assert_eq!(name().as_deref(), Some("new"));
    });
}

#[test]
fn a_plain_thread_breaks_the_tree() {
    in_root(|root| {
        plain::spawn(move || {
            let unit = Unit::new("in a plain thread");
            let snapshot = inspect::snapshot();
            let context = snapshot.iter().find(|it| it.name() == Some("in a plain thread")).unwrap();
            assert_eq!(context.parent(), None);
            assert!(snapshot.descendants(root).is_empty());
            drop(unit);
        })
        .join()
        .unwrap();
    });
}

#[test]
fn a_task_and_a_thread_are_parents_of_what_they_hand_over() {
    in_root(|root| {
        current_thread().block_on(async {
            let spawned = task::spawn(async move {
                inspect::set_name("task");
                let in_thread = thread::spawn(move || {
                    inspect::set_name("thread");
                    drop(Unit::new("unit"));
                    let unit = Unit::new("unit");
                    assert_eq!(shape(root), "task(thread(unit))");
                    drop(unit);
                });
                in_thread.join().unwrap();
                let call = task::spawn_blocking(move || {
                    inspect::set_name("call");
                    assert_eq!(shape(root), "task(call)");
                });
                call.await.unwrap();
            });
            spawned.await.unwrap();
        });
        assert_eq!(shape(root), "");
    });
}

#[test]
fn siblings_are_in_the_order_of_their_hand_over() {
    in_root(|root| {
        let units: Vec<Unit> = ["a", "b", "c", "d", "e"].into_iter().map(Unit::new).collect();
        assert_eq!(shape(root), "a b c d e");
        let snapshot = inspect::snapshot();
        let numbers: Vec<u64> = snapshot.children(root).map(|it| it.number()).collect();
        assert!(numbers.is_sorted());
        assert!(snapshot.children(root).all(|it| it.kind() == Kind::Scope && it.depth() == 1));
        drop(units);
    });
}

#[test]
fn the_list_takes_no_auto_trait_from_a_context() {
    fn is_unwind_safe<T: UnwindSafe + RefUnwindSafe + Send + Sync + Unpin>() {}
    is_unwind_safe::<Context>();
    is_unwind_safe::<Scoped<u8>>();
}
