//! What the attributes' expansions use. Not for anything else: it can change at any time.

use std::fmt;
use std::marker::PhantomData;

pub use std::boxed::Box;
pub use std::future::Future;
pub use std::mem::drop;

pub use crate::context::copy_context;
use crate::storage::DebugFn;
use crate::var::{ContextVar, Value};

/// A variable without a default.
pub const fn var<T: Value>(name: &'static str, debug: Option<DebugFn<T>>) -> ContextVar<T> {
    ContextVar::new(name).with_debug(debug)
}

/// A variable with a default.
pub const fn var_with_default<T: Value>(
    name: &'static str,
    default: fn() -> T,
    debug: Option<DebugFn<T>>,
) -> ContextVar<T> {
    ContextVar::with_default(name, default).with_debug(debug)
}

/// Finds out whether `T` has a `Debug`: `Values::<T>::DEBUG` is the inherent constant where it has, else
/// that of the trait.
#[derive(Debug)]
pub struct Values<T>(PhantomData<fn(T) -> T>);

impl<T: fmt::Debug> Values<T> {
    pub const DEBUG: Option<DebugFn<T>> = Some(<T as fmt::Debug>::fmt);
}

pub trait NoDebug<T> {
    const DEBUG: Option<DebugFn<T>> = None;
}

impl<T> NoDebug<T> for Values<T> {}

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
