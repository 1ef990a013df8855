//! Hostile values: when cloned, dropped, formatted or read, they set, reset, copy, enter contexts and panic.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use contextvar::{Context, ContextVar, Token, copy_context};

// Enough variables for two levels of the trie.
const EACH: usize = 40;
static HOSTILE: [ContextVar<Hostile>; EACH] = [const { ContextVar::new("hostile").debug() }; EACH];
static KEPT: [ContextVar<Hostile>; EACH] = [const { ContextVar::new("kept").inherit(false) }; EACH];
static NUMBERS: [ContextVar<u64>; EACH] = [const { ContextVar::new("number") }; EACH];

const SLOTS: usize = 3;

thread_local! {
    /// The remaining steps.
    static SCRIPT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static ALIVE: Cell<isize> = const { Cell::new(0) };
    static TOKENS: RefCell<[Option<Token<Hostile>>; SLOTS]> = const { RefCell::new([const { None }; SLOTS]) };
    static CONTEXTS: RefCell<[Option<Context>; SLOTS]> = const { RefCell::new([const { None }; SLOTS]) };
}

/// A value that runs the script's next step in each of its methods.
struct Hostile {
    n: u8,
    alive: AtomicBool,
}

impl Hostile {
    fn new(n: u8) -> Self {
        ALIVE.set(ALIVE.get() + 1);
        Hostile { n, alive: AtomicBool::new(true) }
    }

    /// Runs a step, and asserts before and after it that this value has not been dropped.
    fn act(&self) {
        assert!(self.alive.load(Ordering::Relaxed), "a value that was dropped is used");
        step();
        assert!(self.alive.load(Ordering::Relaxed), "a value was dropped while it was used");
    }
}

impl Clone for Hostile {
    fn clone(&self) -> Self {
        self.act();
        Hostile::new(self.n)
    }
}

impl fmt::Debug for Hostile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.act();
        write!(f, "{}", self.n)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        ALIVE.set(ALIVE.get() - 1);
        assert!(self.alive.swap(false, Ordering::Relaxed), "a value is dropped twice");
        // A second panic during unwinding would abort the process.
        if std::thread::panicking() {
            let _ = catch_unwind(step).map_err(assert_on_purpose);
        } else {
            step();
        }
    }
}

struct OnPurpose;

fn assert_on_purpose(panic: Box<dyn Any + Send>) {
    if !panic.is::<OnPurpose>() {
        resume_unwind(panic);
    }
}

fn next() -> usize {
    SCRIPT.with_borrow_mut(|script| script.pop().unwrap_or(0)).into()
}

fn context() -> Option<Context> {
    let slot = next() % SLOTS;
    CONTEXTS.with_borrow_mut(|contexts| contexts[slot].take())
}

fn keep(context: Context) {
    let slot = next() % SLOTS;
    let old = CONTEXTS.with_borrow_mut(|contexts| contexts[slot].replace(context));
    drop(old);
}

fn var() -> &'static ContextVar<Hostile> {
    let number = next();
    let vars = if number % 4 == 0 { &KEPT } else { &HOSTILE };
    // Half of the numbers are small, as in `maps`.
    &vars[if number < 128 { number % 3 } else { number % EACH }]
}

fn value() -> Hostile {
    Hostile::new(next() as u8)
}

fn step() {
    if DEPTH.get() > 6 || SCRIPT.with_borrow(Vec::is_empty) {
        return;
    }
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            DEPTH.set(DEPTH.get() - 1);
        }
    }
    DEPTH.set(DEPTH.get() + 1);
    let _leave = Leave;
    match next() % 24 {
        0..3 => {
            let token = var().set(value());
            let slot = next() % SLOTS;
            let old = TOKENS.with_borrow_mut(|tokens| tokens[slot].replace(token));
            drop(old);
        }
        3 => drop(var().set(value())),
        4 => {
            let slot = next() % SLOTS;
            if let Some(token) = TOKENS.with_borrow_mut(|tokens| tokens[slot].take()) {
                let _ = token.var().try_reset(token);
            }
        }
        5 => drop(var().try_get()),
        6 => {
            let _ = var().try_with(Hostile::act);
        }
        7 => drop(var().get_or(value())),
        8 => keep(copy_context()),
        9..11 => {
            if let Some(mut context) = context() {
                let ended = catch_unwind(AssertUnwindSafe(|| context.run(step)));
                keep(context);
                ended.unwrap_or_else(|panic| resume_unwind(panic));
            }
        }
        11 => {
            if let Some(mut context) = context() {
                context.set(var(), value());
                keep(context);
            }
        }
        12 => {
            if let Some(mut context) = context() {
                context.unset(var());
                keep(context);
            }
        }
        13 => {
            if let Some(context) = context() {
                keep(context.clone());
                keep(context);
            }
        }
        14 => drop(context()),
        15 => {
            if let Some(context) = context() {
                context.get(var()).into_iter().for_each(Hostile::act);
                for entry in context.iter().take(3) {
                    entry.downcast_ref::<Hostile>().into_iter().for_each(Hostile::act);
                }
                assert!(context.iter().count() == context.len());
            }
        }
        16 => {
            let context = copy_context();
            let text = format!("{context:?}");
            // Dropped before the text, which a panic in this drop would leak.
            drop(context);
            assert!(text.starts_with("Context"));
        }
        17 => {
            if let (Some(base), Some(context)) = (context(), context()) {
                context.apply_changes_to_current(&base);
            }
        }
        18 => {
            if let Some(context) = context() {
                keep(context.inherited());
            }
        }
        19 => {
            if let Some(context) = context() {
                keep(context.only(&[var(), var()]));
            }
        }
        20 => var().sync_scope(value(), step),
        21 => {
            let _reset = var().set(value()).reset_on_drop();
            step();
        }
        22 => {
            let (number, value) = (&NUMBERS[next() % EACH], next() as u64);
            number.set(value);
            assert_eq!(number.get(), value);
        }
        _ => resume_unwind(Box::new(OnPurpose)),
    }
}

fn quietly(f: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(f)).map_err(assert_on_purpose);
}

/// Runs the steps that the bytes stand for. No value is left afterwards.
pub(crate) fn run(bytes: &[u8]) {
    // Forget the values that a failed run has left on this thread.
    mem::forget((TOKENS.take(), CONTEXTS.take()));
    DEPTH.set(0);
    ALIVE.set(0);
    SCRIPT.set(bytes.to_vec());
    Context::new().run(|| {
        while !SCRIPT.with_borrow(Vec::is_empty) {
            quietly(step);
        }
    });
    // The script is empty: values are only dropped from here on.
    for slot in 0..SLOTS {
        drop(TOKENS.with_borrow_mut(|tokens| tokens[slot].take()));
        drop(CONTEXTS.with_borrow_mut(|contexts| contexts[slot].take()));
    }
    assert_eq!(ALIVE.get(), 0, "values are left, or dropped twice");
}
