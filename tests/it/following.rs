//! Each way of handing work over that guide/propagation.md has a row for. The rule is the same for all: a copy, taken
//! by the caller, at the call.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use contextvar::{
    Context, InContext, StreamInContext, context_var, copy_context, inherit_context, task, thread,
};
use futures::channel::oneshot;
use futures::future::join_all;
use futures::stream::{self, FuturesUnordered, StreamExt};
use rayon::prelude::*;
use tokio::runtime::{Handle, Runtime};
use tokio::task::{AbortHandle, JoinSet, LocalSet, yield_now};
use tokio_util::task::TaskTracker;

use crate::support::{OnDrop, on_both_flavours, panic_text};

#[context_var]
static USER: &str = "nobody";

#[context_var]
static HELD: Arc<()>;

#[context_var(inherit = false)]
static TRANSACTION: u64;

/// The context of whoever hands work over, in the tests below.
fn ada(held: &Arc<()>) -> Context {
    Context::new().with_value(&USER, "ada").with_value(&TRANSACTION, 1).with_value(&HELD, held.clone())
}

fn assert_inherited() {
    assert_eq!(USER.get(), "ada");
    assert!(HELD.is_set());
    assert!(!TRANSACTION.is_set());
}

/// Waits until nobody else holds on to the context.
async fn let_go(held: &Arc<()>) {
    while Arc::strong_count(held) > 1 {
        yield_now().await;
    }
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Checks that a way to start tasks has the rule: with one that ends, one that is aborted, one that panics, one that is
/// never polled.
async fn follows(spawn: impl Fn(Work) -> AbortHandle) {
    let held = Arc::new(());
    let spawn_as_ada = |work: Work| {
        ada(&held).run(|| {
            let abort = spawn(work);
            USER.set("later");
            abort
        })
    };

    let (sender, done) = oneshot::channel();
    spawn_as_ada(Box::pin(async {
        assert_inherited();
        USER.set("grace");
        yield_now().await;
        sender.send(USER.get()).unwrap();
    }));
    assert_eq!(done.await.unwrap(), "grace");
    let_go(&held).await;

    /// Says in whose context it is dropped.
    fn says(sender: oneshot::Sender<&'static str>) -> impl Send {
        let mut sender = Some(sender);
        OnDrop(move || sender.take().unwrap().send(USER.get()).unwrap())
    }

    let (sender, dropped) = oneshot::channel();
    let (started, starts) = oneshot::channel();
    let abort = spawn_as_ada(Box::pin(async {
        let _says = says(sender);
        started.send(()).unwrap();
        pending().await
    }));
    starts.await.unwrap();
    abort.abort();
    assert_eq!(dropped.await.unwrap(), "ada", "a task that is aborted is dropped in its context");
    let_go(&held).await;

    let (sender, dropped) = oneshot::channel();
    spawn_as_ada(Box::pin(async {
        let _says = says(sender);
        panic!("on purpose");
    }));
    assert_eq!(dropped.await.unwrap(), "ada", "and so is one that panics");
    let_go(&held).await;

    let (sender, dropped) = oneshot::channel();
    let says = says(sender);
    let never = spawn_as_ada(Box::pin(async {
        let _says = says;
        pending().await
    }));
    never.abort();
    assert_eq!(dropped.await.unwrap(), "ada", "and one that was never polled");
    let_go(&held).await;
    assert_eq!(USER.get(), "nobody");
}

type Call = Box<dyn FnOnce() + Send>;

/// The same for a way to have a closure called elsewhere. `call` waits for its end, and swallows its panic.
async fn calls_follow<F: Future<Output = ()>>(call: impl Fn(Call) -> F) {
    let held = Arc::new(());
    let call_as_ada = |work: Call| {
        ada(&held).run(|| {
            let call = call(work);
            USER.set("later");
            call
        })
    };

    let (sender, done) = oneshot::channel();
    call_as_ada(Box::new(|| {
        assert_inherited();
        USER.set("grace");
        sender.send(USER.get()).unwrap();
    }))
    .await;
    assert_eq!(done.await.unwrap(), "grace");
    let_go(&held).await;

    let (sender, dropped) = oneshot::channel();
    let mut sender = Some(sender);
    let says = OnDrop(move || sender.take().unwrap().send(USER.get()).unwrap());
    call_as_ada(Box::new(|| {
        let _says = says;
        panic!("on purpose");
    }))
    .await;
    assert_eq!(dropped.await.unwrap(), "ada");
    let_go(&held).await;
    assert_eq!(USER.get(), "nobody");
}

// Within a task.

#[test]
fn awaits_joins_selects_and_timeouts_share_the_context() {
    async fn set(user: &'static str) {
        yield_now().await;
        USER.set(user);
    }

    on_both_flavours(|| async {
        set("ada").await;
        assert_eq!(USER.get(), "ada");
        tokio::join!(set("grace"), async { assert_eq!(USER.get(), "ada") });
        assert_eq!(USER.get(), "grace");
        tokio::select! {
            () = set("edsger") => (),
            () = pending() => unreachable!(),
        }
        assert_eq!(USER.get(), "edsger");
        tokio::time::timeout(Duration::from_secs(60), set("barbara")).await.unwrap();
        assert_eq!(USER.get(), "barbara");
        tokio::task::unconstrained(set("ada")).await;
        assert_eq!(USER.get(), "ada");
        join_all([set("x"), set("y")]).await;
        assert_eq!(USER.get(), "y");
        let mut unordered: FuturesUnordered<_> = [set("grace")].into_iter().collect();
        unordered.next().await;
        assert_eq!(USER.get(), "grace");
        let users = stream::iter(["ada", "edsger"]).then(|user| async move { set(user).await });
        users.for_each(|()| async { assert_ne!(USER.get(), "grace") }).await;
        assert_eq!(USER.get(), "edsger");
    });
}

#[test]
fn concurrent_parts_of_a_task_in_copies() {
    async fn live(user: &'static str) -> &'static str {
        USER.set(user);
        yield_now().await;
        USER.get()
    }

    on_both_flavours(|| async {
        let (ada, grace) = tokio::join!(live("ada").in_copied_context(), live("grace").in_copied_context());
        assert_eq!((ada, grace, USER.get()), ("ada", "grace", "nobody"));
        // Of those that are made late, each copies where it is made.
        let users = stream::iter(["ada", "grace", "edsger"])
            .map(|user| live(user).in_copied_context())
            .buffer_unordered(2)
            .collect::<Vec<_>>()
            .await;
        assert_eq!(users.len(), 3);
        assert_eq!(USER.get(), "nobody");
        // A timeout cuts it short, in its context.
        let (sender, said) = mpsc::channel();
        let says = OnDrop(move || sender.send(USER.get()).unwrap());
        let cut_short = async {
            let _says = says;
            USER.set("ada");
            pending::<()>().await
        };
        let timeout = tokio::time::timeout(Duration::ZERO, cut_short.in_copied_context());
        assert!(timeout.await.is_err());
        assert_eq!((said.recv().unwrap(), USER.get()), ("ada", "nobody"));
    });
}

#[test]
fn block_in_place_and_block_on_share_the_context() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let task = runtime.spawn(Context::new().with_value(&USER, "ada").scope(async {
        tokio::task::block_in_place(|| {
            assert_eq!(USER.get(), "ada");
            Handle::current().block_on(async {
                yield_now().await;
                USER.set("grace");
            });
        });
        USER.get()
    }));
    assert_eq!(runtime.block_on(task).unwrap(), "grace");

    // Outside of tasks it is the thread's own, or the one that is run.
    runtime.block_on(async { USER.set("the thread's") });
    assert_eq!(USER.get(), "the thread's");
    Context::new().run(|| runtime.block_on(async { assert_eq!(USER.get(), "nobody") }));
}

// tokio's tasks.

#[test]
fn spawn() {
    on_both_flavours(|| follows(|work| task::spawn(work).abort_handle()));
    on_both_flavours(|| follows(|work| tokio::spawn(work.in_inherited_context()).abort_handle()));
}

#[test]
fn spawn_without_the_library_has_no_context() {
    on_both_flavours(|| async {
        ada(&Arc::new(()))
            .scope(async {
                tokio::spawn(async {
                    assert_eq!(USER.get(), "nobody");
                    assert!(USER.try_set("somebody").is_err());
                })
                .await
                .unwrap();
                tokio::task::spawn_blocking(|| assert!(USER.try_set("somebody").is_err())).await.unwrap();
            })
            .await;
    });
}

#[test]
fn spawn_blocking() {
    on_both_flavours(|| {
        calls_follow(|work| {
            let task = task::spawn_blocking(work);
            async { drop(task.await) }
        })
    });
    on_both_flavours(|| {
        calls_follow(|work| {
            let task = task::spawn_blocking_returning_context(work);
            async { drop(task.await) }
        })
    });
    on_both_flavours(|| {
        calls_follow(|work| {
            let task = Handle::current().spawn_blocking(inherit_context().bind(work));
            async { drop(task.await) }
        })
    });
}

#[test]
fn spawn_local() {
    on_both_flavours(|| async {
        LocalSet::new().run_until(follows(|work| task::spawn_local(work).abort_handle())).await;
        LocalSet::new()
            .run_until(follows(|work| tokio::task::spawn_local(work.in_inherited_context()).abort_handle()))
            .await;
        let local = LocalSet::new();
        let spawn = follows(|work| local.spawn_local(work.in_inherited_context()).abort_handle());
        local.run_until(spawn).await;
    });
}

#[test]
fn spawn_in_empty_context() {
    on_both_flavours(|| async {
        let held = Arc::new(());
        let task = ada(&held).run(|| {
            task::spawn_in_empty_context(async {
                assert!(copy_context().is_empty());
                pending::<()>().await
            })
        });
        yield_now().await;
        assert_eq!(Arc::strong_count(&held), 1);
        task.abort();
        let kept =
            ada(&held).run(|| tokio::spawn(copy_context().only(&[&USER]).scope(async { copy_context() })));
        assert_eq!(Arc::strong_count(&held), 1);
        let kept = kept.await.unwrap();
        assert_eq!((kept[&USER], kept.len()), ("ada", 1));
    });
}

#[test]
fn join_set() {
    on_both_flavours(|| async {
        let set = std::cell::RefCell::new(JoinSet::new());
        follows(|work| set.borrow_mut().spawn(work.in_inherited_context())).await;
        follows(|work| set.borrow_mut().spawn_on(work.in_inherited_context(), &Handle::current())).await;
        LocalSet::new()
            .run_until(follows(|work| set.borrow_mut().spawn_local(work.in_inherited_context())))
            .await;
        let local = LocalSet::new();
        let spawn = follows(|work| set.borrow_mut().spawn_local_on(work.in_inherited_context(), &local));
        local.run_until(spawn).await;
        calls_follow(|work| {
            set.borrow_mut().spawn_blocking(inherit_context().bind(work));
            async {}
        })
        .await;
        // One that is dropped with its tasks still there.
        let held = Arc::new(());
        let mut set = set.into_inner();
        ada(&held).run(|| set.spawn(pending().in_inherited_context()));
        drop(set);
        let_go(&held).await;
    });
}

#[test]
fn task_tracker() {
    on_both_flavours(|| async {
        let tracker = TaskTracker::new();
        follows(|work| tracker.spawn(work.in_inherited_context()).abort_handle()).await;
        follows(|work| tracker.spawn_on(work.in_inherited_context(), &Handle::current()).abort_handle())
            .await;
        follows(|work| task::spawn(tracker.track_future(work)).abort_handle()).await;
        LocalSet::new()
            .run_until(follows(|work| tracker.spawn_local(work.in_inherited_context()).abort_handle()))
            .await;
        calls_follow(|work| {
            let task = tracker.spawn_blocking(inherit_context().bind(work));
            async { drop(task.await) }
        })
        .await;
        tracker.close();
        tracker.wait().await;
    });
}

#[test]
fn handles_and_runtimes() {
    on_both_flavours(|| follows(|work| Handle::current().spawn(work.in_inherited_context()).abort_handle()));
    let runtime = Runtime::new().unwrap();
    runtime.block_on(follows(|work| runtime.spawn(work.in_inherited_context()).abort_handle()));
    runtime.block_on(calls_follow(|work| {
        let task = runtime.spawn_blocking(inherit_context().bind(work));
        async { drop(task.await) }
    }));
}

#[test]
fn a_runtime_that_is_shut_down_drops_tasks_in_their_contexts() {
    for flavour in ["current", "multi"] {
        let held = Arc::new(());
        let (sender, said) = mpsc::channel();
        let runtime = match flavour {
            "current" => tokio::runtime::Builder::new_current_thread().build().unwrap(),
            _ => Runtime::new().unwrap(),
        };
        ada(&held).run(|| {
            let says = OnDrop(move || sender.send(USER.get()).unwrap());
            runtime.spawn(
                async {
                    let _says = says;
                    pending::<()>().await
                }
                .in_inherited_context(),
            )
        });
        runtime.block_on(yield_now());
        drop(runtime);
        assert_eq!(said.recv().unwrap(), "ada");
        assert_eq!(Arc::strong_count(&held), 1);
    }
}

// Threads.

#[test]
fn threads() {
    futures::executor::block_on(async {
        calls_follow(|work| {
            let thread = thread::spawn(work);
            async { drop(thread.join()) }
        })
        .await;
        calls_follow(|work| {
            let thread = thread::Builder::new().spawn(work).unwrap();
            async { drop(thread.join()) }
        })
        .await;
        calls_follow(|work| {
            let thread = std::thread::spawn(inherit_context().bind(work));
            async { drop(thread.join()) }
        })
        .await;
        calls_follow(|work| {
            thread::scope(|s| drop(s.spawn(work).join()));
            async {}
        })
        .await;
    });
}

#[test]
fn rayons_pool() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).panic_handler(|_| ()).build().unwrap();
    futures::executor::block_on(async {
        calls_follow(|work| {
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

        // A panic in one comes out of the whole, and leaves nothing.
        let panics =
            || (0..100).into_par_iter().for_each(|n| ctx.clone().run(|| assert!(n != 50, "the one")));
        assert_eq!(panic_text(|| pool.install(panics)), "the one");
        assert_eq!(USER.get(), "ada");
    });
    pool.broadcast(|_| assert!(copy_context().is_empty()));
    assert_eq!(Arc::strong_count(&held), 1);
}

// Callbacks, and what goes through channels.

#[test]
fn callbacks() {
    fn call_once<R: Send + 'static>(f: impl FnOnce() -> R + Send + 'static) -> R {
        std::thread::spawn(f).join().unwrap_or_else(|_| panic!("it panicked"))
    }
    fn call_mut(mut f: impl FnMut(&'static str) -> &'static str + Send + 'static) -> [&'static str; 2] {
        std::thread::spawn(move || [f("first"), f("second")]).join().unwrap()
    }
    fn call(f: impl Fn(&'static str) -> &'static str + Send + Sync + 'static) -> [&'static str; 2] {
        std::thread::scope(|s| ["first", "second"].map(|x| s.spawn(|| f(x))).map(|t| t.join().unwrap()))
    }

    let held = Arc::new(());
    ada(&held).run(|| {
        assert_eq!(call_once(copy_context().bind(|| USER.get())), "ada");

        // What it sets persists from call to call.
        let mut ctx = copy_context();
        let set = |user| USER.set(user).old_value().copied().unwrap();
        assert_eq!(call_mut(move |user| ctx.run(|| set(user))), ["ada", "first"]);

        // Each call in its own copy.
        let ctx = copy_context();
        assert_eq!(call(move |user| ctx.clone().run(|| set(user))), ["ada", "ada"]);

        assert_eq!(panic_text(|| call_once(copy_context().bind(|| panic!("on purpose")))), "it panicked");
        assert_eq!(USER.get(), "ada");
    });
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_message_takes_its_context_along() {
    on_both_flavours(|| async {
        let (sender, mut receiver) =
            tokio::sync::mpsc::channel::<(Context, oneshot::Sender<&'static str>)>(1);
        // An actor: it serves each message in that one's context.
        let actor = tokio::spawn(async move {
            while let Some((ctx, reply)) = receiver.recv().await {
                ctx.scope(async {
                    assert_inherited();
                    USER.set("the actor's");
                    yield_now().await;
                    reply.send(USER.get()).unwrap();
                })
                .await;
                assert!(copy_context().is_empty());
            }
        });
        let held = Arc::new(());
        for _ in 0..2 {
            let (reply, answer) = oneshot::channel();
            let message = ada(&held).run(|| (inherit_context(), reply));
            sender.send(message).await.unwrap();
            assert_eq!(answer.await.unwrap(), "the actor's");
        }
        drop(sender);
        actor.await.unwrap();
        assert_eq!(Arc::strong_count(&held), 1);
    });
}

// Streams.

#[test]
fn streams() {
    on_both_flavours(|| async {
        let held = Arc::new(());
        let users = ada(&held).run(|| {
            stream::iter(["ada", "grace", "edsger"])
                .map(|next| USER.set(next).old_value().copied().unwrap())
                .in_copied_context()
        });
        USER.set("the consumer");
        // PEP 568: what a generator sets is not seen by who consumes it, and the other way round.
        let seen = users.map(|user| (user, USER.get())).collect::<Vec<_>>().await;
        let consumer = "the consumer";
        assert_eq!(seen, [("ada", consumer), ("ada", consumer), ("grace", consumer)]);
        assert_eq!((USER.get(), Arc::strong_count(&held)), (consumer, 1));

        // Dropped half way: in its context. Panicked: nothing is left.
        let (sender, said) = mpsc::channel();
        let says = OnDrop(move || sender.send(USER.get()).unwrap());
        let mut endless = ada(&held).run(|| {
            stream::repeat_with(move || {
                let _ = &says;
                USER.get()
            })
            .in_copied_context()
        });
        assert_eq!(endless.next().await, Some("ada"));
        drop(endless);
        assert_eq!((said.recv().unwrap(), Arc::strong_count(&held)), ("ada", 1));
        let panics = async {
            let mut stream =
                std::pin::pin!(stream::once(async { panic!("on purpose") }).in_context(ada(&held)));
            stream.next().await
        };
        assert!(futures::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(panics)).await.is_err());
        assert_eq!((USER.get(), Arc::strong_count(&held)), (consumer, 1));
    });
}

// The page.

#[test]
fn every_row_of_the_page_has_its_test() {
    let page = include_str!("../../contextvar/src/guide/propagation.md");
    let tests = [
        include_str!("following.rs"),
        include_str!("adapters.rs"),
        include_str!("baggage.rs"),
        include_str!("../core/changes.rs"),
        include_str!("logging.rs"),
        include_str!("servers.rs"),
        include_str!("../core/runtime_hooks.rs"),
        include_str!("../../contextvar/tests/executors.rs"),
        include_str!("../compio/compio.rs"),
    ]
    .concat();
    let mut last = Vec::new();
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Way"));
    for row in rows {
        let cell =
            row.replace("\\|", "/").trim_end_matches(" |").rsplit('|').next().unwrap().trim().to_owned();
        if cell != "the same" {
            last = cell.split(", ").map(|name| name.trim_matches('`').to_owned()).collect();
        }
        for name in &last {
            assert!(
                tests.contains(&format!("#[test]\nfn {name}() {{")),
                "no test `{name}` of the row: {row}"
            );
        }
    }
    assert!(page.lines().filter(|line| line.starts_with("| ")).count() > 40);
}

// With tokio's unstable API.

#[cfg(tokio_unstable)]
#[test]
fn builders_of_tasks() {
    use tokio::task::Builder;

    on_both_flavours(|| async {
        let named = || Builder::new().name("named");
        follows(|work| named().spawn(work.in_inherited_context()).unwrap().abort_handle()).await;
        follows(|work| {
            named().spawn_on(work.in_inherited_context(), &Handle::current()).unwrap().abort_handle()
        })
        .await;
        calls_follow(|work| {
            let task = named().spawn_blocking(inherit_context().bind(work)).unwrap();
            async { drop(task.await) }
        })
        .await;
        let set = std::cell::RefCell::new(JoinSet::new());
        follows(|work| {
            set.borrow_mut().build_task().name("named").spawn(work.in_inherited_context()).unwrap()
        })
        .await;
    });
}

#[cfg(tokio_unstable)]
#[test]
fn names_of_tasks() {
    use contextvar::runtime::InheritContext;
    use tokio::task::Builder;

    async fn names() {
        USER.set("ada");
        // tokio's builder of tasks, by composition and by hooks.
        let wrapped = Context::new().with_value(&USER, "grace");
        let wrapped = Builder::new().name("named").spawn(async { USER.get() }.in_context(wrapped)).unwrap();
        let plain = Builder::new().name("plain").spawn(async { USER.get() }).unwrap();
        let inherited = Builder::new().spawn(async { USER.get() }.in_inherited_context()).unwrap();
        let mut set = JoinSet::new();
        set.build_task().name("in a set").spawn(async { USER.get() }.in_inherited_context()).unwrap();
        assert_eq!(wrapped.await.unwrap(), "grace");
        assert_eq!((plain.await.unwrap(), inherited.await.unwrap()), ("ada", "ada"));
        assert_eq!(set.join_all().await, ["ada"]);
    }

    for workers in [0, 1, 2, 4] {
        let mut builder = match workers {
            0 => tokio::runtime::Builder::new_current_thread(),
            _ => tokio::runtime::Builder::new_multi_thread(),
        };
        if workers > 0 {
            builder.worker_threads(workers);
        }
        let runtime = builder.inherit_context().build().unwrap();
        std::thread::spawn(move || runtime.block_on(names())).join().unwrap();
    }
}
