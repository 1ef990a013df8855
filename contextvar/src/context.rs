use std::cell::Cell;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::Index;
use std::vec;

use crate::current::{self, Contents, TaskId, task_id};
use crate::error::{self, ApplyError, address};
use crate::hand_over::{Kind, Place};
use crate::on_drop::OnDrop;
use crate::scoped::Scoped;
use crate::storage::{AnyVariable, Changes, Entry, Map, Value};
use crate::var::ContextVar;

/// A mapping from context variables to values.
///
/// `clone` copies the context ([PEP 567]'s `Context.copy()`) in constant time: it takes one atomic increment,
/// however many variables are set. The copy is another context: a value that is set in one is never seen in
/// the other.
///
/// [PEP 567]: https://peps.python.org/pep-0567/#contextvars-context
///
/// ```
/// use contextvar::{ContextVar, copy_context};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// USER.set("ada");
/// let mut ctx = copy_context();
/// ctx.run(|| USER.set("grace"));
/// assert_eq!(ctx[&USER], "grace");
/// assert_eq!(USER.get(), "ada");
/// ```
pub struct Context {
    pub(crate) contents: Contents,
}

/// Returns a copy of the current context, in constant time ([PEP 567]'s `copy_context()`).
///
/// The copy is empty if there is no current context: in a tokio task that was given none, and on a thread
/// that is exiting.
///
/// [PEP 567]: https://peps.python.org/pep-0567/#contextvars-copy-context
///
/// ```
/// use contextvar::{ContextVar, copy_context};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// USER.set("ada");
/// let ctx = copy_context();
/// USER.set("grace");
/// assert_eq!(ctx[&USER], "ada");
/// ```
#[inline]
#[must_use = "a copy of the context does nothing unless work runs in it"]
pub fn copy_context() -> Context {
    Context::from_map(current::copy_map())
}

/// Returns a copy of the current context as another task or thread inherits it: without the variables that
/// are [not inherited](ContextVar::inherit). Short for `copy_context().inherited()`.
///
/// Use it to hand work over where [`task`](crate::task) and [`thread`](crate::thread) have no function for
/// that.
///
/// ```
/// use contextvar::{ContextVar, inherit_context};
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
/// static TRANSACTION: ContextVar<u64> = ContextVar::new("transaction").inherit(false);
///
/// USER.set("ada");
/// TRANSACTION.set(7);
/// let ctx = inherit_context();
/// assert_eq!(ctx.get(&USER), Some(&"ada"));
/// assert_eq!(ctx.get(&TRANSACTION), None);
/// ```
#[inline]
#[must_use = "a copy of the context does nothing unless work runs in it"]
pub fn inherit_context() -> Context {
    Context { contents: Contents::handed_over(current::copy_map().inherited()) }
}

impl Context {
    #[cfg(all(feature = "tower", test))]
    pub(crate) fn has_own_counts(&self) -> bool {
        self.contents.map.has_own_counts()
    }

    /// Returns a copy with [counts of its own](Map::with_own_counts), for a connection's requests.
    #[cfg(feature = "tower")]
    pub(crate) fn with_own_counts(&self) -> Context {
        Context::from_map(self.contents.map.with_own_counts())
    }

    /// Returns an empty context.
    ///
    /// ```
    /// assert!(contextvar::Context::new().is_empty());
    /// ```
    #[inline]
    pub fn new() -> Self {
        Context::from_map(Map::EMPTY)
    }

    #[inline]
    pub(crate) fn from_map(map: Map) -> Self {
        Context { contents: Contents::new(map) }
    }

    #[cfg(feature = "python")]
    pub(crate) fn map(&self) -> &Map {
        &self.contents.map
    }

