//! Support for the attributes' expansions. Not public API: it can change at any time.

#[path = "private/show.rs"]
pub mod show;

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::str::FromStr;

pub use std::boxed::Box;
pub use std::future::Future;
pub use std::mem::drop;

pub use inventory;

#[cfg(feature = "baggage")]
pub use crate::baggage::declared::{Coded, Declared};
#[cfg(feature = "baggage")]
use crate::baggage::declared::{DecodeFn, EncodeFn};
pub use crate::context::copy_context;
pub use crate::log::defaults::ShownDefault;
use crate::storage::{FormatFn, ShowFn};
use crate::var::{ContextValue, ContextVar};

/// Makes a variable without a default.
pub const fn new_var<T: ContextValue>(name: &'static str, debug: Option<FormatFn<T>>) -> ContextVar<T> {
    ContextVar::new(name).with_debug(debug)
}

/// Makes a variable with a default.
pub const fn new_var_with_default<T: ContextValue>(
    name: &'static str,
    default: fn() -> T,
    debug: Option<FormatFn<T>>,
) -> ContextVar<T> {
    ContextVar::with_default(name, default).with_debug(debug)
}

/// Returns `var`. rustc warns of the call and shows this function's name and note.
#[deprecated(
    note = "if something inside this default can change, a change that one request makes reaches all others. Remove \
            the default and set a new value for each request, with `ContextLayer::set(&VAR, |_| ..)` or `#[with_copied_context(VAR = ..)]`; \
            if sharing is intended, write `#[allow(deprecated)]` on the static\nsee \
            https://docs.rs/contextvar/latest/contextvar/guide/errors#shared-default"
)]
pub const fn default_shared_by_all_requests<T>(var: ContextVar<T>) -> ContextVar<T> {
    var
}

/// Makes logs show the variable.
pub const fn log<T>(var: ContextVar<T>) -> ContextVar<T> {
    var.with_log()
}

/// Makes the variable a label of metrics.
pub const fn metric<T>(var: ContextVar<T>) -> ContextVar<T> {
    var.with_metric()
}

/// Sets how logs and metrics show the variable.
pub const fn with_show<T>(var: ContextVar<T>, show: ShowFn<T>) -> ContextVar<T> {
    var.with_show(show)
}

/// Finds out whether `T` implements `Debug`. With [`NoDebug`] in scope, `DebugOf::<T>::FORMAT` is the
/// inherent constant if it does, and the trait's otherwise.
#[derive(Debug)]
pub struct DebugOf<T>(PhantomData<fn(T) -> T>);

impl<T: fmt::Debug> DebugOf<T> {
    pub const FORMAT: Option<FormatFn<T>> = Some(<T as fmt::Debug>::fmt);
}

pub trait NoDebug<T> {
    const FORMAT: Option<FormatFn<T>> = None;
}

impl<T> NoDebug<T> for DebugOf<T> {}

/// Finds out whether `T` implements `Display`, in the same way as [`DebugOf`].
#[derive(Debug)]
pub struct DisplayOf<T>(PhantomData<fn(T) -> T>);

impl<T: fmt::Display + 'static> DisplayOf<T> {
    #[cfg(feature = "baggage")]
    pub const ENCODE: Option<EncodeFn<T>> =
        Some(|value, text| match (value as &dyn std::any::Any).downcast_ref::<String>() {
            // A formatter does the same in several times as many instructions.
            Some(value) => text.write_str(value),
            None => write!(text, "{value}"),
        });
}

pub trait NoDisplay<T> {
    #[cfg(feature = "baggage")]
    const ENCODE: Option<EncodeFn<T>> = None;
}

impl<T> NoDisplay<T> for DisplayOf<T> {}

/// Finds out whether `T` implements `FromStr`, in the same way as [`DebugOf`].
#[derive(Debug)]
pub struct FromStrOf<T>(PhantomData<fn(T) -> T>);

impl<T: FromStr> FromStrOf<T> {
    #[cfg(feature = "baggage")]
    pub const DECODE: Option<DecodeFn<T>> = Some(|text| text.parse().ok());
}

pub trait NoFromStr<T> {
    #[cfg(feature = "baggage")]
    const DECODE: Option<DecodeFn<T>> = None;
}

impl<T> NoFromStr<T> for FromStrOf<T> {}

/// `T` by a name that lints of types do not recognize, so that they report the user's type only where the
/// user wrote it.
pub type Unlinted<T> = T;

/// Gives an expression the type `T`, from which rustc infers the output of an async block. It is never
/// called.
pub fn infer_output<T>() -> T {
    unreachable!("only called where it can't be reached")
}

/// A function pointer, whose `Output` is a way to write `!` outside of a return type.
pub trait FnPointer {
    type Output;
}

impl<R> FnPointer for fn() -> R {
    type Output = R;
}

/// Finds out whether `T` is a boxed future, in the same way as [`DebugOf`] with a method for the constant.
#[derive(Debug)]
pub struct BoxedFutureOf<T>(PhantomData<fn() -> T>);

impl<T> BoxedFutureOf<T> {
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

impl<F: Future + ?Sized> BoxedFutureOf<Pin<Box<F>>> {
    pub fn find(&self) -> BoxedFuture {
        BoxedFuture
    }
}

pub trait NoBoxedFuture {
    fn find(&self) -> OtherOutput {
        OtherOutput
    }
}

impl<T> NoBoxedFuture for BoxedFutureOf<T> {}

#[derive(Debug)]
pub struct BoxedFuture;

#[derive(Debug)]
pub struct OtherOutput;

/// Implemented if a function without `future` can return `T`.
#[diagnostic::on_unimplemented(
    message = "this function returns a boxed future, which would not run in the function's context",
    label = "the return type hides a boxed future",
    note = "add the argument `future`: `#[with_copied_context(future)]`",
    note = "see https://docs.rs/contextvar/latest/contextvar/guide/errors#hidden-future"
)]
pub trait PlainOutput<T> {}

impl<T> PlainOutput<T> for OtherOutput {}

/// Compiles only if `T` is not a boxed future. A return type that shows one does not get here, so `T` is an
/// alias of one.
pub fn assert_plain_output<T>(_: &BoxedFutureOf<T>, _: impl PlainOutput<T>) {}
