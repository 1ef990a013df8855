//! PEP 567, test by test as CPython's `test_context.py` has it.
//!
//! Rust's types leave nothing to test of these: the names' type (`context_var_new_1`), subclassing
//! (`context_subclassing_1`), arguments of the wrong type (`context_new_1`, `context_typerrors_1`, `run_1`). What
//! is a `RuntimeError` in Python does not compile here, as the tests under `ui` show: a token that is used twice
//! (`getset_1`), and a context that is entered while it is run (`run_7`).

use std::collections::HashMap;
use std::sync::{Arc, Barrier};
use std::thread;

use contextvar::{Context, ContextVar, ResetErrorKind, context_var, copy_context};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use crate::support::panic_text;

#[test]
fn context_var_repr_1() {
    #[context_var(name = "a")]
    static C: u64;

    assert_eq!(C.name(), "a");
    assert!(format!("{C:?}").contains("\"a\""));
    let token = C.set(1);
    assert!(format!("{token:?}").contains("\"a\""));
}

#[test]
fn context_get_context_1() {
    let ctx: Context = copy_context();
    assert!(ctx.is_empty());
}

#[test]
fn context_run_2() {
    let mut ctx = Context::new();
    let (a, b) = (vec![1], 2);
    // Arguments and results of any kind, by closure.
    let result: (Vec<i32>, &str) = ctx.run(|| ([a, vec![b]].concat(), "result"));
    assert_eq!(result, (vec![1, 2], "result"));
}

#[test]
fn context_run_3() {
    let mut ctx = Context::new();
    assert_eq!(panic_text(|| ctx.run(|| panic!("an exception"))), "an exception");
    assert_eq!(ctx.run(|| 1), 1);
}

#[test]
fn context_run_4() {
    #[context_var]
    static VAR: String;

    let (mut ctx1, mut ctx2) = (Context::new(), Context::new());
    let returned = ctx1.run(|| {
        assert!(!VAR.is_set());
        VAR.set("spam".to_owned());
        ctx2.run(|| assert!(!VAR.is_set()));
        assert_eq!(VAR.get(), "spam");
        let current = copy_context();
        assert_eq!((current.len(), &*current[&VAR]), (1, "spam"));
        current
    });
    assert_eq!(returned[&VAR], ctx1[&VAR]);
    assert!(returned.contains(&VAR) && ctx2.is_empty());
}

#[test]
fn context_run_5() {
    #[context_var]
    static VAR: String;

    let mut ctx = Context::new();
    panic_text(|| {
        ctx.run(|| {
            assert!(!VAR.is_set());
            VAR.set("spam".to_owned());
            panic!("an exception");
        })
    });
    assert!(!VAR.is_set());
}

#[test]
fn context_run_6() {
    #[context_var]
    static C: u64 = 0;

    Context::new().run(|| {
        assert_eq!(C.get(), 0);
        assert_eq!(copy_context().get(&C), None);
        C.set(42);
        assert_eq!(C.get(), 42);
        assert_eq!(copy_context().get(&C), Some(&42));
    });
}

#[test]
fn context_getset_1() {
    #[context_var]
    static C: String;

    let text = |text: &str| text.to_owned();
    assert!(C.try_get().is_err());
    assert_eq!(C.get_or(text("none")), "none");

    let t0 = C.set(text("42"));
    assert_eq!((C.get(), C.get_or(text("none"))), (text("42"), text("42")));
    assert_eq!(t0.old_value(), None);
    assert!(std::ptr::eq(t0.var(), &C));

    let t = C.set(text("spam"));
    assert_eq!((C.get(), C.get_or(text("none"))), (text("spam"), text("spam")));
    assert_eq!(t.old_value(), Some(&text("42")));
    C.reset(t);
    assert_eq!((C.get(), C.get_or(text("none"))), (text("42"), text("42")));

    C.set(text("spam2"));
    let ctx1 = copy_context();
    C.reset(t0);
    assert_eq!(C.get_or(text("none")), "none");

    assert!(ctx1.contains(&C));
    assert_eq!((&*ctx1[&C], ctx1.get(&C), ctx1.len()), ("spam2", Some(&text("spam2")), 1));
    let items: Vec<_> = ctx1.iter().map(|entry| (entry.name(), entry.downcast_ref::<String>())).collect();
    assert_eq!(items, [("C", Some(&text("spam2")))]);

    let ctx2 = copy_context();
    assert!(!ctx2.contains(&C) && ctx2.is_empty());
    assert_eq!(panic_text(|| ctx2[&C].len()), "context variable `C` is not set in this context");
    assert_eq!((ctx2.get(&C), ctx2.len(), ctx2.iter().count()), (None, 0, 0));
}

