//! `apply_changes_to_current`: changes that return from a copy.

use std::sync::Arc;

use contextvar::{Context, ContextVar, InContext, WriteErrorKind, context_var, copy_context, task};

use crate::support::{Log, OnDrop, on_both_flavors, panic_text};

#[context_var]
static USER: String;

#[context_var]
static TENANT: u64 = 1;

#[context_var]
static SMALL: u8;

#[context_var]
static FLAG: bool;

#[context_var(inherit = false)]
static TRANSACTION: Arc<str>;

fn base() -> Context {
    Context::new().with_value(&USER, "ada".to_owned()).with_value(&TENANT, 7).with_value(&SMALL, 3)
}

#[test]
fn only_variables_set_or_unset_are_applied() {
    let base = base();
    let mut changed = base.clone();
    changed.set(&USER, "grace".to_owned());
    changed.set(&FLAG, true);
    changed.unset(&SMALL);

    let mut current = base.clone();
    current.run(|| {
        TENANT.set(8);
        SMALL.set(4);
        changed.apply_changes_to_current(&base);
        assert_eq!((USER.get(), TENANT.get(), FLAG.get()), ("grace".to_owned(), 8, true));
        assert!(!SMALL.is_set());
    });
    assert_eq!((base[&USER].as_str(), base.len(), changed.len()), ("ada", 3, 3));

    // Onto an unrelated context.
    Context::new().run(|| {
        changed.apply_changes_to_current(&base);
        assert_eq!((USER.get(), FLAG.get(), copy_context().len()), ("grace".to_owned(), true, 2));
        // Applying the changes twice has the same effect as applying them once.
        changed.apply_changes_to_current(&base);
        assert_eq!(copy_context().len(), 2);
        // The reverse changes.
        base.apply_changes_to_current(&changed);
        assert_eq!((USER.get(), SMALL.get(), copy_context().len()), ("ada".to_owned(), 3, 2));
    });
}

#[test]
fn an_unchanged_context_applies_nothing() {
    let ctx = base();
    Context::new().run(|| {
        ctx.clone().apply_changes_to_current(&ctx);
        ctx.clone().inherited().apply_changes_to_current(&ctx);
        Context::new().apply_changes_to_current(&Context::new());
        // Variables that were set and reset.
        let mut there_and_back = ctx.clone();
        there_and_back.run(|| {
            TENANT.sync_scope(9, || ());
            USER.sync_scope("grace".to_owned(), || ());
            FLAG.sync_scope(true, || ());
        });
        there_and_back.apply_changes_to_current(&ctx);
        assert!(copy_context().is_empty());
    });
}

#[test]
fn an_equal_value_counts_as_a_change_except_for_primitives() {
    let base = base();
    let mut same = base.clone();
    same.set(&USER, "ada".to_owned());
    same.set(&TENANT, 7);
    Context::new().run(|| {
        same.apply_changes_to_current(&base);
        assert!(USER.is_set());
        assert!(!TENANT.is_set());
    });
}

#[test]
fn variables_that_are_not_inherited_are_not_applied() {
    let mut base = base();
    base.set(&TRANSACTION, "tx".into());
    let mut ctx = base.clone().inherited();
    ctx.run(|| {
        TRANSACTION.set("another".into());
        TENANT.set(9);
    });
    base.clone().run(|| {
        ctx.apply_changes_to_current(&base);
        assert_eq!((&*TRANSACTION.get(), TENANT.get()), ("tx", 9));
    });
    Context::new().run(|| {
        ctx.apply_changes_to_current(&base);
        assert!(!TRANSACTION.is_set());
    });
}

#[test]
fn changes_return_from_a_future_and_a_blocking_call() {
    on_both_flavors(|| async {
        base()
            .scope(async {
                let base = copy_context();
                let work = async {
                    USER.set("grace".to_owned());
                    task::spawn(async { TENANT.set(0) }).await.unwrap();
                    5
                };
                let (five, ctx) = work.in_context(base.clone()).and_context().await;
                assert_eq!((five, USER.get().as_str()), (5, "ada"));
                ctx.apply_changes_to_current(&base);
                assert_eq!((USER.get().as_str(), TENANT.get()), ("grace", 7));

                let base = copy_context();
                let work = || TENANT.set(TENANT.get() + 1).old_value().copied();
                let (old, ctx) = task::spawn_blocking_returning_context(work).await.unwrap();
                assert_eq!((old, TENANT.get()), (Some(7), 7));
                ctx.apply_changes_to_current(&base);
                assert_eq!(TENANT.get(), 8);

                let join = task::spawn_blocking_returning_context(|| panic!("as before")).await;
                let error = join.map(|((), _)| ()).unwrap_err();
                assert!(error.is_panic());
            })
            .await;
    });
}

#[test]
fn the_current_context_keeps_its_identity() {
    let (base, mut changed) = (base(), base());
    changed.set(&FLAG, true);
    base.clone().run(|| {
        let token = USER.set("grace".to_owned());
        changed.apply_changes_to_current(&Context::new());
        assert_eq!(USER.get(), "ada");
        // A token restores the value before its `set`, whatever has been applied since.
        let token = USER.try_reset(token);
        assert!(token.is_ok());
        assert_eq!(USER.get(), "ada");
    });
}

