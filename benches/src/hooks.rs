//! What a runtime whose tasks inherit by hooks costs, beside a plain one and beside `task::spawn` on that.

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
    for (flavour, runtimes) in [("current thread", &mut current), ("one worker", &mut multi)] {
        text += &measure(&format!("a spawn and its join, {flavour}"), runtimes, spawns);
        text += &measure(&format!("a poll, {flavour}"), runtimes, polls);
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
enum Way {
    Plain,
    Wrapped,
    Hooked,
}

const WAYS: [Way; 3] = [Way::Plain, Way::Wrapped, Way::Hooked];

impl Way {
    fn spawn<F: Future<Output = u64> + Send + 'static>(self, future: F) -> JoinHandle<u64> {
        match self {
            Way::Wrapped => task::spawn(future),
            Way::Plain | Way::Hooked => tokio::spawn(future),
        }
    }
}

fn measure(title: &str, runtimes: &[Runtime; 2], way: fn(&Runtime, Way) -> f64) -> String {
    let mut columns = [const { Vec::new() }; 3];
    for round in 0..ROUNDS {
        for place in 0..WAYS.len() {
            let column = (place + round) % WAYS.len();
            let runtime = &runtimes[usize::from(matches!(WAYS[column], Way::Hooked))];
            columns[column].push(way(runtime, WAYS[column]));
        }
    }
    let medians = columns.map(|mut ns| {
        ns.sort_by(f64::total_cmp);
        ns[ROUNDS / 2]
    });
    row(title, medians.into_iter().map(|ns| Some(number(ns))))
}

fn spawns(runtime: &Runtime, way: Way) -> f64 {
    let meter = Meter { repeats: REPEATS, count_allocations: false };
    let reading: Reading = runtime.block_on(async move {
        // In a task, so that the tasks stay on its worker.
        let spawning =
            four_variables().scope(async move { work::spawns(meter, || way.spawn(async { 1 })).await });
        tokio::spawn(spawning).await.unwrap()
    });
    reading.time.as_nanos() as f64 / REPEATS as f64
}

fn polls(runtime: &Runtime, way: Way) -> f64 {
    let future = async {
        let start = Instant::now();
        for _ in 0..REPEATS {
            work::yield_now().await;
        }
        start.elapsed().as_nanos() as u64
    };
    let spawn = || four_variables().run(|| way.spawn(future));
    runtime.block_on(async { spawn().await.unwrap() }) as f64 / REPEATS as f64
}