    /// Copies the states of variables from another context.
    #[cfg(feature = "python")]
    pub(crate) fn copy_states(&mut self, variables: &[&'static dyn AnyVariable], source: &Context) {
        for variable in variables {
            variable.copy_state(&source.contents.map, &mut self.contents.map);
        }
    }

    /// Returns this context as another task or thread inherits it: without the values of variables that are
    /// declared [`inherit(false)`](ContextVar::inherit). The result is a new context. Takes constant time.
    ///
    /// For the current context, [`inherit_context()`](inherit_context) is shorter. [`task`](crate::task) and
    /// [`thread`](crate::thread) start work in it.
    ///
    /// ```
    /// use contextvar::{Context, ContextVar, copy_context};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    /// static TRANSACTION: ContextVar<u64> = ContextVar::new("transaction").inherit(false);
    ///
    /// let ctx = Context::new().with_value(&USER, "ada").with_value(&TRANSACTION, 7);
    /// assert_eq!(ctx.clone().get(&TRANSACTION), Some(&7));
    ///
    /// let inherited = ctx.inherited();
    /// assert_eq!(inherited.get(&USER), Some(&"ada"));
    /// assert_eq!(inherited.get(&TRANSACTION), None);
    /// ```
    #[inline]
    #[must_use = "this returns the context; it changes nothing in place"]
    pub fn inherited(self) -> Self {
        Context { contents: Contents::handed_over(self.contents.map.inherited()) }
    }

    /// Returns a new context with the values of these variables, and no others. A variable that is not set
    /// here is not set there.
    ///
    /// Use it for work that outlives the request that started it, and should not keep the request's other
    /// values alive.
    ///
    /// ```
    /// use contextvar::{Context, ContextVar};
    ///
    /// static REQUEST_ID: ContextVar<u64> = ContextVar::new("request_id");
    /// static TENANT: ContextVar<&str> = ContextVar::new("tenant");
    /// static BODY: ContextVar<Vec<u8>> = ContextVar::new("body");
    ///
    /// let ctx = Context::new().with_value(&REQUEST_ID, 7).with_value(&BODY, vec![0; 1 << 20]);
    /// let few = ctx.only(&[&REQUEST_ID, &TENANT]);
    /// assert_eq!((few.get(&REQUEST_ID), few.get(&TENANT), few.len()), (Some(&7), None, 1));
    /// ```
    pub fn only(&self, vars: &[&'static dyn AnyContextVar]) -> Self {
        let mut few = Context::from_map(self.contents.map.without_values());
        for var in vars {
            var.erase().copy_state(&self.contents.map, &mut few.contents.map);
        }
        few
    }

    /// Applies to the current context the changes made to this context since it was copied from `base`.
    /// Panics if the current context cannot be written.
    ///
    /// Sets the variables that were set in this context, and unsets those that were unset. All other
    /// variables of the current context stay as they are. Use it to bring back the changes that a function
    /// made in a copy.
    ///
    /// The changes are applied in one write, in time proportional to their number. It does not apply changes
    /// to variables that are [not inherited](ContextVar::inherit). A variable of a primitive type (`u64`,
    /// `bool`) that was set to its old value counts as unchanged.
    ///
    /// [PEP 567] has no counterpart; asgiref's `sync_to_async` does the same with the values that a thread
    /// has set.
    ///
    /// [PEP 567]: https://peps.python.org/pep-0567/
    ///
    /// # Panics
    ///
    /// Panics with the text of [`ApplyError`] and the address of its [entry in the guide][errors] if
    /// the current context cannot be written.
    ///
    /// [errors]: https://docs.rs/contextvar/latest/contextvar/guide/errors
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::{ContextVar, InContext, copy_context};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    /// static TENANT: ContextVar<u64> = ContextVar::new("tenant");
    ///
    /// # futures::executor::block_on(async {
    /// let base = copy_context();
    /// let login = async { USER.set("ada"); };
    /// let ((), ctx) = login.in_context(base.clone()).and_context().await;
    /// TENANT.set(7);
    ///
    /// ctx.apply_changes_to_current(&base);
    /// assert_eq!((USER.get(), TENANT.get()), ("ada", 7));
    /// # });
    /// ```
    #[track_caller]
    pub fn apply_changes_to_current(&self, base: &Context) {
        if let Err(error) = self.try_apply_changes_to_current(base) {
            error::fail(&error);
        }
    }

    /// Applies to the current context the changes made to this context since it was copied from `base`.
    /// Returns an error if the current context cannot be written. See
    /// [`apply_changes_to_current`](Self::apply_changes_to_current).
    ///
    /// # Errors
    ///
    /// Returns [`ApplyError`] if the current context cannot be written, for example in a tokio task that was
    /// given none. Nothing has changed in this case.
    ///
    /// ```
    /// # #[cfg(feature = "tokio")] {
    /// use contextvar::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let ctx = Context::new().with_value(&USER, "ada");
    /// let task = tokio::spawn(async move { ctx.try_apply_changes_to_current(&Context::new()) });
    /// assert!(task.await.unwrap().is_err());
    /// # }
    /// # main();
    /// # }
    /// ```
    #[cfg_attr(feature = "report", track_caller)]
    pub fn try_apply_changes_to_current(&self, base: &Context) -> Result<(), ApplyError> {
        self.apply_to_current(base, Changes::Inherited)
    }

    /// Applies the changes that count.
    #[cfg_attr(feature = "report", track_caller)]
    pub(crate) fn apply_to_current(&self, base: &Context, changes: Changes) -> Result<(), ApplyError> {
        #[cfg(feature = "report")]
        let location = std::panic::Location::caller();
        let (map, base) = (&self.contents.map, &base.contents.map);
        #[cfg(feature = "report")]
        let note = |cause| {
            crate::report::note(crate::report::APPLY, crate::report::Access::Write, cause, location);
        };
        let on_watched = || {
            #[cfg(feature = "report")]
            crate::report::note_watched_write(crate::report::APPLY, location);
        };
        match current::writable_frame() {
            Ok(frame) => {
                let changed = map.changes_since(base, changes);
                frame.copy_states(&changed, map, on_watched);
                #[cfg(feature = "observe")]
                changed.into_iter().for_each(crate::observe::changed);
                Ok(())
            }
            Err(kind) => {
                #[cfg(feature = "report")]
                note((*kind).into());
                Err(ApplyError::new(*kind))
            }
        }
    }

    /// Runs `f` with this context as the current one. The values that `f` sets stay in this context.
    ///
    /// When `f` returns or panics, the context that was current before is current again. A context cannot be
    /// entered while it is entered. PEP 567 raises `RuntimeError` for that; here it does not compile:
    ///
    /// ```compile_fail,E0499
    /// let mut ctx = contextvar::copy_context();
    /// ctx.run(|| ctx.run(|| ()));
    /// ```
    ///
    /// An `async fn` that `f` calls only returns its future here. Its body runs where the future is awaited,
    /// in the context that is current there. Use [`scope`](Self::scope) for futures, or annotate the function
    /// with [`#[with_copied_context]`](macro@crate::with_copied_context).
    ///
    /// `move |x| ctx.run(|| f(x))` is a callback that carries a context. The values that it sets persist from
    /// call to call. If calls must not see each other's values, clone the context for each call:
    /// `move |x| ctx.clone().run(|| f(x))`, which is also a `Fn`. For a closure that is called once, use
    /// [`bind`](Self::bind) or [`bind_with`](Self::bind_with). For a closure that makes a future, use
    /// [`bind_async`](Self::bind_async).
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let mut ctx = Context::new();
    /// ctx.run(|| USER.set("ada"));
    /// assert_eq!(ctx.run(|| USER.get()), "ada");
    /// assert!(!USER.is_set());
    /// ```
    #[doc(alias = "attach")]
    #[inline]
    pub fn run<R>(&mut self, f: impl FnOnce() -> R) -> R {
        self.run_in_task(task_id(), f)
    }

    /// Does what [`run`](Self::run) does. `task` is the task that this code runs in.
    #[inline(always)]
    pub(crate) fn run_in_task<R>(&mut self, task: Option<TaskId>, f: impl FnOnce() -> R) -> R {
        #[cfg(feature = "observe")]
        let _exit = OnDrop(crate::observe::exited);
        current::enter(&mut self.contents, task, || {
            #[cfg(feature = "observe")]
            crate::observe::entered();
            f()
        })
    }

    /// Wraps a future so that this context is the current one during each poll and while the future is
    /// dropped. Wraps a stream, a sink or an HTTP body as well (features `stream`, `sink`, `http-body`).
    ///
    /// `tokio::spawn(ctx.scope(f))` is asyncio's `create_task(f(), context=ctx)`.
    ///
    /// ```
    /// use contextvar::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # futures::executor::block_on(async {
    /// let ctx = Context::new().with_value(&USER, "ada");
    /// let user = ctx.scope(async { USER.get() }).await;
    /// assert_eq!(user, "ada");
    /// # });
    /// ```
    #[inline]
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn scope<F>(self, future_or_stream: F) -> Scoped<F> {
        Scoped::new(self.hand_over(Kind::Scope, Place::here()), future_or_stream)
    }

    /// Returns the variable's value in this context. Ignores the variable's default, as PEP 567 does.
    ///
    /// ```
    /// use contextvar::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::with_default("user", || "nobody");
    ///
    /// let ctx = Context::new();
    /// assert_eq!(ctx.get(&USER), None);
    /// assert_eq!(ctx.with_value(&USER, "ada").get(&USER), Some(&"ada"));
    /// ```
    #[inline]
    pub fn get<T>(&self, var: &'static ContextVar<T>) -> Option<&T> {
        self.contents.map.get(var.variable())
    }

    /// Sets a variable in this context.
    ///
    /// ```
    /// use contextvar::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let mut ctx = Context::new();
    /// ctx.set(&USER, "ada");
    /// assert_eq!(ctx[&USER], "ada");
    /// ```
    pub fn set<T>(&mut self, var: &'static ContextVar<T>, value: T) {
        let variable = var.variable();
        self.contents.map.write(variable, Some(Value::new(variable, value)));
    }

    /// Returns this context with a variable set.
    ///
    /// ```
    /// use contextvar::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    /// static TENANT: ContextVar<u64> = ContextVar::new("tenant");
    ///
    /// let ctx = Context::new().with_value(&USER, "ada").with_value(&TENANT, 7);
    /// assert_eq!(ctx.len(), 2);
    /// ```
    #[must_use = "this returns the context with the variable set"]
    pub fn with_value<T>(mut self, var: &'static ContextVar<T>, value: T) -> Self {
        self.set(var, value);
        self
    }

    /// Unsets a variable in this context. Returns true if it was set.
    ///
    /// ```
    /// use contextvar::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// let mut ctx = Context::new().with_value(&USER, "ada");
    /// assert!(ctx.unset(&USER));
    /// assert!(!ctx.unset(&USER));
    /// ```
    pub fn unset<T>(&mut self, var: &'static ContextVar<T>) -> bool {
        self.contains(var) && self.contents.map.write(var.variable(), None).0.is_some()
    }

    /// Returns true if the variable is set in this context ([PEP 567]: `var in ctx`).
    ///
    /// [PEP 567]: https://peps.python.org/pep-0567/#contextvars-context
    ///
    /// ```
    /// use contextvar::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// assert!(!Context::new().contains(&USER));
    /// assert!(Context::new().with_value(&USER, "ada").contains(&USER));
    /// ```
    #[inline]
    pub fn contains<T>(&self, var: &'static ContextVar<T>) -> bool {
        self.get(var).is_some()
    }

    /// Returns the number of variables that are set. Counts them at each call.
    ///
    /// ```
    /// # use contextvar::{Context, ContextVar};
    /// # static USER: ContextVar<&str> = ContextVar::new("user");
    /// assert_eq!(Context::new().with_value(&USER, "ada").len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.contents.map.len()
    }

    /// Returns true if no variable is set.
    ///
    /// ```
    /// # use contextvar::{Context, ContextVar};
    /// # static USER: ContextVar<&str> = ContextVar::new("user");
    /// assert!(!Context::new().with_value(&USER, "ada").is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the variables that are set, in the order in which this process first wrote them.
    ///
    /// ```
    /// use contextvar::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user").debug();
    /// static TENANT: ContextVar<u64> = ContextVar::new("tenant").debug();
    ///
    /// let ctx = Context::new().with_value(&USER, "ada").with_value(&TENANT, 7);
    /// let list: Vec<_> = ctx.iter().map(|entry| format!("{}={entry:?}", entry.name())).collect();
    /// assert_eq!(list, [r#"user="ada""#, "tenant=7"]);
    /// ```
    pub fn iter(&self) -> Iter<'_> {
        Iter { entries: self.contents.map.entries().into_iter() }
    }
}

