use std::ops::Deref;

use crate::current::this_thread;
use crate::on_drop::OnDrop;
use crate::storage::{Value, Variable};
use crate::sync::{AtomicUsize, OnceLock, Ordering};

/// The default of a variable, if it has one. It is computed on first need.
pub(super) struct DefaultValue<T: 'static> {
    pub(super) compute: Option<fn() -> T>,
    value: OnceLock<Value<T>>,
    /// The [number](this_thread) of the thread that is computing the default, or 0.
    computing: AtomicUsize,
}

impl<T> DefaultValue<T> {
    pub(super) const fn none() -> Self {
        DefaultValue { compute: None, value: OnceLock::new(), computing: AtomicUsize::new(0) }
    }

    /// Returns the default, computing it on first need. Returns `None` if there is none, and while this
    /// thread computes it.
    #[inline]
    pub(super) fn get(&'static self, variable: &'static Variable<T>) -> Option<&'static T> {
        self.value.get().map(Value::deref).or_else(|| self.compute(variable))
    }

    /// Returns the default for a log. Computes it on first need, unless a thread is computing it: that thread
    /// could wait for this one. Returns `None` if the computation panics, and on a thread that is panicking.
    #[allow(dead_code, reason = "for feature `macros`")]
    pub(super) fn get_without_waiting(&'static self, variable: &'static Variable<T>) -> Option<&'static T> {
        if let Some(value) = self.value.get() {
            return Some(value);
        }
        if self.computing.load(Ordering::Relaxed) != 0 || std::thread::panicking() {
            return None;
        }
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.compute(variable))).ok().flatten()
    }

    #[cold]
    fn compute(&'static self, variable: &'static Variable<T>) -> Option<&'static T> {
        let compute = self.compute?;
        // Relaxed is enough: no other thread stores the number of this one.
        if self.computing.load(Ordering::Relaxed) == this_thread() {
            return None;
        }
        let value = self.value.get_or_init(|| {
            self.computing.store(this_thread(), Ordering::Relaxed);
            let _clear = OnDrop(|| self.computing.store(0, Ordering::Relaxed));
            Value::new(variable, compute())
        });
        variable.set_default(value);
        Some(value)
    }
}
