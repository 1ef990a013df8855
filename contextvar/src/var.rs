use std::fmt;
use std::ops::Deref;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use once_cell::sync::OnceCell;

use crate::context::copy_context;
use crate::current;
use crate::error::{self, LookupError, ResetError, ResetErrorKind, SetError};
use crate::on_drop::OnDrop;
use crate::scoped::Scoped;
use crate::storage::{FormatFn, Value, Variable};
use crate::token::Token;

/// A context variable: a static whose value belongs to the current [`Context`](crate::Context).
///
/// It is declared with [`#[context_var]`](macro@crate::context_var), or by hand:
///
/// ```
/// use contextvar::ContextVar;
///
/// static LOCALE: ContextVar<&str> = ContextVar::with_default("locale", || "en").debug();
///
/// assert_eq!(LOCALE.get(), "en");
/// LOCALE.set("fr");
/// assert_eq!(LOCALE.get(), "fr");
/// ```
///
/// A variable takes a place in the process's table of variables at its first write, and keeps it for ever.
/// So it must be a static, or leaked.
///
/// # What is current
///
/// Inside [`Context::run`](crate::Context::run), and in a future wrapped in a [`Scoped`], that context.
/// Elsewhere the thread's own, which is empty at first. A tokio task that was given no context has none
/// (feature `tokio`): nothing is set there, and setting is a [`SetError`].
///
/// # Values
///
/// Any type that is `Send + Sync + 'static`. What is set is never changed in place: to change a value, set
/// another, or put the variable part into a `Mutex` or an atomic.
#[doc(alias("AsyncLocal", "MDC", "task_local"))]
pub struct ContextVar<T: 'static> {
    variable: Variable<T>,
    default: Option<fn() -> T>,
    default_value: OnceCell<Value<T>>,
    /// The thread that is computing the default, 0 if none is.
    computing: AtomicUsize,
}

/// What a context variable can hold: every type that is `Send + Sync + 'static`.
///
/// A context follows its session from thread to thread, and its copies share the values. There is nothing to
/// implement here.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a context variable: it is not `Send + Sync + 'static`",
    label = "this type must be `Send + Sync + 'static`",
    note = "a context goes from thread to thread, and its copies share the values: use `Arc` for `Rc`, \
            `Mutex` for `RefCell`, an atomic for `Cell`, an owned value for a borrowed one"
)]
pub trait ContextValue: Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> ContextValue for T {}

impl<T: ContextValue> ContextVar<T> {
    /// A variable without a default. The name is for messages; two variables may have the same.
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static USER: ContextVar<String> = ContextVar::new("user");
    ///
    /// assert!(USER.try_get().is_err());
    /// ```
    pub const fn new(name: &'static str) -> Self {
        ContextVar {
            variable: Variable::new(name),
            default: None,
            default_value: OnceCell::new(),
            computing: AtomicUsize::new(0),
        }
    }

    /// A variable with a default: what `default` returns.
    ///
    /// It is called once per process, when the default is first needed, in the context of whoever needs it;
    /// other threads wait for it meanwhile. If it panics, the next reader calls it again. If it reads the
    /// variable itself, it finds that not set.
    ///
    /// Two defaults that need each other must not be computed by two threads at the same time, as with any
    /// lazily computed static: they would wait for each other.
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static RETRIES: ContextVar<u32> = ContextVar::with_default("retries", || 3);
    ///
    /// assert_eq!(RETRIES.get(), 3);
    /// assert!(!RETRIES.is_set());
    /// ```
    pub const fn with_default(name: &'static str, default: fn() -> T) -> Self {
        let mut var = ContextVar::new(name);
        var.default = Some(default);
        var
    }
}

