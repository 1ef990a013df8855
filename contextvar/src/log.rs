//! The variables in logs.

#[cfg(feature = "macros")]
pub(crate) mod defaults;
mod names;
mod text;
mod value;

use std::cell::Cell;
use std::fmt;
use std::ptr;

use crate::current;
use crate::on_drop::OnDrop;
use crate::storage::{AnyVariable, Shown, shown_variables};

pub(crate) use names::Names;
#[cfg(any(feature = "metrics", feature = "opentelemetry", feature = "tracing"))]
pub(crate) use names::UnusedNames;
#[cfg(feature = "tracing")]
pub(crate) use text::{Bytes, push_display, push_text};
pub(crate) use text::{push_value, quoted};
pub use value::LogValue;
#[cfg(feature = "macros")]
pub(crate) use value::Primitive;
pub(crate) use value::show_display;

/// Calls `f` with the name and the value of each variable that is marked [`log`](crate::ContextVar::log) and
/// set in the current context, in the order in which the process first wrote the variables. Then calls it for
/// the defaults of variables that are declared with `#[context_var(log, log_default)]` and not set. Where there is
/// no context, as in a task that was given none, it shows no defaults.
///
/// It is for loggers. `contextvar::tracing` (feature `tracing`) uses it; with the `log` crate, call it in the
/// logger's format function. A logger with a thread of its own calls it where a record is made, not in that
/// thread.
///
/// A value has its type: numbers are numbers, and booleans are booleans. An `Option` is shown as the value in
/// it, and `None` is not shown.
///
/// It takes a few nanoseconds if no variable is marked. A default that has not been computed is computed here,
/// except on a thread that is panicking. A default that a thread is computing is left out, and so is one whose
/// computation panics.
///
/// The `Display` of a value can log. Such a log line shows the other variables; a line that their `Display`s
/// log shows none.
///
/// # Names
///
/// No line has a name twice. If two variables of the same name are shown in one line, the one that the
/// process has written first keeps the name. The other is shown as `name_2`, the next one as `name_3`. To give
/// each a name of its own, use `name = ".."`.
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
pub fn for_each_log_field(mut f: impl FnMut(&'static str, &LogValue<'_>)) {
    for_each_shown(ShownIn::Logs, &mut f);
}

/// Where values are shown.
#[derive(Clone, Copy)]
#[allow(dead_code, reason = "for features `metrics` and `opentelemetry`")]
pub(crate) enum ShownIn<'a> {
    Logs,
    Metrics,
    /// Where only these variables are shown, of those that are shown in logs or in metrics.
    List(&'a [&'static dyn AnyVariable]),
}

impl ShownIn<'_> {
    #[inline]
    fn shows(self, shown: &Shown) -> bool {
        match self {
            ShownIn::Logs => shown.is_logged,
            ShownIn::Metrics => shown.is_metric,
            ShownIn::List(list) => contains(list, shown.variable),
        }
    }
}

fn contains(list: &[&'static dyn AnyVariable], variable: &'static dyn AnyVariable) -> bool {
    list.iter().any(|&listed| ptr::addr_eq(listed, variable))
}

/// Calls `f` for each variable that is shown there, as [`for_each_log_field`] does.
#[inline]
pub(crate) fn for_each_shown(shown_in: ShownIn<'_>, f: &mut impl FnMut(&'static str, &LogValue<'_>)) {
    if can_show() {
        show_each(shown_in, f);
    }
}

/// Returns false if no variable of the process can be shown anywhere.
#[inline]
pub(crate) fn can_show() -> bool {
    #[cfg(feature = "macros")]
    let has_defaults = defaults::has_any();
    #[cfg(not(feature = "macros"))]
    let has_defaults = false;
    has_defaults || shown_variables().next().is_some()
}

fn show_each(shown_in: ShownIn<'_>, f: &mut impl FnMut(&'static str, &LogValue<'_>)) {
    #[cfg(feature = "macros")]
    let defaults = defaults::defaults(shown_in);
    let mut line = Line { formatting: Formatting::current(), names: Names::new(), f };
    current::read_map(|map| {
        for shown in shown_variables().filter(|shown| shown_in.shows(shown)) {
            if let Some(entry) = map.entry(shown) {
                line.add(shown.variable, |visit| entry.show(visit));
            }
        }
    });
    #[cfg(feature = "macros")]
    for default in defaults.filter(|_| has_context()) {
        if !default.is_set() {
            line.add(default.variable(), |visit| default.show(visit));
        }
    }
}

/// What shows the variables: a line of a log, or the labels of a metric.
struct Line<'a, F> {
    /// The value for which the line is logged, if any.
    formatting: Formatting,
    names: Names,
    f: &'a mut F,
}

