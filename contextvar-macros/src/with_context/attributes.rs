//! The attributes below this one on the same item.

use proc_macro2::{TokenStream, TokenTree};
use syn::parse::Parser;
use syn::{Attribute, Result};

use crate::tokens::path_ends_in;
use crate::with_context::ContextKind;

/// Splits an item into its attributes and the rest. The rest stays unparsed, because parsing takes time.
pub(crate) fn split_attributes(item: TokenStream) -> Result<(Vec<Attribute>, TokenStream)> {
    let is_hash = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '#');
    let mut tokens = item.into_iter().peekable();
    let mut attrs = TokenStream::new();
    while let Some(hash) = tokens.next_if(is_hash) {
        attrs.extend([hash].into_iter().chain(tokens.next()));
    }
    Ok((Attribute::parse_outer.parse2(attrs)?, tokens.collect()))
}

/// Returns whether the attribute is `#[with_copied_context]` or `#[with_empty_context]`, by any path.
pub(crate) fn gives_context(attr: &Attribute) -> bool {
    path_ends_in(attr.path(), &ContextKind::ATTRIBUTES)
}

/// Returns whether the attribute is `#[with_copied_context(skip)]` or `#[with_empty_context(skip)]`.
pub(crate) fn is_skip(attr: &Attribute) -> bool {
    gives_context(attr) && attr.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "skip")
}

/// Returns whether the attribute is known not to be a macro.
pub(crate) fn is_inert(attr: &Attribute) -> bool {
    const INERT: &[&str] = &[
        "allow",
        "cfg",
        "cfg_attr",
        "clippy",
        "cold",
        "deny",
        "deprecated",
        "diagnostic",
        "doc",
        "expect",
        "export_name",
        "forbid",
        "ignore",
        "inline",
        "link_section",
        "must_use",
        "no_mangle",
        "rustfmt",
        "should_panic",
        "target_feature",
        "track_caller",
        "unsafe",
        "warn",
    ];
    attr.path().segments.first().is_some_and(|first| INERT.iter().any(|name| first.ident == name))
}
