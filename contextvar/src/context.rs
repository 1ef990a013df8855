use std::cell::Cell;
use std::fmt;
use std::iter::FusedIterator;
use std::ops::Index;
use std::vec;

use crate::current::{self, Contents};
use crate::error::{self, ApplyError};
use crate::on_drop::OnDrop;
use crate::scoped::Scoped;
use crate::storage::{AnyVariable, Entry, Map, Value};
use crate::var::ContextVar;

/// A mapping of context variables to values.
///
/// `clone` copies it ([PEP 567]'s `Context.copy()`) in constant time: one atomic increment, however many
/// variables are set. The copy is another context: nothing that is set in one is seen in the other.
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
    contents: Contents,
}

/// A copy of the current context ([PEP 567]'s `copy_context()`), in constant time.
///
/// It is empty where there is no context: in a tokio task that was given none, and on a thread that is
/// exiting.
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
pub fn copy_context() -> Context {
    Context::from_map(current::copy_map())
}

/// Returns the current context as another task or thread inherits it: short for `copy_context().`[`inherited()`](Context::inherited).
///
/// Hand work over in it where [`task`](crate::task) and [`thread`](crate::thread) have no function for that.
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
pub fn inherit_context() -> Context {
    copy_context().inherited()
}

impl Context {
    /// An empty context.
    ///
    /// ```
    /// assert!(contextvar::Context::new().is_empty());
    /// ```
    #[inline]
    pub fn new() -> Self {
        Context::from_map(Map::EMPTY)
    }

    #[inline]
    fn from_map(map: Map) -> Self {
        Context { contents: Contents::new(map) }
    }

    /// This context as another task or thread inherits it: without the values of variables that are
    /// declared [`inherit(false)`](ContextVar::inherit). It is a new context, made in constant time.
    ///
    /// [`task`](crate::task) and [`thread`](crate::thread) start work in [`inherit_context()`](inherit_context), the current
    /// context's.
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
    #[must_use = "this hands back the context without what is not inherited"]
    pub fn inherited(self) -> Self {
        Context::from_map(self.contents.map.inherited())
    }

