//! Makes every task of a tokio runtime inherit the context, for spawns in crates that are not yours.
//!
//! Each task of such a runtime runs in a context of its own, whether a plain `tokio::spawn`, a `JoinSet` or a
//! library spawned it. The context is a copy of the one that was current at the spawn, without the variables
//! that are [not inherited](crate::ContextVar::inherit). It is dropped when the task ends.
//!
//! This needs feature `runtime-hooks` and tokio's unstable API: `RUSTFLAGS="--cfg tokio_unstable"` with tokio
//! 1.46.1 or newer.
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
//! A server's task for a connection is one task for many requests: what one request sets, the next one on
//! that connection reads. Put a `contextvar::tower::ContextLayer` around the service, which gives each
//! request its own context.
//!
//! Libraries start long-lived tasks on first use, and such a task keeps the context of that use alive. To
//! give these tasks an empty context, use [`inherit_context_if`](InheritContext::inherit_context_if).
//!
//! The context is current while tokio reports that its task is the current task. So no other code on the
//! thread sees it: neither a task that is polled inside a poll of this one, nor the code after a panic that
//! escapes tokio's own `catch_unwind`. The check costs about 60 instructions for each read outside of a
//! further `run` or `scope`.
//!
//! With feature `carry`, the ambient values of other libraries follow as well, such as the span: those that
//! guards enter, and not those of `contextvar::carry::Ambient::scoped`. They are entered before each poll and
//! left after it, around the context: the library's code runs outside of the task's context. Its panics are
//! discarded.
//!
//! # Limits
//!
//! tokio calls no hook in these cases, or calls it at an unexpected time:
//!
//! - `spawn_blocking` gives its closure no context. Use [`task::spawn_blocking`](crate::task::spawn_blocking)
//!   or [`Context::bind`](crate::Context::bind).
//! - The tasks of a `LocalSet` have no context. Use [`task::spawn_local`](crate::task::spawn_local) or a
//!   `LocalRuntime`.
//! - A task that has not finished when the runtime shuts down is dropped outside of its context. A task that
//!   is aborted is dropped inside. A future in a [`Scoped`](crate::Scoped) is dropped in its context in both
//!   cases. Ambient values of other libraries are not entered in either case.
//! - A panic that escapes tokio's own `catch_unwind` skips the hook after the poll. The ambient values that
//!   were entered for this poll remain current on the thread until it polls a task of such a runtime again.
//! - If one thread spawns a task while another shuts the runtime down, and the task never runs, its context
//!   can remain until the runtime's builder and the last handle of the runtime and of its tasks are dropped.
//! - A context is dropped just after its task has ended. Code that awaits the task can see the end of the
//!   task a moment earlier.

#[cfg(feature = "carry")]
mod entered;

use std::cell::Cell;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::ops::DerefMut;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::{Builder, TaskMeta};
use tokio::task::Id;

#[cfg(any(feature = "carry", feature = "observe"))]
use crate::current::discard_panic;
use crate::current::{self, Contents, TaskContext};
use crate::hand_over::{Kind, Place};
#[cfg(feature = "carry")]
use crate::inherit::Carried;
use crate::on_drop::OnDrop;
use crate::storage::Map;

/// Adds contexts to the tasks of a runtime. Only tokio's [`Builder`] implements it.
pub trait InheritContext: sealed::Sealed {
    /// Makes every task of the runtime inherit a copy of the context that is current where the task is
    /// spawned.
    ///
    /// A task that outlives the request that spawned it keeps the request's values alive. See
    /// [`inherit_context_if`](Self::inherit_context_if).
    ///
    /// This sets all four of tokio's task hooks, and replaces hooks that were set before. To have hooks of
    /// your own, use [`inherit_context_with`](Self::inherit_context_with).
    ///
    /// A hook that is set on the [`Builder`] afterwards replaces one of these:
    ///
    /// - Without this crate's `on_task_spawn` or `on_before_task_poll`, tasks have no context.
    /// - Without this crate's `on_task_terminate`, the contexts of tasks that have ended remain until the
    ///   runtime, its handles and its builder are dropped.
    /// - Without this crate's `on_after_task_poll`, everything works, except that a coroutine with a stack of
    ///   its own that a task leaves suspended inside [`ContextVar::with`](crate::ContextVar::with) is not
    ///   detected, and must not be sent to another thread.
    fn inherit_context(&mut self) -> &mut Self {
        self.inherit_context_with(Hooks::new())
    }

