//! Compares runtimes whose tasks inherit through hooks with plain ones, and with `task::spawn` on those.

use std::time::Instant;

use contextvar::runtime::InheritContext;
use contextvar::{Context, context_var, task};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::measure::{Meter, Reading};
use crate::report::{header, number, row};
use crate::work;

#[context_var]
static A: u64;
#[context_var]
static B: u64;
#[context_var]
static C: u64;
#[context_var]
static D: u64;

fn four_variables() -> Context {
    Context::new().with_value(&A, 1).with_value(&B, 2).with_value(&C, 3).with_value(&D, 4)
}

const ROUNDS: usize = 101;
const REPEATS: u64 = 1000;

pub(crate) fn table() -> String {
    let mut current = [plain(&mut Builder::new_current_thread()), hooked(&mut Builder::new_current_thread())];
    let multi = || {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(1);
        builder
    };
    let mut multi = [plain(&mut multi()), hooked(&mut multi())];
    let names = ["plain `tokio::spawn`", "`task::spawn`", "the hooks"];
    let mut text = header("nanoseconds", names.into_iter());
    for (flavor, runtimes) in [("current thread", &mut current), ("one worker", &mut multi)] {
        text += &measure_row(&format!("spawn + join, {flavor}"), runtimes, spawns);
        text += &measure_row(&format!("one poll, {flavor}"), runtimes, polls);
    }
    text
}

fn plain(builder: &mut Builder) -> Runtime {
    builder.build().unwrap()
}

fn hooked(builder: &mut Builder) -> Runtime {
    builder.inherit_context().build().unwrap()
}

#[derive(Clone, Copy)]
enum Spawner {
    Plain,
    Wrapped,
    Hooked,
}

const SPAWNERS: [Spawner; 3] = [Spawner::Plain, Spawner::Wrapped, Spawner::Hooked];

impl Spawner {
    fn spawn<F: Future<Output = u64> + Send + 'static>(self, future: F) -> JoinHandle<u64> {
        match self {
            Spawner::Wrapped => task::spawn(future),
            Spawner::Plain | Spawner::Hooked => tokio::spawn(future),
        }
    }
}

fn measure_row(title: &str, runtimes: &[Runtime; 2], measure: fn(&Runtime, Spawner) -> f64) -> String {
    let mut columns = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        for place in 0..SPAWNERS.len() {
            let column = (place + round) % SPAWNERS.len();
            let runtime = &runtimes[usize::from(matches!(SPAWNERS[column], Spawner::Hooked))];
            columns[column].push(measure(runtime, SPAWNERS[column]));
        }
    }
    let medians = columns.map(|mut ns| {
        ns.sort_by(f64::total_cmp);
        ns[ROUNDS / 2]
    });
    row(title, medians.into_iter().map(|ns| Some(number(ns))))
}

fn spawns(runtime: &Runtime, spawner: Spawner) -> f64 {
    let meter = Meter { repeats: REPEATS, count_allocations: false };
    let reading: Reading = runtime.block_on(async move {
        // Spawns from a task, so that the tasks stay on its worker.
        let spawning =
            four_variables().scope(async move { work::spawns(meter, || spawner.spawn(async { 1 })).await });
        tokio::spawn(spawning).await.unwrap()
    });
    reading.time.as_nanos() as f64 / REPEATS as f64
}

fn polls(runtime: &Runtime, spawner: Spawner) -> f64 {
    let future = async {
        let start = Instant::now();
        for _ in 0..REPEATS {
            work::yield_now().await;
        }
        start.elapsed().as_nanos() as u64
    };
    let spawn = || four_variables().run(|| spawner.spawn(future));
    runtime.block_on(async { spawn().await.unwrap() }) as f64 / REPEATS as f64
}
