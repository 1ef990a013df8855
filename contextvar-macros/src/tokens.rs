//! Paths, and where tokens come from.

use proc_macro2::Span;
use quote::ToTokens;
use syn::Path;

/// Returns whether the last segment of `path` is one of `names`.
pub(crate) fn path_ends_in(path: &Path, names: &[&str]) -> bool {
    path.segments.last().is_some_and(|last| names.iter().any(|name| last.ident == name))
}

/// Returns whether the user wrote the token. The span of a token that a macro wrote is the macro's
/// invocation, so its source text differs. A span without source text, as in an editor, counts as a macro's.
pub(crate) fn is_written_by_user(token: &impl ToTokens) -> bool {
    let token = token.to_token_stream();
    let span = token.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span());
    !proc_macro::is_available() || span.source_text().is_some_and(|text| text == token.to_string())
}
