//! The variables that are declared as baggage, each with its codec.

use crate::context::Context;
use crate::var::{ContextValue, ContextVar};

/// A variable that is declared as baggage. The attribute submits it to `inventory`.
#[expect(missing_debug_implementations, reason = "only expansions name it")]
pub struct Declared {
    /// The key of its entry.
    pub key: &'static str,
    /// The variable with its codec.
    pub var: &'static dyn Field,
}

inventory::collect!(Declared);

pub(super) fn declared() -> impl Iterator<Item = &'static Declared> {
    inventory::iter::<Declared>.into_iter()
}

/// A [`Coded`] variable of any type.
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
    /// Returns a variable with the two functions of its [`Codec`](super::Codec).
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
        let value = (self.decode)(text).ok_or("its text is not a value of the variable's type")?;
        self.var.try_set(value).map(drop).map_err(|_| "the current context cannot be written")
    }
}
