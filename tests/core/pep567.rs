//! PEP 567: the behaviour that CPython's own tests of `contextvars` pin down.
//!
//! A test that stands for one in CPython 3.14's `Lib/test/test_context.py` has its name. What those check
//! of the number and the types of arguments is rustc's to check here, and not repeated.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Barrier, Mutex, mpsc};

use contextvar::{Context, ContextVar, ResetErrorKind, context_var, copy_context, thread};

mod hamt;
mod tokens;

/// The message of the panic that `f` ends with.
fn panic_message<R>(f: impl FnOnce() -> R) -> String {
    let Err(payload) = catch_unwind(AssertUnwindSafe(f)) else { panic!("this should have panicked") };
    match payload.downcast::<String>() {
        Ok(message) => *message,
        Err(payload) => payload.downcast::<&str>().unwrap().to_string(),
    }
}

fn names(ctx: &Context) -> Vec<&'static str> {
    ctx.iter().map(|entry| entry.name()).collect()
}

#[test]
fn test_context_var_new_1() {
    #[context_var(name = "aaa")]
    static VAR: u32;
    static TWIN: ContextVar<u32> = ContextVar::new("aaa");

    assert_eq!((VAR.name(), TWIN.name()), ("aaa", "aaa"));
    VAR.set(1);
    assert!(!TWIN.is_set(), "the name is for messages, it does not make two variables the same");
}

