//! Measures threads that copy contexts at the same time, and predicts the cost for more threads than this
//! machine has.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{self, Waker};
use std::time::Instant;

use axum::http::{Request, Response};
use contextvar::tower::ContextLayer;
use contextvar::{Context, ContextVar, context_var, copy_context};
use tower::layer::Layer;
use tower::{Service, service_fn};

use crate::measure::{Meter, Reading};
use crate::report::{header, number, row};
use crate::side_by_side::on_threads;

#[context_var]
static NUMBER: u64 = 0;

pub(crate) fn tables() -> String {
    [copies(), requests(), layers()].concat()
}

/// A value type of OpenTelemetry's context.
struct Otel(#[expect(dead_code, reason = "only set, never read")] u64);

fn copies() -> String {
    let mut text = "## Threads that copy at the same time: nanoseconds per copy and drop\n\n".to_owned();
    text += &header("", ["contextvar", "opentelemetry", "get a u64"].into_iter());
    let context = || Context::new().with_value(&NUMBER, 1);
    let otel = || opentelemetry::Context::new().with_value(Otel(1));
    let copies = |meter: Meter, context: &Context| context.clone().run(|| meter.time(copy_context));
    let gets = |meter: Meter, context: &Context| context.clone().run(|| meter.time(|| NUMBER.get()));
    let otel_copies = |meter: Meter, context: &opentelemetry::Context| {
        let _attached = context.clone().attach();
        meter.time(opentelemetry::Context::current)
    };
    for setup in Setup::ALL {
        let cells =
            [setup.measure(context, copies), setup.measure(otel, otel_copies), setup.measure(context, gets)];
        text += &row(setup.name(), cells.map(|cell| Some(number(cell))).into_iter());
    }
    text + "\n"
}

/// The nanoseconds of other work of a request, and whether it is measured. The noise of longer work hides what
/// a copy costs.
const WORK: [(f64, bool); 3] = [(0.0, true), (1_000.0, true), (10_000.0, false)];
const MANY: usize = 64;

fn requests() -> String {
    let mut text = "## One context that threads copy for each request\n\n".to_owned();
    let (far, near) = (increments(true), increments(false));
    let transfer = far - near;
    text += &format!(
        "\
A request copies the context, sets a number and drops the copy. That writes the count of the context's node twice, and
that of each counted value, here a `String`. Threads that copy the same context write the same cache lines. The figures
are nanoseconds per request, without its other work.

This machine has two cores. The last two columns are a model, the mean value analysis of a closed queueing network. Each
of N threads works for W nanoseconds alone (the column of a context each, and the other work) and visits L lines: one for
the node, and one per counted value. A line serves one thread at a time, for D nanoseconds: two transfers from the cache
of another core. The time of a request is T(N) = W + L × D × (1 + Q(N − 1)), where Q(N) = N × D × (1 + Q(N − 1)) / T(N)
threads are at a line on average, and Q(0) = 0. If the copies are all that the threads do, T(N) approaches N × D.

A transfer takes {} ns. That is measured: an increment takes {} ns when two threads walk the same 16 lines, and {} ns
when each thread walks lines of its own. The model assumes one socket, whose {MANY} cores get a line from one another as
fast as two do. It also assumes that a core gets the lines one after the other, and each of them twice per request. With
other work in between, a core can get several lines at the same time, and still have them when it drops the copy: there
the model can be too high.

",
        number(transfer),
        number(far),
        number(near),
    );
    let many = format!("the model: {MANY} threads");
    let names = [
        "one thread",
        "two threads, a context each",
        "two threads, the same context",
        "the model: two threads",
        &many,
    ];
    text += &header("counted values, other work (ns)", names.into_iter());
    let vars: Vec<&'static ContextVar<String>> =
        (0..8).map(|_| &*Box::leak(Box::new(ContextVar::new("contention")))).collect();
    for count in [0, 1, 8] {
        let context = || {
            let number = Context::new().with_value(&NUMBER, 1);
            vars[..count].iter().fold(number, |context, var| context.with_value(var, "acme".to_owned()))
        };
        // What a copy costs a thread whose context no other thread copies.
        let mut alone = 0.0;
        for (work, is_measured) in WORK {
            let turns = spins(work);
            let request = |meter: Meter, context: &Context| {
                meter.time(|| {
                    spin(turns);
                    let mut copy = context.clone();
                    copy.run(|| NUMBER.set(black_box(2)));
                })
            };
            let measured = is_measured.then(|| {
                let only_work = |meter: Meter, _: &Context| meter.time(|| spin(turns));
                Setup::ALL.map(|setup| setup.measure(context, request) - setup.measure(context, only_work))
            });
            if let Some([_, apart, _]) = measured {
                alone = apart;
            }
            let model = |threads| model(threads, work + alone, 1 + count, 2.0 * transfer) - work;
            let cells = measured.map_or([None; 3], |cells| cells.map(Some)).into_iter();
            let cells = cells.chain([Some(model(2)), Some(model(MANY))]);
            text += &row(&format!("{count}, {work}"), cells.map(|cell| cell.map(number)));
        }
    }
    text + "\n"
}

/// Returns the time of a request of one of `threads` threads, in nanoseconds. See the text of the table.
fn model(threads: usize, work: f64, lines: usize, demand: f64) -> f64 {
    let (mut queue, mut time) = (0.0, work);
    for threads in 1..=threads {
        let visit = demand * (1.0 + queue);
        time = work + lines as f64 * visit;
        queue = threads as f64 * visit / time;
    }
    time
}

/// A cache line, and the next one, which the processor may fetch with it.
#[repr(align(128))]
#[derive(Default)]
struct Line(AtomicUsize);

/// Returns the nanoseconds of an increment when two threads walk the same lines, or lines of their own. With a
/// single line, a core would make several increments before the other core gets the line.
fn increments(same: bool) -> f64 {
    let lines: [[Line; 16]; 2] = Default::default();
    let next = AtomicUsize::new(0);
    on_threads(2, |meter| {
        let lines = &lines[if same { 0 } else { next.fetch_add(1, Ordering::Relaxed) % 2 }];
        meter.time_sweeps(lines.len(), || {
            for line in lines {
                line.0.fetch_add(1, Ordering::Relaxed);
            }
        })
    })
}

/// Works for `turns` turns, in which each multiplication waits for the previous one.
fn spin(turns: u64) {
    let mut x = black_box(turns);
    for _ in 0..turns {
        x = black_box(x.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }
}

/// Returns the turns of [`spin`] that take `ns` nanoseconds.
fn spins(ns: f64) -> u64 {
    let turns = 1_000_000;
    let fastest = (0..5).map(|_| {
        let start = Instant::now();
        spin(turns);
        start.elapsed().as_nanos() as f64
    });
    (ns * turns as f64 / fastest.fold(f64::INFINITY, f64::min)) as u64
}

fn layers() -> String {
    let mut text = "\
## Threads whose requests pass a `ContextLayer`

The layer sets one number, and the service answers at once. Axum makes the layer's service anew for each request. The
figures are nanoseconds per request.

"
    .to_owned();
    let new = || ContextLayer::new().set(&NUMBER, |_| 2);
    let from_current = || ContextLayer::from_current().set(&NUMBER, |_| 2);
    let columns: [(&str, &(dyn Fn() -> ContextLayer + Sync), bool); 4] = [
        ("`new()`", &new, true),
        ("`new()`, one service per thread", &new, false),
        ("`from_current()`", &from_current, true),
        ("`from_current()`, one service per thread", &from_current, false),
    ];
    text += &header("layer and current context", columns.iter().map(|(name, ..)| *name));
    for setup in Setup::ALL {
        let cells = columns.map(|(_, layer, anew)| {
            let make = || (layer(), Context::new().with_value(&NUMBER, 1));
            setup.measure(make, |meter, shared| each_request(meter, shared, anew))
        });
        text += &row(setup.name(), cells.map(|cell| Some(number(cell))).into_iter());
    }
    text + "\n"
}

/// Measures requests through the layer, whose service is made once or `anew` for each request.
fn each_request(meter: Meter, (layer, context): &(ContextLayer, Context), anew: bool) -> Reading {
    fn answer(_: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
        ready(Ok(Response::new(())))
    }

    context.clone().run(|| {
        let mut cx = task::Context::from_waker(Waker::noop());
        let mut service = layer.layer(service_fn(answer));
        meter.time(|| {
            if anew {
                service = layer.layer(service_fn(answer));
            }
            let future = pin!(service.call(Request::new(())));
            future.poll(&mut cx).is_ready()
        })
    })
}

/// Which threads share what they copy.
#[derive(Clone, Copy)]
enum Setup {
    One,
    Apart,
    Same,
}

impl Setup {
    const ALL: [Setup; 3] = [Setup::One, Setup::Apart, Setup::Same];

    fn name(self) -> &'static str {
        match self {
            Setup::One => "one thread",
            Setup::Apart => "two threads, one each",
            Setup::Same => "two threads, the same one",
        }
    }

    /// Measures with a value of `make` for each thread, or one value for all threads.
    fn measure<T: Sync>(
        self,
        make: impl Fn() -> T + Sync,
        measure: impl Fn(Meter, &T) -> Reading + Sync,
    ) -> f64 {
        match self {
            Setup::One | Setup::Same => {
                let shared = make();
                on_threads(if matches!(self, Setup::One) { 1 } else { 2 }, |meter| measure(meter, &shared))
            }
            Setup::Apart => on_threads(2, |meter| measure(meter, &make())),
        }
    }
}
