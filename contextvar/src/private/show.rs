//! How logs and metrics show a value. The expansion calls `(&&&Part(&part)).shown()` and then
//! `(&&&shown).form()`: of the traits with the method, rustc takes the one with the most `&` that applies.

use std::fmt;

use crate::log::{LogValue, Primitive};

/// Returns a part of a value: what the closure of `log = |value| ..` returns, or the whole value.
pub fn part<'a, T, U>(value: &'a T, part: impl FnOnce(&'a T) -> U) -> U {
    part(value)
}

/// A part of a value.
#[derive(Debug)]
pub struct Part<'p, U>(pub &'p U);

/// A reference to the value to show. `None` if there is nothing to show.
#[derive(Debug)]
pub struct Shown<'p, T: ?Sized>(Option<&'p T>);

pub trait PartOfOption<'p> {
    type Value: ?Sized;
    fn shown(&self) -> Shown<'p, Self::Value>;
}

impl<'p, T> PartOfOption<'p> for &&Part<'p, &'p Option<T>> {
    type Value = T;

    fn shown(&self) -> Shown<'p, T> {
        Shown(self.0.as_ref())
    }
}

impl<'p, T: ?Sized> PartOfOption<'p> for &&Part<'p, Option<&'p T>> {
    type Value = T;

    fn shown(&self) -> Shown<'p, T> {
        Shown(*self.0)
    }
}

pub trait PartOfReference<'p> {
    type Value: ?Sized;
    fn shown(&self) -> Shown<'p, Self::Value>;
}

impl<'p, T> PartOfReference<'p> for &Part<'p, Option<T>> {
    type Value = T;

    fn shown(&self) -> Shown<'p, T> {
        Shown(self.0.as_ref())
    }
}

impl<'p, T: ?Sized> PartOfReference<'p> for &Part<'p, &'p T> {
    type Value = T;

    fn shown(&self) -> Shown<'p, T> {
        Shown(Some(self.0))
    }
}

pub trait PartOfAnyType<'p> {
    type Value;
    fn shown(&self) -> Shown<'p, Self::Value>;
}

impl<'p, T> PartOfAnyType<'p> for Part<'p, T> {
    type Value = T;

    fn shown(&self) -> Shown<'p, T> {
        Shown(Some(self.0))
    }
}

/// A value that is shown in its primitive form.
#[derive(Debug)]
pub struct PrimitiveForm<'p, T: ?Sized>(Option<&'p T>);

/// A value that is shown through its `Display`.
#[derive(Debug)]
pub struct DisplayForm<'p, T: ?Sized>(Option<&'p T>);

/// A value that is shown through its `Debug`.
#[derive(Debug)]
pub struct DebugForm<'p, T: ?Sized>(Option<&'p T>);

pub trait HasPrimitiveForm<'p> {
    type Value: ?Sized;
    fn form(&self) -> PrimitiveForm<'p, Self::Value>;
}

impl<'p, T: Primitive + ?Sized> HasPrimitiveForm<'p> for &&Shown<'p, T> {
    type Value = T;

    fn form(&self) -> PrimitiveForm<'p, T> {
        PrimitiveForm(self.0)
    }
}

pub trait HasDisplayForm<'p> {
    type Value: ?Sized;
    fn form(&self) -> DisplayForm<'p, Self::Value>;
}

impl<'p, T: fmt::Display + ?Sized> HasDisplayForm<'p> for &Shown<'p, T> {
    type Value = T;

    fn form(&self) -> DisplayForm<'p, T> {
        DisplayForm(self.0)
    }
}

pub trait HasDebugForm<'p> {
    type Value: ?Sized;
    fn form(&self) -> DebugForm<'p, Self::Value>;
}

impl<'p, T: ?Sized> HasDebugForm<'p> for Shown<'p, T> {
    type Value = T;

    fn form(&self) -> DebugForm<'p, T> {
        DebugForm(self.0)
    }
}

/// Passes a value in this form to `visit`.
pub fn show<T: ?Sized>(form: impl ShownInLogs<T>, visit: &mut dyn FnMut(LogValue<'_>)) {
    form.show(visit);
}

/// A form in which logs can show a `T`.
#[diagnostic::on_unimplemented(
    message = "`{T}` can't be shown in logs: it implements neither `Display` nor `Debug`",
    label = "implements neither `Display` nor `Debug`",
    note = "implement one of them, show a part of the value with `log = |value| &value.part`, or remove `log` or `metric`",
    note = "see https://docs.rs/contextvar/latest/contextvar/guide/errors#not-shown-in-logs"
)]
pub trait ShownInLogs<T: ?Sized> {
    fn show(&self, visit: &mut dyn FnMut(LogValue<'_>));
}

#[diagnostic::do_not_recommend]
impl<T: Primitive + ?Sized> ShownInLogs<T> for PrimitiveForm<'_, T> {
    fn show(&self, visit: &mut dyn FnMut(LogValue<'_>)) {
        if let Some(value) = self.0 {
            visit(value.to_log_value());
        }
    }
}

#[diagnostic::do_not_recommend]
impl<T: fmt::Display + ?Sized> ShownInLogs<T> for DisplayForm<'_, T> {
    fn show(&self, visit: &mut dyn FnMut(LogValue<'_>)) {
        if let Some(value) = &self.0 {
            visit(LogValue::Display(value));
        }
    }
}

#[diagnostic::do_not_recommend]
impl<T: fmt::Debug + ?Sized> ShownInLogs<T> for DebugForm<'_, T> {
    fn show(&self, visit: &mut dyn FnMut(LogValue<'_>)) {
        struct AsDisplay<T>(T);

        impl<T: fmt::Debug> fmt::Display for AsDisplay<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        if let Some(value) = self.0 {
            visit(LogValue::Display(&AsDisplay(value)));
        }
    }
}

/// Passes the JSON text of the value to `visit`. If the value cannot be serialized, the text is a string that
/// contains the error.
#[cfg(feature = "serde")]
pub fn show_json<T: serde::Serialize + ?Sized>(shown: &Shown<'_, T>, visit: &mut dyn FnMut(LogValue<'_>)) {
    if let Some(value) = shown.0 {
        let json = serde_json::to_string(value);
        let json = json.unwrap_or_else(|error| serde_json::Value::from(error.to_string()).to_string());
        visit(LogValue::Json(&json));
    }
}
