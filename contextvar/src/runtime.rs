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
//! The context is current while tokio says that the task is. So no other code on the thread sees it, whatever happens: not
//! a task that is polled inside a poll of this one, and not the code after a panic that has left a poll past tokio's own
//! guard. Asking tokio costs a read that is not inside a further `run` or `scope` some 60 instructions.
//!
//! # What it can't reach
//!
//! tokio calls no hooks for these. They behave as in any runtime:
//!
//! - `spawn_blocking` gives its closure no context: use [`task::spawn_blocking`](crate::task::spawn_blocking), or
//!   [`Context::bind`](crate::Context::bind).
//! - The tasks of a `LocalSet` have no context: use [`task::spawn_local`](crate::task::spawn_local), or a `LocalRuntime`.
//! - A task that is dropped at the shutdown of the runtime, without having been polled to its end, is dropped outside
//!   of its context; one that is aborted, within. [`Scoped`](crate::Scoped) sees to both.
//! - A task that one thread spawns while another shuts the runtime down, and that never runs, may leave its context
//!   behind until the runtime's builder and the last handle of the runtime and of its tasks are dropped.
//! - A context is let go of just after its task has ended. Who awaits the task may be told of its end a moment
//!   before.

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::ops::DerefMut;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::{Builder, TaskMeta};
use tokio::task::Id;

#[cfg(feature = "observe")]
use crate::current::discard_panic;
use crate::current::{self, TaskContext};
use crate::on_drop::OnDrop;

/// What tokio's [`Builder`] lacks. Nothing else has it.
pub trait InheritContext: sealed::Sealed {
    /// Lets every task of the runtime inherit a copy of the context that is current where it is spawned.
    ///
    /// It takes all four of tokio's task hooks, and replaces those that were set before. For hooks of your own there is
    /// [`inherit_context_with`](Self::inherit_context_with).
    ///
    /// A hook that is set on the [`Builder`] afterwards replaces one of these. In the place of `on_task_spawn` or
    /// `on_before_task_poll` it leaves the tasks without a context. In the place of `on_task_terminate` it keeps the contexts
    /// of tasks that have ended until the runtime is gone. In the place of `on_after_task_poll` all works, but a coroutine
    /// with a stack of its own that a task leaves suspended inside [`ContextVar::with`](crate::ContextVar::with) is not
    /// found: it must not be sent to another thread.
    fn inherit_context(&mut self) -> &mut Self {
        self.inherit_context_with(Hooks::new())
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
    /// let runtime = Builder::new_current_thread().inherit_context_with(hooks).build().unwrap();
    /// runtime.block_on(async {
    ///     USER.set("ada");
    ///     tokio::spawn(async {}).await.unwrap();
    /// });
    /// ```
    fn inherit_context_with(&mut self, hooks: Hooks) -> &mut Self;
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for super::Builder {}
}

impl InheritContext for Builder {
    fn inherit_context_with(&mut self, hooks: Hooks) -> &mut Self {
        let Hooks { spawn, before_poll, after_poll, terminate } = hooks;
        let has_hooks = before_poll.is_some() || after_poll.is_some() || terminate.is_some();
        let contexts = Arc::new(Contexts { has_hooks, ..Contexts::default() });

        let of = Arc::clone(&contexts);
        self.on_task_spawn(move |task| {
            of.add(task.id());
            call(&spawn, task);
        });
        let of = Arc::clone(&contexts);
        self.on_before_task_poll(move |task| match of.get(task.id()) {
            Some(context) => {
                call_in(&before_poll, task, |hook| context.run_in_copy(hook));
                #[cfg(feature = "observe")]
                if crate::observe::is_set() {
                    context.run_in_copy(|| discard_panic(crate::observe::entered));
                }
                context.enter();
            }
            None => call(&before_poll, task),
        });
        self.on_after_task_poll(move |task| match TaskContext::leave(task.id()) {
            Some(context) => {
                #[cfg(feature = "observe")]
                discard_panic(crate::observe::exited);
                call_in(&after_poll, task, |hook| context.run_in_copy(hook));
            }
            None => call(&after_poll, task),
        });
        self.on_task_terminate(move |task| match contexts.remove(task.id()) {
            Some(context) => {
                // tokio catches a panic of this hook.
                let _end = OnDrop(|| context.end());
                call_in(&terminate, task, |hook| context.run_in_copy(hook));
            }
            None => call(&terminate, task),
        })
    }
}

type Hook = Option<Box<dyn Fn(&TaskMeta<'_>) + Send + Sync>>;

fn call(hook: &Hook, task: &TaskMeta<'_>) {
    call_in(hook, task, |hook| hook());
}

/// Calls a hook, if there is one, through `run`.
fn call_in(hook: &Hook, task: &TaskMeta<'_>, run: impl FnOnce(&dyn Fn())) {
    if let Some(hook) = hook {
        run(&|| hook(task));
    }
}

/// Your own hooks beside those of [`InheritContext`]: what tokio's [`Builder`] has under the same names.
///
/// When a task is spawned, the hook runs in the spawner's context. The other three run in a copy of the task's context that
/// they can read and not write, because tokio calls them outside of the task: before each poll, after each poll, and when
/// the task ends. After the last poll the context is gone, and the copy is empty.
///
/// No thread waits for a hook. So another thread may begin the next poll before the hook after a poll is called. In that
/// case the hooks of both polls can see the context as another poll has left it.
#[derive(Default)]
#[must_use = "hooks do nothing unless they are handed to `inherit_context_with`"]
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
    shards: [Mutex<HashMap<Id, Arc<TaskContext>, Hash>>; 1 << SHARDS],
    /// Whether hooks of the user's run in copies of the contexts.
    has_hooks: bool,
}

const SHARDS: u32 = 5;

thread_local! {
    /// A task that ended on this thread and had no context.
    static ENDED: Cell<Option<Id>> = const { Cell::new(None) };
}

impl Contexts {
    fn shard(&self, task: Id) -> impl DerefMut<Target = HashMap<Id, Arc<TaskContext>, Hash>> {
        let hash = Hash::default().hash_one(task);
        let shard = &self.shards[(hash >> 32) as usize % self.shards.len()];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a task that was spawned a context.
    fn add(&self, task: Id) {
        // A runtime that is shut down ends the task before it calls the hook of the spawn.
        if ENDED.get() == Some(task) {
            return ENDED.set(None);
        }
        #[cfg(feature = "observe")]
        let has_hooks = self.has_hooks || crate::observe::is_set();
        #[cfg(not(feature = "observe"))]
        let has_hooks = self.has_hooks;
        let context = TaskContext::new(task, current::copy_map().inherited(), has_hooks);
        self.shard(task).insert(task, context);
    }

    fn get(&self, task: Id) -> Option<Arc<TaskContext>> {
        self.shard(task).get(&task).cloned()
    }

    /// Takes out the context of a task that has ended.
    fn remove(&self, task: Id) -> Option<Arc<TaskContext>> {
        let context = self.shard(task).remove(&task);
        if context.is_none() {
            ENDED.set(Some(task));
        }
        context
    }
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
