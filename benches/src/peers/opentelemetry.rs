//! opentelemetry's `Context`, which maps types to values, so each variable is a type.

use std::collections::HashMap;
use std::hint::black_box;

use opentelemetry::Context;
use opentelemetry::context::FutureExt;

use super::{Peer, Thousand, flat, hundreds, pinned, tens, thousand};
use crate::measure::{Meter, Reading};
use crate::operation::Operation;
use crate::work;

#[derive(Debug)]
struct Number(u64);
#[derive(Debug)]
struct Text(String);
#[derive(Debug)]
struct Unset(u64);
#[derive(Debug)]
struct Filler<const N: usize>(u64);

macro_rules! set_filler {
    ($hundreds:tt $tens:tt $ones:tt) => {
        |context| context.with_value(Filler::<{ 100 * $hundreds + 10 * $tens + $ones }>(1))
    };
}
static SET_FILLER: Thousand<fn(&Context) -> Context> = thousand!(set_filler);

macro_rules! get_filler {
    ($hundreds:tt $tens:tt $ones:tt) => {
        |context| context.get::<Filler<{ 100 * $hundreds + 10 * $tens + $ones }>>().unwrap().0
    };
}
static GET_FILLER: Thousand<fn(&Context) -> u64> = thousand!(get_filler);

/// Reads through `map_current`, which does not clone the context.
#[derive(Default)]
pub(crate) struct OpenTelemetry {
    contexts: Contexts,
}

/// The contexts that were made already. Making one with a thousand values takes milliseconds.
#[derive(Default)]
struct Contexts(HashMap<usize, Context>);

impl Contexts {
    /// Returns a context with `variables` values. The first is a `Number` or a `Text`.
    fn get(&mut self, variables: usize, with_text: bool) -> Context {
        let made = self.0.entry(2 * variables + usize::from(with_text)).or_insert_with(|| {
            let first = match with_text {
                true => Context::new().with_value(Text("some text".to_owned())),
                false => Context::new().with_value(Number(1)),
            };
            flat(&SET_FILLER).iter().take(variables - 1).fold(first, |context, set| set(&context))
        });
        made.clone()
    }
}

impl Peer for OpenTelemetry {
    fn name(&self) -> &'static str {
        "opentelemetry"
    }

    fn library(&self) -> Option<String> {
        pinned("opentelemetry")
    }

    fn run(&mut self, operation: Operation, variables: usize, meter: Meter) -> Option<Reading> {
        let with_text = operation.uses_text();
        let context = self.contexts.get(variables, with_text);
        let _attached = context.clone().attach();
        Some(match operation {
            Operation::Get => meter.time(|| Context::map_current(number)),
            Operation::GetInTurn => {
                let fillers = &flat(&GET_FILLER)[..variables - 1];
                meter.time_sweeps(fillers.len(), || {
                    for get in fillers {
                        black_box(Context::map_current(get));
                    }
                })
            }
            Operation::ReadString => meter.time(|| Context::map_current(|context| text(context).len())),
            Operation::CloneString => meter.time(|| Context::map_current(|context| text(context).clone())),
            Operation::GetUnset => meter
                .time(|| Context::map_current(|context| context.get::<Unset>().map_or(7, |unset| unset.0))),
            Operation::SetNumber | Operation::SyncScopeNumber => meter.time(|| {
                let _attached = Context::current_with_value(Number(black_box(2))).attach();
                black_box(());
            }),
            Operation::SetString | Operation::SyncScopeString => meter.time(|| {
                let _attached = Context::current_with_value(Text(black_box(String::new()))).attach();
                black_box(());
            }),
            Operation::Copy => meter.time(Context::current),
            Operation::RunInCopy => meter.time(|| {
                let _attached = context.clone().attach();
                black_box(());
            }),
            // A context never changes: `with_value` is both the copy and the set.
            Operation::CopyOnWrite => meter.time(|| Context::current_with_value(Number(black_box(2)))),
            Operation::Poll | Operation::PollHandedOver => {
                work::polls(meter, work::endless().with_context(context))
            }
            Operation::SpawnCurrentThread => {
                let spawns = work::spawns(meter, spawn).with_context(context);
                work::CURRENT_THREAD.block_on(async { tokio::spawn(spawns).await.unwrap() })
            }
            Operation::SpawnMultiThread => {
                let spawns = work::spawns(meter, spawn).with_context(context);
                work::MULTI_THREAD.block_on(async { tokio::spawn(spawns).await.unwrap() })
            }
            Operation::Request | Operation::RequestWithoutBlocking => {
                let blocking = operation == Operation::Request;
                let requests = work::spawns(meter, move || {
                    let context =
                        Context::new().with_value(Number(1)).with_value(Text("some text".to_owned()));
                    let context = flat(&SET_FILLER)[..6].iter().fold(context, |context, set| set(&context));
                    tokio::spawn(request(blocking).with_context(context))
                });
                work::CURRENT_THREAD.block_on(async { tokio::spawn(requests).await.unwrap() })
            }
        })
    }

    fn added_bytes(&self, _variables: usize) -> Option<usize> {
        let wrapped = work::with_a_word(1).with_context(Context::new());
        Some(size_of_val(&wrapped) - size_of_val(&work::with_a_word(1)))
    }
}

fn spawn() -> tokio::task::JoinHandle<u64> {
    tokio::spawn(async { Context::map_current(number) }.with_current_context())
}

async fn request(with_blocking: bool) -> u64 {
    work::request(
        with_blocking,
        || tokio::spawn(work::request_part(10, read).with_current_context()),
        || {
            let context = Context::current();
            tokio::task::spawn_blocking(|| {
                let _attached = context.attach();
                read(0)
            })
        },
        read,
    )
    .await
}

fn read(which: u32) -> u64 {
    Context::map_current(|context| if which % 2 == 0 { number(context) } else { text(context).len() as u64 })
}

fn number(context: &Context) -> u64 {
    context.get::<Number>().unwrap().0
}

fn text(context: &Context) -> &String {
    &context.get::<Text>().unwrap().0
}

/// Reads through `current()`, as most code does. That clones the context: two reference counts.
#[derive(Default)]
pub(crate) struct OpenTelemetryCurrent {
    contexts: Contexts,
}

impl Peer for OpenTelemetryCurrent {
    fn name(&self) -> &'static str {
        "opentelemetry current()"
    }

    fn run(&mut self, operation: Operation, variables: usize, meter: Meter) -> Option<Reading> {
        let with_text = operation.uses_text();
        let _attached = self.contexts.get(variables, with_text).attach();
        Some(match operation {
            Operation::Get => meter.time(|| number(&Context::current())),
            Operation::ReadString => meter.time(|| text(&Context::current()).len()),
            Operation::CloneString => meter.time(|| text(&Context::current()).clone()),
            Operation::GetUnset => {
                meter.time(|| Context::current().get::<Unset>().map_or(7, |unset| unset.0))
            }
            // The other operations have no variant with `current()`.
            _ => return None,
        })
    }
}
