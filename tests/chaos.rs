//! Tasks by the thousand that set, spawn, wait, are cancelled and panic at random, on runtimes that come and go. Each
//! knows what it must read, and checks it at every step. In the end no value is left, and no memory.
//!
//! ```console
//! $ cargo test --test chaos                                          # some ten thousands
//! $ CONTEXTVAR_LIVES=10000000 cargo test --release --test chaos      # ten million
//! $ CONTEXTVAR_SEED=n cargo test --test chaos                        # once more; how tasks interleave is up to the scheduler
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::any::Any;
use std::env;
use std::panic::{self, AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use contextvar::{
    Context, ContextVar, InContext, context_var, copy_context, task, thread, with_copied_context,
};
use futures::FutureExt;
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, LocalSet, yield_now};

#[context_var]
static NUMBER: u64;
#[context_var]
static TEXT: String = "default".to_owned();
#[context_var]
static COUNTED: Counted;
#[context_var(inherit = false)]
static KEPT: u64;

/// Their default panics now and then, until it is computed.
static FLAKY: [ContextVar<u64>; 200] = [const { ContextVar::with_default("flaky", flaky) }; 200];
/// Its default panics.
static BROKEN: ContextVar<u64> = ContextVar::with_default("broken", || panic_on_purpose());

const ON_PURPOSE: &str = "on purpose";

/// A panic that no hook prints.
fn panic_on_purpose() -> ! {
    ON_PURPOSE_COUNT.add();
    resume_unwind(Box::new(ON_PURPOSE))
}

fn flaky() -> u64 {
    static CALLS: Count = Count::new();

    CALLS.add();
    if CALLS.get() % 3 == 0 { 7 } else { panic_on_purpose() }
}

/// Passes a panic on that was not on purpose.
fn assert_on_purpose(panic: Box<dyn Any + Send>) {
    if panic.downcast_ref::<&str>() != Some(&ON_PURPOSE) {
        resume_unwind(panic);
    }
}

fn assert_joined(result: Result<(), JoinError>) {
    match result {
        Err(error) if error.is_panic() => assert_on_purpose(error.into_panic()),
        _ => {}
    }
}

// What is counted.

struct Count(AtomicU64);

impl Count {
    const fn new() -> Self {
        Count(AtomicU64::new(0))
    }

    fn add(&self) {
        self.add_all(1);
    }

