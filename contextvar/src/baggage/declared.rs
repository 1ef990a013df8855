//! The variables that are declared as baggage, each with its codec.

use std::fmt;
use std::sync::OnceLock;

use crate::context::Context;
use crate::error::address;
use crate::var::{ContextValue, ContextVar};

/// A variable that is declared as baggage. The attribute submits it to `inventory`.
#[expect(missing_debug_implementations, reason = "only expansions name it")]
pub struct Declared {
    /// The key of its entry.
    pub key: &'static str,
    /// The path of the static, for the message about a key that two variables declare.
    pub path: &'static str,
    /// The variable with its codec.
    pub var: &'static dyn Field,
}

inventory::collect!(Declared);

/// Returns the declared variables of this process, sorted by key.
///
/// # Panics
///
/// Panics if two variables declare the same key.
#[track_caller]
pub(crate) fn declared() -> &'static [&'static Declared] {
    static DECLARED: OnceLock<Result<Vec<&'static Declared>, String>> = OnceLock::new();
    match DECLARED.get_or_init(sort_by_key) {
        Ok(declared) => declared,
        Err(conflict) => panic!("{conflict}\nsee {}", address!("repeated-baggage-key")),
    }
}

fn sort_by_key() -> Result<Vec<&'static Declared>, String> {
    let mut declared: Vec<&Declared> = inventory::iter::<Declared>.into_iter().collect();
    declared.sort_unstable_by_key(|declared| (declared.key, declared.path));
    match declared.windows(2).find(|pair| pair[0].key == pair[1].key) {
        None => Ok(declared),
        Some(pair) => Err(format!(
            "two variables declare the baggage key `{}`: `{}` and `{}`. Give one of them another key",
            pair[0].key, pair[0].path, pair[1].path
        )),
    }
}

/// Returns the variable that declares `key`.
pub(super) fn find(declared: &[&'static Declared], key: &str) -> Option<&'static Declared> {
    // Most keys differ in length, so that a comparison is one of two numbers. Services declare few keys.
    declared.iter().copied().find(|declared| declared.key == key)
}

/// A [`Coded`] variable of any type.
#[allow(missing_docs)]
pub trait Field: Sync {
    /// Returns true if the variable is set in the context.
    fn is_set(&self, context: &Context) -> bool;

    /// Writes the text of the variable's value, if it is set.
    fn encode(&self, context: &Context, text: &mut dyn fmt::Write);

    /// Sets the variable in the current context.
    fn decode(&self, text: &str) -> Result<(), &'static str>;
}

/// Writes the text of a value.
pub(crate) type EncodeFn<T> = fn(&T, &mut dyn fmt::Write) -> fmt::Result;

/// Returns the value that the text stands for.
pub(crate) type DecodeFn<T> = fn(&str) -> Option<T>;

/// A variable and its codec.
#[expect(missing_debug_implementations, reason = "only expansions name it")]
pub struct Coded<T: 'static> {
    var: &'static ContextVar<T>,
    encode: EncodeFn<T>,
    decode: DecodeFn<T>,
}

impl<T> Coded<T> {
    /// Returns a variable with its `Display` and `FromStr`, or with the two functions of its
    /// [`Codec`](super::Codec).
    pub const fn new(var: &'static ContextVar<T>, encode: EncodeFn<T>, decode: DecodeFn<T>) -> Self {
        Coded { var, encode, decode }
    }
}

/// Why a declared entry cannot set its variable, or an undeclared one cannot be handed on.
pub(super) const NOT_WRITABLE: &str = "the current context cannot be written";

impl<T: ContextValue> Field for Coded<T> {
    fn is_set(&self, context: &Context) -> bool {
        context.contains(self.var)
    }

    fn encode(&self, context: &Context, text: &mut dyn fmt::Write) {
        if let Some(value) = context.get(self.var) {
            (self.encode)(value, text).expect("a `Display` implementation returned an error unexpectedly");
        }
    }

    fn decode(&self, text: &str) -> Result<(), &'static str> {
        let value = (self.decode)(text).ok_or("its text is not a value of the variable's type")?;
        self.var.try_set(value).map(drop).map_err(|_| NOT_WRITABLE)
    }
}
