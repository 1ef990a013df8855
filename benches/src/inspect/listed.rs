//! Measures the list while it is off, and while it is on.

use std::env;
use std::future::{pending, ready};
use std::hint::black_box;
use std::process::Command;
use std::task::{Context as Cx, Waker};
use std::time::{Duration, Instant};

use axum::http::Request;
use contextvar::{Context, InContext, inspect, task};

use super::programs::{self, Group, NUMBER, PROGRAMS};
use super::{COUNT, OFF, ON, clock, count};
use crate::alloc;
use crate::growth::per_task;
use crate::measure::Meter;
use crate::report::{self, header, number, row};
use crate::side_by_side::on_threads;

/// The most nanoseconds that a poll and a hand-over may take more while the list is on, the most bytes of a listed
/// context, and the most instructions that a poll may take more while it is off.
const POLL_NS: f64 = 15.0;
const HAND_OVER_NS: f64 = 150.0;
const BYTES: f64 = 300.0;
const POLL_OFF: f64 = 2.0;

/// A line for each target that was missed.
type Missed = Vec<String>;

pub(super) fn tables() -> Result<(String, Missed), String> {
    let mut missed = Missed::new();
    let times = times(&mut missed);
    let rest = [threads(), memory(&mut missed), snapshots(), clock::table(&mut missed)].concat();
    let instructions = instructions(&mut missed)?;
    let machine = format!("The machine has {}.\n\n", report::machine());
    Ok((machine + &instructions + &times + &rest, missed))
}

fn switch(is_on: bool) {
    if is_on { inspect::enable() } else { inspect::disable() }
}

fn instructions(missed: &mut Missed) -> Result<String, String> {
    let (off, on) = (count(OFF)?, count(ON)?);
    // Last, because these builds replace this program.
    let (without, report) = (count_in_build("inspected")?, count_in_build("inspected-report")?);

    let mut text = "## Instructions\n\n".to_owned();
    let names = ["without features", "`report` alone", "`inspect`, off", "more", "`inspect`, on", "more"];
    text += &header("operation", names.into_iter());
    for (index, program) in PROGRAMS.iter().enumerate() {
        let [without, report, off, on] = [without[index], report[index], off[index], on[index]];
        // The counts have a fraction, from events that happen once in many repeats.
        // Adding 0 turns -0 into 0.
        let [more, more_on] = [off - without, on - off].map(|more| more.round() + 0.0);
        let limit = match program.group {
            Group::Read => 0.0,
            Group::Poll => POLL_OFF,
            Group::HandOver | Group::Other => f64::INFINITY,
        };
        if more > limit {
            missed.push(format!("{}, off: {more} instructions more, at most {limit}", program.name));
        }
        let cells = [without, report, off].map(number).into_iter();
        let cells = cells.chain([more.to_string(), number(on), more_on.to_string()]);
        text += &row(program.name, cells.map(Some));
    }
    Ok(text + "\n")
}

/// Counts in a build of this program with another feature.
fn count_in_build(feature: &str) -> Result<Vec<f64>, String> {
    let output = Command::new(env!("CARGO"))
        .args(["run", "--release", "--quiet", "--package", "benches", "--features", feature, "--", COUNT])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .map_err(|error| format!("cargo does not start: {error}"))?;
    let counts: Vec<f64> =
        String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.parse().ok()).collect();
    if counts.len() != PROGRAMS.len() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(counts)
}

fn times(missed: &mut Missed) -> String {
    let mut text = "## Times: nanoseconds, in one build\n\n".to_owned();
    text += &header("operation", ["off", "on", "more", "at most"].into_iter());
    for program in &PROGRAMS {
        let [off, on] = best(program.run);
        let limit = match program.group {
            Group::Poll => Some(POLL_NS),
            Group::HandOver => Some(HAND_OVER_NS),
            Group::Read | Group::Other => None,
        };
        // Adding 0 turns -0 into 0.
        let more = ((on - off) * 10.0).round() / 10.0 + 0.0;
        if let Some(limit) = limit.filter(|&limit| more > limit) {
            missed.push(format!("{}, on: {} ns more, at most {limit}", program.name, number(more)));
        }
        let cells = [off, on, more].map(|ns| Some(number(ns))).into_iter();
        text += &row(program.name, cells.chain([Some(limit.map_or(String::new(), number))]));
    }
    text + "\n"
}

/// Returns the nanoseconds of an operation while the list is off, and while it is on: the best of many rounds, by
/// turns.
fn best(run: fn(Meter) -> crate::measure::Reading) -> [f64; 2] {
    const ROUNDS: usize = 101;
    const ROUND: Duration = Duration::from_millis(1);

    let mut best = [f64::INFINITY; 2];
    let mut meter = Meter { repeats: 16, count_allocations: false };
    switch(true);
    while run(meter).time < ROUND {
        meter.repeats *= 2;
    }
    for _ in 0..ROUNDS {
        for (is_on, best) in [false, true].into_iter().zip(&mut best) {
            switch(is_on);
            let reading = run(meter);
            *best = best.min(reading.time.as_nanos() as f64 / reading.operations as f64);
        }
    }
    best
}

