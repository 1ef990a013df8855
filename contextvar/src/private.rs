//! What the attributes' expansions use. Not for anything else: it can change at any time.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::str::FromStr;

pub use std::boxed::Box;
pub use std::future::Future;
pub use std::mem::drop;

#[cfg(feature = "baggage")]
pub use inventory;

#[cfg(feature = "baggage")]
pub use crate::baggage::declared::{Coded, Declared};
pub use crate::context::copy_context;
use crate::storage::FormatFn;
use crate::var::{ContextValue, ContextVar};

/// A variable without a default.
pub const fn var<T: ContextValue>(name: &'static str, debug: Option<FormatFn<T>>) -> ContextVar<T> {
    ContextVar::new(name).with_debug(debug)
}

/// A variable with a default.
pub const fn var_with_default<T: ContextValue>(
    name: &'static str,
    default: fn() -> T,
    debug: Option<FormatFn<T>>,
) -> ContextVar<T> {
    ContextVar::with_default(name, default).with_debug(debug)
}

/// Finds out whether `T` has a `Debug`: `Values::<T>::DEBUG` is the inherent constant where it has, else
/// that of the trait.
#[derive(Debug)]
pub struct Values<T>(PhantomData<fn(T) -> T>);

impl<T: fmt::Debug> Values<T> {
    pub const DEBUG: Option<FormatFn<T>> = Some(<T as fmt::Debug>::fmt);
}

pub trait NoDebug<T> {
    const DEBUG: Option<FormatFn<T>> = None;
}

impl<T> NoDebug<T> for Values<T> {}

/// Finds out whether `T` has a `Display` and a `FromStr`, as [`Values`] does of `Debug`.
#[derive(Debug)]
pub struct Text<T>(PhantomData<fn(T) -> T>);

impl<T: fmt::Display> Text<T> {
    pub const DISPLAY: Option<FormatFn<T>> = Some(<T as fmt::Display>::fmt);
    pub const ENCODE: Option<fn(&T) -> String> = Some(|value| value.to_string());
}

impl<T: FromStr> Text<T> {
    pub const DECODE: Option<fn(&str) -> Option<T>> = Some(|text| text.parse().ok());
}

pub trait NoDisplay<T> {
    const DISPLAY: Option<FormatFn<T>> = None;
    const ENCODE: Option<fn(&T) -> String> = None;
}

pub trait NoFromStr<T> {
    const DECODE: Option<fn(&str) -> Option<T>> = None;
}

impl<T> NoDisplay<T> for Text<T> {}

impl<T> NoFromStr<T> for Text<T> {}

/// The variable, shown in logs.
pub const fn logged<T>(var: ContextVar<T>, fmt: FormatFn<T>) -> ContextVar<T> {
    var.with_log(Some(fmt))
}

/// `T`, under a name that is no part of the user's code, so that lints of types leave it alone.
pub type Same<T> = T;

/// Stands for a value that a function returns, where rustc has to be told its type.
pub fn returned<T>() -> T {
    unreachable!("only called where it can't be reached")
}

/// What a function returns: a way to `!`.
pub trait Returns {
    type Output;
}

impl<R> Returns for fn() -> R {
    type Output = R;
}

/// Finds out whether `T` is a boxed future, as [`Values`] finds out whether it has a `Debug`.
#[derive(Debug)]
pub struct Returned<T>(PhantomData<fn() -> T>);

impl<F: Future + ?Sized> Returned<Pin<Box<F>>> {
    pub fn kind(&self) -> BoxedFuture {
        BoxedFuture
    }
}

pub trait NoBoxedFuture {
    fn kind(&self) -> Other {
        Other
    }
}

impl<T> NoBoxedFuture for Returned<T> {}

impl<T> Returned<T> {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

#[derive(Debug)]
pub struct BoxedFuture;

#[derive(Debug)]
pub struct Other;

/// What a plain function may return without saying that it is a future.
#[diagnostic::on_unimplemented(
    message = "this function returns a future, which would not run in the copied context",
    label = "this is a boxed future under another name",
    note = "write `#[with_copied_context(future)]`"
)]
pub trait Plain<T> {}

impl<T> Plain<T> for Other {}

/// Refuses a boxed future that an attribute could not know to be one.
pub fn assert_plain<T>(_: &Returned<T>, _: impl Plain<T>) {}