    /// Makes a task inherit a context if `f` returns true for it. Every other task has an empty context of
    /// its own, as [`task::spawn_in_empty_context`](crate::task::spawn_in_empty_context) gives: the task can
    /// set variables, and keeps no value of its spawner alive.
    ///
    /// Use it for tasks that a library starts on first use and that outlive the request: the connections of a
    /// pool, a client's background task, a lazily started worker. With
    /// [`inherit_context`](Self::inherit_context), such a task has the context of the first request as long
    /// as it lives.
    ///
    /// `f` runs at each spawn, on the spawner's thread and in the spawner's context. A panic in `f`
    /// propagates to the code that spawns the task, and the task never runs.
    ///
    /// The place of the spawn, `TaskMeta::spawned_at` (tokio 1.46.1 or newer), distinguishes a library's
    /// tasks from yours. It is the call of `tokio::spawn` in the library's source. The path of a dependency's
    /// file contains the crate's name and version, as in `../hyper-util-0.1.17/src/rt/tokio.rs`. The
    /// compiler's option `--remap-path-prefix` changes the path. hyper-util starts the tasks of clients and
    /// of servers in this file, so a server's HTTP/2 streams have empty contexts as well.
    ///
    /// To have hooks of your own as well, use [`Hooks::inherit_if`].
    ///
    /// ```
    /// use contextvar::ContextVar;
    /// use contextvar::runtime::InheritContext;
    /// use tokio::runtime::{Builder, TaskMeta};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// /// Crates whose tasks outlive the request that starts them.
    /// const POOLS: [&str; 2] = ["hyper-util-", "sqlx-core-"];
    ///
    /// fn inherits(task: &TaskMeta<'_>) -> bool {
    ///     let file = task.spawned_at().file();
    ///     !POOLS.iter().any(|name| file.contains(name))
    /// }
    ///
    /// let runtime = Builder::new_multi_thread().enable_all().inherit_context_if(inherits).build().unwrap();
    /// runtime.block_on(async {
    ///     USER.set("ada");
    ///     // The call is in this file, so the task inherits.
    ///     assert_eq!(tokio::spawn(async { USER.get() }).await.unwrap(), "ada");
    /// });
    /// ```
    fn inherit_context_if(&mut self, f: impl Fn(&TaskMeta<'_>) -> bool + Send + Sync + 'static) -> &mut Self {
        self.inherit_context_with(Hooks::new().inherit_if(f))
    }

    /// Makes every task inherit a context, as [`inherit_context`](Self::inherit_context) does, and calls your
    /// hooks as well.
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
        let Hooks { inherits, spawn, before_poll, after_poll, terminate } = hooks;
        let has_hooks = before_poll.is_some() || after_poll.is_some() || terminate.is_some();
        let contexts = Arc::new(Contexts { has_hooks, ..Contexts::default() });

        let of = Arc::clone(&contexts);
        self.on_task_spawn(move |task| {
            let place = Place::at(task.spawned_at());
            of.add(task.id(), place, || inherits.as_ref().is_none_or(|inherits| inherits(task)));
            call(&spawn, task);
        });
        let of = Arc::clone(&contexts);
        self.on_before_task_poll(move |task| match of.get(task.id()) {
            Some(Task {
                context,
                #[cfg(feature = "carry")]
                carried,
            }) => {
                call_in(&before_poll, task, |hook| context.run_in_copy(hook));
                #[cfg(feature = "observe")]
                if crate::observe::is_set() {
                    context.run_in_copy(|| discard_panic(crate::observe::entered));
                }
                #[cfg(feature = "carry")]
                entered::enter(task.id(), &carried);
                context.enter();
            }
            None => call(&before_poll, task),
        });
        self.on_after_task_poll(move |task| {
            let context = TaskContext::leave(task.id());
            #[cfg(feature = "carry")]
            entered::leave(task.id());
            match context {
                Some(context) => {
                    #[cfg(feature = "observe")]
                    discard_panic(crate::observe::exited);
                    call_in(&after_poll, task, |hook| context.run_in_copy(hook));
                }
                None => call(&after_poll, task),
            }
        });
        self.on_task_terminate(move |task| match contexts.remove(task.id()) {
            Some(Task {
                context,
                #[cfg(feature = "carry")]
                carried,
            }) => {
                #[cfg(feature = "carry")]
                discard_panic(|| drop(carried));
                // Also ends the context if the user's hook panics: tokio catches that panic.
                let _end = OnDrop(|| context.end());
                call_in(&terminate, task, |hook| context.run_in_copy(hook));
            }
            None => call(&terminate, task),
        })
    }
}

