//! Calls an observer whenever a thread enters or exits a context, and whenever a variable changes.
//!
//! It is for profilers, and for bridges to libraries that keep values in thread-locals, such as the
//! diagnostic contexts of logging libraries.
//!
//! With feature `observe` but without an observer, each entry and each exit checks whether there is one.
//!
//! ```
//! use std::cell::RefCell;
//!
//! use contextvar::observe::{ChangedVar, Observer, set_observer};
//! use contextvar::{Context, ContextVar};
//!
//! static USER: ContextVar<String> = ContextVar::with_default("user", || "nobody".to_owned());
//!
//! thread_local! {
//!     static DIAGNOSTIC_CONTEXT: RefCell<String> = RefCell::new("nobody".to_owned());
//! }
//!
//! /// Updates the thread's diagnostic context at each entry and exit.
//! struct Bridge;
//!
//! impl Observer for Bridge {
//!     fn on_enter(&self) {
//!         let _ = DIAGNOSTIC_CONTEXT.try_with(|user| user.replace(USER.get()));
//!     }
//!
//!     fn on_exit(&self) {
//!         self.on_enter();
//!     }
//!
//!     fn on_change(&self, var: ChangedVar) {
//!         if var.is(&USER) {
//!             self.on_enter();
//!         }
//!     }
//! }
//!
//! set_observer(&Bridge).unwrap();
//! Context::new().with_value(&USER, "ada".to_owned()).run(|| {
//!     DIAGNOSTIC_CONTEXT.with_borrow(|user| assert_eq!(user, "ada"));
//!     USER.set("grace".to_owned());
//!     DIAGNOSTIC_CONTEXT.with_borrow(|user| assert_eq!(user, "grace"));
//! });
//! DIAGNOSTIC_CONTEXT.with_borrow(|user| assert_eq!(user, "nobody"));
//! ```

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::ptr;
use std::sync::OnceLock;

use crate::on_drop::OnDrop;
use crate::storage::AnyVariable;
use crate::var::ContextVar;

/// Observes the contexts that threads enter and exit. See [`set_observer`].
///
/// The methods run on the thread that enters or exits a context, which happens at each poll of a future in a
/// context. They are not called for contexts that an observer's method enters.
pub trait Observer: Sync {
    /// Called after a thread has entered a context, which is now the current one.
    ///
    /// # Panics
    ///
    /// A panic in this method propagates through the `run` or `poll` that entered the context, and exits the
    /// context.
    fn on_enter(&self) {}

    /// Called after a thread has exited a context, also by a panic. The context around it is the current one
    /// again.
    ///
    /// # Panics
    ///
    /// This method must not panic: during a panic a second one aborts the process.
    fn on_exit(&self) {}

    /// Called after a variable has changed in the current context: by [`set`](crate::ContextVar::set), a
    /// [`reset`](crate::ContextVar::reset), the end of a [`sync_scope`](crate::ContextVar::sync_scope), or,
    /// for each variable, [`apply_changes_to_current`](crate::Context::apply_changes_to_current).
    ///
    /// # Panics
    ///
    /// A panic in this method propagates through the call that changed the variable, which stays changed.
    fn on_change(&self, _var: ChangedVar) {}
}

/// The variable of an [`Observer::on_change`].
#[derive(Clone, Copy)]
pub struct ChangedVar {
    variable: &'static dyn AnyVariable,
}

impl ChangedVar {
    /// Returns the variable's name.
    pub fn name(&self) -> &'static str {
        self.variable.name()
    }

    /// Returns true if `var` is this variable.
    pub fn is<T>(&self, var: &'static ContextVar<T>) -> bool {
        ptr::addr_eq(self.variable, var.variable())
    }
}

impl fmt::Debug for ChangedVar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangedVar").field("name", &self.name()).finish()
    }
}

static OBSERVER: OnceLock<&'static dyn Observer> = OnceLock::new();

thread_local! {
    /// True while a method of the observer runs.
    static NOTIFYING: Cell<bool> = const { Cell::new(false) };
}

/// Sets the observer of the process, for all threads. It cannot be changed afterwards.
///
/// If threads are inside contexts at that time, the observer is still called when they exit.
///
/// # Errors
///
/// Returns an error if the process has an observer already.
pub fn set_observer(observer: &'static dyn Observer) -> Result<(), SetObserverError> {
    OBSERVER.set(observer).map_err(|_| SetObserverError(()))
}

/// Returned by [`set_observer`] if the process has an observer already. See
/// its [entry in the guide](https://docs.rs/contextvar/latest/contextvar/guide/errors#second-observer).
#[derive(Clone, Debug)]
pub struct SetObserverError(());

impl fmt::Display for SetObserverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the process has an observer already: let that observer call yours as well")
    }
}

impl Error for SetObserverError {}

/// Returns true if there is an observer.
#[cfg(all(feature = "runtime-hooks", tokio_unstable))]
pub(crate) fn is_set() -> bool {
    OBSERVER.get().is_some()
}

#[inline]
pub(crate) fn entered() {
    if let Some(observer) = OBSERVER.get() {
        notify(|| observer.on_enter());
    }
}

#[inline]
pub(crate) fn exited() {
    if let Some(observer) = OBSERVER.get() {
        notify(|| observer.on_exit());
    }
}

/// Notifies the observer that `variable` has changed.
#[inline]
pub(crate) fn changed(variable: &'static dyn AnyVariable) {
    if let Some(observer) = OBSERVER.get() {
        notify(|| observer.on_change(ChangedVar { variable }));
    }
}

#[inline(never)]
fn notify(call: impl FnOnce()) {
    if !NOTIFYING.replace(true) {
        let _reset = OnDrop(|| NOTIFYING.set(false));
        call();
    }
}
