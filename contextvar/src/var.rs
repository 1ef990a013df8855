mod default_value;

use std::fmt;
#[cfg(feature = "report")]
use std::panic::Location;
use std::ptr;

use default_value::DefaultValue;

use crate::context::copy_context;
use crate::current;
#[cfg(feature = "report")]
use crate::current::NoContext;
#[cfg(feature = "report")]
use crate::error::LookupErrorKind;
use crate::error::{self, LookupError, ResetError, ResetErrorKind, SetError, WriteErrorKind};
use crate::log;
use crate::scoped::Scoped;
use crate::storage::{FormatFn, ShowFn, Variable};
use crate::token::Token;

/// A context variable: a static whose value belongs to the current [`Context`](crate::Context).
///
/// Declare it with [`#[context_var]`](macro@crate::context_var), or by hand:
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
/// A variable gets a slot in the process's table of variables at its first write, and keeps it forever. So it
/// must be a static, or leaked.
///
/// # The current context
///
/// Inside [`Context::run`](crate::Context::run), and in a future that is wrapped in a [`Scoped`], that
/// context is current. Elsewhere the thread's own context is, which is empty at first. A tokio task that was
/// given no context has none (feature `tokio`): no variable is set there, and [`try_set`](Self::try_set)
/// returns a [`SetError`].
///
/// # Values
///
/// A value can have any type that is `Send + Sync + 'static`. Values never change in place. To change a
/// variable, set another value, or hold the part that changes in a `Mutex` or an atomic.
#[doc(alias("AsyncLocal", "MDC", "task_local"))]
pub struct ContextVar<T: 'static> {
    variable: Variable<T>,
    default: DefaultValue<T>,
}

/// A type that the values of a context variable can have. Every type that is `Send + Sync + 'static`
/// implements it.
///
/// The bounds are needed because a context moves from thread to thread with its task, and copies share their
/// values.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the value of a context variable: it is not `Send + Sync + 'static`",
    label = "this type must be `Send + Sync + 'static`",
    note = "a context moves from thread to thread, and its copies share the values: use `Arc` for `Rc`, \
            `Mutex` for `RefCell`, an atomic for `Cell`, an owned value for a borrowed one",
    note = "see https://docs.rs/contextvar/latest/contextvar/guide/errors#not-send-or-sync"
)]
pub trait ContextValue: Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Send + Sync + 'static> ContextValue for T {}

impl<T: ContextValue> ContextVar<T> {
    /// Returns a variable without a default. The name appears in messages; two variables can have the same
    /// name.
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static USER: ContextVar<String> = ContextVar::new("user");
    ///
    /// assert!(USER.try_get().is_err());
    /// ```
    pub const fn new(name: &'static str) -> Self {
        ContextVar { variable: Variable::new(name), default: DefaultValue::none() }
    }

    /// Returns a variable whose default is the value that `default` returns.
    ///
    /// `default` is called once per process, by the first read that needs the default, in the reader's
    /// context. Other threads that need it wait. If `default` panics, the next reader calls it again. If it
    /// reads its own variable, the variable is not set.
    ///
    /// All readers share the value: if each request needs a `Mutex` or an atomic of its own, use
    /// [`new`](Self::new) and set a new one for each request.
    ///
    /// Two defaults that read each other must not be computed by two threads at the same time: the threads
    /// would wait for each other, as with any lazily computed static.
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
        var.default.compute = Some(default);
        var
    }
}

