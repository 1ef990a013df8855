//! `#[context_var]`.

mod args;
mod expand;
mod parse;
mod shared;

pub(crate) use expand::expand;
