//! The variables whose defaults logs or metrics show.

use std::sync::Once;

use super::{LogValue, ShownIn};
use crate::storage::AnyVariable;
use crate::var::{ContextValue, ContextVar};

/// A variable whose default logs or metrics show. The attribute submits it to `inventory`.
#[expect(missing_debug_implementations, reason = "only expansions name it")]
pub struct ShownDefault {
    var: &'static dyn WithDefault,
    log: bool,
    metric: bool,
}

inventory::collect!(ShownDefault);

/// Returns true if any default of the process is shown anywhere.
#[inline]
pub(super) fn has_any() -> bool {
    all().next().is_some()
}

/// Returns the variables whose defaults are shown there.
#[inline]
pub(super) fn defaults(shown_in: ShownIn<'_>) -> impl Iterator<Item = &'static ShownDefault> {
    // Namesakes count from the first line on.
    static REGISTERED: Once = Once::new();

    REGISTERED.call_once(|| all().for_each(|default| default.var.register()));
    all().filter(move |default| match shown_in {
        ShownIn::Logs => default.log,
        ShownIn::Metrics => default.metric,
        ShownIn::List(list) => super::contains(list, default.variable()),
    })
}

#[inline]
fn all() -> impl Iterator<Item = &'static ShownDefault> {
    inventory::iter::<ShownDefault>.into_iter()
}

impl ShownDefault {
    /// Returns the entry of a variable whose default is shown in logs, in metrics or in both.
    pub const fn new<T: ContextValue>(var: &'static ContextVar<T>, log: bool, metric: bool) -> Self {
        ShownDefault { var, log, metric }
    }

    pub(super) fn variable(&self) -> &'static dyn AnyVariable {
        self.var.variable()
    }

    pub(super) fn is_set(&self) -> bool {
        self.var.is_set()
    }

    /// Passes the default to `visit`. Computes it if it has not been needed before and can be computed here.
    pub(super) fn show(&self, visit: &mut dyn FnMut(LogValue<'_>)) {
        self.var.show_default(visit);
    }
}

/// A [`ContextVar`] of any type.
trait WithDefault: Sync {
    fn variable(&'static self) -> &'static dyn AnyVariable;
    fn register(&'static self);
    fn is_set(&'static self) -> bool;
    fn show_default(&'static self, visit: &mut dyn FnMut(LogValue<'_>));
}

impl<T: ContextValue> WithDefault for ContextVar<T> {
    fn variable(&'static self) -> &'static dyn AnyVariable {
        self.variable()
    }

    fn register(&'static self) {
        self.variable().slot_for_write();
    }

    fn is_set(&'static self) -> bool {
        self.is_set()
    }

    fn show_default(&'static self, visit: &mut dyn FnMut(LogValue<'_>)) {
        if let Some(value) = self.default_for_log() {
            self.variable().show_value(value, visit);
        }
    }
}
