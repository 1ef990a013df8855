//! The attributes of the `contextvar` crate, which re-exports and documents them, and is what to depend on.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod args;
mod container;
mod context_var;
mod copied;
#[cfg(test)]
mod expansions;
mod function;
mod manifest;

use args::Kind;
use proc_macro::TokenStream;

/// Makes a static a context variable.
#[proc_macro_attribute]
pub fn context_var(args: TokenStream, item: TokenStream) -> TokenStream {
    context_var::expand(args.into(), item.into()).into()
}

/// Runs the body of a function in a copy of the caller's context.
#[proc_macro_attribute]
pub fn with_copied_context(args: TokenStream, item: TokenStream) -> TokenStream {
    copied::expand(Kind::Copied, args.into(), item.into()).into()
}

/// Runs the body of a function in a new, empty context.
#[proc_macro_attribute]
pub fn with_empty_context(args: TokenStream, item: TokenStream) -> TokenStream {
    copied::expand(Kind::Empty, args.into(), item.into()).into()
}
