//! The data of every context: a persistent map from context variables to values.
//!
//! - `variable`: the part of a variable that the storage uses.
//! - `registry`: gives each variable its slot.
//! - `map`: the map, and an entry of it.
//! - `node`: the trie of shared nodes that a map consists of.
//! - `value`: a value of any type in one word, inline or behind a counted pointer.
//! - `counted`: that pointer.
//! - `pool`: freed blocks, for reuse.
//!
//! A copy of a map is one atomic increment. A write copies the shared nodes on the path to its slot and no
//! others. A slot belongs to one variable forever, so the slot determines the type of the value.
#![allow(unsafe_code)]

mod counted;
mod map;
mod node;
#[cfg(test)]
mod own_counts;
mod pool;
mod registry;
mod value;
mod variable;

pub use map::Entry;
pub(crate) use map::{Changes, LookUp, Map};
pub(crate) use registry::{Shown, has_namesakes, shown_variables};
pub(crate) use value::{Value, copy_inline};
pub(crate) use variable::{AnyVariable, FormatFn, ShowFn, Variable};
