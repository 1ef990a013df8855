//! tokio runtimes whose every task inherits a context, whoever spawned it: for spawns in crates that are not
//! yours.
//!
//! A plain `tokio::spawn` anywhere, a `JoinSet`, a library: each task of such a runtime runs in a context of its own, a
//! copy of the one that was current where it was spawned, taken at that call, without the variables that are [not
//! inherited](crate::ContextVar::inherit). It is dropped when the task ends.
//!
//! It needs feature `runtime-hooks` and tokio's unstable API: `RUSTFLAGS="--cfg tokio_unstable"`, with tokio 1.46 or
//! newer.
//!
//! ```
//! use contextvar::ContextVar;
//! use contextvar::runtime::InheritContext;
//! use tokio::runtime::Builder;
//!
//! static USER: ContextVar<&str> = ContextVar::new("user");
//!
//! let runtime = Builder::new_multi_thread().enable_all().inherit_context().build().unwrap();
//! runtime.block_on(async {
//!     USER.set("ada");
//!     let task = tokio::spawn(async {
//!         assert_eq!(USER.get(), "ada");
//!         USER.set("grace");
//!     });
//!     task.await.unwrap();
//!     assert_eq!(USER.get(), "ada");
//! });
//! ```
//!
//! # What it can't reach
//!
//! tokio calls no hooks for these. They behave as in any runtime:
//!
//! - `spawn_blocking` gives its closure no context: use [`task::spawn_blocking`](crate::task::spawn_blocking), or
//!   [`Context::bind`](crate::Context::bind).
//! - The tasks of a `LocalSet` have no context: use [`task::spawn_local`](crate::task::spawn_local), or a `LocalRuntime`.
//! - A task that is dropped at the shutdown of the runtime, without having been polled to its end, is dropped outside
//!   of its context; one that is aborted, within. [`Scope`](crate::Scope) sees to both.
//! - A task that is spawned by another thread while the runtime is being shut down, and that never runs, may leave
//!   its context behind until the last handle of the runtime is dropped.
//! - A context is let go of just after its task has ended. Who awaits the task may be told of its end a moment
//!   before.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::mem;
use std::ops::DerefMut;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::{Builder, TaskMeta};
use tokio::task::Id;

use crate::current::{self, Held};

/// What tokio's [`Builder`] lacks. Nothing else has it.
pub trait InheritContext: sealed::Sealed {
    /// Lets every task of the runtime inherit a copy of the context that is current where it is spawned.
    ///
    /// It takes all four of tokio's task hooks: those set before are lost, and one set afterwards is in its place. For
    /// hooks of your own there is [`inherit_context_and`](Self::inherit_context_and).
    fn inherit_context(&mut self) -> &mut Self {
        self.inherit_context_and(Hooks::new())
    }

    /// The same, and calls your hooks too.
    ///
    /// ```
    /// use contextvar::ContextVar;
    /// use contextvar::runtime::{Hooks, InheritContext};
    /// use tokio::runtime::Builder;
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let hooks = Hooks::new().on_before_task_poll(|task| println!("{} polls {}", USER.get(), task.id()));
    /// let runtime = Builder::new_current_thread().inherit_context_and(hooks).build().unwrap();
    /// runtime.block_on(async {
    ///     USER.set("ada");
    ///     tokio::spawn(async {}).await.unwrap();
    /// });
    /// ```
    fn inherit_context_and(&mut self, hooks: Hooks) -> &mut Self;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Builder {}
}

impl InheritContext for Builder {
    fn inherit_context_and(&mut self, hooks: Hooks) -> &mut Self {
        let Hooks { spawn, before_poll, after_poll, terminate } = hooks;
        let contexts = Arc::new(Contexts::default());

        let of = Arc::clone(&contexts);
        self.on_task_spawn(move |task| {
            of.add(task.id());
            call(&spawn, task);
        });
        let of = Arc::clone(&contexts);
        self.on_before_task_poll(move |task| {
            of.enter(task.id());
            let leave = Finally(|| Contexts::leave(task.id()));
            call(&before_poll, task);
            mem::forget(leave);
        });
        self.on_after_task_poll(move |task| {
            let _leave = Finally(|| Contexts::leave(task.id()));
            call(&after_poll, task);
        });
        self.on_task_terminate(move |task| {
            let _remove = Finally(|| contexts.remove(task.id()));
            call(&terminate, task);
        })
    }
}

