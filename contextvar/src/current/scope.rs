//! A value for the time of one call.

use std::mem::{self, ManuallyDrop};

use super::frame::Undo;
use super::task::WriteErrorKind;
use super::{frame_for_set, innermost_frame, writable_frame};
use crate::storage::{Value, Variable};

/// Sets `variable`, calls `f`, and undoes the `set`, also if `f` panics. Returns the value and the reason if the
/// variable cannot be set.
#[inline(always)]
pub(crate) fn scope<T: 'static, R>(
    variable: &'static Variable<T>,
    value: T,
    f: impl FnOnce() -> R,
) -> Result<R, (WriteErrorKind, T)> {
    // The scope restores the value before another request can run, so the write is not reported.
    let undo = match frame_for_set(|| ()) {
        Ok((frame, identity)) => frame.set(variable, Value::new(variable, value), identity),
        Err(kind) => return Err((*kind, value)),
    };
    #[cfg(feature = "observe")]
    crate::observe::changed(variable);
    let mut on_panic = RestoreOnPanic { variable, undo: ManuallyDrop::new(undo) };
    let result = f();
    // SAFETY: `on_panic` is not dropped.
    let undo = unsafe { ManuallyDrop::take(&mut on_panic.undo) };
    mem::forget(on_panic);
    restore(variable, undo);
    Ok(result)
}

/// Not stored while `f` runs, because its drop passes it by value.
struct RestoreOnPanic<T: 'static> {
    variable: &'static Variable<T>,
    undo: ManuallyDrop<Undo<T>>,
}

impl<T> Drop for RestoreOnPanic<T> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: it is not used again.
        restore_if_possible(self.variable, unsafe { ManuallyDrop::take(&mut self.undo) });
    }
}

/// Undoes the `set`, whatever the current task is: the code that is in the scope was allowed to write.
#[inline(always)]
fn restore<T: 'static>(variable: &'static Variable<T>, undo: Undo<T>) {
    let frame = innermost_frame();
    if !frame.is_origin_of(&undo) {
        return restore_if_possible(variable, undo);
    }
    frame.reset(variable, undo);
    #[cfg(feature = "observe")]
    crate::observe::changed(variable);
}

/// Restores in the thread's own context, or in that of a task with hooks.
#[cold]
#[inline(never)]
fn restore_if_possible<T: 'static>(variable: &'static Variable<T>, undo: Undo<T>) {
    match writable_frame() {
        Ok(frame) if frame.is_origin_of(&undo) => {
            frame.reset(variable, undo);
            #[cfg(feature = "observe")]
            crate::observe::changed(variable);
        }
        _ => (),
    }
}
