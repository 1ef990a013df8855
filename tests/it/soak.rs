//! Thousands of tasks that set, spawn, yield, cancel and panic at random. Each knows what it must read.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use contextvar::{Context, context_var, copy_context, task, with_copied_context};
use futures::future::BoxFuture;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};

const TASKS: usize = 20_000;
const ROOTS: usize = 64;

#[context_var]
static NUMBER: u64;
#[context_var]
static TEXT: String = "default".to_owned();
#[context_var]
static COUNTED: Counted;

/// How many values are alive.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

/// A value that is counted, and that reads and writes when it is dropped.
struct Counted(u64);

impl Counted {
    fn new(n: u64) -> Self {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Counted(n)
    }
}

impl Clone for Counted {
    fn clone(&self) -> Self {
        Counted::new(self.0)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
        let _ = (TEXT.with(String::len), NUMBER.get_or(0));
        copy_context().run(|| drop(NUMBER.set(self.0)));
    }
}

/// What a task must find: its own last sets, else what it inherited.
#[derive(Clone, Default, PartialEq, Debug)]
struct Expected {
    number: Option<u64>,
    text: Option<String>,
    counted: Option<u64>,
}

impl Expected {
    #[track_caller]
    fn check(&self) {
        let seen = Expected {
            number: NUMBER.try_get().ok(),
            text: TEXT.is_set().then(|| TEXT.get()),
            counted: COUNTED.try_with(|counted| counted.0).ok(),
        };
        assert_eq!(seen, *self);
    }

    fn set(&mut self, random: &mut StdRng) {
        let n = random.random();
        match random.random_range(0..3) {
            0 => {
                NUMBER.set(n);
                self.number = Some(n);
            }
            1 => {
                TEXT.set(n.to_string());
                self.text = Some(n.to_string());
            }
            _ => {
                COUNTED.set(Counted::new(n));
                self.counted = Some(n);
            }
        }
    }
}

/// What all tasks share.
struct Soak {
    started: AtomicUsize,
    on_purpose: AtomicUsize,
    /// Tasks that were left to run by themselves.
    detached: mpsc::UnboundedSender<JoinHandle<()>>,
}

const ON_PURPOSE: &str = "on purpose";

/// A task's life. It runs in a context with what is expected, and checks at every step.
async fn live(soak: Arc<Soak>, mut expected: Expected, seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    soak.started.fetch_add(1, Ordering::Relaxed);
    expected.check();
    for _ in 0..random.random_range(2..10) {
        match random.random_range(0..14) {
            0..4 => expected.set(&mut random),
            4..6 => tokio::task::yield_now().await,
            6 => {
                let token = NUMBER.set(random.random());
                tokio::task::yield_now().await;
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
            9 => {
                let (inner, seed) = (expected.clone(), random.random());
                let call = move || {
                    inner.check();
                    NUMBER.set(seed);
                };
                assert_joined(task::spawn_blocking(call).await);
            }
            10..13 if soak.started.load(Ordering::Relaxed) < TASKS => {
                spawn(&soak, &expected, &mut random).await;
            }
            13 if random.random_bool(0.3) => {
                soak.on_purpose.fetch_add(1, Ordering::Relaxed);
                // A panic that no hook prints.
                std::panic::resume_unwind(Box::new(ON_PURPOSE));
            }
            _ => {
                // A task without a context sees none, whichever worker it runs on.
                let plain = tokio::spawn(async { Expected::default().check() });
                assert_joined(plain.await);
            }
        }
        expected.check();
    }
}

#[with_copied_context]
async fn live_annotated(soak: Arc<Soak>, expected: Expected, seed: u64) {
    live(soak, expected, seed).await;
}

/// Starts another life in one of the ways there are, and ends it in one of the ways there are.
fn spawn<'a>(soak: &Arc<Soak>, expected: &Expected, random: &'a mut StdRng) -> BoxFuture<'a, ()> {
    let (soak, expected, seed) = (soak.clone(), expected.clone(), random.random());
    let detached = soak.detached.clone();
    let handle = match random.random_range(0..4) {
        0 => task::spawn(live(soak, expected, seed)),
        1 => tokio::spawn(live_annotated(soak, expected, seed)),
        2 => tokio::spawn(copy_context().scope(live(soak, expected, seed))),
        _ => {
            let life = live(soak, Expected { number: Some(1), ..Expected::default() }, seed);
            tokio::spawn(Context::new().with(&NUMBER, 1).scope(life))
        }
    };
    // Boxed, since a life awaits this, and this makes lives.
    Box::pin(async move {
        match random.random_range(0..4) {
            0 => {
                handle.abort();
                assert_joined(handle.await);
            }
            1 => {
                tokio::task::yield_now().await;
                handle.abort();
                detached.send(handle).unwrap();
            }
            2 => detached.send(handle).unwrap(),
            _ => assert_joined(handle.await),
        }
    })
}

/// Passes on every panic that was not on purpose.
fn assert_joined(result: Result<(), JoinError>) {
    match result {
        Ok(()) => {}
        Err(error) if error.is_cancelled() => {}
        Err(error) => {
            let panic = error.into_panic();
            if panic.downcast_ref::<&str>() != Some(&ON_PURPOSE) {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

#[test]
fn soak() {
    let seed = match std::env::var("CONTEXTVAR_SEED") {
        Ok(seed) => seed.parse().expect("CONTEXTVAR_SEED is a number"),
        Err(_) => rand::rng().random(),
    };
    println!("CONTEXTVAR_SEED={seed}");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).build().unwrap();
    let on_purpose = runtime.block_on(async {
        let (detached, mut handles) = mpsc::unbounded_channel();
        let soak = Arc::new(Soak {
            started: AtomicUsize::new(0),
            on_purpose: AtomicUsize::new(0),
            detached: detached.clone(),
        });
        let mut random = StdRng::seed_from_u64(seed);
        while soak.started.load(Ordering::Relaxed) < TASKS {
            for _ in 0..ROOTS {
                let life = live(soak.clone(), Expected::default(), random.random());
                detached.send(tokio::spawn(Context::new().scope(life))).unwrap();
            }
            while let Ok(handle) = handles.try_recv() {
                assert_joined(handle.await);
            }
        }
        assert!(soak.started.load(Ordering::Relaxed) >= TASKS);
        let on_purpose = soak.on_purpose.load(Ordering::Relaxed);
        drop((soak, detached));
        // Ends when the last life has.
        while let Some(handle) = handles.recv().await {
            assert_joined(handle.await);
        }
        on_purpose
    });
    drop(runtime);
    assert!(on_purpose > TASKS / 1000, "only {on_purpose} lives panicked");
    assert_eq!(ALIVE.load(Ordering::Relaxed), 0, "values leaked");
}
