//! The state of a task or thread of a program.

use std::fmt::Display;
use std::mem;

use contextvar::{Context, Token};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;

use super::{Traces, run_actor};
use crate::program::{Body, SLOTS, Slot};

/// A task or a thread.
#[derive(Default)]
pub(super) struct Actor {
    /// See [`Traces`].
    pub(super) path: String,
    /// The observations of this actor.
    pub(super) trace: Vec<String>,
    pub(super) held: Held,
    pub(super) tasks: [Option<Task>; SLOTS],
    /// Tasks whose slots were overwritten. They are joined at the end.
    pub(super) other_tasks: Vec<Task>,
    children: usize,
    /// The traces of descendants that have ended.
    pub(super) traces: Traces,
}

/// The tokens and contexts of an actor, which it can hand over to a task.
#[derive(Default)]
pub(super) struct Held {
    pub(super) tokens: [AnyToken; SLOTS],
    pub(super) contexts: [AnyContext; SLOTS],
    /// The number of times that a context was taken.
    taken: usize,
}

#[derive(Default)]
pub(super) enum AnyToken {
    #[default]
    None,
    Used {
        number: bool,
    },
    Number(Token<u64>),
    Text(Token<String>),
}

#[derive(Default)]
pub(super) enum AnyContext {
    #[default]
    None,
    /// The context is entered or in a task. Holds the value of `Held::taken` when it was taken.
    Taken(usize),
    Present(Context),
}

/// A spawned task. It can return a context to a slot.
pub(super) struct Task {
    pub(super) handle: JoinHandle<(Traces, Option<Context>)>,
    /// The slot that the context was taken from, and the number in [`AnyContext::Taken`].
    pub(super) context: Option<(Slot, usize)>,
}

impl Actor {
    pub(super) fn record(&mut self, observation: impl Display) {
        self.trace.push(observation.to_string());
    }

    /// Returns the context in a slot, or records that there is none.
    pub(super) fn context(&mut self, slot: Slot) -> Option<&Context> {
        let missing = match self.held.contexts[slot] {
            AnyContext::None => "no context",
            AnyContext::Taken(_) => "entered",
            AnyContext::Present(_) => "",
        };
        if !missing.is_empty() {
            self.record(missing);
        }
        match &self.held.contexts[slot] {
            AnyContext::Present(context) => Some(context),
            _ => None,
        }
    }

    pub(super) fn take_context(&mut self, slot: Slot) -> Option<(Context, usize)> {
        self.context(slot)?;
        self.held.taken += 1;
        let number = self.held.taken;
        match mem::replace(&mut self.held.contexts[slot], AnyContext::Taken(number)) {
            AnyContext::Present(context) => Some((context, number)),
            _ => unreachable!("`context` has returned it"),
        }
    }

    /// Puts a taken context back, unless its slot was overwritten meanwhile.
    pub(super) fn put_back(&mut self, slot: Slot, number: usize, context: Context) {
        if matches!(self.held.contexts[slot], AnyContext::Taken(it) if it == number) {
            self.held.contexts[slot] = AnyContext::Present(context);
        }
    }

    /// Returns the path of a new child.
    pub(super) fn child_path(&mut self) -> String {
        self.children += 1;
        format!("{}.{}", self.path, self.children - 1)
    }

    /// Returns the future of a new child, which takes over what this actor holds if `take` is true.
    pub(super) fn child(&mut self, take: bool, body: &Body) -> BoxFuture<'static, Traces> {
        let held = if take { mem::take(&mut self.held) } else { Held::default() };
        run_actor(self.child_path(), body.clone(), Actor { held, ..Actor::default() }).boxed()
    }

    pub(super) fn store_task(&mut self, slot: Slot, task: Task) {
        self.other_tasks.extend(self.tasks[slot].replace(task));
    }

    pub(super) async fn join(&mut self, task: Task) {
        let (traces, context) = task.handle.await.unwrap();
        self.traces.extend(traces);
        if let (Some((slot, number)), Some(context)) = (task.context, context) {
            self.put_back(slot, number, context);
        }
    }
}
