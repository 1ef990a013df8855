//! The variables of the process, each with a slot.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, Ordering};

use once_cell::race::OnceRef;

use super::node;
use super::variable::AnyVariable;
use crate::sync::{Mutex, MutexGuard};

static REGISTRY: Mutex<Registry> = Mutex::new(Registry::new(&SHOWN));

/// The variables that have been written at least once. Each has a slot.
pub(super) struct Registry {
    /// In the order of their slots, as `not_inherited` is: see [`node::slot`].
    inherited: Vec<Registered>,
    not_inherited: Vec<Registered>,
    /// The end of the list that starts at [`SHOWN`].
    end_of_shown: &'static Link,
    /// The names in that list.
    names: BTreeSet<&'static str>,
}

#[derive(Clone, Copy)]
pub(super) struct Registered {
    pub(super) variable: &'static dyn AnyVariable,
    /// The number of variables that were registered before this one.
    pub(super) number: u32,
}

pub(super) fn lock() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Registry {
    const fn new(shown: &'static Link) -> Self {
        Registry {
            inherited: Vec::new(),
            not_inherited: Vec::new(),
            end_of_shown: shown,
            names: BTreeSet::new(),
        }
    }

    /// Registers a variable and returns its slot.
    pub(super) fn add(&mut self, variable: &'static dyn AnyVariable, inherit: bool) -> u32 {
        let number = self.inherited.len() + self.not_inherited.len();
        let of_this_kind = if inherit { &mut self.inherited } else { &mut self.not_inherited };
        let slot = node::slot(of_this_kind.len(), inherit);
        let slot = slot.expect("fewer than 2^27 variables that are not inherited, and 2^32 in all");
        of_this_kind.push(Registered { variable, number: number as u32 });
        if variable.is_logged() || variable.is_metric() {
            if !self.names.insert(variable.name()) {
                HAS_NAMESAKES.store(true, Ordering::Relaxed);
            }
            let (is_logged, is_metric) = (variable.is_logged(), variable.is_metric());
            let shown = Shown { variable, slot, is_logged, is_metric, next: Link::new() };
            let shown: &'static Shown = Box::leak(Box::new(shown));
            let is_free = self.end_of_shown.set(shown);
            debug_assert!(is_free.is_ok(), "only the last link is free");
            self.end_of_shown = &shown.next;
        }
        slot
    }

    /// Returns the variable that has `slot`.
    pub(super) fn variable(&self, slot: u32) -> Registered {
        let of_this_kind = if node::is_inherited(slot) { &self.inherited } else { &self.not_inherited };
        of_this_kind[node::index(slot)]
    }
}

/// The list of the variables that logs or metrics show. It only grows, so readers need no lock.
static SHOWN: Link = Link::new();

/// A pointer to the next item, or the end of the list.
///
/// `OnceRef` and not std's `OnceLock`, because it is one atomic pointer: half the size, and a reader's step
/// is one load.
type Link = OnceRef<'static, Shown>;

/// A variable that logs or metrics show. Has what a line needs of a variable that is not set, so that the line
/// makes no calls.
pub(crate) struct Shown {
    pub(crate) variable: &'static dyn AnyVariable,
    pub(super) slot: u32,
    pub(crate) is_logged: bool,
    pub(crate) is_metric: bool,
    next: Link,
}

/// True if two variables in that list have the same name. It is set once, and stays so.
static HAS_NAMESAKES: AtomicBool = AtomicBool::new(false);

#[inline]
pub(crate) fn has_namesakes() -> bool {
    HAS_NAMESAKES.load(Ordering::Relaxed)
}

/// Returns the variables that logs or metrics show and that have a slot, in the order of their first writes.
/// Takes no lock.
#[inline]
pub(crate) fn shown_variables() -> impl Iterator<Item = &'static Shown> {
    list_from(&SHOWN)
}

#[inline]
fn list_from(start: &'static Link) -> impl Iterator<Item = &'static Shown> {
    let mut next = start;
    std::iter::from_fn(move || {
        let shown = next.get()?;
        next = &shown.next;
        Some(shown)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Variable;

    #[test]
    fn slots_are_unique() {
        static VARIABLE: Variable<u64> = Variable::new("variable");

        let mut registry = Registry::new(&SHOWN);
        let mut slots = std::collections::HashSet::from([node::UNASSIGNED]);
        let count = if cfg!(miri) { 200 } else { 5000 };
        for number in 0..count {
            let inherit = number % 3 != 0;
            let slot = registry.add(&VARIABLE, inherit);
            assert!(slots.insert(slot));
            assert_eq!(node::is_inherited(slot), inherit);
            assert_eq!(registry.variable(slot).number, number);
        }
        assert_eq!(registry.inherited.len() + registry.not_inherited.len(), slots.len() - 1);
    }

    /// A walk of the whole list for each variable would take hours.
    #[test]
    fn a_million_logged_variables_register_quickly() {
        static VARIABLE: Variable<u64> = Variable::new("variable").log();

        let shown: &'static Link = Box::leak(Box::new(Link::new()));
        let mut registry = Registry::new(shown);
        let count = if cfg!(miri) { 200 } else { 1_000_000 };
        for _ in 0..count {
            registry.add(&VARIABLE, true);
        }
        assert_eq!(list_from(shown).count(), count);
    }
}
