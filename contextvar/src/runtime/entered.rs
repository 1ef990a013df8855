//! The ambient values of other libraries that are entered for the polls of tasks.

use std::cell::RefCell;
use std::mem;
use std::panic::{self, AssertUnwindSafe};

use tokio::task::Id;

use crate::carry::{Carried, Guards};
use crate::current::{discard_panic, task_id};

/// The values that a thread has entered and not left, for each task, the innermost last.
///
/// A panic that leaves a poll past tokio's `catch_unwind` skips the hook after the poll. The values of that
/// poll remain current until the thread's next poll.
#[derive(Default)]
struct Entered(RefCell<Vec<(Id, Guards)>>);

impl Drop for Entered {
    fn drop(&mut self) {
        // The thread is exiting. A library's guards may use thread-locals that are gone.
        self.0.get_mut().drain(..).for_each(mem::forget);
    }
}

thread_local! {
    static ENTERED: Entered = Entered::default();
}

/// Enters the values for a poll of `task`.
pub(super) fn enter(task: Id, carried: &Carried) {
    let outer = task_id();
    pop_while(|entered| match outer {
        None => !entered.is_empty(),
        Some(outer) => entered
            .iter()
            .rposition(|(task, _)| *task == outer)
            .is_some_and(|index| index + 1 < entered.len()),
    });
    if let Ok(Some(guards)) = panic::catch_unwind(AssertUnwindSafe(|| carried.enter())) {
        let _ = ENTERED.try_with(|entered| entered.0.borrow_mut().push((task, guards)));
    }
}

/// Leaves the values that were entered for a poll of `task`.
pub(super) fn leave(task: Id) {
    pop_while(|entered| entered.iter().any(|(entered, _)| *entered == task));
}

fn pop_while(is_over: impl Fn(&[(Id, Guards)]) -> bool) {
    let pop = || {
        let pop = |entered: &Entered| {
            let mut entered = entered.0.borrow_mut();
            if is_over(&entered) { entered.pop() } else { None }
        };
        ENTERED.try_with(pop).ok().flatten()
    };
    while let Some(guards) = pop() {
        discard_panic(|| drop(guards));
    }
}
