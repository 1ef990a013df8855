//! The attributes of the `contextvar` crate. Depend on `contextvar`, which re-exports and documents them.

#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod args;
mod context_var;
mod crate_path;
mod errors;
#[cfg(test)]
mod expansions;
mod manifest;
mod tokens;
mod with_context;

use proc_macro::TokenStream;
use with_context::ContextKind;

/// Turns a static into a context variable.
#[proc_macro_attribute]
pub fn context_var(args: TokenStream, item: TokenStream) -> TokenStream {
    context_var::expand(args.into(), item.into()).into()
}

/// Runs the body of a function in a copy of the caller's context.
#[proc_macro_attribute]
pub fn with_copied_context(args: TokenStream, item: TokenStream) -> TokenStream {
    with_context::expand(ContextKind::Copied, args.into(), item.into()).into()
}

/// Runs the body of a function in a new, empty context.
#[proc_macro_attribute]
pub fn with_empty_context(args: TokenStream, item: TokenStream) -> TokenStream {
    with_context::expand(ContextKind::Empty, args.into(), item.into()).into()
}
