//! To be told when a thread enters or leaves a context: for profilers, and for bridges to what keeps values in
//! thread-locals, as the diagnostic contexts of logging libraries do.
//!
//! Without the feature `observe` nothing of this is there, and it costs nothing; with it, but without an
//! observer, each entering and each leaving asks whether there is one.
//!
//! ```
//! use std::cell::RefCell;
//!
//! use contextvar::observe::{Observer, set_observer};
//! use contextvar::{Context, ContextVar};
//!
//! static USER: ContextVar<String> = ContextVar::with_default("user", || "nobody".to_owned());
//!
//! thread_local! {
//!     static DIAGNOSTIC_CONTEXT: RefCell<String> = RefCell::new("nobody".to_owned());
//! }
//!
//! /// Keeps the thread's diagnostic context as the current context had it when it was entered, or gone back to.
//! struct Bridge;
//!
//! impl Observer for Bridge {
//!     fn on_enter(&self) {
//!         let _ = DIAGNOSTIC_CONTEXT.try_with(|user| user.replace(USER.get()));
//!     }
//!
//!     fn on_exit(&self) {
//!         let _ = DIAGNOSTIC_CONTEXT.try_with(|user| user.replace(USER.get()));
//!     }
//! }
//!
//! set_observer(&Bridge).unwrap();
//! Context::new().with_value(&USER, "ada".to_owned()).run(|| {
//!     DIAGNOSTIC_CONTEXT.with_borrow(|user| assert_eq!(user, "ada"));
//! });
//! DIAGNOSTIC_CONTEXT.with_borrow(|user| assert_eq!(user, "nobody"));
//! ```

use std::cell::Cell;
use std::error::Error;
use std::fmt;
use std::sync::OnceLock;

use crate::on_drop::OnDrop;

/// Is told of the contexts that threads enter and leave. See [`set_observer`].
///
/// It is called on the thread that does so, and for each poll of a future in a context. What it
/// enters itself it is not told of.
pub trait Observer: Sync {
    /// A context was entered: it is the current one now.
    ///
    /// # Panics
    ///
    /// A panic in it is one in what entered the context, and leaves that.
    fn on_enter(&self) {}

    /// A context was left, also on a panic: the one around it is the current one again.
    ///
    /// # Panics
    ///
    /// It must not: it is called on panics too, where another one aborts the process.
    fn on_exit(&self) {}
}

static OBSERVER: OnceLock<&'static dyn Observer> = OnceLock::new();

thread_local! {
    /// True while a method of the observer runs.
    static NOTIFYING: Cell<bool> = const { Cell::new(false) };
}

/// Makes `observer` the one of the process, for all threads, for good.
///
/// One that is set while contexts are entered is told of their leaving.
///
/// # Errors
///
/// If there is one already.
pub fn set_observer(observer: &'static dyn Observer) -> Result<(), SetObserverError> {
    OBSERVER.set(observer).map_err(|_| SetObserverError(()))
}

/// There is an observer already, see [`set_observer`].
#[derive(Clone, Debug)]
pub struct SetObserverError(());

impl fmt::Display for SetObserverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the process has an observer already: let that one call the other, too")
    }
}

impl Error for SetObserverError {}

/// Whether there is an observer.
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

#[inline(never)]
fn notify(call: impl FnOnce()) {
    if !NOTIFYING.replace(true) {
        let _reset = OnDrop(|| NOTIFYING.set(false));
        call();
    }
}