#[test]
fn context_getset_2() {
    #[context_var]
    static V1: u64;
    #[context_var]
    static V2: u64;

    let t1 = V1.set(42);
    assert_eq!(V2.try_reset(t1).unwrap_err().kind(), ResetErrorKind::DifferentVar);
}

#[test]
fn context_getset_3() {
    #[context_var]
    static C: u64 = 42;

    let mut ctx = Context::new();
    let token = ctx.run(|| {
        assert_eq!(C.get(), 42);
        let before = copy_context();
        assert_eq!((before.get(&C), before.contains(&C), before.iter().count()), (None, false, 0));
        C.set(1)
    });
    assert_eq!((ctx[&C], ctx.iter().count()), (1, 1));
    ctx.run(|| C.reset(token));
    assert_eq!((ctx.get(&C), ctx.iter().count(), ctx.is_empty()), (None, 0, true));
}

#[test]
fn context_getset_4() {
    #[context_var]
    static C: u64 = 42;

    let token = Context::new().run(|| C.set(1));
    assert_eq!(C.try_reset(token).unwrap_err().kind(), ResetErrorKind::DifferentContext);
}

#[test]
fn context_getset_5() {
    use std::sync::Mutex;

    #[context_var]
    static C: Arc<Mutex<Vec<u64>>>;

    C.set(Arc::default());
    copy_context().run(|| {
        C.set(Arc::default());
        C.with(|list| list.lock().unwrap().push(42));
        assert_eq!(*C.get().lock().unwrap(), [42]);
    });
    assert!(C.get().lock().unwrap().is_empty());
}

#[test]
fn context_copy_1() {
    #[context_var]
    static C: u64 = 42;

    let mut ctx1 = Context::new();
    let mut ctx2 = ctx1.run(|| {
        C.set(10);
        let ctx2 = copy_context();
        assert_eq!(ctx2[&C], 10);
        C.set(20);
        assert_eq!(copy_context()[&C], 20);
        assert_eq!(ctx2[&C], 10);
        ctx2
    });
    ctx2.run(|| {
        assert_eq!(C.get(), 10);
        C.set(30);
        assert_eq!(C.get(), 30);
    });
    assert_eq!((ctx1[&C], ctx2[&C]), (20, 30));
}

