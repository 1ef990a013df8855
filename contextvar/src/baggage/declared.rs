//! The variables that the attribute has declared, each with its codec.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use super::Codec;
use crate::context::Context;
use crate::var::{ContextVar, Value};

/// One of them.
#[expect(missing_debug_implementations, reason = "only expansions name it")]
pub struct Declared {
    /// Of its entry.
    pub key: &'static str,
    /// The variable.
    pub var: &'static dyn Field,
}

inventory::collect!(Declared);

pub(super) fn declared() -> impl Iterator<Item = &'static Declared> {
    inventory::iter::<Declared>.into_iter()
}

/// What can be asked of a variable whose type is not known.
pub trait Field: Sync {
    fn encode(&self, context: &Context) -> Option<String>;
    fn decode(&self, text: &str) -> Result<(), &'static str>;
}

/// A variable and its codec.
#[expect(missing_debug_implementations, reason = "only expansions name it")]
pub struct Coded<T: 'static, C>(&'static ContextVar<T>, PhantomData<fn() -> C>);

impl<T, C> Coded<T, C> {
    /// Of the variable.
    pub const fn new(var: &'static ContextVar<T>) -> Self {
        Coded(var, PhantomData)
    }
}

impl<T: Value, C: Codec<T>> Field for Coded<T, C> {
    fn encode(&self, context: &Context) -> Option<String> {
        context.get(self.0).map(C::encode)
    }

    fn decode(&self, text: &str) -> Result<(), &'static str> {
        let value = C::decode(text).ok_or("it can't be read as a value of the variable")?;
        self.0.try_set(value).map(drop).map_err(|_| "there is no context here that could be written")
    }
}

/// The codec of a variable that is given none.
#[doc(hidden)]
#[derive(Debug)]
pub struct ByDisplay;

impl<T: fmt::Display + FromStr> Codec<T> for ByDisplay {
    fn encode(value: &T) -> String {
        value.to_string()
    }

    fn decode(text: &str) -> Option<T> {
        text.parse().ok()
    }
}
