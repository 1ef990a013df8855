//! Runs programs with contextvar, on tokio or on a plain thread.

mod actor;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::LazyLock;

use contextvar::{Context, ResetErrorKind, Token, copy_context, task, with_copied_context};
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use tokio::runtime::{Builder, Runtime};

use crate::prelude::{A, B, MORE, S, T};
use crate::program::{Body, Op, SLOTS, Var};
use actor::{Actor, AnyContext, AnyToken, Task};

/// The observations of each actor by its path: `0` is the actor of the program, and `0.2` its third child.
pub(crate) type Traces = BTreeMap<String, Vec<String>>;

/// An executor for a program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Executor {
    Thread,
    CurrentThread,
    MultiThread,
}

pub(crate) fn run(program: &Body, executor: Executor) -> Traces {
    static CURRENT_THREAD: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_current_thread().build().unwrap());
    static MULTI_THREAD: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).build().unwrap());
    let future = run_actor("0".to_owned(), program.clone(), Actor::default());
    let run = || match executor {
        Executor::Thread => std::thread::spawn(|| future.now_or_never().expect(DOES_NOT_WAIT))
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic)),
        Executor::CurrentThread => CURRENT_THREAD.block_on(Context::new().scope(future)),
        Executor::MultiThread => {
            MULTI_THREAD.block_on(MULTI_THREAD.spawn(Context::new().scope(future))).unwrap()
        }
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a value that is not text");
        Traces::from([("0".to_owned(), vec![format!("panicked: {text}")])])
    })
}

/// The panic of `Op::Raise`.
struct Raised(u64);

const DOES_NOT_WAIT: &str = "synchronous steps do not wait";

/// Runs the steps of an actor, joins its tasks, and returns its traces and theirs.
async fn run_actor(path: String, body: Body, mut actor: Actor) -> Traces {
    actor.path = path;
    if let Err(raised) = AssertUnwindSafe(exec(&body, &mut actor)).catch_unwind().await {
        let Raised(value) = *raised.downcast().unwrap_or_else(|other| resume_unwind(other));
        actor.record(format!("died {value}"));
    }
    for slot in 0..SLOTS {
        if let Some(task) = actor.tasks[slot].take() {
            actor.join(task).await;
        }
    }
    for task in mem::take(&mut actor.other_tasks) {
        actor.join(task).await;
    }
    actor.traces.insert(actor.path, actor.trace);
    actor.traces
}

#[with_copied_context]
async fn isolated(ops: &[Op], actor: &mut Actor) {
    exec(ops, actor).await;
}

/// Runs steps that do not await.
fn call(ops: &[Op], actor: &mut Actor) {
    exec(ops, actor).now_or_never().expect(DOES_NOT_WAIT);
}

fn exec<'a>(ops: &'a [Op], actor: &'a mut Actor) -> BoxFuture<'a, ()> {
    Box::pin(async move {
        for op in ops {
            step(op, actor).await;
        }
    })
}

