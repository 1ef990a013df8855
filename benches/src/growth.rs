//! Measures how costs grow with the number of variables, the depth of nesting, and the number of tasks and
//! threads.

use std::future::pending;
use std::hint::black_box;
use std::pin::Pin;
use std::time::Duration;

use contextvar::{Context, ContextVar, InContext, context_var, copy_context, task};
use opentelemetry::context::FutureExt;
use tokio::runtime::Builder;

use crate::alloc::{self, Allocated};
use crate::contention;
use crate::measure::{Meter, Reading};
use crate::report::{header, number, row};
use crate::work;

type Var = &'static ContextVar<u64>;

/// Returns all tables. Those with many variables are measured last, because variables keep their slots
/// forever.
pub(crate) fn tables() -> String {
    let nested = nested();
    let mut vars = Vec::new();
    declare(&mut vars, 7);
    let (tasks, million, threads) = (tasks(&vars), million(&vars), contention::tables());
    [declared(&mut vars), set(&vars), nested, tasks, million, threads].concat()
}

/// Makes variables until there are `count`, and writes each once, which assigns its slot.
fn declare(vars: &mut Vec<Var>, count: usize) {
    while vars.len() < count {
        let var: Var = Box::leak(Box::new(ContextVar::new("growth")));
        Context::new().set(var, 1);
        vars.push(var);
    }
}

fn context_of<'a>(vars: impl IntoIterator<Item = &'a Var>) -> Context {
    vars.into_iter().fold(Context::new(), |context, var| context.with_value(var, 1))
}

fn declared(vars: &mut Vec<Var>) -> String {
    let mut text = "## Variables declared, eight of them set\n\n".to_owned();
    let names = [
        "get the first (ns)",
        "get the last",
        "set and restore the last",
        "copy and drop",
        "one poll",
        "bytes, the first eight set",
        "bytes, eight far apart set",
    ];
    text += &header("declared", names.into_iter());
    for count in [1, 10, 100, 1_000, 10_000, 100_000] {
        declare(vars, count);
        let apart: Vec<Var> = vars.iter().rev().step_by(count.div_ceil(8)).copied().collect();
        let (first, last) = (vars[0], apart[0]);
        let cells = [
            in_context(context_of([&first]), |meter| meter.time(|| first.get())),
            in_context(context_of(&apart), |meter| meter.time(|| last.get())),
            in_context(context_of(&apart), |meter| set_and_restore(meter, last)),
            in_context(context_of(&apart), |meter| meter.time(copy_context)),
            median(|meter| work::polls(meter, context_of(&apart).scope(work::endless()))),
            bytes_of(|| context_of(vars.iter().take(8))),
            bytes_of(|| context_of(&apart)),
        ];
        text += &row(&count.to_string(), cells.into_iter().map(|cell| Some(number(cell))));
    }
    text + "\n"
}

fn set(vars: &[Var]) -> String {
    let mut text = "## Variables set\n\n".to_owned();
    let names = [
        "get the first (ns)",
        "get in turn",
        "set and restore the last",
        "copy and drop",
        "run in a copy",
        "copy, then the first set",
        "one poll",
        "apply one change",
        "bytes per variable",
    ];
    text += &header("set", names.into_iter());
    for count in [1, 10, 100, 1_000, 10_000] {
        let vars = &vars[..count];
        let (first, last) = (vars[0], vars[count - 1]);
        let context = context_of(vars);
        let mut copy = context.clone();
        let cells = [
            in_context(context.clone(), |meter| meter.time(|| first.get())),
            in_context(context.clone(), |meter| {
                meter.time_sweeps(count, || {
                    for var in vars {
                        black_box(var.get());
                    }
                })
            }),
            in_context(context.clone(), |meter| set_and_restore(meter, last)),
            in_context(context.clone(), |meter| meter.time(copy_context)),
            in_context(context.clone(), |meter| meter.time(|| copy.run(|| black_box(())))),
            in_context(context.clone(), |meter| {
                meter.time(|| {
                    let copy = copy_context();
                    last.set(black_box(2));
                    copy
                })
            }),
            median(|meter| work::polls(meter, context.clone().scope(work::endless()))),
            in_context(context.clone(), |meter| {
                let changed = context.clone().with_value(last, 2);
                meter.time(|| changed.apply_changes_to_current(&context))
            }),
            bytes_of(|| context_of(vars)) / count as f64,
        ];
        text += &row(&count.to_string(), cells.into_iter().map(|cell| Some(number(cell))));
    }
    text + "\n"
}

