//! Defaults (rule 3).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;

use contextvar::{Context, ContextVar, context_var};

use crate::support::panic_text;

#[test]
fn a_default_is_computed_once_while_other_threads_wait() {
    static COMPUTED: AtomicUsize = AtomicUsize::new(0);
    static STARTED: Barrier = Barrier::new(2);
    static GO_ON: Barrier = Barrier::new(2);

    #[context_var]
    static VALUE: usize = {
        STARTED.wait();
        GO_ON.wait();
        COMPUTED.fetch_add(1, Ordering::SeqCst)
    };

    thread::scope(|s| {
        s.spawn(|| assert_eq!(VALUE.get(), 0));
        STARTED.wait();
        // The default is being computed; these readers wait for it.
        let readers: Vec<_> = (0..8).map(|_| s.spawn(|| VALUE.get())).collect();
        GO_ON.wait();
        assert!(readers.into_iter().all(|reader| reader.join().unwrap() == 0));
    });
    assert_eq!(Context::new().run(|| VALUE.with(|value| *value)), 0);
    assert_eq!(COMPUTED.load(Ordering::SeqCst), 1);
}

#[test]
fn a_default_is_not_computed_before_it_is_needed() {
    static COMPUTED: AtomicUsize = AtomicUsize::new(0);

    #[context_var]
    static VALUE: usize = COMPUTED.fetch_add(1, Ordering::SeqCst);

    assert!(!VALUE.is_set());
    assert_eq!(VALUE.get_or(7), 7);
    let token = VALUE.set(8);
    assert_eq!(VALUE.get(), 8);
    VALUE.reset(token);
    assert_eq!(COMPUTED.load(Ordering::SeqCst), 0);
    assert_eq!(VALUE.get(), 0);
    assert_eq!(COMPUTED.load(Ordering::SeqCst), 1);
}

#[test]
fn a_default_that_panics_is_computed_again() {
    static COMPUTED: AtomicUsize = AtomicUsize::new(0);

    #[context_var]
    static VALUE: usize = match COMPUTED.fetch_add(1, Ordering::SeqCst) {
        3 => 3,
        _ => panic!("not yet"),
    };

    assert_eq!(panic_text(|| VALUE.get()), "not yet");
    thread::spawn(|| assert_eq!(panic_text(|| VALUE.try_get()), "not yet")).join().unwrap();
    assert_eq!(panic_text(|| VALUE.with(|_| ())), "not yet");
    assert_eq!(VALUE.get(), 3);
    assert_eq!(VALUE.get(), 3);
    assert_eq!(COMPUTED.load(Ordering::SeqCst), 4);
}

#[test]
fn a_default_that_reads_its_own_variable_finds_it_not_set() {
    #[context_var]
    static VALUE: String = {
        assert!(!VALUE.is_set());
        let error = VALUE.try_get().unwrap_err();
        let or = VALUE.get_or("or".to_owned());
        // Its writes go to the current context as usual.
        let token = VALUE.set("set".to_owned());
        let set = VALUE.get();
        VALUE.reset(token);
        format!("{error}, {or}, {set}")
    };

    let expected = "context variable `VALUE` is not set and has no default, or, set";
    assert_eq!(VALUE.get(), expected);
}

#[test]
fn a_default_reads_other_variables_in_the_reading_context() {
    #[context_var]
    static FIRST: u64 = 1;
    #[context_var]
    static SECOND: u64 = FIRST.get() + 1;

    let mut ctx = Context::new().with_value(&FIRST, 10);
    assert_eq!(ctx.run(|| SECOND.get()), 11);
    // Computed once per process, for all readers.
    assert_eq!(SECOND.get(), 11);
}

#[test]
fn contexts_share_a_default_and_what_is_inside_it() {
    #[context_var]
    #[allow(deprecated, reason = "the shared default is what this tests")]
    static COUNTER: Arc<AtomicUsize> = Arc::default();

    let count = || COUNTER.get().fetch_add(1, Ordering::SeqCst);
    assert_eq!(Context::new().run(count), 0);
    assert_eq!(Context::new().run(count), 1);
    assert_eq!(thread::spawn(count).join().unwrap(), 2);
}

/// With more variables than fit into the root of a map.
#[test]
fn a_value_hides_the_default_wherever_it_is_stored() {
    fn variable(inherit: bool) -> &'static ContextVar<u32> {
        Box::leak(Box::new(ContextVar::with_default("variable", || 7).inherit(inherit)))
    }

    for first_read in [true, false] {
        for inherit in [true, false] {
            let variables: Vec<_> = (0..70).map(|_| variable(inherit)).collect();
            for variable in variables {
                if first_read {
                    assert_eq!(variable.get(), 7);
                }
                let mut ctx = Context::new();
                let token = ctx.run(|| variable.set(8));
                assert_eq!(variable.get(), 7, "elsewhere");
                ctx.run(|| {
                    assert_eq!((variable.get(), variable.get_or(9), variable.is_set()), (8, 8, true));
                    variable.sync_scope(10, || assert_eq!(variable.get(), 10));
                    assert_eq!(variable.get(), 8);
                    variable.reset(token);
                    assert_eq!((variable.get(), variable.get_or(9), variable.is_set()), (7, 9, false));
                    variable.sync_scope(10, || assert_eq!(variable.get(), 10));
                    assert!(!variable.is_set());
                });
            }
        }
    }
}