type Hook = Option<Box<dyn Fn(&TaskMeta<'_>) + Send + Sync>>;

fn call(hook: &Hook, task: &TaskMeta<'_>) {
    if let Some(hook) = hook {
        hook(task);
    }
}

/// Calls a closure when it is dropped: also on a panic.
struct Finally<F: FnMut()>(F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Your own hooks beside those of [`InheritContext`]: what tokio's [`Builder`] has under the same names.
///
/// They run in the spawner's context when a task is spawned; in the task's before each poll, and after each but the
/// last, when the context is gone; and when it ends, too, but at the shutdown of the runtime. In a task's context they
/// may read and not write: tokio calls them outside of the task.
#[derive(Default)]
#[must_use = "hooks do nothing unless they are handed to `inherit_context_and`"]
pub struct Hooks {
    spawn: Hook,
    before_poll: Hook,
    after_poll: Hook,
    terminate: Hook,
}

impl Hooks {
    /// No hooks.
    pub fn new() -> Self {
        Hooks::default()
    }

    /// [`Builder::on_task_spawn`].
    pub fn on_task_spawn(mut self, f: impl Fn(&TaskMeta<'_>) + Send + Sync + 'static) -> Self {
        self.spawn = Some(Box::new(f));
        self
    }

    /// [`Builder::on_before_task_poll`].
    pub fn on_before_task_poll(mut self, f: impl Fn(&TaskMeta<'_>) + Send + Sync + 'static) -> Self {
        self.before_poll = Some(Box::new(f));
        self
    }

    /// [`Builder::on_after_task_poll`].
    pub fn on_after_task_poll(mut self, f: impl Fn(&TaskMeta<'_>) + Send + Sync + 'static) -> Self {
        self.after_poll = Some(Box::new(f));
        self
    }

    /// [`Builder::on_task_terminate`].
    pub fn on_task_terminate(mut self, f: impl Fn(&TaskMeta<'_>) + Send + Sync + 'static) -> Self {
        self.terminate = Some(Box::new(f));
        self
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks").finish_non_exhaustive()
    }
}

/// The contexts of a runtime's tasks.
#[derive(Default)]
struct Contexts {
    shards: [Mutex<HashMap<Id, Arc<Held>, Hash>>; 1 << SHARDS],
}

const SHARDS: u32 = 5;

thread_local! {
    /// A task that ended on this thread and had no context.
    static ENDED: Cell<Option<Id>> = const { Cell::new(None) };
}

impl Contexts {
    fn shard(&self, task: Id) -> impl DerefMut<Target = HashMap<Id, Arc<Held>, Hash>> {
        let hash = Hash::default().hash_one(task);
        let shard = &self.shards[(hash >> 32) as usize % self.shards.len()];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a task that was spawned a context.
    fn add(&self, task: Id) {
        // A runtime that is shut down ends the task before it tells that there is one.
        if ENDED.take() != Some(task) {
            let held = Held::new(task, current::copy().inherited());
            self.shard(task).insert(task, held);
        }
    }

    fn enter(&self, task: Id) {
        let held = self.shard(task).get(&task).cloned();
        if let Some(held) = held {
            held.enter();
            #[cfg(feature = "observe")]
            swallow(crate::observe::entered);
        }
    }

    fn leave(task: Id) {
        if let Some(held) = Held::leave(task) {
            #[cfg(feature = "observe")]
            swallow(crate::observe::left);
            // Values that are dropped here may panic, which would be the end of a worker.
            swallow(|| drop(held));
        }
    }

    /// Lets go of the context of a task that has ended.
    fn remove(&self, task: Id) {
        let held = self.shard(task).remove(&task);
        match held {
            Some(held) => swallow(|| held.end()),
            None => ENDED.set(Some(task)),
        }
    }
}

/// Runs what may panic where there is nobody to tell. The panic hook has been told.
fn swallow(f: impl FnOnce()) {
    drop(panic::catch_unwind(AssertUnwindSafe(f)));
}

type Hash = BuildHasherDefault<Fibonacci>;

/// Spreads numbers that are handed out one after the other.
#[derive(Default)]
struct Fibonacci(u64);

impl Hasher for Fibonacci {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
