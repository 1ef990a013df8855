//! tokio's `task_local!`: each variable has a scope of its own, carried into a task by hand.

use std::hint::black_box;
use std::pin::Pin;

use tokio::task::{JoinHandle, LocalKey};

use super::{Peer, Thousand, flat, hundreds, pinned, tens, thousand};
use crate::measure::{Meter, Reading};
use crate::operation::Operation;
use crate::work;

tokio::task_local! {
    static NUMBER: u64;
    static TEXT: String;
    static UNSET: u64;
}

macro_rules! filler {
    ($($digit:tt)*) => {{
        tokio::task_local!(static FILLER: u64);
        &FILLER
    }};
}
static FILLERS: Thousand<&'static LocalKey<u64>> = thousand!(filler);

pub(crate) struct TaskLocal;

impl Peer for TaskLocal {
    fn name(&self) -> &'static str {
        "tokio task_local!"
    }

    fn library(&self) -> Option<String> {
        pinned("tokio")
    }

    fn run(&mut self, operation: Operation, variables: usize, meter: Meter) -> Option<Reading> {
        let mut reading = None;
        let mut measure = || reading = measure(operation, variables, meter);
        let fillers = &flat(&FILLERS)[..variables - 1];
        NUMBER.sync_scope(1, || TEXT.sync_scope("some text".to_owned(), || in_scopes(fillers, &mut measure)));
        reading
    }

    fn added_bytes(&self, variables: usize) -> Option<usize> {
        let plain = size_of_val(&work::with_a_word(1));
        match variables {
            1 => Some(size_of_val(&NUMBER.scope(1, work::with_a_word(1))) - plain),
            8 => Some(size_of_val(&scope_eight(&[1; 8], 0, work::with_a_word(1))) - plain),
            _ => None,
        }
    }
}

