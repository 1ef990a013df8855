//! The floor: a plain thread-local, a plain future and a plain task, without any context.

use std::cell::{Cell, RefCell};
use std::hint::black_box;
use std::mem;

use super::Peer;
use crate::measure::{Meter, Reading};
use crate::operation::Operation;
use crate::work;

thread_local! {
    static NUMBER: Cell<u64> = const { Cell::new(1) };
    static TEXT: RefCell<String> = RefCell::new("some text".to_owned());
    static UNSET: Cell<Option<u64>> = const { Cell::new(None) };
}

pub(crate) struct Floor;

impl Peer for Floor {
    fn name(&self) -> &'static str {
        "thread_local!, plain future"
    }

    fn run(&mut self, operation: Operation, _variables: usize, meter: Meter) -> Option<Reading> {
        Some(match operation {
            Operation::Get => meter.time(|| NUMBER.get()),
            Operation::ReadString => meter.time(|| TEXT.with_borrow(|text| text.len())),
            Operation::CloneString => meter.time(|| TEXT.with_borrow(|text| text.clone())),
            Operation::GetUnset => meter.time(|| UNSET.get().unwrap_or(7)),
            Operation::SetNumber | Operation::SyncScopeNumber => meter.time(|| {
                let old = NUMBER.replace(black_box(2));
                black_box(());
                NUMBER.set(old);
            }),
            Operation::SetString | Operation::SyncScopeString => meter.time(|| {
                let mut text = black_box(String::new());
                TEXT.with_borrow_mut(|current| mem::swap(current, &mut text));
                black_box(());
                TEXT.with_borrow_mut(|current| mem::swap(current, &mut text));
            }),
            Operation::Poll | Operation::PollHandedOver => work::polls(meter, work::endless()),
            Operation::SpawnCurrentThread => {
                let spawns = work::spawns(meter, || tokio::spawn(async { NUMBER.get() }));
                work::CURRENT_THREAD.block_on(async { tokio::spawn(spawns).await.unwrap() })
            }
            Operation::SpawnMultiThread => {
                let spawns = work::spawns(meter, || tokio::spawn(async { NUMBER.get() }));
                work::MULTI_THREAD.block_on(async { tokio::spawn(spawns).await.unwrap() })
            }
            Operation::Request | Operation::RequestWithoutBlocking => {
                let blocking = operation == Operation::Request;
                let requests = work::spawns(meter, move || {
                    tokio::spawn(work::request(
                        blocking,
                        || tokio::spawn(work::request_part(10, read)),
                        || tokio::task::spawn_blocking(|| read(0)),
                        read,
                    ))
                });
                work::CURRENT_THREAD.block_on(async { tokio::spawn(requests).await.unwrap() })
            }
            Operation::GetInTurn | Operation::Copy | Operation::RunInCopy | Operation::CopyOnWrite => {
                return None;
            }
        })
    }

    fn added_bytes(&self, _variables: usize) -> Option<usize> {
        Some(0)
    }
}

fn read(which: u32) -> u64 {
    if which % 2 == 0 { NUMBER.get() } else { TEXT.with_borrow(|text| text.len() as u64) }
}
