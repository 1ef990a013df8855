//! `#[with_copied_context]` and `#[with_empty_context]`, which differ only in the context that the body runs
//! in.

mod args;
mod async_fn;
mod attributes;
mod body;
mod boxed_block;
mod container;
mod expand;
mod parse;
mod plain_fn;
mod return_type;

pub(crate) use args::ContextKind;
pub(crate) use expand::expand;
