//! std's threads and rayon's pool.

use std::sync::Arc;

use contextvar::{copy_context, inherit_context, thread};
use rayon::prelude::*;

use super::{USER, ada, assert_call_inherits, assert_inherited};
use crate::support::panic_text;

#[test]
fn spawn_scope_and_builder() {
    futures::executor::block_on(async {
        assert_call_inherits(|work| {
            let thread = thread::spawn(work);
            async { drop(thread.join()) }
        })
        .await;
        assert_call_inherits(|work| {
            let thread = thread::Builder::new().spawn(work).unwrap();
            async { drop(thread.join()) }
        })
        .await;
        assert_call_inherits(|work| {
            let thread = std::thread::spawn(inherit_context().bind(work));
            async { drop(thread.join()) }
        })
        .await;
        assert_call_inherits(|work| {
            thread::scope(|s| drop(s.spawn(work).join()));
            async {}
        })
        .await;
    });
}

#[test]
fn rayon() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).panic_handler(|_| ()).build().unwrap();
    futures::executor::block_on(async {
        assert_call_inherits(|work| {
            pool.spawn(inherit_context().bind(work));
            async {}
        })
        .await;
    });

    let held = Arc::new(());
    ada(&held).run(|| {
        let ctx = inherit_context();
        let join = || rayon::join(ctx.clone().bind(|| USER.set("left")), ctx.clone().bind(|| USER.get()));
        assert_eq!(pool.install(join).1, "ada");

        let ctx = inherit_context();
        pool.scope(|s| {
            for _ in 0..10 {
                let mut ctx = ctx.clone();
                s.spawn(move |_| {
                    ctx.run(|| {
                        assert_inherited();
                        USER.set("in the pool");
                    })
                });
            }
        });

        let ctx = inherit_context();
        let users: Vec<_> = pool.install(|| {
            (0..1000)
                .into_par_iter()
                .map(|_| {
                    ctx.clone().run(|| {
                        assert_inherited();
                        USER.set("in the pool").old_value().copied()
                    })
                })
                .collect()
        });
        assert!(users.iter().all(|user| *user == Some("ada")));

        // A panic in one item propagates, and leaves no context behind.
        let panics =
            || (0..100).into_par_iter().for_each(|n| ctx.clone().run(|| assert!(n != 50, "the one")));
        assert_eq!(panic_text(|| pool.install(panics)), "the one");
        assert_eq!(USER.get(), "ada");
    });
    pool.broadcast(|_| assert!(copy_context().is_empty()));
    assert_eq!(Arc::strong_count(&held), 1);
}