    fn add_all(&self, n: usize) {
        self.0.fetch_add(n as u64, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

static LIVES: Count = Count::new();
static ON_PURPOSE_COUNT: Count = Count::new();
static ABORTED: Count = Count::new();
static ERAS: Count = Count::new();
static SHUT_DOWN: Count = Count::new();
/// Tasks that had not ended when their runtime was shut down.
static PENDING: Count = Count::new();
static NESTED: Count = Count::new();
/// Failed checks, whoever is told of them: a panic on purpose calls no hook.
static FAILED: Count = Count::new();
static MADE: Count = Count::new();
static DROPPED: Count = Count::new();
static DROPPED_TWICE: Count = Count::new();

/// A value that is counted, that reads and writes when it is dropped, and that may panic in `Clone` and `Drop`.
struct Counted {
    n: u64,
    alive: AtomicBool,
}

impl Counted {
    fn new(n: u64) -> Self {
        MADE.add();
        Counted { n, alive: AtomicBool::new(true) }
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        if self.n % 16 == 1 {
            panic_on_purpose();
        }
        Counted::new(self.n)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if !self.alive.swap(false, Ordering::Relaxed) {
            DROPPED_TWICE.add();
        }
        DROPPED.add();
        let _ = (TEXT.with(String::len), NUMBER.get_or(0));
        copy_context().run(|| drop(NUMBER.set(self.n)));
        if self.n % 16 == 2 && !std::thread::panicking() {
            panic_on_purpose();
        }
    }
}

/// Bytes that are allocated.
struct Allocated(AtomicI64);

#[global_allocator]
static ALLOCATED: Allocated = Allocated(AtomicI64::new(0));

// SAFETY: it is the system's, with a count.
unsafe impl GlobalAlloc for Allocated {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.0.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        self.0.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

// What must be read.

/// What was set last here, else what was there at the start.
#[derive(Clone, Default, PartialEq, Debug)]
struct Expected {
    number: Option<u64>,
    text: Option<String>,
    counted: Option<u64>,
    kept: Option<u64>,
}

impl Expected {
    #[track_caller]
    fn check(&self) {
        let seen = Expected {
            number: NUMBER.try_get().ok(),
            text: TEXT.is_set().then(|| TEXT.get()),
            counted: COUNTED.try_with(|counted| counted.n).ok(),
            kept: KEPT.try_get().ok(),
        };
        assert_eq!(seen, *self);
    }

    /// Sets something. That may panic, for a value that was replaced is dropped.
    fn set(&mut self, random: &mut StdRng) {
        let n = random.random();
        match random.random_range(0..4) {
            0 => {
                self.number = Some(n);
                NUMBER.set(n);
            }
            1 => {
                self.text = Some(n.to_string());
                TEXT.set(n.to_string());
            }
            2 => {
                self.kept = Some(n);
                KEPT.set(n);
            }
            _ => {
                self.counted = Some(n);
                COUNTED.set(Counted::new(n));
            }
        }
    }

    /// The same where no panic may pass: at the end of a thread.
    fn set_quietly(&mut self, random: &mut StdRng) {
        let n = random.random::<u64>() / 16 * 16;
        COUNTED.set(Counted::new(n));
        NUMBER.set(n);
        (self.counted, self.number) = (Some(n), Some(n));
    }

    fn inherited(&self) -> Self {
        Expected { kept: None, ..self.clone() }
    }
}

/// Checks when it is dropped, wherever that is: at the end, at an abort, at the shutdown of the runtime.
struct ChecksAtDrop(Expected);

impl Drop for ChecksAtDrop {
    fn drop(&mut self) {
        // A failed assertion in a destructor that runs in a panic would say less.
        let checked = catch_unwind(AssertUnwindSafe(|| self.0.check()));
        if checked.is_err() {
            eprintln!("what a future saw when it was dropped was not its own");
            std::process::abort();
        }
    }
}

// Lives.

struct Chaos {
    /// How many lives this runtime is to see.
    until: u64,
    /// Tasks that were left to run by themselves.
    detached: mpsc::UnboundedSender<JoinHandle<()>>,
}

/// A task's life. It runs in a context with what is expected.
async fn live(chaos: Arc<Chaos>, mut expected: Expected, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    LIVES.add();
    expected.check();
    for _ in 0..random.random_range(2..10) {
        match random.random_range(0..23) {
            0..4 => expected.set(&mut random),
            4..6 => yield_now().await,
            6 => {
                let token = NUMBER.set(random.random());
                yield_now().await;
                NUMBER.reset(token);
            }
            7 => {
                // In a copy, set and thrown away.
                let mut inner = expected.clone();
                copy_context().run(|| {
                    inner.set(&mut random);
                    inner.check();
                });
            }
            8 => TEXT.scope("scoped".to_owned(), async { assert_eq!(TEXT.get(), "scoped") }).await,
            9 => clones(&expected),
            10 => {
                let flaky = &FLAKY[random.random_range(0..FLAKY.len())];
                match catch_unwind(|| flaky.get()) {
                    Ok(value) => assert_eq!(value, 7),
                    Err(panic) => assert_on_purpose(panic),
                }
                assert_on_purpose(catch_unwind(|| BROKEN.get()).unwrap_err());
            }
            11 => {
                let (inner, seed) = (expected.inherited(), random.random());
                assert_joined(task::spawn_blocking(move || block(inner, seed)).await);
            }
            12 if random.random_bool(0.1) => {
                let (inner, seed) = (expected.inherited(), random.random());
                let handle = thread::spawn(move || on_a_thread(inner, seed));
                handle.join().unwrap_or_else(assert_on_purpose);
            }
            13 => move_between_tasks(&expected, &mut random).await,
            14..18 if LIVES.get() < chaos.until => spawn(&chaos, &expected, &mut random).await,
            18 if random.random_bool(0.3) => panic_on_purpose(),
            19 => {
                // Dropped before it is done, in its context.
                let checks = ChecksAtDrop(expected.clone());
                let pending = async move {
                    let _checks = checks;
                    std::future::pending::<()>().await;
                };
                let mut pending = Box::pin(pending.in_copied_context());
                assert!(futures::poll!(&mut pending).is_pending());
            }
            20 => {
                let caught =
                    AssertUnwindSafe(async { panic_on_purpose() }.in_copied_context()).catch_unwind();
                let Err(panic) = caught.await;
                assert_on_purpose(panic);
            }
            21 if random.random_bool(0.2) => nested(&mut expected, &mut random),
            _ => {
                // A task without a context sees none, whichever worker it runs on.
                assert_joined(tokio::spawn(async { Expected::default().check() }).await);
            }
        }
        expected.check();
    }
}

fn clones(expected: &Expected) {
    let clone = || COUNTED.try_get().ok().map(|counted| counted.n);
    match catch_unwind(AssertUnwindSafe(clone)) {
        Ok(n) => assert_eq!(n, expected.counted),
        Err(panic) => assert_on_purpose(panic),
    }
}

/// The worker of this task runs a future of its own inside the task's poll, in the same context and in one more.
fn nested(expected: &mut Expected, random: &mut StdRng) {
    let runtime = Handle::current();
    if runtime.runtime_flavor() != RuntimeFlavor::MultiThread {
        return;
    }
    NESTED.add();
    tokio::task::block_in_place(|| {
        runtime.block_on(async {
            expected.check();
            yield_now().await;
            expected.set(random);
        });
        let mut inner = expected.clone();
        copy_context().run(|| {
            runtime.block_on(async {
                inner.check();
                yield_now().await;
                inner.set(random);
                inner.check();
            });
        });
        expected.check();
    });
}

/// A blocking call, that may run a runtime's future.
fn block(mut expected: Expected, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    expected.check();
    if random.random() {
        let inner = expected.clone();
        Handle::current().block_on(async move {
            inner.check();
            yield_now().await;
            inner.check();
        });
    }
    expected.set(&mut random);
    expected.check();
}

/// A thread, that ends with values set, and may have a runtime of its own with a `LocalSet` in a scope.
fn on_a_thread(expected: Expected, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    expected.check();
    let mut own = Expected::default();
    if random.random() {
        // The copy is below this: the thread's own context is another one, and is emptied at its exit.
        std::thread::spawn(move || {
            own.set_quietly(&mut random);
            own.check();
        })
        .join()
        .unwrap();
        return;
    }
    let runtime = Builder::new_current_thread().build().unwrap();
    let local = LocalSet::new();
    runtime.block_on(local.run_until(async {
        let mut task_s = expected.clone();
        let (with, seed) = (task_s.clone(), random.random());
        // It is polled in this context, and may read that, not write it.
        let without = tokio::task::spawn_local(async move {
            with.check();
            assert!(NUMBER.try_set(seed).is_err());
        });
        let spawned = task::spawn_local(async move {
            let mut random = StdRng::seed_from_u64(seed);
            task_s.check();
            task_s.set(&mut random);
            task_s.check();
        });
        assert_joined(without.await);
        assert_joined(spawned.await);
        expected.check();
    }));
}

/// A future that is polled here, then in another task, maybe to its end.
async fn move_between_tasks(expected: &Expected, random: &mut StdRng) {
    let (mut inner, seed) = (expected.clone(), random.random());
    let mut future = async move {
        let mut random = StdRng::seed_from_u64(seed);
        for _ in 0..3 {
            inner.set(&mut random);
            let checks = ChecksAtDrop(inner.clone());
            yield_now().await;
            inner.check();
            drop(checks);
        }
    }
    .in_copied_context()
    .boxed();
    match AssertUnwindSafe(async { futures::poll!(&mut future).is_ready() }).catch_unwind().await {
        Ok(done) => assert!(!done),
        Err(panic) => return assert_on_purpose(panic),
    }
    let ended = random.random();
    let other = tokio::spawn(async move {
        if ended {
            future.await
        } else {
            assert!(futures::poll!(&mut future).is_pending())
        }
        Expected::default().check();
    });
    assert_joined(other.await);
}

#[with_copied_context]
async fn live_annotated(chaos: Arc<Chaos>, expected: Expected, seed: u64) {
    live(chaos, expected, seed).await;
}

/// Starts another life in one of the ways there are, and ends it in one of the ways there are.
fn spawn<'a>(chaos: &Arc<Chaos>, expected: &Expected, random: &'a mut StdRng) -> BoxFuture<'a, ()> {
    let (chaos, expected, seed) = (chaos.clone(), expected.clone(), random.random());
    let detached = chaos.detached.clone();
    let handle = match random.random_range(0..5) {
        0 => task::spawn(live(chaos, expected.inherited(), seed)),
        1 => tokio::spawn(live_annotated(chaos, expected, seed)),
        2 => tokio::spawn(copy_context().scope(live(chaos, expected, seed))),
        3 => task::spawn_in_empty_context(live(chaos, Expected::default(), seed)),
        _ => {
            let life = live(chaos, Expected { number: Some(1), ..Expected::default() }, seed);
            tokio::spawn(Context::new().with_value(&NUMBER, 1).scope(life))
        }
    };
    // Boxed, since a life awaits this, and this makes lives.
    Box::pin(async move {
        match random.random_range(0..4) {
            0 => {
                ABORTED.add();
                handle.abort();
                assert_joined(handle.await);
            }
            1 => {
                ABORTED.add();
                yield_now().await;
                handle.abort();
                let _ = detached.send(handle);
            }
            2 => drop(detached.send(handle)),
            _ => assert_joined(handle.await),
        }
    })
}

/// A life that ends when its runtime does.
async fn live_on(seed: u64) {
    let mut expected = Expected::default();
    expected.set_quietly(&mut StdRng::seed_from_u64(seed));
    let _checks = ChecksAtDrop(expected);
    std::future::pending::<()>().await;
}

/// A runtime's time: lives, until there were enough of them. It ends when all have ended, or with work pending.
fn era(random: &mut StdRng, until: u64) {
    const ROOTS: usize = 64;

    ERAS.add();
    let runtime: Runtime = match ERAS.get() as usize % 5 {
        0 => Builder::new_current_thread().build().unwrap(),
        workers => Builder::new_multi_thread().worker_threads(workers).build().unwrap(),
    };
    // At least one is shut down.
    let finish = ERAS.get() > 1 && random.random_bool(0.5);
    runtime.block_on(async {
        let (detached, mut handles) = mpsc::unbounded_channel();
        let chaos = Arc::new(Chaos { until, detached });
        while LIVES.get() < until {
            for _ in 0..ROOTS {
                let life = live(chaos.clone(), Expected::default(), random.random());
                chaos.detached.send(tokio::spawn(Context::new().scope(life))).unwrap();
            }
            yield_now().await;
            while let Ok(handle) = handles.try_recv() {
                assert_joined(handle.await);
            }
        }
        if !finish {
            for _ in 0..ROOTS {
                let life = live(chaos.clone(), Expected::default(), random.random());
                drop(tokio::spawn(Context::new().scope(life)));
                drop(tokio::spawn(Context::new().scope(live_on(random.random()))));
            }
            yield_now().await;
            return;
        }
        drop(chaos);
        while let Some(handle) = handles.recv().await {
            assert_joined(handle.await);
        }
    });
    if !finish {
        SHUT_DOWN.add();
        PENDING.add_all(runtime.metrics().num_alive_tasks());
    }
    if random.random() {
        drop(runtime);
    } else {
        runtime.shutdown_timeout(Duration::from_secs(60));
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

#[test]
fn chaos() {
    const ERA: u64 = 1000;

    let seed = number("CONTEXTVAR_SEED").unwrap_or_else(|| rand::rng().random());
    let lives = number("CONTEXTVAR_LIVES").unwrap_or(40_000);
    println!("CONTEXTVAR_SEED={seed} CONTEXTVAR_LIVES={lives}");
    let print = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        FAILED.add();
        print(info);
    }));
    let mut random = StdRng::seed_from_u64(seed);
    let mut allocated = Vec::new();
    for part in 1..=10 {
        while LIVES.get() < lives * part / 10 {
            era(&mut random, LIVES.get() + ERA);
        }
        allocated.push(ALLOCATED.0.load(Ordering::SeqCst));
    }
    println!(
        "{} lives, {} panics on purpose, {} aborts, {} futures run inside a poll, {} of {} runtimes shut down with {} tasks \
         pending, {} values; bytes {allocated:?}",
        LIVES.get(),
        ON_PURPOSE_COUNT.get(),
        ABORTED.get(),
        NESTED.get(),
        SHUT_DOWN.get(),
        ERAS.get(),
        PENDING.get(),
        MADE.get(),
    );
    assert_eq!(FAILED.get(), 0, "each check holds");
    assert!(
        ON_PURPOSE_COUNT.get() > lives / 100 && ABORTED.get() > lives / 100 && NESTED.get() > lives / 1000
    );
    assert!(SHUT_DOWN.get() > 0 && PENDING.get() >= 64 * SHUT_DOWN.get());
    assert_eq!(DROPPED_TWICE.get(), 0);
    assert_eq!(MADE.get(), DROPPED.get(), "each value is dropped");
    // Nothing is kept but what the first tenth has made once and for all.
    assert!(allocated[9] < allocated[0] + 64 * 1024, "{allocated:?}");
}