type Hook<R = ()> = Option<Box<dyn Fn(&TaskMeta<'_>) -> R + Send + Sync>>;

fn call(hook: &Hook, task: &TaskMeta<'_>) {
    call_in(hook, task, |hook| hook());
}

/// Calls a hook through `run`, if there is a hook.
fn call_in(hook: &Hook, task: &TaskMeta<'_>, run: impl FnOnce(&dyn Fn())) {
    if let Some(hook) = hook {
        run(&|| hook(task));
    }
}

/// Your own hooks for a runtime whose tasks inherit contexts. They correspond to the methods of tokio's
/// [`Builder`] with the same names. [`inherit_if`](Self::inherit_if) selects the tasks that inherit.
///
/// The spawn hook runs in the spawner's context. The other three run in a copy of the task's context, which
/// they can read but not write, because tokio calls them outside of the task: before each poll, after each
/// poll, and when the task ends. After the last poll the context is gone, and the copy is empty.
///
/// No thread waits for a hook. Another thread can begin the next poll before the hook after the previous poll
/// runs. In this case the hooks of both polls can see the context as a different poll has left it.
#[derive(Default)]
#[must_use = "hooks do nothing unless they are passed to `inherit_context_with`"]
pub struct Hooks {
    inherits: Hook<bool>,
    spawn: Hook,
    before_poll: Hook,
    after_poll: Hook,
    terminate: Hook,
}

impl Hooks {
    /// Returns an empty set of hooks.
    pub fn new() -> Self {
        Hooks::default()
    }

    /// Selects the tasks that inherit a context. Every other task has an empty context of its own. See
    /// [`InheritContext::inherit_context_if`].
    ///
    /// `f` runs before the hook of [`on_task_spawn`](Self::on_task_spawn). Without it, every task inherits.
    ///
    /// ```
    /// use contextvar::ContextVar;
    /// use contextvar::runtime::{Hooks, InheritContext};
    /// use tokio::runtime::Builder;
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let hooks = Hooks::new()
    ///     .inherit_if(|task| !task.spawned_at().file().contains("hyper-util-"))
    ///     .on_task_spawn(|task| println!("spawned at {}", task.spawned_at()));
    /// let runtime = Builder::new_current_thread().inherit_context_with(hooks).build().unwrap();
    /// runtime.block_on(async {
    ///     USER.set("ada");
    ///     assert_eq!(tokio::spawn(async { USER.get() }).await.unwrap(), "ada");
    /// });
    /// ```
    pub fn inherit_if(mut self, f: impl Fn(&TaskMeta<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.inherits = Some(Box::new(f));
        self
    }

    /// Sets the hook that runs when a task is spawned. See [`Builder::on_task_spawn`].
    pub fn on_task_spawn(mut self, f: impl Fn(&TaskMeta<'_>) + Send + Sync + 'static) -> Self {
        self.spawn = Some(Box::new(f));
        self
    }

    /// Sets the hook that runs before each poll. See [`Builder::on_before_task_poll`].
    pub fn on_before_task_poll(mut self, f: impl Fn(&TaskMeta<'_>) + Send + Sync + 'static) -> Self {
        self.before_poll = Some(Box::new(f));
        self
    }

    /// Sets the hook that runs after each poll. See [`Builder::on_after_task_poll`].
    pub fn on_after_task_poll(mut self, f: impl Fn(&TaskMeta<'_>) + Send + Sync + 'static) -> Self {
        self.after_poll = Some(Box::new(f));
        self
    }

    /// Sets the hook that runs when a task ends. See [`Builder::on_task_terminate`].
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

/// The contexts of a runtime's tasks, spread over shards to reduce contention.
#[derive(Default)]
struct Contexts {
    shards: [Mutex<HashMap<Id, Task, Hash>>; 1 << SHARDS],
    /// True if the user has hooks that run in copies of the contexts.
    has_hooks: bool,
}

#[derive(Clone)]
struct Task {
    context: Arc<TaskContext>,
    #[cfg(feature = "carry")]
    carried: Carried,
}

const SHARDS: u32 = 5;

thread_local! {
    /// The last task that ended on this thread without a context.
    static ENDED_WITHOUT_CONTEXT: Cell<Option<Id>> = const { Cell::new(None) };
}

impl Contexts {
    fn shard(&self, task: Id) -> impl DerefMut<Target = HashMap<Id, Task, Hash>> {
        let hash = Hash::default().hash_one(task);
        let shard = &self.shards[(hash >> 32) as usize % self.shards.len()];
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a context for a task that was spawned: an inherited one, or an empty one.
    fn add(&self, task: Id, place: Place, inherits: impl FnOnce() -> bool) {
        // After its shutdown, a runtime ends a task before it calls the spawn hook.
        if ENDED_WITHOUT_CONTEXT.get() == Some(task) {
            return ENDED_WITHOUT_CONTEXT.set(None);
        }
        #[cfg(feature = "observe")]
        let has_hooks = self.has_hooks || crate::observe::is_set();
        #[cfg(not(feature = "observe"))]
        let has_hooks = self.has_hooks;
        let inherits = inherits();
        let map = if inherits { current::copy_map().inherited() } else { Map::EMPTY };
        let contents = Contents::handed_over(map).hand_over(Kind::Task, place);
        let new = Task {
            context: TaskContext::new(task, contents, has_hooks),
            #[cfg(feature = "carry")]
            carried: if inherits { Carried::capture() } else { Carried::NOTHING },
        };
        self.shard(task).insert(task, new);
    }

    fn get(&self, task: Id) -> Option<Task> {
        self.shard(task).get(&task).cloned()
    }

    /// Removes and returns the context of a task that has ended.
    fn remove(&self, task: Id) -> Option<Task> {
        let removed = self.shard(task).remove(&task);
        if removed.is_none() {
            ENDED_WITHOUT_CONTEXT.set(Some(task));
        }
        removed
    }
}

type Hash = BuildHasherDefault<Fibonacci>;

/// A hash that spreads consecutive numbers evenly.
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