fn in_scopes(keys: &[&'static LocalKey<u64>], f: &mut dyn FnMut()) {
    match keys.split_first() {
        Some((key, keys)) => key.sync_scope(1, || in_scopes(keys, f)),
        None => f(),
    }
}

fn measure(operation: Operation, variables: usize, meter: Meter) -> Option<Reading> {
    Some(match operation {
        Operation::Get => meter.time(|| NUMBER.get()),
        Operation::GetInTurn => {
            let fillers = &flat(&FILLERS)[..variables - 1];
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
        Operation::Poll | Operation::PollHandedOver => match variables {
            1 => work::polls(meter, NUMBER.scope(1, work::endless())),
            8 => work::polls(meter, scope_eight(&[1; 8], 0, work::endless())),
            _ => work::polls(meter, scope_many(variables, work::endless())),
        },
        Operation::SpawnCurrentThread => {
            let spawns = work::spawns(meter, move || spawn(variables));
            let task = scope_many(variables, spawns);
            work::CURRENT_THREAD.block_on(async { tokio::spawn(task).await.unwrap() })
        }
        Operation::SpawnMultiThread => {
            let spawns = work::spawns(meter, move || spawn(variables));
            let task = scope_many(variables, spawns);
            work::MULTI_THREAD.block_on(async { tokio::spawn(task).await.unwrap() })
        }
        Operation::Request | Operation::RequestWithoutBlocking => {
            let blocking = operation == Operation::Request;
            let requests = work::spawns(meter, move || {
                let eight = Eight { text: "some text".to_owned(), numbers: [1; 7] };
                tokio::spawn(eight.scope(request(blocking)))
            });
            work::CURRENT_THREAD.block_on(async { tokio::spawn(requests).await.unwrap() })
        }
        // There is no context to copy.
        Operation::Copy | Operation::RunInCopy | Operation::CopyOnWrite => return None,
    })
}

/// Carries the variables into a task, as one writes it by hand.
fn spawn(variables: usize) -> JoinHandle<u64> {
    let work = async { NUMBER.get() };
    match variables {
        1 => tokio::spawn(NUMBER.scope(NUMBER.get(), work)),
        8 => {
            let fillers = flat(&FILLERS);
            let mut numbers = [NUMBER.get(); 8];
            for (number, filler) in numbers[1..].iter_mut().zip(fillers) {
                *number = filler.get();
            }
            tokio::spawn(NUMBER.scope(numbers[0], scope_seven(&numbers, 0, work)))
        }
        _ => tokio::spawn(scope_many(variables, work)),
    }
}

/// Wraps `future` in `NUMBER` and seven fillers.
fn scope_eight<F: Future>(
    values: &[u64; 8],
    from: usize,
    future: F,
) -> impl Future<Output = F::Output> + use<F> {
    NUMBER.scope(values[0], scope_seven(values, from, future))
}

fn scope_seven<F: Future>(
    values: &[u64; 8],
    from: usize,
    future: F,
) -> impl Future<Output = F::Output> + use<F> {
    let keys = &flat(&FILLERS)[from..];
    let future = keys[6].scope(values[7], future);
    let future = keys[5].scope(values[6], future);
    let future = keys[4].scope(values[5], future);
    let future = keys[3].scope(values[4], future);
    let future = keys[2].scope(values[3], future);
    let future = keys[1].scope(values[2], future);
    keys[0].scope(values[1], future)
}

/// Wraps `future` in any number of scopes, with a box around each seven. Types nested a thousand deep do not
/// compile, and a box for each scope would be unfair.
fn scope_many<F>(variables: usize, future: F) -> Pin<Box<dyn Future<Output = F::Output> + Send>>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut wrapped: Pin<Box<dyn Future<Output = F::Output> + Send>> = Box::pin(NUMBER.scope(1, future));
    let mut from = 0;
    while from + 7 < variables {
        wrapped = Box::pin(scope_seven(&[1; 8], from, wrapped));
        from += 7;
    }
    for key in &flat(&FILLERS)[from..variables - 1] {
        wrapped = Box::pin(key.scope(1, wrapped));
    }
    wrapped
}

/// The request's eight variables.
struct Eight {
    text: String,
    numbers: [u64; 7],
}

impl Eight {
    fn current() -> Self {
        let mut numbers = [NUMBER.get(); 7];
        for (number, filler) in numbers[1..].iter_mut().zip(flat(&FILLERS)) {
            *number = filler.get();
        }
        Eight { text: TEXT.get(), numbers }
    }

    fn scope<F: Future>(self, future: F) -> impl Future<Output = F::Output> + use<F> {
        let Eight { text, numbers } = self;
        let keys = flat(&FILLERS);
        let future = keys[5].scope(numbers[6], future);
        let future = keys[4].scope(numbers[5], future);
        let future = keys[3].scope(numbers[4], future);
        let future = keys[2].scope(numbers[3], future);
        let future = keys[1].scope(numbers[2], future);
        let future = keys[0].scope(numbers[1], future);
        NUMBER.scope(numbers[0], TEXT.scope(text, future))
    }

    fn sync_scope<R>(self, f: impl FnOnce() -> R) -> R {
        let Eight { text, numbers } = self;
        let keys = flat(&FILLERS);
        NUMBER.sync_scope(numbers[0], || {
            TEXT.sync_scope(text, || {
                keys[0].sync_scope(numbers[1], || {
                    keys[1].sync_scope(numbers[2], || {
                        keys[2].sync_scope(numbers[3], || {
                            keys[3].sync_scope(numbers[4], || {
                                keys[4].sync_scope(numbers[5], || keys[5].sync_scope(numbers[6], f))
                            })
                        })
                    })
                })
            })
        })
    }
}

async fn request(with_blocking: bool) -> u64 {
    work::request(
        with_blocking,
        || tokio::spawn(Eight::current().scope(work::request_part(10, read))),
        || {
            let eight = Eight::current();
            tokio::task::spawn_blocking(|| eight.sync_scope(|| read(0)))
        },
        read,
    )
    .await
}

fn read(which: u32) -> u64 {
    if which % 2 == 0 { NUMBER.get() } else { TEXT.with(|text| text.len() as u64) }
}
