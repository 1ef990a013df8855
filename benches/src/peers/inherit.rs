//! tokio-inherit-task-local: task-locals in one table, which is cloned for each scope and each task.

use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::LazyLock;

use tokio_inherit_task_local::{
    FutureInheritTaskLocal, InheritableLocalKey, inherit_task_local, inheritable_task_local,
};

use super::{Peer, pinned};
use crate::measure::{Meter, Reading};
use crate::operation::Operation;
use crate::work;

inheritable_task_local! {
    static NUMBER: u64;
    static TEXT: String;
    static UNSET: u64;
}

/// The same keys that a thousand uses of the macro would make.
static FILLERS: LazyLock<Vec<&'static InheritableLocalKey<u64>>> = LazyLock::new(|| {
    (0..1000).map(|key| &*Box::leak(Box::new(InheritableLocalKey { key, _phantom: PhantomData }))).collect()
});

pub(crate) struct Inherit;

impl Peer for Inherit {
    fn name(&self) -> &'static str {
        "tokio-inherit-task-local"
    }

    fn library(&self) -> Option<String> {
        pinned("tokio-inherit-task-local")
    }

    fn run(&mut self, operation: Operation, variables: usize, meter: Meter) -> Option<Reading> {
        let mut reading = None;
        let mut measure = || reading = measure(operation, variables, meter);
        let fillers = &FILLERS[..variables - 1];
        match operation {
            _ if operation.is_request() => measure(),
            // Returns before making a thousand scopes in vain.
            Operation::Copy | Operation::RunInCopy | Operation::CopyOnWrite => return None,
            _ if operation.uses_text() => {
                TEXT.sync_scope("some text".to_owned(), || in_scopes(fillers, &mut measure));
            }
            _ => NUMBER.sync_scope(1, || in_scopes(fillers, &mut measure)),
        }
        reading
    }

    fn added_bytes(&self, _variables: usize) -> Option<usize> {
        Some(size_of_val(&work::with_a_word(1).inherit_task_local()) - size_of_val(&work::with_a_word(1)))
    }
}

fn in_scopes(keys: &[&'static InheritableLocalKey<u64>], f: &mut dyn FnMut()) {
    match keys.split_first() {
        Some((key, keys)) => key.sync_scope(1, || in_scopes(keys, f)),
        None => f(),
    }
}

fn measure(operation: Operation, variables: usize, meter: Meter) -> Option<Reading> {
    Some(match operation {
        Operation::Get => meter.time(|| NUMBER.get()),
        Operation::GetInTurn => {
            let fillers = &FILLERS[..variables - 1];
            meter.time_sweeps(fillers.len(), || {
                for filler in fillers {
                    black_box(filler.get());
                }
            })
        }
        Operation::ReadString => meter.time(|| TEXT.with(|text| text.len())),
        Operation::CloneString => meter.time(|| TEXT.get()),
        Operation::GetUnset => meter.time(|| UNSET.try_with(|&number| number).unwrap_or(7)),
        Operation::SetNumber | Operation::SyncScopeNumber => {
            meter.time(|| NUMBER.sync_scope(black_box(2), || black_box(())))
        }
        Operation::SetString | Operation::SyncScopeString => {
            meter.time(|| TEXT.sync_scope(black_box(String::new()), || black_box(())))
        }
        Operation::Poll | Operation::PollHandedOver => {
            work::polls(meter, work::endless().inherit_task_local())
        }
        Operation::SpawnCurrentThread => {
            let spawns = work::spawns(meter, spawn).inherit_task_local();
            work::CURRENT_THREAD.block_on(async { tokio::spawn(spawns).await.unwrap() })
        }
        Operation::SpawnMultiThread => {
            let spawns = work::spawns(meter, spawn).inherit_task_local();
            work::MULTI_THREAD.block_on(async { tokio::spawn(spawns).await.unwrap() })
        }
        Operation::Request | Operation::RequestWithoutBlocking => {
            let blocking = operation == Operation::Request;
            let requests = work::spawns(meter, move || {
                // Each `scope` copies the table of its caller, so nested scopes around the future would hide
                // each other's values. So this enters the scopes, and the future inherits.
                let mut task = None;
                let mut spawn = || task = Some(tokio::spawn(request(blocking).inherit_task_local()));
                NUMBER.sync_scope(1, || {
                    TEXT.sync_scope("some text".to_owned(), || in_scopes(&FILLERS[..6], &mut spawn))
                });
                task.expect("spawned")
            });
            work::CURRENT_THREAD.block_on(async { tokio::spawn(requests).await.unwrap() })
        }
        // The table can only be copied once, together with a future or closure.
        Operation::Copy | Operation::RunInCopy | Operation::CopyOnWrite => return None,
    })
}

fn spawn() -> tokio::task::JoinHandle<u64> {
    tokio::spawn(async { NUMBER.get() }.inherit_task_local())
}

async fn request(with_blocking: bool) -> u64 {
    work::request(
        with_blocking,
        || tokio::spawn(work::request_part(10, read).inherit_task_local()),
        || tokio::task::spawn_blocking(inherit_task_local(|| read(0))),
        read,
    )
    .await
}

fn read(which: u32) -> u64 {
    if which % 2 == 0 { NUMBER.get() } else { TEXT.with(|text| text.len() as u64) }
}