async fn step(op: &Op, actor: &mut Actor) {
    match *op {
        Op::Get(var) => {
            let value = match var {
                0 => A.try_get().map(|value| value.to_string()),
                1 => B.try_get().map(|value| value.to_string()),
                2 => S.try_get(),
                _ => T.try_get(),
            };
            actor.record(value.unwrap_or_else(|_| "LookupError".to_owned()));
        }
        Op::GetOr(var, value) => actor.record(match var {
            0 => A.get_or(value).to_string(),
            1 => B.get_or(value).to_string(),
            2 => S.get_or(text(value)),
            _ => T.get_or(text(value)),
        }),
        Op::Set(var, value, slot) => actor.held.tokens[slot] = set(var, value, &mut actor.trace),
        Op::Reset(var, slot) => {
            let (token, outcome) = reset(var, mem::take(&mut actor.held.tokens[slot]));
            actor.held.tokens[slot] = token;
            actor.record(outcome);
        }
        Op::Fill(value) => (value..).zip(&MORE).for_each(|(value, var)| drop(var.set(value))),
        Op::Copy(slot) => actor.held.contexts[slot] = AnyContext::Present(copy_context()),
        Op::New(slot) => actor.held.contexts[slot] = AnyContext::Present(Context::new()),
        Op::Clone(from, to) => {
            if let Some(context) = actor.context(from).cloned() {
                actor.held.contexts[to] = AnyContext::Present(context);
            }
        }
        Op::Lookup(slot, var) => {
            if let Some(context) = actor.context(slot) {
                let value = match var {
                    0 => context.get(&A).map(u64::to_string),
                    1 => context.get(&B).map(u64::to_string),
                    2 => context.get(&S).cloned(),
                    _ => context.get(&T).cloned(),
                };
                actor.record(value.unwrap_or_else(|| "KeyError".to_owned()));
            }
        }
        Op::Contains(slot, var) => {
            if let Some(context) = actor.context(slot) {
                let contains = match var {
                    0 => context.contains(&A),
                    1 => context.contains(&B),
                    2 => context.contains(&S),
                    _ => context.contains(&T),
                };
                actor.record(contains);
            }
        }
        Op::Len(slot) => {
            if let Some(len) = actor.context(slot).map(|context| context.len()) {
                actor.record(len);
            }
        }
        Op::Entries(slot) => {
            if let Some(context) = actor.context(slot) {
                let mut entries: Vec<String> = context
                    .iter()
                    .map(|entry| match entry.downcast_ref::<u64>() {
                        Some(number) => format!("{}={number}", entry.name()),
                        None => format!("{}={}", entry.name(), entry.downcast_ref::<String>().unwrap()),
                    })
                    .collect();
                entries.sort();
                actor.record(entries.join(" "));
            }
        }
        Op::Run(slot, ref body) => {
            if let Some((mut context, number)) = actor.take_context(slot) {
                let ended = catch_unwind(AssertUnwindSafe(|| context.run(|| call(body, actor))));
                actor.put_back(slot, number, context);
                ended.unwrap_or_else(|raised| resume_unwind(raised));
            }
        }
        Op::Scoped(var, value, ref body) => match var {
            0 => A.sync_scope(value, || call(body, actor)),
            1 => B.sync_scope(value, || call(body, actor)),
            2 => S.sync_scope(text(value), || call(body, actor)),
            _ => T.sync_scope(text(value), || call(body, actor)),
        },
        Op::Raise(value) => resume_unwind(Box::new(Raised(value))),
        Op::Catch(ref body) => {
            if let Err(raised) = AssertUnwindSafe(exec(body, actor)).catch_unwind().await {
                let Raised(value) = *raised.downcast().unwrap_or_else(|other| resume_unwind(other));
                actor.record(format!("caught {value}"));
            }
        }
        Op::Thread(ref body) => {
            let future = run_actor(actor.child_path(), body.clone(), Actor::default());
            let thread = std::thread::spawn(|| future.now_or_never().expect(DOES_NOT_WAIT));
            actor.traces.extend(thread.join().unwrap());
        }
        Op::Task(slot, take, ref body) => {
            let future = actor.child(take, body);
            let handle = task::spawn(async { (future.await, None) });
            actor.store_task(slot, Task { handle, context: None });
        }
        Op::TaskIn(from, slot, take, ref body) => {
            if let Some((context, number)) = actor.take_context(from) {
                let future = context.scope(actor.child(take, body)).and_context();
                let handle = tokio::spawn(async {
                    let (traces, context) = future.await;
                    (traces, Some(context))
                });
                actor.store_task(slot, Task { handle, context: Some((from, number)) });
            }
        }
        Op::Yield => tokio::task::yield_now().await,
        Op::Await(ref body) => exec(body, actor).await,
        Op::Trap(slot, ref body) => {
            if let Some((mut context, number)) = actor.take_context(slot) {
                let (sender, receiver) = oneshot::channel::<&mut Actor>();
                let future = context.run(|| async { exec(body, receiver.await.unwrap()).await });
                actor.put_back(slot, number, context);
                sender.send(actor).unwrap_or_else(|_| unreachable!("the future has the receiver"));
                future.await;
            }
        }
        Op::Isolated(ref body) => isolated(body, actor).await,
        Op::ToThread(ref body) => {
            let future = run_actor(actor.child_path(), body.clone(), Actor::default());
            let call = task::spawn_blocking(|| future.now_or_never().expect(DOES_NOT_WAIT));
            actor.traces.extend(call.await.unwrap());
        }
        Op::Join(slot) => match actor.tasks[slot].take() {
            Some(task) => actor.join(task).await,
            None => actor.record("no task"),
        },
    }
}

fn text(value: u64) -> String {
    format!("text {value}")
}

fn set(var: Var, value: u64, trace: &mut Vec<String>) -> AnyToken {
    fn old_value<T: Display>(token: &Token<T>) -> String {
        token.old_value().map_or_else(|| "MISSING".to_owned(), T::to_string)
    }
    let numbers = [&A, &B];
    if let Some(var) = numbers.get(var) {
        let token = var.set(value);
        trace.push(old_value(&token));
        AnyToken::Number(token)
    } else {
        let token = [&S, &T][var - numbers.len()].set(text(value));
        trace.push(old_value(&token));
        AnyToken::Text(token)
    }
}

/// Resets the variable with the token. Returns the token, or that it was used, and the outcome.
fn reset(var: Var, token: AnyToken) -> (AnyToken, &'static str) {
    fn outcome(kind: ResetErrorKind) -> &'static str {
        match kind {
            ResetErrorKind::DifferentVar => "another variable's",
            ResetErrorKind::DifferentContext => "another context's",
            _ => unreachable!("there are two kinds"),
        }
    }
    match (var, token) {
        (_, AnyToken::None) => (AnyToken::None, "no token"),
        (0 | 1, AnyToken::Number(token)) => match [&A, &B][var].try_reset(token) {
            Ok(()) => (AnyToken::Used { number: true }, "reset"),
            Err(error) => {
                let outcome = outcome(error.kind());
                (AnyToken::Number(error.into_token()), outcome)
            }
        },
        (2 | 3, AnyToken::Text(token)) => match [&S, &T][var - 2].try_reset(token) {
            Ok(()) => (AnyToken::Used { number: false }, "reset"),
            Err(error) => {
                let outcome = outcome(error.kind());
                (AnyToken::Text(error.into_token()), outcome)
            }
        },
        (_, AnyToken::Used { number }) if number == (var < 2) => (AnyToken::Used { number }, "used"),
        (_, token) => (token, "another type's"),
    }
}
