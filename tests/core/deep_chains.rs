//! Contexts and tokens that hold values that hold contexts, to any depth: dropping a chain needs a bounded
//! amount of stack.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use contextvar::{Context, ContextVar, Token, context_var, copy_context};

const LENGTH: usize = if cfg!(miri) { 70 } else { 50_000 };

/// Runs `f` on a thread whose stack is too small to drop a chain recursively.
fn on_a_small_stack(f: impl FnOnce() + Send + 'static) {
    thread::Builder::new().stack_size(256 << 10).spawn(f).unwrap().join().unwrap();
}

#[context_var]
static PARENT: Context;

fn chain() -> Context {
    let mut ctx = Context::new();
    for _ in 0..LENGTH {
        let parent = ctx.clone();
        ctx.set(&PARENT, parent);
    }
    ctx
}

#[test]
fn a_chain_of_contexts() {
    on_a_small_stack(|| drop(chain()));
}

#[test]
fn a_chain_at_thread_exit() {
    on_a_small_stack(|| drop(PARENT.set(chain())));
}

#[test]
fn a_chain_of_copies_of_the_current_context() {
    on_a_small_stack(|| {
        for _ in 0..LENGTH {
            PARENT.set(copy_context());
        }
        PARENT.set(Context::new());
    });
}

#[test]
fn a_chain_through_other_pointers() {
    #[context_var]
    static SHARED: Arc<Mutex<Option<Box<Context>>>>;

    on_a_small_stack(|| {
        let mut ctx = Context::new();
        for _ in 0..LENGTH {
            let parent = Box::new(ctx.clone());
            ctx.set(&SHARED, Arc::new(Mutex::new(Some(parent))));
        }
        drop(ctx);
    });
}

#[test]
fn a_chain_through_variables_that_are_not_inherited() {
    static OWN: ContextVar<Context> = ContextVar::new("own").inherit(false);

    on_a_small_stack(|| {
        let mut ctx = Context::new();
        for _ in 0..LENGTH {
            let parent = ctx.clone();
            ctx.set(&OWN, parent);
        }
        drop(ctx.inherited());
    });
}

#[test]
fn a_chain_of_tokens() {
    struct Step {
        _undo: Option<Token<Step>>,
    }

    static STEP: ContextVar<Step> = ContextVar::new("step");

    on_a_small_stack(|| {
        let mut undo = None;
        for _ in 0..LENGTH {
            undo = Some(STEP.set(Step { _undo: undo }));
        }
        drop(undo);
    });
}

/// Debug output shows a chain up to a depth that is still readable.
#[test]
fn debug_of_a_chain_stops_at_a_depth() {
    on_a_small_stack(|| {
        let ctx = chain();
        let shown = format!("{ctx:?}");
        assert!(shown.contains("PARENT: Context { .. }"), "{shown}");
        assert_eq!(shown.matches("Context {").count(), 33);
        // The depth was restored.
        assert_eq!(format!("{ctx:?}"), shown);
    });
}

/// Each value is dropped once, and all of them before the drop of the chain returns or unwinds.
#[test]
fn a_panicking_drop_in_a_chain() {
    static DROPPED: AtomicUsize = AtomicUsize::new(0);

    struct Link {
        _parent: Context,
        panics: bool,
    }

    impl Drop for Link {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::Relaxed);
            if self.panics {
                panic::resume_unwind(Box::new("a bad drop"));
            }
        }
    }

    static LINK: ContextVar<Link> = ContextVar::new("link");

    on_a_small_stack(|| {
        for bad in [0, 1, 50, LENGTH - 1] {
            DROPPED.store(0, Ordering::Relaxed);
            let mut ctx = Context::new();
            for n in 0..LENGTH {
                let parent = ctx.clone();
                ctx.set(&LINK, Link { _parent: parent, panics: n == bad });
            }
            assert_eq!(DROPPED.load(Ordering::Relaxed), 0);
            let dropped = panic::catch_unwind(AssertUnwindSafe(|| drop(ctx)));
            assert_eq!(*dropped.unwrap_err().downcast::<&str>().unwrap(), "a bad drop");
            assert_eq!(DROPPED.load(Ordering::Relaxed), LENGTH);
        }
    });
}