#[context_var]
static NUMBER: u64;
#[context_var]
static OTHER: u64 = 7;

fn nested() -> String {
    let mut text = "## Scopes nested\n\n".to_owned();
    let names = [
        "get the innermost (ns)",
        "get the outermost",
        "one more `run`, in and out",
        "one more `sync_scope`",
        "one poll through all",
        "per level",
    ];
    text += &header("depth", names.into_iter());
    for depth in [1, 10, 100, 1_000] {
        let mut cells = [0.0; 6];
        in_runs(depth, &mut || {
            let mut copy = copy_context();
            cells[0] = median(|meter| meter.time(|| NUMBER.get()));
            cells[1] = median(|meter| meter.time(|| OTHER.get()));
            cells[2] = median(|meter| meter.time(|| copy.run(|| black_box(()))));
            cells[3] = median(|meter| meter.time(|| NUMBER.sync_scope(black_box(2), || black_box(()))));
        });
        cells[4] = median(|meter| {
            let mut future: Pin<Box<dyn Future<Output = ()>>> = Box::pin(work::endless());
            for level in 0..depth {
                future = Box::pin(future.in_context(Context::new().with_value(&NUMBER, level as u64)));
            }
            work::polls(meter, future)
        });
        cells[5] = cells[4] / depth as f64;
        text += &row(&depth.to_string(), cells.into_iter().map(|cell| Some(number(cell))));
    }
    text + "\n"
}

/// Calls `f` inside `depth` nested contexts, each with its own value. `OTHER` is set outside all of them.
fn in_runs(depth: usize, f: &mut dyn FnMut()) {
    fn down(depth: usize, f: &mut dyn FnMut()) {
        if depth == 0 {
            return f();
        }
        copy_context().run(|| NUMBER.sync_scope(depth as u64, || down(depth - 1, f)));
    }
    Context::new().with_value(&OTHER, 1).run(|| down(depth, f));
}

