//! Programs, run by contextvar on tokio.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::LazyLock;

use contextvar::{
    Context, ContextVar, ResetErrorKind, Token, context_var, copy_context, task, with_copied_context,
};
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use crate::program::{Body, Op, SLOTS, Slot, Var};

#[context_var(name = "a")]
static A: u64;
#[context_var(name = "b")]
static B: u64 = 100;
#[context_var(name = "s")]
static S: String;
#[context_var(name = "t")]
static T: String = "default".to_owned();
static MORE: [ContextVar<u64>; 40] = [const { ContextVar::new("more") }; 40];

/// What each actor has seen, by its path: `0` is the program's own, `0.2` its third child.
pub(crate) type Traces = BTreeMap<String, Vec<String>>;

/// A way to run a program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Way {
    Thread,
    CurrentThread,
    MultiThread,
}

pub(crate) fn run(program: &Body, way: Way) -> Traces {
    static CURRENT_THREAD: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_current_thread().build().unwrap());
    static MULTI_THREAD: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_multi_thread().worker_threads(2).build().unwrap());
    let life = live("0".to_owned(), program.clone(), Actor::default());
    let run = || match way {
        Way::Thread => std::thread::spawn(|| life.now_or_never().expect("it waits for nothing"))
            .join()
            .unwrap_or_else(|panic| resume_unwind(panic)),
        Way::CurrentThread => CURRENT_THREAD.block_on(Context::new().scope(life)),
        Way::MultiThread => MULTI_THREAD.block_on(MULTI_THREAD.spawn(Context::new().scope(life))).unwrap(),
    };
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("with a value");
        Traces::from([("0".to_owned(), vec![format!("panicked: {text}")])])
    })
}

/// A task or a thread, and what it has at hand.
#[derive(Default)]
struct Actor {
    path: String,
    trace: Vec<String>,
    hand: Hand,
    tasks: [Option<Task>; SLOTS],
    /// Those that have lost their slots to others. They are joined at the end.
    other_tasks: Vec<Task>,
    children: usize,
    traces: Traces,
}

#[derive(Default)]
struct Hand {
    tokens: [AnyToken; SLOTS],
    contexts: [AnyContext; SLOTS],
    entered: usize,
}

#[derive(Default)]
enum AnyToken {
    #[default]
    None,
    Used {
        number: bool,
    },
    Number(Token<u64>),
    Text(Token<String>),
}

#[derive(Default)]
enum AnyContext {
    #[default]
    None,
    /// Somewhere else: entered, or in a task. The number says which time it went.
    Away(usize),
    Here(Context),
}

/// A task that may bring a context back.
struct Task {
    handle: JoinHandle<(Traces, Option<Context>)>,
    context: Option<(Slot, usize)>,
}

struct Raised(u64);

async fn live(path: String, body: Body, mut actor: Actor) -> Traces {
    actor.path = path;
    if let Err(raised) = AssertUnwindSafe(exec(&body, &mut actor)).catch_unwind().await {
        let Raised(value) = *raised.downcast().unwrap_or_else(|other| resume_unwind(other));
        actor.note(format!("died {value}"));
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

/// Runs what waits for nothing.
fn call(ops: &[Op], actor: &mut Actor) {
    exec(ops, actor).now_or_never().expect("it waits for nothing");
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
            actor.note(value.unwrap_or_else(|_| "LookupError".to_owned()));
        }
        Op::GetOr(var, value) => actor.note(match var {
            0 => A.get_or(value).to_string(),
            1 => B.get_or(value).to_string(),
            2 => S.get_or(text(value)),
            _ => T.get_or(text(value)),
        }),
        Op::Set(var, value, slot) => actor.hand.tokens[slot] = set(var, value, &mut actor.trace),
        Op::Reset(var, slot) => {
            let (token, said) = reset(var, mem::take(&mut actor.hand.tokens[slot]));
            actor.hand.tokens[slot] = token;
            actor.note(said);
        }
        Op::Fill(value) => (value..).zip(&MORE).for_each(|(value, var)| drop(var.set(value))),
        Op::Copy(slot) => actor.hand.contexts[slot] = AnyContext::Here(copy_context()),
        Op::New(slot) => actor.hand.contexts[slot] = AnyContext::Here(Context::new()),
        Op::Clone(from, to) => {
            if let Some(context) = actor.context(from).cloned() {
                actor.hand.contexts[to] = AnyContext::Here(context);
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
                actor.note(value.unwrap_or_else(|| "KeyError".to_owned()));
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
                actor.note(contains);
            }
        }
        Op::Len(slot) => {
            if let Some(len) = actor.context(slot).map(|context| context.len()) {
                actor.note(len);
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
                actor.note(entries.join(" "));
            }
        }
        Op::Run(slot, ref body) => {
            if let Some((mut context, time)) = actor.take_context(slot) {
                let ended = catch_unwind(AssertUnwindSafe(|| context.run(|| call(body, actor))));
                actor.give_back(slot, time, context);
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
                actor.note(format!("caught {value}"));
            }
        }
        Op::Thread(ref body) => {
            let life = live(actor.child(), body.clone(), Actor::default());
            let thread = std::thread::spawn(|| life.now_or_never().expect("it waits for nothing"));
            actor.traces.extend(thread.join().unwrap());
        }
        Op::Task(slot, take, ref body) => {
            let life = actor.child_life(take, body);
            let handle = task::spawn(async { (life.await, None) });
            actor.keep(slot, Task { handle, context: None });
        }
        Op::TaskIn(from, slot, take, ref body) => {
            if let Some((context, time)) = actor.take_context(from) {
                let life = context.scope(actor.child_life(take, body)).and_context();
                let handle = tokio::spawn(async {
                    let (traces, context) = life.await;
                    (traces, Some(context))
                });
                actor.keep(slot, Task { handle, context: Some((from, time)) });
            }
        }
        Op::Yield => tokio::task::yield_now().await,
        Op::Await(ref body) => exec(body, actor).await,
        Op::Trap(slot, ref body) => {
            if let Some((mut context, time)) = actor.take_context(slot) {
                let (sender, receiver) = oneshot::channel::<&mut Actor>();
                let future = context.run(|| async { exec(body, receiver.await.unwrap()).await });
                actor.give_back(slot, time, context);
                sender.send(actor).unwrap_or_else(|_| unreachable!("the receiver is here"));
                future.await;
            }
        }
        Op::Isolated(ref body) => isolated(body, actor).await,
        Op::ToThread(ref body) => {
            let life = live(actor.child(), body.clone(), Actor::default());
            let call = task::spawn_blocking(|| life.now_or_never().expect("it waits for nothing"));
            actor.traces.extend(call.await.unwrap());
        }
        Op::Join(slot) => match actor.tasks[slot].take() {
            Some(task) => actor.join(task).await,
            None => actor.note("no task"),
        },
    }
}