#[test]
fn a_value_being_read_stays_alive() {
    let mut changed = base();
    changed.set(&USER, "grace".to_owned());
    base().run(|| {
        USER.with(|user| {
            changed.apply_changes_to_current(&Context::new());
            assert_eq!((user.as_str(), USER.get().as_str()), ("ada", "grace"));
            changed.apply_changes_to_current(&Context::new());
            assert_eq!(user, "ada");
        });
    });
}

#[test]
fn drops_see_all_changes_applied() {
    #[context_var]
    static FIRST: OnDrop<Box<dyn FnMut() + Send + Sync>>;
    #[context_var]
    static SECOND: OnDrop<Box<dyn FnMut() + Send + Sync>>;
    #[context_var]
    static LAST: u64 = 0;

    fn noting(log: &Log, which: &'static str) -> OnDrop<Box<dyn FnMut() + Send + Sync>> {
        let log = log.clone();
        OnDrop(Box::new(move || {
            log.push(format!("{which} {} {}", FIRST.is_set(), SECOND.is_set()));
            LAST.set(LAST.get() + 1);
        }))
    }

    let log = Log::default();
    // The two can be dropped in either order.
    let both = vec!["first false false".to_owned(), "second false false".to_owned()];
    Context::new().with_value(&FIRST, noting(&log, "first")).with_value(&SECOND, noting(&log, "second")).run(
        || {
            let base = copy_context();
            let mut changed = base.clone();
            changed.unset(&FIRST);
            changed.unset(&SECOND);
            changed.set(&LAST, 10);
            changed.apply_changes_to_current(&base);
            assert_eq!(log.take().len(), 0, "`base` still holds the values");
            drop((base, changed));
            let mut lines = log.take();
            lines.sort();
            assert_eq!((lines, LAST.get()), (both.clone(), 12));
        },
    );

    // The same where the current context holds the last reference to both values.
    let mut ctx =
        Context::new().with_value(&FIRST, noting(&log, "first")).with_value(&SECOND, noting(&log, "second"));
    let with_both = Context::new()
        .with_value(&FIRST, noting(&Log::default(), ""))
        .with_value(&SECOND, noting(&Log::default(), ""));
    ctx.run(|| {
        Context::new().with_value(&LAST, 20).apply_changes_to_current(&with_both);
        let mut lines = log.take();
        lines.sort();
        assert_eq!((lines, LAST.get()), (both, 22));
    });
}

#[test]
fn a_task_without_a_context_gets_an_error() {
    on_both_flavors(|| async {
        let task = tokio::spawn(async {
            let error = base().try_apply_changes_to_current(&Context::new()).unwrap_err();
            let text = error.to_string();
            let start = "the changes of a context cannot be applied: this tokio task has no context of its own. Start";
            assert!(text.starts_with(start), "{text}");
            assert_eq!(format!("{error:?}"), "ApplyError { kind: NoContext }");
            assert_eq!(error.kind(), WriteErrorKind::NoContext);
            let text = panic_text(|| base().apply_changes_to_current(&Context::new()));
            let address = "https://docs.rs/contextvar/latest/contextvar/guide/errors#no-context";
            assert_eq!(text, format!("{error}\nsee {address}"));
            assert!(!USER.is_set());
        });
        task.await.unwrap();
    });
}

/// Enough variables to fill every level of the map.
#[test]
fn many_variables() {
    const COUNT: usize = if cfg!(miri) { 100 } else { 4000 };

    let vars: Vec<&'static ContextVar<Arc<usize>>> =
        (0..COUNT).map(|_| &*Box::leak(Box::new(ContextVar::new("one of many")))).collect();
    let mut base = Context::new();
    for (n, var) in vars.iter().enumerate().filter(|(n, _)| n % 2 == 0) {
        base.set(var, Arc::new(n));
    }
    let mut changed = base.clone();
    for (n, var) in vars.iter().enumerate().step_by(7) {
        if n % 3 == 0 {
            changed.unset(var);
        } else {
            changed.set(var, Arc::new(n + 1));
        }
    }
    let mut current = Context::new();
    for var in &vars {
        current.set(var, Arc::new(usize::MAX));
    }
    current.run(|| changed.apply_changes_to_current(&base));
    for (n, var) in vars.iter().enumerate() {
        let expected = match (n % 7, n % 3, n % 2) {
            (0, 0, 0) => None,
            // Not set before, so its removal is no change.
            (0, 0, _) => Some(usize::MAX),
            (0, ..) => Some(n + 1),
            _ => Some(usize::MAX),
        };
        assert_eq!(current.get(var).map(|n| **n), expected, "{n}");
    }
    drop((changed, base));
    let values: Vec<_> = vars.iter().filter_map(|var| current.get(var)).collect();
    assert!(values.iter().all(|value| Arc::strong_count(value) == 1));
}
