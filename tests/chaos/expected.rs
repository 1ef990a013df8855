//! The values that code must read.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::Rng;
use rand::rngs::StdRng;

use crate::variables::{COUNTED, Counted, NOT_INHERITED, NUMBER, TEXT};

/// The values of the current context: those set here last, and otherwise those that the context started with.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Expected {
    pub(crate) number: Option<u64>,
    pub(crate) text: Option<String>,
    pub(crate) counted: Option<u64>,
    pub(crate) not_inherited: Option<u64>,
}

impl Expected {
    #[track_caller]
    pub(crate) fn check(&self) {
        let seen = Expected {
            number: NUMBER.try_get().ok(),
            text: TEXT.is_set().then(|| TEXT.get()),
            counted: COUNTED.try_with(|counted| counted.n).ok(),
            not_inherited: NOT_INHERITED.try_get().ok(),
        };
        assert_eq!(seen, *self);
    }

    /// Sets a variable. Can panic deliberately, because it drops the value that was set before.
    pub(crate) fn set(&mut self, random: &mut StdRng) {
        let n = random.random();
        match random.random_range(0..4) {
            0 => {
                self.number = Some(n);
                NUMBER.set(n);
            }
            1 => {
                self.text = Some(n.to_string());
                TEXT.set(n.to_string());
            }
            2 => {
                self.not_inherited = Some(n);
                NOT_INHERITED.set(n);
            }
            _ => {
                self.counted = Some(n);
                COUNTED.set(Counted::new(n));
            }
        }
    }

    /// Sets two variables to values that do not panic when they are dropped. A thread's exit drops values,
    /// and must not panic.
    pub(crate) fn set_without_panics(&mut self, random: &mut StdRng) {
        let n = Counted::number_without_panics(random.random());
        COUNTED.set(Counted::new(n));
        NUMBER.set(n);
        (self.counted, self.number) = (Some(n), Some(n));
    }

    /// Returns what an inherited copy of the context has.
    pub(crate) fn inherited(&self) -> Self {
        Expected { not_inherited: None, ..self.clone() }
    }
}

/// Checks the values when it is dropped: at the end of its future, when the task is aborted, or when the
/// runtime shuts down.
pub(crate) struct CheckOnDrop(pub(crate) Expected);

impl Drop for CheckOnDrop {
    fn drop(&mut self) {
        // A second panic during a panic would abort without this message.
        let checked = catch_unwind(AssertUnwindSafe(|| self.0.check()));
        if checked.is_err() {
            eprintln!("a future that was dropped saw values of another context");
            std::process::abort();
        }
    }
}