fn text(value: u64) -> String {
    format!("text {value}")
}

fn set(var: Var, value: u64, trace: &mut Vec<String>) -> AnyToken {
    fn old<T: Display>(token: &Token<T>) -> String {
        token.old_value().map_or_else(|| "MISSING".to_owned(), T::to_string)
    }
    let numbers = [&A, &B];
    if let Some(var) = numbers.get(var) {
        let token = var.set(value);
        trace.push(old(&token));
        AnyToken::Number(token)
    } else {
        let token = [&S, &T][var - numbers.len()].set(text(value));
        trace.push(old(&token));
        AnyToken::Text(token)
    }
}

/// Gives the token back, or that it was used; and what there is to say.
fn reset(var: Var, token: AnyToken) -> (AnyToken, &'static str) {
    fn said(kind: ResetErrorKind) -> &'static str {
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
                let said = said(error.kind());
                (AnyToken::Number(error.into_token()), said)
            }
        },
        (2 | 3, AnyToken::Text(token)) => match [&S, &T][var - 2].try_reset(token) {
            Ok(()) => (AnyToken::Used { number: false }, "reset"),
            Err(error) => {
                let said = said(error.kind());
                (AnyToken::Text(error.into_token()), said)
            }
        },
        (_, AnyToken::Used { number }) if number == (var < 2) => (AnyToken::Used { number }, "used"),
        (_, token) => (token, "another type's"),
    }
}

impl Actor {
    fn note(&mut self, what: impl Display) {
        self.trace.push(what.to_string());
    }

    /// The context in a slot; or a note that there is none.
    fn context(&mut self, slot: Slot) -> Option<&Context> {
        let note = match self.hand.contexts[slot] {
            AnyContext::None => "no context",
            AnyContext::Away(_) => "entered",
            AnyContext::Here(_) => "",
        };
        if !note.is_empty() {
            self.trace.push(note.to_owned());
        }
        match &self.hand.contexts[slot] {
            AnyContext::Here(context) => Some(context),
            _ => None,
        }
    }

    fn take_context(&mut self, slot: Slot) -> Option<(Context, usize)> {
        self.context(slot)?;
        self.hand.entered += 1;
        let time = self.hand.entered;
        match mem::replace(&mut self.hand.contexts[slot], AnyContext::Away(time)) {
            AnyContext::Here(context) => Some((context, time)),
            _ => unreachable!("it is here"),
        }
    }

    /// Puts a context back, unless there is another in the slot by now.
    fn give_back(&mut self, slot: Slot, time: usize, context: Context) {
        if matches!(self.hand.contexts[slot], AnyContext::Away(since) if since == time) {
            self.hand.contexts[slot] = AnyContext::Here(context);
        }
    }

    fn child(&mut self) -> String {
        self.children += 1;
        format!("{}.{}", self.path, self.children - 1)
    }

    fn child_life(&mut self, take: bool, body: &Body) -> BoxFuture<'static, Traces> {
        let hand = if take { mem::take(&mut self.hand) } else { Hand::default() };
        live(self.child(), body.clone(), Actor { hand, ..Actor::default() }).boxed()
    }

    fn keep(&mut self, slot: Slot, task: Task) {
        self.other_tasks.extend(self.tasks[slot].replace(task));
    }

    async fn join(&mut self, task: Task) {
        let (traces, context) = task.handle.await.unwrap();
        self.traces.extend(traces);
        if let (Some((slot, time)), Some(context)) = (task.context, context) {
            self.give_back(slot, time, context);
        }
    }
}