    /// A new context with these variables' values, where they are set here, and no others. For work that
    /// outlives what it was started by, and should hold on to no more of it than it needs.
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
        let mut few = Context::new();
        for var in vars {
            var.variable().copy_state(&self.contents.map, &mut few.contents.map);
        }
        few
    }

    /// Makes of the current context what was made of this one since it was a copy of `base`: sets the variables
    /// that were set in it, and unsets those that were unset. All others stay as they are, whatever
    /// happened to them meanwhile. So what a function did in a copy comes back, where that is wanted.
    ///
    /// It is one write, in time in proportion to the number of changes. Variables that are
    /// [not inherited](ContextVar::inherit) stay where they were set. A variable of a primitive type
    /// (`u64`, `bool`) that was set to what it was before counts as unchanged.
    ///
    /// [PEP 567] has no such thing; asgiref's `sync_to_async` does it to what a thread has set.
    ///
    /// [PEP 567]: https://peps.python.org/pep-0567/
    ///
    /// # Panics
    ///
    /// With the text of [`ApplyError`] where the current context can't be written.
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

    /// [`apply_changes_to_current`](Self::apply_changes_to_current), with an error in place of its panic.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] where the current context can't be written: in a tokio task that was given none, say.
    /// Nothing was changed.
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
    pub fn try_apply_changes_to_current(&self, base: &Context) -> Result<(), ApplyError> {
        let (map, base) = (&self.contents.map, &base.contents.map);
        current::write(|frame| match frame {
            Ok(frame) => {
                frame.copy_states(&map.changes_since(base), map);
                Ok(())
            }
            Err(kind) => Err(ApplyError::new(kind)),
        })
    }

    /// Runs `f` with this context as the current one. What `f` sets stays in this context.
    ///
    /// The context that was current before is so again when `f` returns or panics. A context can't be
    /// entered while it is being run; what is PEP 567's `RuntimeError` does not compile:
    ///
    /// ```compile_fail,E0499
    /// let mut ctx = contextvar::copy_context();
    /// ctx.run(|| ctx.run(|| ()));
    /// ```
    ///
    /// An `async fn` that is called in `f` only makes its future here; its body runs where it is awaited,
    /// in the context that is current there. Use [`scope`](Self::scope) for futures, or annotate the
    /// function with [`#[with_copied_context]`](macro@crate::with_copied_context).
    ///
    /// To make a callback that carries a context: `move |x| ctx.run(|| f(x))`. What it sets persists from
    /// call to call; clone `ctx` in it (`move |x| ctx.clone().run(|| f(x))`, which is a `Fn`) where calls must not
    /// see one another. For what is called once and takes nothing there is [`bind`](Self::bind).
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
        #[cfg(feature = "observe")]
        let _exit = OnDrop(crate::observe::exited);
        current::enter(&mut self.contents, || {
            #[cfg(feature = "observe")]
            crate::observe::entered();
            f()
        })
    }

    /// Wraps a future, or a stream, a sink or an HTTP body (features `stream`, `sink`, `http-body`), so that this
    /// context is the current one whenever it is polled, and while it is dropped.
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
    pub fn scope<F>(self, future_or_stream: F) -> Scoped<F> {
        Scoped::new(self, future_or_stream)
    }

    /// Makes a closure that runs `f` in this context: for what takes a `FnOnce()`, to call it later or
    /// elsewhere. One that is dropped without being called drops `f` in the context too.
    ///
    /// ```
    /// use contextvar::{ContextVar, inherit_context};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # #[cfg(feature = "tokio")] {
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// USER.set("ada");
    /// let mut tasks = tokio::task::JoinSet::new();
    /// tasks.spawn_blocking(inherit_context().bind(|| USER.get()));
    /// assert_eq!(tasks.join_all().await, ["ada"]);
    /// # }
    /// # main();
    /// # }
    /// ```
    #[must_use = "closures do nothing unless they are called"]
    pub fn bind<F, R>(self, f: F) -> impl FnOnce() -> R
    where
        F: FnOnce() -> R,
    {
        let scope = self.scope(f);
        move || scope.call()
    }

    /// The variable's value in this context. Defaults are not looked at, as in PEP 567.
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

    /// This context with a variable set.
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
    #[must_use = "this hands back the context with the variable set"]
    pub fn with_value<T>(mut self, var: &'static ContextVar<T>, value: T) -> Self {
        self.set(var, value);
        self
    }

    /// Removes a variable's value from this context, and says whether there was one.
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

    /// Whether the variable is set in this context ([PEP 567]: `var in ctx`).
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

    /// How many variables are set. It counts them.
    ///
    /// ```
    /// # use contextvar::{Context, ContextVar};
    /// # static USER: ContextVar<&str> = ContextVar::new("user");
    /// assert_eq!(Context::new().with_value(&USER, "ada").len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.contents.map.len()
    }

    /// Whether no variable is set.
    ///
    /// ```
    /// # use contextvar::{Context, ContextVar};
    /// # static USER: ContextVar<&str> = ContextVar::new("user");
    /// assert!(!Context::new().with_value(&USER, "ada").is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The variables that are set, in the order in which they were first written in this process.
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

/// Every [`ContextVar`], whatever the type of its values: for [`Context::only`].
pub trait AnyContextVar: sealed::Erase {}

impl<T> AnyContextVar for ContextVar<T> {}

mod sealed {
    use crate::storage::AnyVariable;

    pub trait Erase {
        #[expect(private_interfaces, reason = "sealed")]
        fn variable(&'static self) -> &'static dyn AnyVariable;
    }
}

impl<T> sealed::Erase for ContextVar<T> {
    #[expect(private_interfaces, reason = "sealed")]
    fn variable(&'static self) -> &'static dyn AnyVariable {
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

    /// # Panics
    ///
    /// If the variable is not set in this context. Defaults are not looked at.
    #[track_caller]
    fn index(&self, var: &'static ContextVar<T>) -> &T {
        match self.get(var) {
            Some(value) => value,
            None => panic!("context variable `{}` is not set in this context", var.name()),
        }
    }
}

impl fmt::Debug for Context {
    /// Shows each variable's name and value; see [`Entry`] for how a value is shown. A context that is a value in another one
    /// is shown in full down to 32 levels.
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

/// The variables that are set in a context. Made by [`Context::iter`].
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