#[test]
fn test_context_var_repr_1() {
    #[context_var(name = "a")]
    static VAR: u32 = 123;

    assert!(format!("{VAR:?}").contains(r#""a""#));
}

#[test]
fn test_token_repr_1() {
    #[context_var(name = "a")]
    static VAR: u32;

    // There is no "used" in it: a token that was used is gone.
    let token = format!("{:?}", VAR.set(1));
    assert!(token.starts_with("Token") && token.contains(r#""a""#), "{token}");
}

// test_context_subclassing_1: there are no subclasses.

#[test]
fn test_context_new_1() {
    #[context_var]
    static VAR: u32;

    VAR.set(1);
    assert!(Context::new().is_empty());
    assert!(Context::default().is_empty());
}

// test_context_new_unhashable_str_subclass: a name is a `&'static str`, and never hashed.
// test_context_typerrors_1: only a `&'static ContextVar<T>` can be looked up.

#[test]
fn test_context_get_context_1() {
    #[context_var]
    static VAR: u32;

    assert!(copy_context().is_empty());
    VAR.set(1);
    assert_eq!(copy_context()[&VAR], 1);
}

// test_context_run_1: `run` without a function does not compile.

#[test]
fn test_context_run_2() {
    #[context_var]
    static VAR: u32;

    fn function() -> u32 {
        VAR.get()
    }

    let mut ctx = Context::new().with_value(&VAR, 7);
    assert_eq!(ctx.run(function), 7);

    // What Python hands over as arguments, a closure borrows or owns, `Send` or not.
    let (text, mut calls, owned) = (String::from("spam"), 0, Rc::new(()));
    let (part, returned) = ctx.run(|| {
        calls += VAR.get();
        (&text[1..], owned)
    });
    assert_eq!((part, calls, Rc::strong_count(&returned)), ("pam", 7, 1));
}

#[test]
fn test_context_run_3() {
    assert_eq!(panic_message(|| Context::new().run(|| panic!("spam {}", 1))), "spam 1");
}

#[test]
fn test_context_run_4() {
    #[context_var]
    static VAR: &str;

    let (mut ctx1, mut ctx2) = (Context::new(), Context::new());
    let returned = ctx1.run(|| {
        assert!(!VAR.is_set());
        VAR.set("spam");
        ctx2.run(|| assert!(!VAR.is_set()));
        assert_eq!(VAR.get(), "spam");
        copy_context()
    });
    assert_eq!(returned.len(), 1);
    assert_eq!(returned[&VAR], "spam");
    assert_eq!(ctx1[&VAR], "spam");
    assert!(ctx2.is_empty());
    assert!(!VAR.is_set());
}

#[test]
fn test_context_run_5() {
    #[context_var]
    static VAR: &str;

    let mut ctx = Context::new();
    VAR.set("outer");
    panic_message(|| {
        ctx.run(|| {
            assert!(!VAR.is_set());
            VAR.set("spam");
            panic!("1 / 0");
        })
    });
    assert_eq!(VAR.get(), "outer");
    // The context is as the panic left it, and good for more.
    assert_eq!(ctx.run(|| VAR.get()), "spam");
}

#[test]
fn test_context_run_6() {
    #[context_var]
    static VAR: u32 = 0;

    // The context cannot be looked at while it runs; a copy can.
    Context::new().run(|| {
        assert_eq!(VAR.get(), 0);
        assert_eq!(copy_context().get(&VAR), None);
        VAR.set(42);
        assert_eq!(VAR.get(), 42);
        assert_eq!(copy_context().get(&VAR), Some(&42));
    });
}

// Entering a context that is entered does not compile; what is left is to recurse by way of copies.
#[test]
fn test_context_run_7() {
    #[context_var]
    static DEPTH: u32 = 0;

    fn descend() -> u32 {
        let depth = DEPTH.get();
        if depth == 100 {
            return depth;
        }
        let deepest = copy_context().run(|| {
            DEPTH.set(depth + 1);
            descend()
        });
        assert_eq!(DEPTH.get(), depth);
        deepest
    }

    assert_eq!(Context::new().run(descend), 100);
}

// A token that is used a second time does not compile.
#[test]
fn test_context_getset_1() {
    #[context_var(name = "c")]
    static VAR: String;

    assert_eq!(VAR.try_get().unwrap_err().to_string(), "context variable `c` is not set and has no default");
    assert_eq!(panic_message(|| VAR.get()), VAR.try_get().unwrap_err().to_string());
    assert_eq!(VAR.get_or("none".to_owned()), "none");

    let first = VAR.set("42".to_owned());
    assert_eq!(VAR.get(), "42");
    assert_eq!(VAR.get_or("none".to_owned()), "42");
    assert_eq!(first.old_value(), None); // Token.MISSING
    assert!(std::ptr::eq(first.var(), &VAR));

    let second = VAR.set("spam".to_owned());
    assert_eq!(VAR.get(), "spam");
    assert_eq!(second.old_value().unwrap(), "42");
    VAR.reset(second);
    assert_eq!(VAR.get(), "42");

    VAR.set("spam2".to_owned());
    let ctx1 = copy_context();
    VAR.reset(first);
    assert!(VAR.try_get().is_err());

    assert!(ctx1.contains(&VAR));
    assert_eq!(ctx1[&VAR], "spam2");
    assert_eq!(ctx1.get(&VAR).map_or("aa", String::as_str), "spam2");

    let ctx2 = copy_context();
    assert!(!ctx2.contains(&VAR));
    assert_eq!(panic_message(|| ctx2[&VAR].clone()), "context variable `c` is not set in this context");
    assert_eq!(ctx2.get(&VAR).map_or("aa", String::as_str), "aa");
    assert_eq!(ctx2.len(), 0);
    assert_eq!(names(&ctx2), [""; 0]);
}

#[test]
fn test_context_getset_2() {
    #[context_var]
    static V1: u32;
    #[context_var]
    static V2: u32;

    let error = V2.try_reset(V1.set(42)).unwrap_err();
    assert_eq!(error.kind(), ResetErrorKind::DifferentVar);
    assert_eq!(
        error.to_string(),
        "context variable `V2` cannot be reset: the token was made by another variable, `V1`"
    );
    assert_eq!((V1.get(), V2.is_set()), (42, false));
    V1.reset(error.into_token());
    assert!(!V1.is_set());
}

#[test]
fn test_context_getset_3() {
    #[context_var(name = "c")]
    static VAR: u32 = 42;

    let mut ctx = Context::new();
    let token = ctx.run(|| {
        assert_eq!(VAR.get(), 42);
        assert_eq!(VAR.get_or(1), 1, "a default given at the call counts for more than the variable's");
        let ctx = copy_context();
        assert_eq!((ctx.get(&VAR), ctx.contains(&VAR), ctx.len()), (None, false, 0));
        assert!(panic_message(|| ctx[&VAR]).contains("`c` is not set"));
        VAR.set(1)
    });
    assert_eq!((ctx[&VAR], names(&ctx)), (1, vec!["c"]));

    // Entered once more, it is the same context.
    ctx.run(|| VAR.reset(token));
    assert_eq!((ctx.get(&VAR), ctx.len()), (None, 0));
}

#[test]
fn test_context_getset_4() {
    #[context_var]
    static VAR: u32 = 42;

    let mut ctx = Context::new();
    let mut token = ctx.run(|| VAR.set(1));
    // Neither the thread's own context nor a copy is the one that made the token.
    for mut other in [None, Some(ctx.clone()), Some(Context::new())] {
        let reset = || VAR.try_reset(token).unwrap_err();
        let error = match &mut other {
            Some(other) => other.run(reset),
            None => reset(),
        };
        assert_eq!(error.kind(), ResetErrorKind::DifferentContext);
        token = error.into_token();
    }
    assert!(panic_message(|| VAR.reset(token)).ends_with("the token was made in another context"));
    assert_eq!((VAR.get(), ctx[&VAR]), (42, 1));
}

#[test]
fn test_context_getset_5() {
    #[context_var]
    static LIST: Arc<Mutex<Vec<u32>>>;

    let list = || LIST.get().lock().unwrap().clone();
    LIST.set(Arc::default());
    copy_context().run(|| {
        LIST.set(Arc::default());
        LIST.get().lock().unwrap().push(42);
        assert_eq!(list(), [42]);
    });
    assert!(list().is_empty());

    // Without the set it is one list: a copy of a context does not copy the values.
    copy_context().run(|| LIST.get().lock().unwrap().push(43));
    assert_eq!(list(), [43]);
}

#[test]
fn test_context_copy_1() {
    #[context_var]
    static VAR: u32 = 42;

    let mut ctx1 = Context::new();
    ctx1.run(|| {
        VAR.set(10);
        let mut ctx2 = copy_context();
        assert_eq!(ctx2[&VAR], 10);
        VAR.set(20);
        assert_eq!(ctx2[&VAR], 10);
        ctx2.run(|| {
            assert_eq!(VAR.get(), 10);
            VAR.set(30);
        });
        assert_eq!((VAR.get(), ctx2[&VAR]), (20, 30));
    });
    let mut ctx3 = ctx1.clone();
    ctx1.run(|| VAR.set(40));
    ctx3.unset(&VAR);
    assert_eq!((ctx1.get(&VAR), ctx3.get(&VAR)), (Some(&40), None));
    assert!(Context::new().clone().is_empty());
}

#[test]
fn test_context_isinstance() {
    #[context_var]
    static A: u32;
    #[context_var]
    static B: &str;

    // As a mapping has them: `in`, `[]`, `get`, `len`, and keys, values and items by way of `iter`.
    let ctx = Context::new().with_value(&A, 1).with_value(&B, "two");
    assert!(ctx.contains(&A) && ctx.contains(&B));
    assert_eq!((ctx[&A], ctx.get(&B)), (1, Some(&"two")));
    assert_eq!((ctx.len(), ctx.iter().len(), ctx.is_empty()), (2, 2, false));
    assert_eq!(names(&ctx), ["A", "B"]);
    assert_eq!(ctx.iter().map(|entry| format!("{entry:?}")).collect::<Vec<_>>(), ["1", "\"two\""]);
    let items: HashMap<_, _> = ctx.iter().map(|entry| (entry.name(), entry)).collect();
    assert_eq!(items["A"].downcast_ref(), Some(&1_u32));
    assert_eq!(items["B"].downcast_ref(), Some(&"two"));
}

#[test]
fn test_context_threads_1() {
    #[context_var]
    static VAR: usize;

    VAR.set(1000);
    let all_have_set = Barrier::new(10);
    std::thread::scope(|s| {
        for number in 0..10 {
            let all_have_set = &all_have_set;
            s.spawn(move || {
                assert!(!VAR.is_set(), "a new thread's context is empty");
                for step in 0..10 {
                    VAR.set(number + step);
                    all_have_set.wait();
                    assert_eq!(VAR.get(), number + step);
                }
            });
        }
    });
    assert_eq!(VAR.get(), 1000);
}

#[test]
fn test_context_thread_inherit() {
    #[context_var]
    static VAR: u32;

    VAR.set(1);
    let change = || {
        let seen = VAR.try_get().ok();
        VAR.set(2);
        seen
    };
    // As with `-X thread_inherit_context=0`, and with 1.
    assert_eq!(std::thread::spawn(change).join().unwrap(), None);
    assert_eq!(thread::spawn(change).join().unwrap(), Some(1));
    // `Thread(target=change, context=ctx)`, full and empty.
    let mut custom = Context::new().with_value(&VAR, 3);
    assert_eq!(std::thread::spawn(move || custom.run(change)).join().unwrap(), Some(3));
    assert_eq!(thread::spawn(move || Context::new().run(change)).join().unwrap(), None);
    assert_eq!(VAR.get(), 1);
}

// As ..._set_in_hash: a context has no `==` that would call code of the values, but `get` calls their `Clone`,
// and a context's `Debug` theirs.
#[test]
fn test_context_eq_reentrant_contextvar_set() {
    #[context_var]
    static VAR: Counted;

    struct Counted(Arc<u32>);

    fn set(number: u32) {
        VAR.set(Counted(Arc::new(number)));
    }

    impl Clone for Counted {
        fn clone(&self) -> Self {
            set(*self.0 + 1);
            Counted(self.0.clone())
        }
    }

    impl fmt::Debug for Counted {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            set(*self.0 + 10);
            write!(f, "{}", self.0)
        }
    }

    set(1);
    assert_eq!(*VAR.get().0, 1);
    VAR.with(|value| {
        let alive = Arc::downgrade(&value.0);
        assert_eq!(format!("{value:?}"), "2");
        assert_eq!(alive.upgrade().as_deref(), Some(&2), "what is being read stays alive");
    });
    assert_eq!(format!("{:?}", copy_context()), "Context { VAR: 12 }");
    assert_eq!(VAR.with(|value| *value.0), 22);
}

/// `ThreadPoolExecutor.submit`: a job runs in its worker's own context, unless it brings one along.
#[test]
fn thread_pool_executor() {
    #[context_var]
    static VAR: u32;

    type Job = Box<dyn FnOnce() -> Option<u32> + Send>;
    let (submit, jobs) = mpsc::channel::<Job>();
    let (finish, finished) = mpsc::channel();
    let worker = std::thread::spawn(move || jobs.iter().for_each(|job| finish.send(job()).unwrap()));

    let set = |value| {
        move || {
            let before = VAR.try_get().ok();
            VAR.set(value);
            before
        }
    };
    VAR.set(1);
    let mut ctx = copy_context();
    submit.send(Box::new(set(2))).unwrap();
    submit.send(Box::new(move || ctx.run(set(3)))).unwrap();
    submit.send(Box::new(set(4))).unwrap();
    drop(submit);
    worker.join().unwrap();
    assert_eq!(finished.iter().collect::<Vec<_>>(), [None, Some(1), Some(2)]);
    assert_eq!(VAR.get(), 1);
}

/// A generator has no context of its own: each step runs in that of whoever asks for it.
#[test]
fn generators_run_in_their_callers_context() {
    #[context_var]
    static VAR: u32 = 0;

    let mut generator = (10..).map(|step| {
        VAR.set(VAR.get() + step);
        VAR.get()
    });
    let mut ctx = Context::new().with_value(&VAR, 100);
    assert_eq!(generator.next(), Some(10));
    assert_eq!(ctx.run(|| generator.next()), Some(111));
    assert_eq!(generator.next(), Some(22));
    assert_eq!((VAR.get(), ctx[&VAR]), (22, 111));
}
