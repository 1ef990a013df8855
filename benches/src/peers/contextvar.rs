//! This library.

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::LazyLock;

use contextvar::{Context, ContextVar, InContext, context_var, copy_context, task};

use super::Peer;
use crate::measure::{Meter, Reading};
use crate::operation::Operation;
use crate::work;

#[context_var]
static NUMBER: u64;
#[context_var]
static TEXT: String;
#[context_var]
static UNSET: u64 = 7;

static FILLERS: LazyLock<Vec<&'static ContextVar<u64>>> =
    LazyLock::new(|| (0..1000).map(|_| &*Box::leak(Box::new(ContextVar::new("filler")))).collect());

#[derive(Default)]
pub(crate) struct Contextvar {
    contexts: HashMap<(usize, bool), Context>,
}

impl Contextvar {
    /// Returns a context with `variables` variables set. The first is `NUMBER` or `TEXT`.
    fn context(&mut self, variables: usize, with_text: bool) -> Context {
        let made = self.contexts.entry((variables, with_text)).or_insert_with(|| {
            // The first write assigns a variable's slot. `UNSET` also gets one, and is then unset.
            let mut unset =
                Context::new().with_value(&NUMBER, 1).with_value(&TEXT, String::new()).with_value(&UNSET, 1);
            unset.unset(&UNSET);
            let first = match with_text {
                true => Context::new().with_value(&TEXT, "some text".to_owned()),
                false => Context::new().with_value(&NUMBER, 1),
            };
            FILLERS.iter().take(variables - 1).fold(first, |context, filler| context.with_value(filler, 1))
        });
        // The clone shares its nodes with the original. This first write copies them, so that later writes
        // need not.
        let mut context = made.clone();
        context.run(|| {
            if with_text {
                TEXT.set("some text".to_owned());
            } else {
                NUMBER.set(1);
            }
        });
        context
    }
}

impl Peer for Contextvar {
    fn name(&self) -> &'static str {
        "contextvar"
    }

    fn library(&self) -> Option<String> {
        // All packages of the workspace have the same version.
        Some(format!("contextvar {}", env!("CARGO_PKG_VERSION")))
    }

    fn run(&mut self, operation: Operation, variables: usize, meter: Meter) -> Option<Reading> {
        let with_text = operation.uses_text();
        let mut context = self.context(variables, with_text);
        Some(match operation {
            Operation::Get => context.run(|| meter.time(|| NUMBER.get())),
            Operation::GetInTurn => {
                let fillers = &FILLERS[..variables - 1];
                context.run(|| {
                    meter.time_sweeps(fillers.len(), || {
                        for filler in fillers {
                            black_box(filler.get());
                        }
                    })
                })
            }
            Operation::ReadString => context.run(|| meter.time(|| TEXT.with(|text| text.len()))),
            Operation::CloneString => context.run(|| meter.time(|| TEXT.get())),
            Operation::GetUnset => context.run(|| meter.time(|| UNSET.get())),
            Operation::SetNumber => context.run(|| {
                meter.time(|| {
                    let token = NUMBER.set(black_box(2));
                    NUMBER.reset(token);
                })
            }),
            Operation::SetString => context.run(|| {
                meter.time(|| {
                    let token = TEXT.set(black_box(String::new()));
                    TEXT.reset(token);
                })
            }),
            Operation::SyncScopeNumber => {
                context.run(|| meter.time(|| NUMBER.sync_scope(black_box(2), || black_box(()))))
            }
            Operation::SyncScopeString => {
                context.run(|| meter.time(|| TEXT.sync_scope(black_box(String::new()), || black_box(()))))
            }
            Operation::Copy => context.run(|| meter.time(copy_context)),
            Operation::RunInCopy => {
                let mut copy = context.run(copy_context);
                context.run(|| meter.time(|| copy.run(|| black_box(()))))
            }
            Operation::CopyOnWrite => context.run(|| {
                meter.time(|| {
                    let copy = copy_context();
                    NUMBER.set(black_box(2));
                    copy
                })
            }),
            Operation::Poll => work::polls(meter, context.scope(work::endless())),
            Operation::PollHandedOver => {
                work::polls(meter, context.run(|| work::endless().in_inherited_context()))
            }
            Operation::SpawnCurrentThread => {
                let spawns = context.scope(work::spawns(meter, || task::spawn(async { NUMBER.get() })));
                work::CURRENT_THREAD.block_on(async { tokio::spawn(spawns).await.unwrap() })
            }
            Operation::SpawnMultiThread => {
                let spawns = context.scope(work::spawns(meter, || task::spawn(async { NUMBER.get() })));
                work::MULTI_THREAD.block_on(async { tokio::spawn(spawns).await.unwrap() })
            }
            Operation::Request | Operation::RequestWithoutBlocking => {
                let blocking = operation == Operation::Request;
                let requests =
                    work::spawns(meter, move || tokio::spawn(request(blocking).in_context(Context::new())));
                work::CURRENT_THREAD.block_on(async { tokio::spawn(requests).await.unwrap() })
            }
        })
    }

    fn added_bytes(&self, _variables: usize) -> Option<usize> {
        let wrapped = work::with_a_word(1).in_context(Context::new());
        Some(size_of_val(&wrapped) - size_of_val(&work::with_a_word(1)))
    }
}

async fn request(with_blocking: bool) -> u64 {
    NUMBER.set(1);
    TEXT.set("some text".to_owned());
    for filler in &FILLERS[..6] {
        filler.set(1);
    }
    work::request(
        with_blocking,
        || task::spawn(work::request_part(10, read)),
        || task::spawn_blocking(|| read(0)),
        read,
    )
    .await
}

fn read(which: u32) -> u64 {
    if which % 2 == 0 { NUMBER.get() } else { TEXT.with(|text| text.len() as u64) }
}