impl<T: 'static> ContextVar<T> {
    /// Lets the `Debug` of a [`Context`](crate::Context) show this variable's values. Without it their type
    /// is shown. The attribute `#[context_var]` finds out by itself.
    ///
    /// ```
    /// use contextvar::{Context, ContextVar};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user").debug();
    ///
    /// let ctx = Context::new().with_value(&USER, "ada");
    /// assert_eq!(format!("{ctx:?}"), r#"Context { user: "ada" }"#);
    /// ```
    pub const fn debug(self) -> Self
    where
        T: fmt::Debug,
    {
        self.with_debug(Some(<T as fmt::Debug>::fmt))
    }

    pub(crate) const fn with_debug(mut self, debug: Option<FormatFn<T>>) -> Self {
        self.variable = self.variable.debug(debug);
        self
    }

    /// Shows this variable's value, where it is set, in logs: those of `contextvar::tracing`, and what is written with
    /// [`for_each_log_field`](crate::for_each_log_field). A variable that is [`secret`](Self::secret) is never shown.
    ///
    /// ```
    /// use contextvar::{ContextVar, for_each_log_field};
    ///
    /// static REQUEST_ID: ContextVar<u64> = ContextVar::new("request_id").log();
    ///
    /// REQUEST_ID.set(7);
    /// let mut line = "hello".to_owned();
    /// for_each_log_field(|name, value| line += &format!(" {name}={value}"));
    /// assert_eq!(line, "hello request_id=7");
    /// ```
    pub const fn log(self) -> Self
    where
        T: fmt::Display,
    {
        self.with_log(Some(<T as fmt::Display>::fmt))
    }

    pub(crate) const fn with_log(mut self, log: Option<FormatFn<T>>) -> Self {
        self.variable = self.variable.log(log);
        self
    }

    /// Keeps this variable's values out of all that is printed: the `Debug` of a
    /// [`Context`](crate::Context) shows `<redacted>`.
    ///
    /// ```
    /// use contextvar::{Context, ContextVar};
    ///
    /// static PASSWORD: ContextVar<&str> = ContextVar::new("password").debug().secret();
    ///
    /// let ctx = Context::new().with_value(&PASSWORD, "sesame");
    /// assert_eq!(format!("{ctx:?}"), "Context { password: <redacted> }");
    /// ```
    pub const fn secret(mut self) -> Self {
        self.variable = self.variable.secret();
        self
    }

    /// Whether a task or thread that is started with a copy of the context ([`task::spawn`](crate::task::spawn),
    /// [`thread::spawn`](crate::thread::spawn) and their relatives) gets this variable's value. The default is
    /// `true`.
    ///
    /// `false` is for what must not be used by two tasks at a time, or outlive its owner: a live transaction, a
    /// connection, a flag that suppresses something around here. The value is in every copy that stays
    /// within the task ([`copy_context`], [`Context::run`](crate::Context::run), [`scope`](Self::scope),
    /// `#[with_copied_context]`), and not in what these start; there the variable is not set. Such a copy that is
    /// carried into another task by other means takes the value along: see
    /// [`Context::inherited`](crate::Context::inherited).
    ///
    /// ```
    /// use contextvar::{ContextVar, thread};
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    /// static TRANSACTION: ContextVar<u64> = ContextVar::new("transaction").inherit(false);
    ///
    /// USER.set("ada");
    /// TRANSACTION.set(7);
    /// let thread = thread::spawn(|| (USER.get(), TRANSACTION.is_set()));
    /// assert_eq!(thread.join().unwrap(), ("ada", false));
    /// ```
    pub const fn inherit(mut self, inherit: bool) -> Self {
        self.variable = self.variable.inherit(inherit);
        self
    }

    /// The name given at the declaration.
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static USER: ContextVar<String> = ContextVar::new("user");
    ///
    /// assert_eq!(USER.name(), "user");
    /// ```
    pub fn name(&self) -> &'static str {
        self.variable.name()
    }

    /// The value in the current context, else the default, cloned.
    ///
    /// # Panics
    ///
    /// With the text of [`LookupError`] if there is neither.
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static USER: ContextVar<String> = ContextVar::with_default("user", || "nobody".to_owned());
    ///
    /// assert_eq!(USER.get(), "nobody");
    /// USER.set("ada".to_owned());
    /// assert_eq!(USER.get(), "ada");
    /// ```
    #[inline]
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// The value in the current context, else the default, cloned.
    ///
    /// # Errors
    ///
    /// [`LookupError`] if there is neither.
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static USER: ContextVar<String> = ContextVar::new("user");
    ///
    /// assert!(USER.try_get().is_err());
    /// USER.set("ada".to_owned());
    /// assert_eq!(USER.try_get().unwrap(), "ada");
    /// ```
    #[inline]
    pub fn try_get(&'static self) -> Result<T, LookupError>
    where
        T: Clone,
    {
        self.try_with(T::clone)
    }

    /// The value in the current context, else the `default` given here, even where the variable has one of
    /// its own ([PEP 567]: `var.get(default)`).
    ///
    /// [PEP 567]: https://peps.python.org/pep-0567/#contextvars-contextvar
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static RETRIES: ContextVar<u32> = ContextVar::with_default("retries", || 3);
    ///
    /// assert_eq!(RETRIES.get_or(5), 5);
    /// RETRIES.set(1);
    /// assert_eq!(RETRIES.get_or(5), 1);
    /// ```
    #[inline]
    pub fn get_or(&'static self, default: T) -> T
    where
        T: Clone,
    {
        match current::read(&self.variable, || None, T::clone) {
            Some(value) => {
                // Here, and not at the end: if it panics there, `value` leaks, which is on its way out.
                drop(default);
                value
            }
            None => default,
        }
    }

    /// Gives `f` the value in the current context, else the default, by reference.
    ///
    /// The value stays as it is while `f` runs, whatever `f` sets.
    ///
    /// # Panics
    ///
    /// With the text of [`LookupError`] if there is neither.
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static USER: ContextVar<String> = ContextVar::new("user");
    ///
    /// USER.set("ada".to_owned());
    /// assert_eq!(USER.with(|user| user.len()), 3);
    /// ```
    #[inline]
    #[track_caller]
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        match self.try_with(f) {
            Ok(result) => result,
            Err(error) => error::fail(&error),
        }
    }

    /// Gives `f` the value in the current context, else the default, by reference.
    ///
    /// The value stays as it is while `f` runs, whatever `f` sets.
    ///
    /// # Errors
    ///
    /// [`LookupError`] if there is neither. `f` was not called.
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static USER: ContextVar<String> = ContextVar::new("user");
    ///
    /// assert!(USER.try_with(|user| user.len()).is_err());
    /// USER.set("ada".to_owned());
    /// assert_eq!(USER.try_with(|user| user.len()), Ok(3));
    /// ```
    #[inline]
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, LookupError> {
        current::read(&self.variable, || self.default_value(), f).ok_or(LookupError { name: self.name() })
    }

    /// Whether the current context has a value. A default does not count.
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static RETRIES: ContextVar<u32> = ContextVar::with_default("retries", || 3);
    ///
    /// assert!(!RETRIES.is_set());
    /// RETRIES.set(3);
    /// assert!(RETRIES.is_set());
    /// ```
    #[inline]
    pub fn is_set(&'static self) -> bool {
        current::is_set(&self.variable)
    }

    /// Sets the value in the current context. The token can [`reset`](Self::reset) it to what was there
    /// before; it need not be used.
    ///
    /// # Panics
    ///
    /// With the text of [`SetError`] where there is no context that could be written.
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static USER: ContextVar<String> = ContextVar::new("user");
    ///
    /// USER.set("ada".to_owned());
    /// let token = USER.set("grace".to_owned());
    /// assert_eq!(USER.get(), "grace");
    /// USER.reset(token);
    /// assert_eq!(USER.get(), "ada");
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn set(&'static self, value: T) -> Token<T> {
        match self.try_set(value) {
            Ok(token) => token,
            Err(error) => error::fail(&error),
        }
    }

    /// Sets the value in the current context, as [`set`](Self::set) does.
    ///
    /// # Errors
    ///
    /// [`SetError`], with the value in it, where there is no context that could be written: in a tokio task
    /// that was given none, in one that is polled inside another task's context, and on a thread that is
    /// exiting.
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static USER: ContextVar<String> = ContextVar::new("user");
    ///
    /// match USER.try_set("ada".to_owned()) {
    ///     Ok(token) => assert!(token.old_value().is_none()),
    ///     Err(error) => panic!("{error}"),
    /// }
    /// ```
    #[inline]
    pub fn try_set(&'static self, value: T) -> Result<Token<T>, SetError<T>> {
        current::write(|frame| match frame {
            Ok(frame) => {
                let value = Value::new(&self.variable, value);
                Ok(Token { var: self, undo: frame.set(&self.variable, value) })
            }
            Err(kind) => Err(SetError::new(self.name(), kind, value)),
        })
    }

    /// Puts back what was there before the `set` that made `token`: the old value, or none.
    ///
    /// It must be the same context, not a copy of it. A token can be used once:
    ///
    /// ```compile_fail,E0382
    /// # static USER: contextvar::ContextVar<String> = contextvar::ContextVar::new("user");
    /// let token = USER.set("ada".to_owned());
    /// USER.reset(token);
    /// USER.reset(token);
    /// ```
    ///
    /// # Panics
    ///
    /// With the text of [`ResetError`] if the token is of another variable or another context.
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static USER: ContextVar<String> = ContextVar::new("user");
    ///
    /// let token = USER.set("ada".to_owned());
    /// USER.reset(token);
    /// assert!(!USER.is_set());
    /// ```
    #[inline(always)]
    #[track_caller]
    pub fn reset(&'static self, token: Token<T>) {
        if let Err(error) = self.try_reset(token) {
            error::fail(&error);
        }
    }

    /// Puts back what was there before the `set` that made `token`, as [`reset`](Self::reset) does.
    ///
    /// # Errors
    ///
    /// [`ResetError`], with the token in it, if that is of another variable or another context. Nothing was
    /// changed.
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::{ContextVar, ResetErrorKind};
    ///
    /// static USER: ContextVar<String> = ContextVar::new("user");
    /// static ADMIN: ContextVar<String> = ContextVar::new("admin");
    ///
    /// let token = USER.set("ada".to_owned());
    /// let error = ADMIN.try_reset(token).unwrap_err();
    /// assert_eq!(error.kind(), ResetErrorKind::DifferentVar);
    /// assert!(USER.try_reset(error.into_token()).is_ok());
    /// ```
    #[inline]
    pub fn try_reset(&'static self, token: Token<T>) -> Result<(), ResetError<T>> {
        current::write(|frame| match frame {
            Ok(frame) if ptr::eq(token.var, self) && frame.is_origin_of(&token.undo) => {
                frame.reset(&self.variable, token.undo);
                Ok(())
            }
            _ => Err(self.reset_error(token)),
        })
    }

    #[cold]
    fn reset_error(&self, token: Token<T>) -> ResetError<T> {
        let same = ptr::eq(token.var, self);
        let kind = if same { ResetErrorKind::DifferentContext } else { ResetErrorKind::DifferentVar };
        ResetError::new(self.name(), kind, token)
    }

    /// Wraps `future` so that it runs in a copy of the current context, taken at this call, with this
    /// variable set to `value`.
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// # futures::executor::block_on(async {
    /// USER.scope("ada", async { assert_eq!(USER.get(), "ada") }).await;
    /// assert!(!USER.is_set());
    /// # });
    /// ```
    #[inline]
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> Scoped<F> {
        copy_context().with_value(self, value).scope(future)
    }

    /// Runs `f` with this variable set to `value` in the current context, and puts back what was there
    /// before, also when `f` panics. What `f` sets in other variables stays.
    ///
    /// # Panics
    ///
    /// With the text of [`SetError`] where there is no context that could be written; `f` is not called
    /// then.
    ///
    /// # Examples
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// USER.sync_scope("ada", || assert_eq!(USER.get(), "ada"));
    /// assert!(!USER.is_set());
    /// ```
    #[inline]
    #[track_caller]
    pub fn sync_scope<R>(&'static self, value: T, f: impl FnOnce() -> R) -> R {
        let reset = self.set(value).reset_on_drop();
        let result = f();
        // Not at the end: if it panics there, the result leaks.
        drop(reset);
        result
    }

    #[inline]
    pub(crate) fn variable(&self) -> &Variable<T> {
        &self.variable
    }

    /// The default, computed now if it is needed for the first time. `None` if there is none, or if it is
    /// this thread that is computing it.
    #[inline]
    fn default_value(&'static self) -> Option<&'static T> {
        self.default_value.get().map(Value::deref).or_else(|| self.compute_default())
    }

    #[cold]
    fn compute_default(&'static self) -> Option<&'static T> {
        let default = self.default?;
        // Relaxed will do: only this thread stores this number.
        if self.computing.load(Ordering::Relaxed) == current::this_thread() {
            return None;
        }
        Some(self.default_value.get_or_init(|| {
            self.computing.store(current::this_thread(), Ordering::Relaxed);
            let _clear = OnDrop(|| self.computing.store(0, Ordering::Relaxed));
            Value::new(&self.variable, default())
        }))
    }
}

impl<T> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextVar").field("name", &self.name()).finish_non_exhaustive()
    }
}
