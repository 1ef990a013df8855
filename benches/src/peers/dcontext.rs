//! dcontext: values by string key, in scopes, and snapshots of them.

use std::hint::black_box;
use std::sync::LazyLock;

use dcontext::{
    ContextFutureExt, ContextKey, ContextSnapshot, RegistryBuilder, attach_snapshot, capture, push_scope,
};

use super::{Peer, pinned};
use crate::measure::{Meter, Reading};
use crate::operation::Operation;
use crate::work;

static NUMBER: ContextKey<u64> = ContextKey::new("number");
static TEXT: ContextKey<String> = ContextKey::new("text");
static UNSET: ContextKey<u64> = ContextKey::new("unset");

/// The fillers. The first use registers all keys.
static FILLERS: LazyLock<Vec<ContextKey<u64>>> = LazyLock::new(|| {
    let fillers: Vec<ContextKey<u64>> =
        (0..1000).map(|number| ContextKey::new(format!("filler {number}").leak())).collect();
    let mut registry = RegistryBuilder::new();
    NUMBER.register_on(&mut registry);
    TEXT.register_on(&mut registry);
    UNSET.register_on(&mut registry);
    for filler in &fillers {
        filler.register_on(&mut registry);
    }
    dcontext::initialize(registry);
    fillers
});

#[derive(Default)]
pub(crate) struct Dcontext;

impl Peer for Dcontext {
    fn name(&self) -> &'static str {
        "dcontext"
    }

    fn library(&self) -> Option<String> {
        pinned("dcontext")
    }

    fn run(&mut self, operation: Operation, variables: usize, meter: Meter) -> Option<Reading> {
        let fillers = &FILLERS[..variables - 1];
        let _attached = attach_snapshot(ContextSnapshot::empty());
        if operation.uses_text() {
            TEXT.set("some text".to_owned());
        } else {
            NUMBER.set(1);
        }
        for filler in fillers {
            filler.set(1);
        }

        Some(match operation {
            Operation::Get => meter.time(|| NUMBER.get().unwrap()),
            Operation::GetInTurn => meter.time_sweeps(fillers.len(), || {
                for filler in fillers {
                    black_box(filler.get().unwrap());
                }
            }),
            Operation::CloneString => meter.time(|| TEXT.get().unwrap()),
            Operation::GetUnset => meter.time(|| UNSET.get().unwrap_or(7)),
            Operation::SetNumber | Operation::SyncScopeNumber => meter.time(|| {
                let _scope = push_scope("");
                NUMBER.set(black_box(2));
            }),
            Operation::SetString | Operation::SyncScopeString => meter.time(|| {
                let _scope = push_scope("");
                TEXT.set(black_box(String::new()));
            }),
            Operation::Copy => meter.time(capture),
            Operation::RunInCopy => {
                let copy = capture();
                meter.time(|| {
                    let _attached = attach_snapshot(copy.clone());
                    black_box(());
                })
            }
            Operation::CopyOnWrite => meter.time(|| {
                let copy = capture();
                NUMBER.set(black_box(2));
                copy
            }),
            Operation::Poll | Operation::PollHandedOver => {
                work::polls(meter, ContextFutureExt::capture(work::endless()))
            }
            Operation::SpawnCurrentThread => {
                let spawns = ContextFutureExt::capture(work::spawns(meter, spawn));
                work::CURRENT_THREAD.block_on(async { tokio::spawn(spawns).await.unwrap() })
            }
            Operation::SpawnMultiThread => {
                let spawns = ContextFutureExt::capture(work::spawns(meter, spawn));
                work::MULTI_THREAD.block_on(async { tokio::spawn(spawns).await.unwrap() })
            }
            Operation::Request | Operation::RequestWithoutBlocking => {
                let blocking = operation == Operation::Request;
                let requests = work::spawns(meter, move || {
                    tokio::spawn(ContextFutureExt::attach(request(blocking), ContextSnapshot::empty()))
                });
                work::CURRENT_THREAD.block_on(async { tokio::spawn(requests).await.unwrap() })
            }
            // A read always clones.
            Operation::ReadString => return None,
        })
    }

    fn added_bytes(&self, _variables: usize) -> Option<usize> {
        let wrapped = ContextFutureExt::attach(work::with_a_word(1), ContextSnapshot::empty());
        Some(size_of_val(&wrapped) - size_of_val(&work::with_a_word(1)))
    }
}

fn spawn() -> tokio::task::JoinHandle<u64> {
    tokio::spawn(ContextFutureExt::capture(async { NUMBER.get().unwrap() }))
}

async fn request(with_blocking: bool) -> u64 {
    NUMBER.set(1);
    TEXT.set("some text".to_owned());
    for filler in &FILLERS[..6] {
        filler.set(1);
    }
    work::request(
        with_blocking,
        || tokio::spawn(ContextFutureExt::capture(work::request_part(10, read))),
        || {
            let copy = capture();
            tokio::task::spawn_blocking(|| {
                let _attached = attach_snapshot(copy);
                read(0)
            })
        },
        read,
    )
    .await
}

fn read(which: u32) -> u64 {
    if which % 2 == 0 { NUMBER.get().unwrap() } else { TEXT.get().unwrap().len() as u64 }
}
