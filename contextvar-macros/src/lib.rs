//! The attributes of the `contextvar` crate. Depend on `contextvar`, which re-exports and documents them.
// The attributes have no documentation here: rustdoc would append it to that of the re-exports.

#![forbid(unsafe_code)]

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

#[proc_macro_attribute]
pub fn context_var(args: TokenStream, item: TokenStream) -> TokenStream {
    context_var::expand(args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn with_copied_context(args: TokenStream, item: TokenStream) -> TokenStream {
    with_context::expand(ContextKind::Copied, args.into(), item.into()).into()
}

#[proc_macro_attribute]
pub fn with_empty_context(args: TokenStream, item: TokenStream) -> TokenStream {
    with_context::expand(ContextKind::Empty, args.into(), item.into()).into()
}
