//! The variables that the attribute has declared, each with its codec.

use crate::context::Context;
use crate::var::{ContextValue, ContextVar};

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
#[allow(missing_docs)]
pub trait Field: Sync {
    fn encode(&self, context: &Context) -> Option<String>;
    fn decode(&self, text: &str) -> Result<(), &'static str>;
}

/// A variable and its codec.
#[expect(missing_debug_implementations, reason = "only expansions name it")]
pub struct Coded<T: 'static> {
    var: &'static ContextVar<T>,
    encode: fn(&T) -> String,
    decode: fn(&str) -> Option<T>,
}

impl<T> Coded<T> {
    /// With the two functions of a [`Codec`](super::Codec).
    pub const fn new(
        var: &'static ContextVar<T>,
        encode: fn(&T) -> String,
        decode: fn(&str) -> Option<T>,
    ) -> Self {
        Coded { var, encode, decode }
    }
}

impl<T: ContextValue> Field for Coded<T> {
    fn encode(&self, context: &Context) -> Option<String> {
        context.get(self.var).map(self.encode)
    }

    fn decode(&self, text: &str) -> Result<(), &'static str> {
        let value = (self.decode)(text).ok_or("it can't be read as a value of the variable")?;
        self.var.try_set(value).map(drop).map_err(|_| "there is no context here that could be written")
    }
}
