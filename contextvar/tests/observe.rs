//! The observer. A process has one, so there is one test.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::thread;

use contextvar::observe::{ChangedVar, Observer, set_observer};
use contextvar::{Context, ContextVar, InContext, copy_context};

static USER: ContextVar<&str> = ContextVar::with_default("user", || "nobody");

static TENANT: ContextVar<u64> = ContextVar::new("tenant");

thread_local! {
    static CHANGED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static SEEN: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static PANIC: Cell<bool> = const { Cell::new(false) };
}

struct Notes;

impl Observer for Notes {
    fn on_enter(&self) {
        SEEN.with_borrow_mut(|seen| seen.push(format!("enter {}", USER.get())));
        // The observer's own runs are not reported.
        copy_context().run(|| USER.set("the observer"));
        assert!(!PANIC.get(), "on purpose");
    }

    fn on_change(&self, var: ChangedVar) {
        assert_eq!((var.is(&USER), var.is(&TENANT)), (var.name() == "user", var.name() == "tenant"));
        CHANGED.with_borrow_mut(|changed| changed.push(format!("{} {}", var.name(), USER.get())));
        // The observer's own changes are not reported.
        copy_context().run(|| USER.set("the observer"));
    }

    fn on_exit(&self) {
        SEEN.with_borrow_mut(|seen| seen.push(format!("leave to {}", USER.get())));
        copy_context().run(|| USER.set("the observer"));
    }
}

fn seen() -> Vec<String> {
    SEEN.take()
}

#[test]
fn entering_and_leaving() {
    let mut ada = Context::new().with_value(&USER, "ada");
    let mut grace = Context::new().with_value(&USER, "grace");

    // An observer set inside a `run` sees its end.
    ada.run(|| {
        assert!(seen().is_empty());
        set_observer(&Notes).unwrap();
    });
    assert_eq!(seen(), ["leave to nobody"]);
    assert_eq!(
        set_observer(&Notes).unwrap_err().to_string(),
        "the process has an observer already: let that observer call yours as well"
    );

    ada.run(|| {
        grace.run(|| ());
        USER.set("changed");
        grace.run(|| ());
    });
    let nested =
        ["enter ada", "enter grace", "leave to ada", "enter grace", "leave to changed", "leave to nobody"];
    assert_eq!(seen(), nested);

    // Each poll, and the drop of an unfinished future.
    let polled_twice = async { futures::future::poll_immediate(smol::future::yield_now()).await };
    futures::executor::block_on(polled_twice.in_context(grace.clone()));
    drop(async {}.in_context(grace.clone()));
    assert_eq!(seen(), ["enter grace", "leave to nobody", "enter grace", "leave to nobody"]);

    // The exit is reported after a panic in the context, and after one in the observer.
    let run = panic::catch_unwind(AssertUnwindSafe(|| grace.run(|| panic!("on purpose"))));
    assert!(run.is_err());
    assert_eq!(seen(), ["enter grace", "leave to nobody"]);
    PANIC.set(true);
    let run = panic::catch_unwind(AssertUnwindSafe(|| grace.run(|| unreachable!())));
    assert!(run.is_err());
    PANIC.set(false);
    assert_eq!(
        (seen(), USER.get()),
        (vec!["enter grace".to_owned(), "leave to nobody".to_owned()], "nobody")
    );
    grace.run(|| ());
    assert_eq!(seen(), ["enter grace", "leave to nobody"], "the observer is called again");

    // Each change of the current context, and no other.
    CHANGED.take();
    ada.run(|| {
        let token = USER.set("set");
        USER.reset(token);
        USER.sync_scope("scoped", || ());
        assert_eq!(CHANGED.take(), ["user set", "user changed", "user scoped", "user changed"]);
        let base = copy_context();
        base.clone().with_value(&USER, "applied").with_value(&TENANT, 7).apply_changes_to_current(&base);
        assert_eq!(CHANGED.take(), ["user applied", "tenant applied"]);
    });
    seen();

    // The observer is called on the thread that enters.
    thread::spawn(move || {
        grace.run(|| ());
        assert_eq!(seen(), ["enter grace", "leave to nobody"]);
    })
    .join()
    .unwrap();
    assert!(seen().is_empty());
}