impl<F: FnMut(&'static str, &LogValue<'_>)> Line<'_, F> {
    /// Adds the value that `show` passes on. `show` calls user code. That code is [`Formatting`] a value of
    /// `variable`, and `f` is not.
    #[inline]
    fn add(&mut self, variable: &'static dyn AnyVariable, show: impl FnOnce(&mut dyn FnMut(LogValue<'_>))) {
        let outer = self.formatting;
        if outer.hides(variable) {
            return;
        }
        let inner = outer.value_of(variable);
        inner.enter(|| {
            show(&mut |value| {
                let name = self.names.add(variable.name());
                // Not restored on a panic: that ends `show` as well.
                outer.make_current();
                match &value {
                    LogValue::Display(value) => {
                        (self.f)(name, &LogValue::Display(&Guarded { formatting: inner, value }));
                    }
                    value => (self.f)(name, value),
                }
                inner.make_current();
            });
        });
    }
}

/// Returns the text of a value. The text ends where a `Display` returns an error.
pub(crate) fn to_text(value: &LogValue<'_>) -> String {
    if let LogValue::Str(text) = *value {
        return text.to_owned();
    }
    let mut text = String::new();
    push_value(&mut text, value);
    text
}

/// Returns true if logs show the default of any variable of the process.
#[cfg(feature = "tracing")]
pub(crate) fn has_log_defaults() -> bool {
    #[cfg(feature = "macros")]
    return defaults::defaults(ShownIn::Logs).next().is_some();
    #[cfg(not(feature = "macros"))]
    return false;
}

/// Returns false where a context was lost. There a default would pass for the value of the request.
#[cfg(feature = "macros")]
fn has_context() -> bool {
    use crate::error::LookupErrorKind::{LostContext, NoContext, ThreadExit};

    !matches!(current::lookup_error_kind(), NoContext | LostContext | ThreadExit)
}

/// A value whose `Display` runs as [`Formatting`] of a variable's value.
struct Guarded<'a> {
    formatting: Formatting,
    value: &'a dyn fmt::Display,
}

impl fmt::Display for Guarded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.formatting.enter(|| self.value.fmt(f))
    }
}

/// The value, if any, that this thread is formatting for a log. The `Display` of a value can log, which shows
/// the variables again. Without a limit it would recurse endlessly.
///
/// The address of the value's variable, which is one word and so faster to replace than an enum.
#[derive(Clone, Copy, PartialEq)]
struct Formatting(*const ());

thread_local! {
    static FORMATTING: Cell<Formatting> = const { Cell::new(Formatting::NOTHING) };
}

impl Formatting {
    const NOTHING: Self = Formatting(ptr::null());

    /// A value, for a line that another value's `Display` logs. A line that this one logs shows no variables.
    /// No variable has this address, because variables are aligned.
    const VALUE_IN_VALUE: Self = Formatting(ptr::dangling());

    /// A value of this variable. A line that its `Display` logs shows the other variables.
    #[inline]
    fn value(variable: &'static dyn AnyVariable) -> Self {
        Formatting(ptr::from_ref(variable).cast())
    }

    #[inline]
    fn current() -> Self {
        FORMATTING.get()
    }

    #[inline]
    fn make_current(self) {
        FORMATTING.set(self);
    }

    #[inline]
    fn hides(self, variable: &'static dyn AnyVariable) -> bool {
        self != Self::NOTHING && (self == Self::VALUE_IN_VALUE || self == Self::value(variable))
    }

    /// Returns the state while a value of `variable` is formatted in this state.
    #[inline]
    fn value_of(self, variable: &'static dyn AnyVariable) -> Self {
        if self == Self::NOTHING { Self::value(variable) } else { Self::VALUE_IN_VALUE }
    }

    /// Runs `f` in this state.
    #[inline]
    fn enter<R>(self, f: impl FnOnce() -> R) -> R {
        let outer = FORMATTING.replace(self);
        let _restore = OnDrop(|| FORMATTING.set(outer));
        f()
    }
}
