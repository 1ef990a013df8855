//! The core on executors other than tokio. These tests need no feature, neither tokio nor a proc macro.

use contextvar::{Context, ContextVar, InContext, copy_context, thread};
use futures::executor::{LocalPool, ThreadPool, block_on};
use futures::task::{LocalSpawnExt, SpawnExt};

static NUMBER: ContextVar<u64> = ContextVar::new("number");
static TEXT: ContextVar<String> = ContextVar::with_default("text", || "default".to_owned());

/// Counts from `n`, yielding between the steps, and asserts that no other task's writes are seen.
async fn live(n: u64) -> u64 {
    for step in 0..10 {
        assert_eq!(NUMBER.get(), n + step);
        NUMBER.set(n + step + 1);
        TEXT.set(format!("{n} {step}"));
        smol::future::yield_now().await;
        assert_eq!(TEXT.get(), format!("{n} {step}"));
    }
    copy_context().scope(async { NUMBER.set(0) }).await;
    assert_eq!(TEXT.scope("scoped".to_owned(), async { TEXT.get() }).await, "scoped");
    NUMBER.get()
}

fn scoped_life(n: u64) -> impl Future<Output = u64> + Send {
    NUMBER.sync_scope(n, || live(n).in_copied_context())
}

#[test]
fn futures_block_on_and_local_pool() {
    NUMBER.set(1);
    assert_eq!(block_on(scoped_life(100)), 110);
    let mut pool = LocalPool::new();
    let lives: Vec<_> =
        (0..20).map(|n| pool.spawner().spawn_local_with_handle(scoped_life(n * 100)).unwrap()).collect();
    let ends = pool.run_until(futures::future::join_all(lives));
    assert_eq!(ends, (0..20).map(|n| n * 100 + 10).collect::<Vec<_>>());
    assert_eq!((NUMBER.get(), TEXT.get()), (1, "default".to_owned()));
}

#[test]
fn futures_thread_pool() {
    let pool = ThreadPool::builder().pool_size(2).create().unwrap();
    let lives = (0..100).map(|n| pool.spawn_with_handle(scoped_life(n * 100)).unwrap());
    let ends = block_on(futures::future::join_all(lives));
    assert_eq!(ends, (0..100).map(|n| n * 100 + 10).collect::<Vec<_>>());
    assert!(!NUMBER.is_set());
}

#[test]
fn smol() {
    smol::block_on(async {
        NUMBER.set(1);
        let lives: Vec<_> = (0..100).map(|n| smol::spawn(scoped_life(n * 100))).collect();
        let blocking = smol::unblock(copy_context().bind(|| NUMBER.get()));
        NUMBER.set(2);
        for (n, life) in lives.into_iter().enumerate() {
            assert_eq!(life.await, n as u64 * 100 + 10);
        }
        assert_eq!(blocking.await, 1);
        let local = smol::LocalExecutor::new();
        let local_life = local.spawn(scoped_life(7));
        assert_eq!(local.run(local_life).await, 17);
        assert_eq!(NUMBER.get(), 2);
    });
}

#[test]
fn monoio() {
    let mut runtime = monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().build().unwrap();
    runtime.block_on(async {
        NUMBER.set(1);
        let lives: Vec<_> = (0..20).map(|n| monoio::spawn(scoped_life(n * 100))).collect();
        for (n, life) in (0..).zip(lives) {
            assert_eq!(life.await, n * 100 + 10);
        }
        assert_eq!(NUMBER.get(), 1);
    });
}

/// Only tokio tells which task is running. On other executors a task given no context uses its thread's, and
/// other tasks see its writes. A task given a context is isolated everywhere.
#[test]
fn tasks_without_a_context_share_that_of_their_thread() {
    async fn set(number: u64) {
        NUMBER.set(number);
    }

    let mut pool = LocalPool::new();
    pool.spawner().spawn_local(set(0).in_copied_context()).unwrap();
    pool.spawner().spawn_local(set(1)).unwrap();
    pool.spawner().spawn_local(set(0).in_copied_context()).unwrap();
    pool.run();
    assert_eq!(NUMBER.get(), 1);

    let local = smol::LocalExecutor::new();
    smol::block_on(local.run(async {
        local.spawn(set(2)).await;
        local.spawn(set(3).in_copied_context()).await;
        assert_eq!(NUMBER.get(), 2);
    }));
    monoio::RuntimeBuilder::<monoio::LegacyDriver>::new().build().unwrap().block_on(async {
        monoio::spawn(set(4)).await;
        monoio::spawn(set(5).in_copied_context()).await;
        assert_eq!(NUMBER.get(), 4);
    });
}

#[test]
fn threads() {
    NUMBER.set(1);
    let sum = thread::scope(|s| {
        let threads: Vec<_> =
            (0..4).map(|n| s.spawn(move || block_on(scoped_life(n)) + NUMBER.get())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>()
    });
    assert_eq!(sum, 10 + 11 + 12 + 13 + 4);
    assert_eq!(NUMBER.get(), 1);
}

#[test]
fn a_canceled_task_is_dropped_in_its_context() {
    struct OnDrop(std::sync::mpsc::Sender<u64>);
    impl Drop for OnDrop {
        fn drop(&mut self) {
            self.0.send(NUMBER.get_or(0)).unwrap();
        }
    }

    let (seen, drops) = std::sync::mpsc::channel();
    smol::block_on(async {
        let (started, on_start) = futures::channel::oneshot::channel();
        let task = smol::spawn(Context::new().with_value(&NUMBER, 5).scope(async move {
            let _on_drop = OnDrop(seen);
            started.send(()).unwrap();
            futures::future::pending::<()>().await;
        }));
        on_start.await.unwrap();
        assert_eq!(task.cancel().await, None);
    });
    assert_eq!(drops.recv(), Ok(5));
}
