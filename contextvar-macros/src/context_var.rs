//! `#[context_var]`.

mod args;
mod expand;
mod parse;

pub(crate) use expand::expand;
