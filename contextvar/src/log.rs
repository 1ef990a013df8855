//! The variables in logs.

use std::cell::Cell;
use std::fmt;
use std::ptr;

use crate::current;
use crate::on_drop::OnDrop;
use crate::storage::{AnyVariable, Entry, logged_variables};

/// Calls `f` with the name and the value of each variable that is marked [`log`](crate::ContextVar::log) and
/// set in the current context, in the order in which the process first wrote the variables.
///
/// It is for loggers. `contextvar::tracing` (feature `tracing`) uses it; with the `log` crate, call it in the
/// logger's format function.
///
/// It takes no lock, and takes a few nanoseconds if no variable is marked.
///
/// The `Display` of a value can log. Such a log line shows the other variables; a line that their `Display`s
/// log shows none.
///
/// ```
/// use contextvar::{ContextVar, for_each_log_field};
///
/// static REQUEST_ID: ContextVar<u64> = ContextVar::new("request_id").log();
/// static TENANT: ContextVar<&str> = ContextVar::new("tenant").log();
///
/// REQUEST_ID.set(7);
/// let mut fields = Vec::new();
/// for_each_log_field(|name, value| fields.push(format!("{name}={value}")));
/// assert_eq!(fields, ["request_id=7"]);
/// ```
#[doc(alias = "MDC")]
pub fn for_each_log_field(mut f: impl FnMut(&'static str, &dyn fmt::Display)) {
    let formatting = FORMATTING.get();
    current::read_map(|map| {
        for variable in logged_variables().filter(|variable| !formatting.hides(*variable)) {
            if let Some(entry) = map.entry(variable) {
                f(entry.name(), &LogValue { variable, entry });
            }
        }
    });
}

struct LogValue<'a> {
    variable: &'static dyn AnyVariable,
    entry: Entry<'a>,
}

impl fmt::Display for LogValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outer = FORMATTING.get();
        let _restore = OnDrop(|| FORMATTING.set(outer));
        FORMATTING.set(match outer {
            Formatting::Nothing => Formatting::Value(self.variable),
            _ => Formatting::ValueInValue,
        });
        self.entry.fmt_log(f)
    }
}

/// The value, if any, that this thread is formatting for a log. The `Display` of a value can log, which shows
/// the variables again. Without a limit it would recurse endlessly.
#[derive(Clone, Copy)]
enum Formatting {
    Nothing,
    /// A value of this variable. A line that its `Display` logs shows the other variables.
    Value(&'static dyn AnyVariable),
    /// A value, for a line that another value's `Display` logs. A line that this one logs shows no variables.
    ValueInValue,
}

thread_local! {
    static FORMATTING: Cell<Formatting> = const { Cell::new(Formatting::Nothing) };
}

impl Formatting {
    fn hides(self, variable: &'static dyn AnyVariable) -> bool {
        match self {
            Formatting::Nothing => false,
            Formatting::Value(formatted) => ptr::addr_eq(formatted, variable),
            Formatting::ValueInValue => true,
        }
    }
}