fn threads() -> String {
    let mut text = "## Threads that hand over at the same time: nanoseconds per hand-over\n\n".to_owned();
    text += &header("", ["off", "on"].into_iter());
    let shared = Context::new().with_value(&NUMBER, 1);
    let apart = |meter| programs::inside(|| programs::hand_overs(meter));
    let same = |meter| shared.clone().bind(|| programs::hand_overs(meter))();
    let measure = |threads, is_same: bool| {
        [false, true].map(|is_on| {
            switch(is_on);
            if is_same { on_threads(threads, same) } else { on_threads(threads, apart) }
        })
    };
    let rows = [
        ("one thread", measure(1, false)),
        ("two threads, a context each", measure(2, false)),
        ("two threads, each in a copy of the same context", measure(2, true)),
    ];
    for (name, cells) in rows {
        text += &row(name, cells.into_iter().map(|cell| Some(number(cell))));
    }
    text + "\n"
}

fn memory(missed: &mut Missed) -> String {
    const COUNT: usize = 10_000;

    let mut text = "## Memory: bytes per task, of 10 000 that wait\n\n".to_owned();
    let names =
        ["off", "on", "more", "at most", "allocations more", "of these the entry", "its place in the list"];
    text += &header("", names.into_iter());
    let entry = entry_bytes();
    let idle = || drop(task::spawn(pending::<()>()));
    let changed = || {
        let changed = async {
            NUMBER.set(2);
            pending::<()>().await;
        };
        drop(task::spawn(changed));
    };
    let rows: [(&str, &dyn Fn()); 2] =
        [("no variable set in the task", &idle), ("one variable set in each task", &changed)];
    for (name, spawn) in rows {
        let [off, on] = [false, true].map(|is_on| {
            switch(is_on);
            programs::inside(|| per_task(COUNT, spawn))
        });
        let more = on.0 - off.0;
        if more > BYTES {
            missed.push(format!("{name}: {} bytes more, at most {BYTES}", number(more)));
        }
        let cells = [off.0, on.0, more, BYTES, on.1 - off.1, entry, more - entry];
        text += &row(name, cells.into_iter().map(|cell| Some(number(cell))));
    }
    let finished = finished_bytes(COUNT);
    text += &format!(
        "
The list doubles in size for the tasks of the first row, and then has room for those of the second row. In addition, each
thread that hands over keeps a record of the contexts that finished last, for the page: {finished} bytes after {COUNT}
hand-overs, which is its full size. All threads together keep at most 64 times as much.

"
    );
    text
}

/// Returns the bytes of a listed context, while the list has room for it.
fn entry_bytes() -> f64 {
    switch(true);
    let one = || ready(()).in_inherited_context();
    drop(one());
    alloc::start_counting();
    let context = one();
    let entry = alloc::stop_counting().live;
    drop(context);
    entry as f64
}

/// Returns the bytes that are left when a number of contexts have finished.
fn finished_bytes(count: usize) -> i64 {
    // Forgets the earlier ones.
    switch(false);
    switch(true);
    alloc::start_counting();
    programs::hand_overs(Meter { repeats: count as u64, count_allocations: false });
    alloc::stop_counting().live
}

fn snapshots() -> String {
    // Of each group, the list has a finished closure, a future, and its tasks.
    const GROUPS: usize = 100;
    const TASKS: usize = 98;

    switch(true);
    let mut groups: Vec<_> = (0..GROUPS)
        .map(|_| {
            let group = async {
                let _tasks: Vec<_> = (0..TASKS).map(|_| pending::<()>().in_inherited_context()).collect();
                pending::<()>().await;
            };
            Box::pin(programs::inside(|| group.in_inherited_context()))
        })
        .collect();
    for group in &mut groups {
        assert!(group.as_mut().poll(&mut Cx::from_waker(Waker::noop())).is_pending());
    }
    let snapshot = inspect::snapshot();
    let count = snapshot.len();
    let page = inspect::page().allow(|_| true);
    let (head, ()) = Request::get("/?contexts").body(()).unwrap().into_parts();
    let mut text = format!("## A snapshot of {count} contexts, each with two variables\n\n");
    text += &header("", ["milliseconds", "kilobytes"].into_iter());
    let rows = [
        ("`inspect::snapshot()`, and its drop", median_ms(inspect::snapshot), None),
        ("its text for a terminal", median_ms(|| snapshot.to_string()), Some(snapshot.to_string().len())),
        (
            "the page's answer with another snapshot, as JSON",
            median_ms(|| page.respond(&head)),
            Some(page.respond(&head).body().len()),
        ),
    ];
    for (name, ms, bytes) in rows {
        text += &row(name, [Some(number(ms)), bytes.map(|bytes| number(bytes as f64 / 1e3))].into_iter());
    }
    drop(groups);
    text + "\n"
}

fn median_ms<R>(mut f: impl FnMut() -> R) -> f64 {
    let mut rounds = [(); 15].map(|()| {
        let start = Instant::now();
        drop(black_box(f()));
        start.elapsed().as_secs_f64() * 1e3
    });
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}
