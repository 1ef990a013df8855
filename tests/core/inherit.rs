//! Variables with `inherit = false` stay with the task or thread that set them.

use std::sync::Arc;

use contextvar::{
    Context, ContextVar, InContext, context_var, copy_context, task, thread, with_copied_context,
};
use tokio::task::LocalSet;

use crate::support::on_both_flavors;

#[context_var]
static USER: &str;

#[context_var(inherit = false)]
static TRANSACTION: Arc<str>;

#[context_var(inherit = false)]
static SUPPRESSED: bool = false;

#[context_var(inherit = true)]
static TENANT: u64;

/// Asserts what a task finds that inherits from `all`.
fn assert_only_the_inherited() {
    assert_eq!((USER.get(), TENANT.get()), ("ada", 7));
    assert!(!TRANSACTION.is_set());
    assert!(TRANSACTION.try_get().is_err());
    assert!(!SUPPRESSED.get(), "the default is used again");
    assert_eq!(copy_context().len(), 2);
}

fn assert_all() {
    assert_eq!((USER.get(), TENANT.get(), &*TRANSACTION.get(), SUPPRESSED.get()), ("ada", 7, "tx", true));
    assert_eq!(copy_context().len(), 4);
}

fn all(transaction: &Arc<str>) -> Context {
    Context::new()
        .with_value(&USER, "ada")
        .with_value(&TRANSACTION, transaction.clone())
        .with_value(&SUPPRESSED, true)
        .with_value(&TENANT, 7)
}

#[test]
fn copies_within_the_task_have_all_variables() {
    #[with_copied_context]
    async fn annotated() {
        assert_all();
    }

    let transaction: Arc<str> = "tx".into();
    on_both_flavors(|| {
        all(&"tx".into()).scope(async {
            assert_all();
            copy_context().run(assert_all);
            copy_context().clone().scope(async { assert_all() }).await;
            async { assert_all() }.in_copied_context().await;
            annotated().await;
            tokio::join!(annotated(), annotated());
            USER.scope("ada", async { assert_all() }).await;
            USER.sync_scope("ada", assert_all);
        })
    });
    drop(all(&transaction));
    assert_eq!(Arc::strong_count(&transaction), 1);
}

#[test]
fn spawned_work_lacks_variables_that_are_not_inherited() {
    on_both_flavors(|| async {
        let transaction: Arc<str> = "tx".into();
        let ctx = all(&transaction);
        let work = async {
            task::spawn(async { assert_only_the_inherited() }).await.unwrap();
            task::spawn_blocking(assert_only_the_inherited).await.unwrap();
            tokio::spawn(async { assert_only_the_inherited() }.in_inherited_context()).await.unwrap();
            let local = LocalSet::new();
            local
                .run_until(async { task::spawn_local(async { assert_only_the_inherited() }).await.unwrap() })
                .await;
            thread::spawn(assert_only_the_inherited).join().unwrap();
            thread::Builder::new().spawn(assert_only_the_inherited).unwrap().join().unwrap();
            thread::scope(|s| {
                s.spawn(assert_only_the_inherited).join().unwrap();
                thread::Builder::new().spawn_scoped(s, assert_only_the_inherited).unwrap().join().unwrap();
            });
            // A task further down does not inherit it either.
            task::spawn(async {
                task::spawn(async { assert_only_the_inherited() }).await.unwrap();
                TRANSACTION.set("its own".into());
                assert_eq!(&*TRANSACTION.get(), "its own");
            })
            .await
            .unwrap();
            assert_all();
        };
        ctx.scope(work).await;
        assert_eq!(Arc::strong_count(&transaction), 1, "no task keeps the value alive");
    });
}

#[test]
fn inherited_returns_another_context() {
    let ctx = all(&"tx".into());
    let mut inherited = ctx.clone().inherited();
    inherited.set(&USER, "grace");
    inherited.set(&TRANSACTION, "another".into());
    assert_eq!((ctx[&USER], &*ctx[&TRANSACTION]), ("ada", "tx"));
    assert_eq!((inherited[&USER], &*inherited[&TRANSACTION]), ("grace", "another"));
    assert_eq!(inherited.clone().inherited().len(), 2);

    // A token of one is refused in the other.
    let mut ctx = all(&"tx".into());
    let token = ctx.run(|| USER.set("grace"));
    let mut inherited = ctx.inherited();
    let token = inherited.run(|| USER.try_reset(token)).unwrap_err().into_token();
    assert_eq!(token.old_value(), Some(&"ada"));
}

#[test]
fn inherited_with_nothing_to_leave_out() {
    assert!(Context::new().inherited().is_empty());
    assert_eq!(Context::new().with_value(&USER, "ada").inherited()[&USER], "ada");
    let mut ctx = Context::new().with_value(&TRANSACTION, "tx".into());
    assert!(ctx.unset(&TRANSACTION));
    assert!(ctx.inherited().is_empty());
}

#[test]
fn spawn_in_empty_context_keeps_nothing_alive() {
    on_both_flavors(|| async {
        let transaction: Arc<str> = "tx".into();
        let (ended, go_on) = tokio::sync::oneshot::channel::<()>();
        let task = all(&transaction).run(|| {
            task::spawn_in_empty_context(async {
                assert!(copy_context().is_empty());
                USER.set("nobody");
                go_on.await.unwrap_err();
                assert_eq!(USER.get(), "nobody");
            })
        });
        assert_eq!(Arc::strong_count(&transaction), 1);
        drop(ended);
        task.await.unwrap();
    });
}

#[test]
fn only_keeps_the_named_variables() {
    let transaction: Arc<str> = "tx".into();
    let ctx = all(&transaction);
    let mut few = ctx.only(&[&TRANSACTION, &TENANT, &TENANT]);
    drop(ctx);
    assert_eq!((&*few[&TRANSACTION], few[&TENANT], few.len()), ("tx", 7, 2));
    assert_eq!(Arc::strong_count(&transaction), 2, "`few` holds one reference");
    few.unset(&TRANSACTION);
    assert_eq!(Arc::strong_count(&transaction), 1);
    assert!(few.only(&[]).is_empty());
    assert!(Context::new().only(&[&USER]).is_empty());
}

/// Uses enough variables of both kinds that each kind fills several levels of the map.
#[test]
fn many_variables_of_both_kinds() {
    const COUNT: usize = if cfg!(miri) { 120 } else { 6000 };

    let vars: Vec<(bool, &'static ContextVar<usize>)> = (0..COUNT)
        .map(|n| {
            let inherit = n % 3 != 0;
            (inherit, &*Box::leak(Box::new(ContextVar::new("one of many").inherit(inherit))))
        })
        .collect();
    let mut ctx = Context::new();
    for (n, (_, var)) in vars.iter().enumerate() {
        ctx.set(var, n);
    }
    assert_eq!(ctx.len(), COUNT);
    let values = ctx.iter().map(|entry| *entry.downcast_ref::<usize>().unwrap());
    assert!(values.eq(0..COUNT), "iteration follows the order of first writes");

    let inherited = ctx.clone().inherited();
    assert_eq!(inherited.len(), COUNT / 3 * 2);
    for (n, (inherit, var)) in vars.iter().enumerate() {
        assert_eq!(ctx.get(var), Some(&n));
        assert_eq!(inherited.get(var), inherit.then_some(&n));
    }
}
