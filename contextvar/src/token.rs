use std::fmt;
use std::marker::PhantomData;

use crate::current::Undo;
use crate::var::ContextVar;

/// Undoes a [`set`](ContextVar::set): pass it to [`reset`](ContextVar::reset).
///
/// Dropping a token only drops the old value; the variable is not reset.
///
/// ```
/// use contextvar::ContextVar;
///
/// static USER: ContextVar<&str> = ContextVar::new("user");
///
/// let first = USER.set("ada");
/// let second = USER.set("grace");
/// assert_eq!(first.old_value(), None);
/// assert_eq!(second.old_value(), Some(&"ada"));
/// assert_eq!(first.var().name(), "user");
/// ```
pub struct Token<T: 'static> {
    pub(crate) var: &'static ContextVar<T>,
    pub(crate) undo: Undo<T>,
}

impl<T> Token<T> {
    /// Returns the variable that made the token.
    pub fn var(&self) -> &'static ContextVar<T> {
        self.var
    }

    /// Returns the value before the `set`, or `None` if the variable was not set ([PEP 567]'s
    /// `Token.MISSING`).
    ///
    /// [PEP 567]: https://peps.python.org/pep-0567/#contextvars-token
    pub fn old_value(&self) -> Option<&T> {
        self.undo.old.as_deref()
    }

    /// Returns a guard that resets the variable when it is dropped: Python 3.14's `with var.set(x):`.
    ///
    /// ```
    /// use contextvar::ContextVar;
    ///
    /// static USER: ContextVar<&str> = ContextVar::new("user");
    ///
    /// {
    ///     let _reset = USER.set("ada").reset_on_drop();
    ///     assert_eq!(USER.get(), "ada");
    /// }
    /// assert!(!USER.is_set());
    /// ```
    pub fn reset_on_drop(self) -> ResetOnDrop<T> {
        ResetOnDrop { token: Some(self), _not_send: PhantomData }
    }
}

impl<T> fmt::Debug for Token<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("var", &self.var.name()).finish_non_exhaustive()
    }
}

/// Resets a variable when it is dropped. Made by [`Token::reset_on_drop`].
///
/// The drop never panics. In another context, where the token is not valid, it does nothing.
///
/// The guard is not `Send`, so a spawned task cannot hold it across an `.await`: it could be dropped in
/// another context. Use [`ContextVar::scope`] there.
///
/// ```compile_fail
/// # static USER: contextvar::ContextVar<&str> = contextvar::ContextVar::new("user");
/// fn spawn(_: impl Send) {}
/// spawn(async {
///     let _reset = USER.set("ada").reset_on_drop();
///     std::future::ready(()).await;
/// });
/// ```
///
/// ```
/// # static USER: contextvar::ContextVar<&str> = contextvar::ContextVar::new("user");
/// # fn spawn(_: impl Send) {}
/// spawn(USER.scope("ada", async {
///     std::future::ready(()).await;
/// }));
/// ```
#[must_use = "if unused, the variable is reset immediately"]
pub struct ResetOnDrop<T: 'static> {
    token: Option<Token<T>>,
    _not_send: PhantomData<*const ()>,
}

impl<T> Drop for ResetOnDrop<T> {
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            let _ = token.var.try_reset(token);
        }
    }
}

impl<T> fmt::Debug for ResetOnDrop<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResetOnDrop").field("token", &self.token).finish()
    }
}
