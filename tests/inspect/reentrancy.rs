//! Snapshots in odd places, and values whose `Debug` does odd things.

use std::fmt;
use std::future::pending;
use std::panic;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use contextvar::inspect;
use contextvar::{Context, ContextVar, InContext};

use crate::support::*;

/// Calls a function to format itself.
struct Calls(fn(&mut fmt::Formatter<'_>) -> fmt::Result);

impl fmt::Debug for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.0)(f)
    }
}

static CALLS: ContextVar<Calls> = ContextVar::new("calls").debug();
static COUNT: ContextVar<u64> = ContextVar::new("count").debug();

/// Returns what the list shows of the value.
fn shown(root: u64, f: fn(&mut fmt::Formatter<'_>) -> fmt::Result) -> String {
    let future = Context::new().with_value(&CALLS, Calls(f)).scope(pending::<()>());
    let shown = only(root).variables().next().unwrap().1.to_owned();
    drop(future);
    wait_until_empty(root);
    shown
}

#[test]
fn a_debug_that_panics_is_shown_as_such() {
    in_root(|root| {
        assert_eq!(shown(root, |_| panic!("deliberate")), "<panicked in Debug>");
        assert_eq!(shown(root, |f| f.write_str("after")), "after");
    });
}

#[test]
fn a_debug_that_fails_is_cut() {
    in_root(|root| {
        let fails = |f: &mut fmt::Formatter<'_>| {
            f.write_str("begin")?;
            Err(fmt::Error)
        };
        assert_eq!(shown(root, fails), "begin\u{2026}");
    });
}

#[test]
fn a_debug_that_takes_a_snapshot_gets_one_without_values() {
    static NESTED: AtomicUsize = AtomicUsize::new(0);

    in_root(|root| {
        let takes_snapshot = |f: &mut fmt::Formatter<'_>| {
            let snapshot = inspect::snapshot();
            let of_calls = snapshot.iter().flat_map(|it| it.variables()).filter(|it| it.0 == "calls");
            NESTED.fetch_add(of_calls.filter(|it| it.1 == "\u{2026}").count(), Ordering::Relaxed);
            f.write_str("outer")
        };
        assert_eq!(shown(root, takes_snapshot), "outer");
        assert!(NESTED.load(Ordering::Relaxed) > 0);
    });
}

#[test]
fn a_debug_can_set_variables_and_hand_contexts_over() {
    in_root(|root| {
        let writes = |f: &mut fmt::Formatter<'_>| {
            drop(COUNT.set(COUNT.get_or(0) + 1));
            drop(std::future::ready(()).in_copied_context());
            f.write_str("wrote")
        };
        assert_eq!(shown(root, writes), "wrote");
        // Formatted in the context of the code that took the snapshot.
        assert!(COUNT.get() >= 1);
    });
}

#[test]
fn a_destructor_can_take_a_snapshot() {
    struct Snapshots(&'static Mutex<Vec<String>>, u64);

    impl Drop for Snapshots {
        fn drop(&mut self) {
            self.0.lock().unwrap().push(shape(self.1));
        }
    }

    static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());
    static VALUE: ContextVar<Snapshots> = ContextVar::new("value");

    in_root_alone(|root| {
        let mut unit = Unit::new("unit");
        unit.run(move || drop(VALUE.set(Snapshots(&SEEN, root))));
        // Replaced in a poll.
        unit.run(move || drop(VALUE.set(Snapshots(&SEEN, root))));
        // Dropped with the context, which has already left the list: its values are dropped last.
        drop(unit);
        assert_eq!(*SEEN.lock().unwrap(), ["unit", ""]);
    });
}

#[test]
fn a_panic_hook_can_take_a_snapshot() {
    static IN_HOOK: Mutex<Vec<String>> = Mutex::new(Vec::new());
    static ROOT: AtomicUsize = AtomicUsize::new(0);
    static IS_MINE: AtomicBool = AtomicBool::new(false);

    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if info.payload().downcast_ref() == Some(&"seen by the hook") {
            IS_MINE.store(true, Ordering::Relaxed);
            IN_HOOK.lock().unwrap().push(shape(ROOT.load(Ordering::Relaxed) as u64));
        } else {
            print(info);
        }
    }));
    in_root(|root| {
        ROOT.store(root as usize, Ordering::Relaxed);
        let mut future = boxed(
            async {
                inspect::set_name("panics");
                panic!("seen by the hook")
            }
            .in_copied_context(),
        );
        panics(|| poll(future.as_mut()));
        assert!(IS_MINE.load(Ordering::Relaxed));
        assert_eq!(*IN_HOOK.lock().unwrap(), ["panics"]);
    });
}

#[test]
fn a_name_can_be_set_in_any_place() {
    // Does nothing outside of listed contexts.
    inspect::set_name("nothing");
    in_root(|root| {
        let mut unit = Unit::new("first");
        unit.run(|| inspect::set_name(String::from("second")));
        assert_eq!(shape(root), "second");
        unit.run(|| Context::new().run(|| inspect::set_name("third")));
        assert_eq!(shape(root), "third");
    });
    assert!(inspect::snapshot().iter().all(|it| it.name() != Some("nothing")));
}