impl<T: 'static> ContextVar<T> {
    /// Lets the `Debug` of a [`Context`](crate::Context) show this variable's values. Otherwise it shows the
    /// name of their type. The attribute `#[context_var]` calls it for every type that has a `Debug`.
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

    /// Shows this variable's value in logs if it is set: in those of `contextvar::tracing`, and in those that
    /// use [`for_each_log_field`](crate::for_each_log_field). A [`secret`](Self::secret) variable is never
    /// shown.
    ///
    /// Numbers and booleans keep their types. The attribute `#[context_var]` can do more: it accepts types
    /// without `Display`, shows the value in an `Option`, a part of a value, a default, or JSON.
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
        self.with_show(log::show_display).with_log()
    }

    /// Makes this variable's value a label of metrics: those of `contextvar::metrics` and of
    /// `contextvar::opentelemetry`. A [`secret`](Self::secret) variable is never a label.
    ///
    /// Each value makes a time series of its own. Use it for variables with few values, such as a tenant's
    /// plan, and not for a request's id.
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static PLAN: ContextVar<&str> = ContextVar::new("plan").metric();
    /// # let _ = &PLAN;
    /// ```
    pub const fn metric(self) -> Self
    where
        T: fmt::Display,
    {
        self.with_show(log::show_display).with_metric()
    }

    pub(crate) const fn with_show(mut self, show: ShowFn<T>) -> Self {
        self.variable = self.variable.show(show);
        self
    }

    pub(crate) const fn with_log(mut self) -> Self {
        self.variable = self.variable.log();
        self
    }

    pub(crate) const fn with_metric(mut self) -> Self {
        self.variable = self.variable.metric();
        self
    }

    /// Keeps this variable's values out of logs and messages. The `Debug` of a [`Context`](crate::Context)
    /// shows `<redacted>`.
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

    /// Sets whether other tasks and threads inherit this variable's value. The default is `true`.
    ///
    /// Tasks and threads that are started with [`task::spawn`](crate::task::spawn),
    /// [`thread::spawn`](crate::thread::spawn) and their relatives inherit. With `false` the variable is not
    /// set there.
    ///
    /// Use `false` for a value that two tasks must not use at the same time, or that must not outlive its
    /// owner: a live transaction, a connection, a flag that suppresses something for a while. Copies that
    /// stay within the task have the value ([`copy_context`], [`Context::run`](crate::Context::run),
    /// [`scope`](Self::scope), `#[with_copied_context]`). If you move such a copy into another task yourself,
    /// it takes the value along, unless you call [`Context::inherited`](crate::Context::inherited).
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

    /// Sets whether reads and writes of this variable without a context are reported (feature `report`). The
    /// default is `true`.
    ///
    /// Use `false` for a variable that code outside of requests reads as well, such as one with the locale.
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static LOCALE: ContextVar<&str> = ContextVar::with_default("locale", || "en").report(false);
    ///
    /// assert_eq!(LOCALE.get(), "en");
    /// ```
    pub const fn report(mut self, report: bool) -> Self {
        self.variable = self.variable.report(report);
        self
    }

    /// Returns the name given at the declaration.
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

    /// Returns the default for a log: see [`DefaultValue::get_without_waiting`].
    #[cfg(feature = "macros")]
    pub(crate) fn default_for_log(&'static self) -> Option<&'static T> {
        self.default.get_without_waiting(&self.variable)
    }

    /// Returns a clone of the value in the current context, or otherwise of the default. Panics if there is
    /// neither.
    ///
    /// # Panics
    ///
    /// Panics with the text of [`LookupError`] and the address of its [entry in the guide][errors] if
    /// the variable is not set and has no default.
    ///
    /// [errors]: https://docs.rs/contextvar/latest/contextvar/guide/errors
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
    #[inline(always)]
    #[track_caller]
    pub fn get(&'static self) -> T
    where
        T: Clone,
    {
        self.with(T::clone)
    }

    /// Returns a clone of the value in the current context, or otherwise of the default, or an error if there
    /// is neither.
    ///
    /// # Errors
    ///
    /// Returns [`LookupError`] if the variable is not set and has no default.
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
    #[cfg_attr(feature = "report", track_caller)]
    pub fn try_get(&'static self) -> Result<T, LookupError>
    where
        T: Clone,
    {
        self.try_with(T::clone)
    }

    /// Returns a clone of the value in the current context, or otherwise the argument, even if the variable
    /// has a default ([PEP 567]: `var.get(default)`).
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
    #[cfg_attr(feature = "report", track_caller)]
    pub fn get_or(&'static self, default: T) -> T
    where
        T: Clone,
    {
        match self.read(|_| None, T::clone) {
            Some(value) => {
                // Dropped here and not at the end, where a panic of the drop would leak `value`.
                drop(default);
                value
            }
            None => default,
        }
    }

    /// Calls `f` with a reference to the value in the current context, or otherwise to the default. Panics if
    /// there is neither.
    ///
    /// The value stays alive and unchanged while `f` runs, whatever `f` sets.
    ///
    /// # Panics
    ///
    /// Panics with the text of [`LookupError`] and the address of its [entry in the guide][errors] if
    /// the variable is not set and has no default.
    ///
    /// [errors]: https://docs.rs/contextvar/latest/contextvar/guide/errors
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
    #[inline(always)]
    #[track_caller]
    pub fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        match self.try_with(f) {
            Ok(result) => result,
            Err(error) => error::fail(&error),
        }
    }

    /// Calls `f` with a reference to the value in the current context, or otherwise to the default. Returns
    /// an error if there is neither.
    ///
    /// The value stays alive and unchanged while `f` runs, whatever `f` sets.
    ///
    /// # Errors
    ///
    /// Returns [`LookupError`] if the variable is not set and has no default. `f` is not called in this case.
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
    #[inline(always)]
    #[cfg_attr(feature = "report", track_caller)]
    pub fn try_with<R>(&'static self, f: impl FnOnce(&T) -> R) -> Result<R, LookupError> {
        #[cfg(feature = "report")]
        let location = Location::caller();
        self.read(|known| known.or_else(|| self.default.get(&self.variable)), f).ok_or_else(move || {
            self.lookup_error(
                #[cfg(feature = "report")]
                location,
            )
        })
    }

    #[inline(always)]
    #[cfg_attr(feature = "report", track_caller)]
    fn read<R>(
        &'static self,
        default: impl FnOnce(Option<&'static T>) -> Option<&'static T>,
        f: impl FnOnce(&T) -> R,
    ) -> Option<R> {
        #[cfg(not(feature = "report"))]
        let on_no_context = |_| ();
        #[cfg(feature = "report")]
        let location = Location::caller();
        #[cfg(feature = "report")]
        let on_no_context = move |no_context| {
            if crate::report::is_on() {
                self.report_read(no_context, location);
            }
        };
        current::read(&self.variable, on_no_context, default, f)
    }

    #[cfg(feature = "report")]
    #[cold]
    #[inline(never)]
    fn report_read(&self, no_context: NoContext, location: &'static Location<'static>) {
        use crate::report::{self, Access, Cause};

        match no_context {
            _ if !self.variable.is_reported() => (),
            NoContext::Task => report::note(self.name(), Access::Read, Cause::NoContext, location),
            NoContext::Copy => report::note(self.name(), Access::Read, Cause::LostContext, location),
            NoContext::Thread => report::note_on_thread(self.name(), location),
        }
    }

    #[cold]
    #[inline(never)]
    fn lookup_error(&self, #[cfg(feature = "report")] location: &'static Location<'static>) -> LookupError {
        let kind = current::lookup_error_kind();
        #[cfg(feature = "report")]
        if self.variable.is_reported() && kind == LookupErrorKind::OtherTask {
            let cause = crate::report::Cause::OtherTask;
            crate::report::note(self.name(), crate::report::Access::Read, cause, location);
        }
        LookupError::new(self.name(), kind)
    }

    /// Returns true if the variable is set in the current context. A default does not count.
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

    /// Sets the variable in the current context. Panics if the context cannot be written.
    ///
    /// The returned token can [`reset`](Self::reset) the variable to its old value. You can ignore the token.
    ///
    /// # Panics
    ///
    /// Panics with the text of [`SetError`] and the address of its [entry in the guide][errors] if
    /// there is no context that can be written.
    ///
    /// [errors]: https://docs.rs/contextvar/latest/contextvar/guide/errors
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

    /// Sets the variable in the current context. Returns an error with the value if the context cannot be
    /// written.
    ///
    /// The returned token can [`reset`](Self::reset) the variable to its old value. You can ignore the token.
    ///
    /// # Errors
    ///
    /// Returns [`SetError`] if there is no context that can be written: in a tokio task that was given none,
    /// in a task that runs inside another task's context, and on a thread that is exiting.
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
    #[inline(always)]
    #[cfg_attr(feature = "report", track_caller)]
    pub fn try_set(&'static self, value: T) -> Result<Token<T>, SetError<T>> {
        #[cfg(feature = "report")]
        let location = Location::caller();
        let on_watched = || {
            #[cfg(feature = "report")]
            self.report_watched_set(location);
        };
        match current::set(&self.variable, value, on_watched) {
            Ok(undo) => {
                #[cfg(feature = "observe")]
                crate::observe::changed(&self.variable);
                Ok(Token { var: self, undo })
            }
            Err((kind, value)) => Err(self.set_error(
                kind,
                value,
                #[cfg(feature = "report")]
                location,
            )),
        }
    }

    /// Sets the variable in a context that this library has entered. Makes no token, so the context needs no
    /// identity.
    ///
    /// # Panics
    ///
    /// Panics as [`set`](Self::set) does.
    #[cfg(feature = "tower")]
    #[inline]
    pub(crate) fn put(&'static self, value: T) {
        match current::put(&self.variable, value) {
            Ok(old) => {
                #[cfg(feature = "observe")]
                crate::observe::changed(&self.variable);
                drop(old);
            }
            Err((kind, value)) => error::fail(&SetError::new(self.name(), kind, value)),
        }
    }

    #[cold]
    #[inline]
    fn set_error(
        &self,
        kind: WriteErrorKind,
        value: T,
        #[cfg(feature = "report")] location: &'static Location<'static>,
    ) -> SetError<T> {
        #[cfg(feature = "report")]
        if crate::report::is_on() && self.variable.is_reported() {
            crate::report::note(self.name(), crate::report::Access::Write, kind.into(), location);
        }
        SetError::new(self.name(), kind, value)
    }

    #[cfg(feature = "report")]
    #[cold]
    #[inline(never)]
    fn report_watched_set(&self, location: &'static Location<'static>) {
        if self.variable.is_reported() {
            crate::report::note_watched_write(self.name(), location);
        }
    }

    /// Restores the state before the `set` that returned `token`: the old value, or that the variable was not
    /// set. Panics if the token belongs elsewhere.
    ///
    /// The context must be the one in which the token was made, not a copy of it. A token can be used once:
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
    /// Panics with the text of [`ResetError`] and the address of its [entry in the guide][errors] if
    /// the token was made by another variable or in another context.
    ///
    /// [errors]: https://docs.rs/contextvar/latest/contextvar/guide/errors
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

    /// Restores the state before the `set` that returned `token`: the old value, or that the variable was not
    /// set. Returns an error with the token if it belongs elsewhere.
    ///
    /// # Errors
    ///
    /// Returns [`ResetError`] if the token was made by another variable or in another context. Nothing has
    /// changed in this case.
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
    #[inline(always)]
    pub fn try_reset(&'static self, token: Token<T>) -> Result<(), ResetError<T>> {
        if !ptr::eq(token.var, self) {
            return Err(self.reset_error(token));
        }
        let Token { var, undo } = token;
        match current::reset(&self.variable, undo) {
            Ok(()) => {
                #[cfg(feature = "observe")]
                crate::observe::changed(&self.variable);
                Ok(())
            }
            Err(undo) => Err(self.reset_error(Token { var, undo })),
        }
    }

    #[cold]
    fn reset_error(&self, token: Token<T>) -> ResetError<T> {
        let same = ptr::eq(token.var, self);
        let kind = if same { ResetErrorKind::DifferentContext } else { ResetErrorKind::DifferentVar };
        ResetError::new(self.name(), kind, token)
    }

    /// Wraps `future` so that it runs in a copy of the current context in which this variable is set to
    /// `value`. The copy is taken at this call.
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
    #[cfg_attr(feature = "inspect", track_caller)]
    pub fn scope<F: Future>(&'static self, value: T, future: F) -> Scoped<F> {
        copy_context().with_value(self, value).scope(future)
    }

    /// Runs `f` with this variable set to `value` in the current context. Then restores the variable, also if
    /// `f` panics.
    ///
    /// Other variables keep the values that `f` sets.
    ///
    /// # Panics
    ///
    /// Panics with the text of [`SetError`] and the address of its [entry in the guide][errors] if
    /// there is no context that can be written. `f` is not called in this case.
    ///
    /// [errors]: https://docs.rs/contextvar/latest/contextvar/guide/errors
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
        #[cfg(feature = "report")]
        let location = Location::caller();
        match current::scope(&self.variable, value, f) {
            Ok(result) => result,
            Err((kind, value)) => error::fail(&self.set_error(
                kind,
                value,
                #[cfg(feature = "report")]
                location,
            )),
        }
    }

    #[inline]
    pub(crate) fn variable(&self) -> &Variable<T> {
        &self.variable
    }
}

impl<T> fmt::Debug for ContextVar<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextVar").field("name", &self.name()).finish_non_exhaustive()
    }
}