/// A [`ContextVar`] of any type. For [`Context::only`] and other lists of variables.
pub trait AnyContextVar: sealed::Erase + Sync {}

impl<T> AnyContextVar for ContextVar<T> where ContextVar<T>: Sync {}

mod sealed {
    use crate::storage::AnyVariable;

    pub trait Erase {
        #[expect(private_interfaces, reason = "sealed")]
        fn erase(&'static self) -> &'static dyn AnyVariable;
    }
}

impl<T> sealed::Erase for ContextVar<T> {
    #[expect(private_interfaces, reason = "sealed")]
    fn erase(&'static self) -> &'static dyn AnyVariable {
        self.variable()
    }
}

impl Default for Context {
    #[inline]
    fn default() -> Self {
        Context::new()
    }
}

impl Clone for Context {
    #[inline]
    fn clone(&self) -> Self {
        Context::from_map(self.contents.map.clone())
    }
}

impl<T> Index<&'static ContextVar<T>> for Context {
    type Output = T;

    /// Returns the variable's value in this context. Ignores the variable's default.
    ///
    /// # Panics
    ///
    /// Panics if the variable is not set in this context. See its [entry in the guide][errors].
    ///
    /// [errors]: https://docs.rs/contextvar/latest/contextvar/guide/errors#not-set-in-this-context
    #[track_caller]
    fn index(&self, var: &'static ContextVar<T>) -> &T {
        match self.get(var) {
            Some(value) => value,
            None => panic!(
                "context variable `{}` is not set in this context\nsee {}",
                var.name(),
                address!("not-set-in-this-context")
            ),
        }
    }
}

impl fmt::Debug for Context {
    /// Formats each variable's name and value. [`Entry`] says how a value is formatted. A context that is a
    /// value in another context is formatted in full down to 32 levels.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MAX_DEPTH: u32 = 32;

        thread_local! {
            static DEPTH: Cell<u32> = const { Cell::new(0) };
        }

        let depth = DEPTH.get();
        let mut context = f.debug_struct("Context");
        if depth == MAX_DEPTH {
            return context.finish_non_exhaustive();
        }
        DEPTH.set(depth + 1);
        let _restore_depth = OnDrop(|| DEPTH.set(depth));
        for entry in self {
            context.field(entry.name(), &entry);
        }
        context.finish()
    }
}

impl<'a> IntoIterator for &'a Context {
    type Item = Entry<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Iterates over the variables that are set in a context. Made by [`Context::iter`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    entries: vec::IntoIter<Entry<'a>>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Entry<'a>;

    fn next(&mut self) -> Option<Entry<'a>> {
        self.entries.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.entries.size_hint()
    }
}

impl ExactSizeIterator for Iter<'_> {}
impl FusedIterator for Iter<'_> {}