#[test]
fn context_threads_1() {
    #[context_var]
    static CVAR: u64;

    let barrier = Barrier::new(10);
    let sub = |num: u64| {
        for i in 0..10 {
            CVAR.set(num + i);
            barrier.wait();
            assert_eq!(CVAR.get(), num + i);
        }
        num
    };
    let results: Vec<u64> = thread::scope(|s| {
        let threads: Vec<_> = (0..10).map(|num| s.spawn(move || sub(num))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(results, (0..10).collect::<Vec<_>>());
}

/// 3.14: `with var.set(..):`
#[test]
fn token_contextmanager() {
    #[context_var]
    static C: u64 = 42;

    {
        let _reset = C.set(36).reset_on_drop();
        assert_eq!(C.get(), 36);
        {
            let _reset = C.set(35).reset_on_drop();
            assert_eq!(C.get(), 35);
        }
        assert_eq!(C.get(), 36);
    }
    assert_eq!(C.get(), 42);
    assert!(!C.is_set());
    let text = panic_text(|| {
        let _reset = C.set(36).reset_on_drop();
        panic!("an exception");
    });
    assert_eq!((&*text, C.get()), ("an exception", 42));
}

/// 3.14: a thread that is started with the context of its starter, and one that is not.
#[test]
fn context_thread_inherit() {
    #[context_var]
    static CVAR: u64 = 0;

    CVAR.set(1);
    assert_eq!(contextvar::thread::spawn(|| CVAR.get()).join().unwrap(), 1);
    assert_eq!(thread::spawn(|| CVAR.get()).join().unwrap(), 0);
    let mut custom = Context::new().with(&CVAR, 2);
    assert_eq!(thread::spawn(move || custom.run(|| CVAR.get())).join().unwrap(), 2);
}

/// One variable and one value in two types, side by side, so that words and pointers share the nodes.
#[derive(Clone, Copy)]
struct Pair {
    number: &'static ContextVar<u64>,
    text: &'static ContextVar<String>,
}

/// The tests of CPython's persistent map (HAMT), against a `HashMap`, through the public API.
#[test]
fn hamt_stress() {
    const VARIABLES: usize = 700;
    const SEED: u64 = 567;

    let mut random = StdRng::seed_from_u64(SEED);
    let pairs: Vec<Pair> = (0..VARIABLES)
        .map(|_| Pair {
            number: Box::leak(Box::new(ContextVar::new("number"))),
            text: Box::leak(Box::new(ContextVar::new("text"))),
        })
        .collect();
    let check = |ctx: &Context, model: &HashMap<usize, u64>| {
        assert_eq!((ctx.len(), ctx.iter().len()), (model.len() * 2, model.len() * 2));
        assert_eq!(ctx.is_empty(), model.is_empty());
        for (n, pair) in pairs.iter().enumerate() {
            assert_eq!(ctx.get(pair.number), model.get(&n), "seed {SEED}");
            assert_eq!(ctx.get(pair.text).cloned(), model.get(&n).map(u64::to_string), "seed {SEED}");
        }
        let sum: u64 = ctx.iter().filter_map(|entry| entry.downcast_ref::<u64>()).sum();
        assert_eq!(sum, model.values().sum());
    };

    let mut contexts = vec![(Context::new(), HashMap::new())];
    for step in 0..20_000 {
        let many = contexts.len();
        let place = random.random_range(0..many);
        let (ctx, model) = &mut contexts[place];
        let n = random.random_range(0..VARIABLES);
        let pair = pairs[n];
        match random.random_range(0..10) {
            0..4 => {
                ctx.set(pair.number, step);
                ctx.set(pair.text, step.to_string());
                model.insert(n, step);
            }
            4..6 => {
                ctx.run(|| {
                    pair.number.set(step);
                    pair.text.set(step.to_string());
                });
                model.insert(n, step);
            }
            6 => {
                assert_eq!(ctx.unset(pair.number), model.remove(&n).is_some());
                ctx.unset(pair.text);
            }
            7 => {
                // Set and reset: as it was.
                ctx.run(|| {
                    let (number, text) = (pair.number.set(0), pair.text.set(String::new()));
                    pair.number.reset(number);
                    pair.text.reset(text);
                });
            }
            8 if many < 12 => {
                let copy = (ctx.clone(), model.clone());
                contexts.push(copy);
            }
            9 if many > 1 && step % 10 == 0 => {
                let (ctx, model) = contexts.swap_remove(place);
                check(&ctx, &model);
            }
            _ => {}
        }
        if step % 500 == 0 {
            contexts.iter().for_each(|(ctx, model)| check(ctx, model));
        }
    }
    contexts.iter().for_each(|(ctx, model)| check(ctx, model));
    let deepest = contexts.iter().map(|(ctx, _)| ctx.len()).max().unwrap();
    assert!(deepest > 600, "only {deepest} values in the largest context");
}

/// The nodes of the map when it is emptied again, in both orders (`hamt_delete_*`).
#[test]
fn hamt_delete() {
    let vars: Vec<&'static ContextVar<usize>> =
        (0..1100).map(|_| &*Box::leak(Box::new(ContextVar::new("deleted")))).collect();
    let mut full = Context::new();
    for (n, var) in vars.iter().enumerate() {
        full.set(var, n);
    }
    let (mut forwards, mut backwards) = (full.clone(), full.clone());
    for n in 0..vars.len() {
        assert!(forwards.unset(vars[n]) && !forwards.unset(vars[n]));
        assert!(backwards.unset(vars[vars.len() - 1 - n]));
        assert_eq!((forwards.len(), backwards.len()), (vars.len() - 1 - n, vars.len() - 1 - n));
    }
    assert!(forwards.is_empty() && backwards.is_empty());
    assert!(vars.iter().enumerate().all(|(n, var)| full[var] == n));
    // In the order of their slots, which is that of their first writes.
    let values: Vec<_> = full.iter().map(|entry| *entry.downcast_ref::<usize>().unwrap()).collect();
    assert_eq!(values, (0..vars.len()).collect::<Vec<_>>());
}