/// A value type for each number.
struct Otel<const N: usize>(#[expect(dead_code, reason = "only set, never read")] u64);

fn opentelemetry_of_eight() -> opentelemetry::Context {
    let first = opentelemetry::Context::new().with_value(Otel::<0>(1)).with_value(Otel::<1>(1));
    let more = first.with_value(Otel::<2>(1)).with_value(Otel::<3>(1)).with_value(Otel::<4>(1));
    more.with_value(Otel::<5>(1)).with_value(Otel::<6>(1)).with_value(Otel::<7>(1))
}

fn tasks(seven: &[Var]) -> String {
    let mut text =
        "## Tasks alive, each with a copy of a context of eight variables: bytes per task\n\n".to_owned();
    let names = [
        "no context",
        "a copy",
        "a copy, one variable set in it",
        "opentelemetry, a copy",
        "the same, one value set",
    ];
    text += &header("tasks", names.into_iter());
    let context = context_of(seven).with_value(&NUMBER, 1);
    for count in [1, 10, 100, 1_000, 10_000, 100_000] {
        let attached = opentelemetry_of_eight().attach();
        let otel = opentelemetry::Context::current;
        let cells = [
            bytes_per_task(count, pending),
            bytes_per_task(count, || pending().in_context(context.clone())),
            bytes_per_task(count, || {
                let own = async {
                    NUMBER.set(2);
                    pending().await
                };
                own.in_context(context.clone())
            }),
            bytes_per_task(count, || pending().with_context(otel())),
            bytes_per_task(count, || pending().with_context(otel().with_value(Otel::<0>(2)))),
        ];
        drop(attached);
        text += &row(&count.to_string(), cells.into_iter().map(|cell| Some(number(cell))));
    }
    text + "\n"
}

tokio::task_local! {
    static LOCALS_0: u64;
    static LOCALS_1: u64;
    static LOCALS_2: u64;
    static LOCALS_3: u64;
    static LOCALS_4: u64;
    static LOCALS_5: u64;
    static LOCALS_6: u64;
    static LOCALS_7: u64;
}

fn million(seven: &[Var]) -> String {
    const COUNT: usize = 1_000_000;
    let mut text = "\
## A million tasks that wait, each with a context: bytes and allocations per task

tokio pads each task to a multiple of 128 bytes. Its own part and the context fit in the first 128.

"
    .to_owned();
    let names = ["1 variable: bytes", "allocations", "8 variables: bytes", "allocations"];
    text += &header("", names.into_iter());
    let contexts = [Context::new().with_value(&NUMBER, 1), context_of(seven).with_value(&NUMBER, 1)];
    let plain = per_task(COUNT, || drop(tokio::spawn(pending::<()>())));
    let spawned = contexts
        .clone()
        .map(|mut context| context.run(|| per_task(COUNT, || drop(task::spawn(pending::<()>())))));
    let changed = contexts.map(|mut context| {
        let own = || async {
            NUMBER.set(2);
            pending::<()>().await;
        };
        context.run(|| per_task(COUNT, || drop(task::spawn(own()))))
    });
    let locals = [
        per_task(COUNT, || drop(tokio::spawn(LOCALS_0.scope(1, pending::<()>())))),
        per_task(COUNT, || {
            let scope =
                LOCALS_3.scope(1, LOCALS_2.scope(1, LOCALS_1.scope(1, LOCALS_0.scope(1, pending::<()>()))));
            let scope = LOCALS_7.scope(1, LOCALS_6.scope(1, LOCALS_5.scope(1, LOCALS_4.scope(1, scope))));
            drop(tokio::spawn(scope));
        }),
    ];
    let rows = [
        ("`tokio::spawn`", [plain; 2]),
        ("`contextvar::task::spawn`", spawned),
        ("the same, one variable set in the task", changed),
        ("`tokio::spawn` in a scope of `task_local!` per variable", locals),
    ];
    for (name, cells) in rows {
        let cells = cells.map(|(bytes, allocations)| [bytes, allocations]).concat();
        text += &row(name, cells.into_iter().map(|cell| Some(number(cell))));
    }
    text + "\n"
}

/// Spawns the tasks and returns the bytes that are allocated per task.
fn bytes_per_task<F: Future<Output = ()> + Send + 'static>(count: usize, future: impl Fn() -> F) -> f64 {
    per_task(count, || drop(tokio::spawn(future()))).0
}

/// Spawns the tasks, lets each run until it waits, and returns the bytes that are allocated per task, and the
/// number of allocations. The first batch of tasks makes the runtime allocate its own list.
pub(crate) fn per_task(count: usize, spawn: impl Fn()) -> (f64, f64) {
    let runtime = Builder::new_current_thread().build().unwrap();
    let _in_runtime = runtime.enter();
    let spawn_all = |count| {
        for _ in 0..count {
            spawn();
        }
        // When the task that was spawned last has run, all have.
        runtime.block_on(runtime.spawn(async {})).unwrap();
    };
    spawn_all(count);
    alloc::start_counting();
    spawn_all(count);
    let Allocated { live, allocations, .. } = alloc::stop_counting();
    (live as f64 / count as f64, allocations as f64 / count as f64)
}

fn set_and_restore(meter: Meter, var: Var) -> Reading {
    meter.time(|| {
        let token = var.set(black_box(2));
        var.reset(token);
    })
}

/// Returns the median of rounds inside the context.
fn in_context(mut context: Context, measure: impl FnMut(Meter) -> Reading) -> f64 {
    context.run(|| median(measure))
}

/// Returns the median of rounds of a millisecond. There is only one column, so no turns are needed.
fn median(mut measure: impl FnMut(Meter) -> Reading) -> f64 {
    let mut meter = Meter { repeats: 16, count_allocations: false };
    while measure(meter).time < Duration::from_millis(1) {
        meter.repeats *= 2;
    }
    let mut rounds: Vec<f64> = (0..15).map(|_| ns(measure(meter))).collect();
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn ns(reading: Reading) -> f64 {
    reading.time.as_nanos() as f64 / reading.operations as f64
}

/// Returns the bytes that the value of `make` keeps allocated.
fn bytes_of<T>(make: impl FnOnce() -> T) -> f64 {
    alloc::start_counting();
    let value = make();
    let allocated = alloc::stop_counting();
    drop(value);
    allocated.live as f64
}
