//! The values of a listed context: the list shows their text, and keeps none alive.

use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use contextvar::inspect;
use contextvar::{Context, ContextVar, copy_context, task, thread};

use crate::support::*;

static TENANT: ContextVar<String> = ContextVar::new("tenant").debug();
static COUNT: ContextVar<u64> = ContextVar::new("count").debug();
static TOKEN: ContextVar<String> = ContextVar::new("token").debug().secret();
static OPAQUE: ContextVar<Arc<Dropped>> = ContextVar::new("opaque");

/// Notes its drop, and the tenant of the context that it is dropped in.
struct Dropped(Arc<Mutex<Vec<String>>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(TENANT.get_or("none".to_owned()));
    }
}

#[derive(Clone, Default)]
struct Drops(Arc<Mutex<Vec<String>>>);

impl Drops {
    fn value(&self) -> Arc<Dropped> {
        Arc::new(Dropped(Arc::clone(&self.0)))
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

#[test]
fn the_list_follows_each_write() {
    in_root_alone(|root| {
        let mut unit = Unit::new("unit");
        let shown = || variables(&only(root));
        assert_eq!(shown(), [""; 0]);
        let token = unit.run(|| TENANT.set("acme".to_owned()));
        assert_eq!(shown(), [r#"tenant="acme""#]);
        unit.run(|| drop(COUNT.set(7)));
        assert_eq!(shown(), [r#"tenant="acme""#, "count=7"]);
        unit.run(move || TENANT.reset(token));
        assert_eq!(shown(), ["count=7"]);
        unit.run(move || {
            COUNT.sync_scope(8, || assert_eq!(variables(&only(root)), ["count=8"]));
            assert_eq!(variables(&only(root)), ["count=7"]);
            let base = copy_context();
            let mut changed = base.clone();
            changed.set(&TENANT, "initech".to_owned());
            changed.unset(&COUNT);
            changed.apply_changes_to_current(&base);
        });
        assert_eq!(shown(), [r#"tenant="initech""#]);
    });
}

#[test]
fn a_secret_is_redacted_and_a_type_without_debug_is_named() {
    in_root_alone(|root| {
        let drops = Drops::default();
        let context =
            Context::new().with_value(&TOKEN, "hunter2".to_owned()).with_value(&OPAQUE, drops.value());
        let future = context.scope(pending::<()>());
        let shown = variables(&only(root));
        assert!(shown.contains(&"token=<redacted>".to_owned()), "{shown:?}");
        let opaque = shown.iter().find(|it| it.starts_with("opaque=")).unwrap();
        assert!(opaque.contains("Dropped"), "{opaque}");
        let snapshot = inspect::snapshot();
        assert!(!format!("{snapshot}").contains("hunter2") && !format!("{snapshot:?}").contains("hunter2"));
        drop(future);
        assert_eq!(drops.take(), ["none"]);
    });
}

#[test]
fn a_long_value_is_cut_at_the_border_of_a_character() {
    struct Long(&'static str, usize);

    impl fmt::Debug for Long {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (0..self.1).try_for_each(|_| f.write_str(self.0))
        }
    }

    static LONG: ContextVar<Long> = ContextVar::new("long").debug();

    in_root_alone(|root| {
        let shown = |value| {
            let future = Context::new().with_value(&LONG, value).scope(pending::<()>());
            let shown = only(root).variables().next().unwrap().1.to_owned();
            drop(future);
            shown
        };
        assert_eq!(shown(Long("a", 256)), "a".repeat(256));
        assert_eq!(shown(Long("a", 257)), "a".repeat(256) + "\u{2026}");
        assert_eq!(shown(Long("\u{20ac}", 100)), "\u{20ac}".repeat(85) + "\u{2026}");
        // Formatting stops as soon as the text is full.
        assert_eq!(shown(Long("a", usize::MAX)).len(), 256 + 3);
    });
}

#[test]
fn a_value_that_is_replaced_is_dropped_at_once_in_the_context_that_replaced_it() {
    in_root_alone(|_| {
        let drops = Drops::default();
        let replace = |drops: &Drops, tenant: &str| {
            drop(TENANT.set(tenant.to_owned()));
            drop(OPAQUE.set(drops.value()));
            assert_eq!(drops.take(), [""; 0]);
            drop(OPAQUE.set(drops.value()));
            assert_eq!(drops.take(), [tenant]);
            let token = OPAQUE.set(drops.value());
            assert_eq!(drops.take(), [""; 0], "the token has the old value");
            OPAQUE.reset(token);
            assert_eq!(drops.take(), [tenant]);
            OPAQUE.sync_scope(drops.value(), || ());
            assert_eq!(drops.take(), [tenant]);
        };

        // In a poll.
        let mut unit = Unit::new("unit");
        let of_unit = drops.clone();
        unit.run(move || replace(&of_unit, "poll"));
        // The remaining values are dropped with the context, outside of it.
        drop(unit);
        assert_eq!(drops.take(), ["none"]);

        // In a thread, and in a closure.
        let of_thread = drops.clone();
        thread::spawn(move || replace(&of_thread, "thread")).join().unwrap();
        assert_eq!(drops.take(), ["none"]);
        copy_context().bind(|| replace(&drops, "closure"))();
        assert_eq!(drops.take(), ["none"]);

        // In a blocking call.
        let of_call = drops.clone();
        current_thread().block_on(async {
            task::spawn_blocking(move || replace(&of_call, "call")).await.unwrap();
        });
        assert_eq!(drops.take(), ["none"]);
    });
}

#[test]
fn a_value_is_dropped_while_other_threads_take_snapshots() {
    in_root_alone(|_| {
        let drops = Drops::default();
        let (stop, stopped) = mpsc::channel::<()>();
        let snapshots = std::thread::spawn(move || {
            while stopped.try_recv() == Err(mpsc::TryRecvError::Empty) {
                drop(inspect::snapshot());
            }
        });
        let count = if cfg!(miri) { 20 } else { 2000 };
        let mut unit = Unit::new("unit");
        for _ in 0..count {
            let value = drops.value();
            unit.run(move || drop(OPAQUE.set(value)));
        }
        drop(unit);
        drop(stop);
        snapshots.join().unwrap();
        assert_eq!(drops.take().len(), count);
    });
}

#[test]
fn the_list_takes_no_share_in_a_value() {
    static SHARED: ContextVar<Arc<()>> = ContextVar::new("shared").debug();

    in_root_alone(|root| {
        let value = Arc::new(());
        let mut unit = Unit::new("unit");
        let of_unit = Arc::clone(&value);
        unit.run(move || drop(SHARED.set(of_unit)));
        let child = unit.child("child");
        assert_eq!(Arc::strong_count(&value), 2);
        drop(inspect::snapshot());
        assert_eq!(Arc::strong_count(&value), 2);
        drop(unit);
        // The finished context is in the list, and its child has the value.
        assert_eq!((shape(root).as_str(), Arc::strong_count(&value)), ("unit!(child)", 2));
        drop(child);
        assert_eq!(Arc::strong_count(&value), 1);
    });
}

#[test]
fn a_finished_context_keeps_no_value() {
    in_root_alone(|root| {
        let drops = Drops::default();
        let mut unit = Unit::new("unit");
        let child = unit.child("child");
        let value = drops.value();
        unit.run(move || drop(OPAQUE.set(value)));
        drop(unit);
        assert_eq!((shape(root).as_str(), drops.take()), ("unit!(child)", vec!["none".to_owned()]));
        drop(child);
    });
}

#[test]
fn a_value_that_panics_when_it_is_dropped_leaves_nothing_in_the_list() {
    struct Panics;

    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("deliberate");
        }
    }

    static PANICS: ContextVar<Panics> = ContextVar::new("panics");

    in_root_alone(|root| {
        let drops = Drops::default();
        let context = Context::new().with_value(&PANICS, Panics).with_value(&OPAQUE, drops.value());
        let future = context.scope(pending::<()>());
        panics(|| drop(future));
        wait_until_empty(root);
        assert_eq!(drops.take().len(), 1);
    });
}

#[test]
fn the_size_is_that_of_the_values_that_no_other_context_has() {
    in_root_alone(|root| {
        let size_of_unit = || {
            let snapshot = inspect::snapshot();
            let unit = snapshot.descendants(root).iter().find(|it| it.name() == Some("unit"));
            unit.map(|it| it.size()).unwrap()
        };
        let mut unit = Unit::new("unit");
        assert_eq!(size_of_unit(), 0);
        unit.run(|| drop(COUNT.set(1)));
        let node = size_of_unit();
        assert!((32..=1024).contains(&node), "{node}");
        unit.run(|| drop(TENANT.set("x".repeat(1000))));
        // The text, and the string with its count.
        let string = size_of_unit() - node - 1000;
        assert!((size_of::<String>() + 1..=48).contains(&string), "{string}");
        // A value that a child has as well does not count for the unit.
        let child = unit.child("child");
        assert_eq!(size_of_unit(), 0);
        drop(child);
        assert_eq!(size_of_unit(), node + 1000 + string);
    });
}

#[test]
fn reads_by_reference_and_listed_polls_nest_in_any_order() {
    in_root_alone(|_| {
        static DROPS: AtomicUsize = AtomicUsize::new(0);
        struct Counted(u8);

        impl Drop for Counted {
            fn drop(&mut self) {
                DROPS.fetch_add(1, Ordering::Relaxed);
            }
        }

        static VALUE: ContextVar<Counted> = ContextVar::new("value");

        let mut outer = Unit::new("outer");
        outer.run(|| {
            drop(VALUE.set(Counted(1)));
            let mut inner = Unit::new("inner");
            VALUE.with(|value| {
                // A listed poll inside of a read: it replaces its own copy.
                inner.run(|| {
                    drop(VALUE.set(Counted(2)));
                    VALUE.with(|value| {
                        // The value is replaced while it is read.
                        drop(VALUE.set(Counted(3)));
                        drop(inspect::snapshot());
                        assert_eq!((value.0, VALUE.with(|value| value.0)), (2, 3));
                    });
                    assert_eq!(DROPS.swap(0, Ordering::Relaxed), 1);
                });
                drop(VALUE.set(Counted(4)));
                drop(inner);
                assert_eq!(DROPS.swap(0, Ordering::Relaxed), 1, "that of `inner`");
                assert_eq!(value.0, 1);
            });
            assert_eq!(DROPS.swap(0, Ordering::Relaxed), 1);
        });
        // A panic out of a read in a listed poll.
        outer.run(|| {
            panics(|| {
                VALUE.with(|_| {
                    drop(VALUE.set(Counted(5)));
                    panic!("deliberate")
                })
            });
            assert_eq!((VALUE.with(|value| value.0), DROPS.swap(0, Ordering::Relaxed)), (5, 1));
        });
        drop(outer);
        assert_eq!(DROPS.swap(0, Ordering::Relaxed), 1);
    });
}
