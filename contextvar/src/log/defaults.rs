//! The variables whose defaults logs or metrics show.

use std::ptr;
use std::sync::OnceLock;

use super::{LogValue, ShownIn};
use crate::storage::{AnyVariable, shown_variables};
use crate::var::{ContextValue, ContextVar};

/// A variable whose default logs or metrics show. The attribute submits it to `inventory`.
#[expect(missing_debug_implementations, reason = "only expansions name it")]
pub struct ShownDefault {
    var: &'static dyn WithDefault,
    log: bool,
    metric: bool,
}

inventory::collect!(ShownDefault);

/// Returns the variables whose defaults are shown there, each with the name under which it is shown.
pub(super) fn defaults(shown_in: ShownIn<'_>) -> impl Iterator<Item = (&'static str, &'static ShownDefault)> {
    static NAMED: OnceLock<Vec<(&str, &ShownDefault)>> = OnceLock::new();

    let with_name = |default: &'static ShownDefault| (default.register(), default);
    let named = NAMED.get_or_init(|| inventory::iter::<ShownDefault>.into_iter().map(with_name).collect());
    named.iter().copied().filter(move |(_, default)| match shown_in {
        ShownIn::Logs => default.log,
        ShownIn::Metrics => default.metric,
        ShownIn::List(_) => shown_in.shows(default.variable()),
    })
}

impl ShownDefault {
    /// Returns the entry of a variable whose default is shown in logs, in metrics or in both.
    pub const fn new<T: ContextValue>(var: &'static ContextVar<T>, log: bool, metric: bool) -> Self {
        ShownDefault { var, log, metric }
    }

    pub(super) fn variable(&self) -> &'static dyn AnyVariable {
        self.var.variable()
    }

    /// Gives the variable a slot if it has none. Returns the name under which it is shown.
    fn register(&self) -> &'static str {
        self.var.register();
        let is_this = |variable| ptr::addr_eq(variable, self.variable());
        let shown = shown_variables().find(|shown| is_this(shown.variable));
        shown.map_or_else(|| self.variable().name(), |shown| shown.name)
    }

    pub(super) fn is_set(&self) -> bool {
        self.var.is_set()
    }

    /// Passes the default to `visit`. Computes it if it has not been needed before.
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
        if let Some(value) = self.default_value() {
            self.variable().show_value(value, visit);
        }
    }
}
