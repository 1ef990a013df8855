//! The path of the runtime crate in expansions.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote_spanned};
use syn::Path;

use crate::errors::{Anchor, Errors};
use crate::manifest;

/// The path that `crate = path` gives, or else `::contextvar`.
pub(crate) struct CratePath(pub(crate) Option<Path>);

impl CratePath {
    /// Returns whether the path can resolve. It cannot if there is no `crate = path` and the crate being
    /// compiled does not depend on `contextvar`; an error then says what to write, which rustc's own error
    /// about the path would not.
    pub(crate) fn check(&self, attribute: &str, errors: &mut Errors) -> bool {
        let can_resolve = self.0.is_some() || manifest::may_name_contextvar();
        if !can_resolve {
            let message = format!(
                "this crate does not depend on `contextvar`: add it to Cargo.toml, or write `#[{attribute}(crate = path)]` with the \
                 path at which another crate re-exports it"
            );
            errors.push(Anchor::MISSING_DEPENDENCY.error_at(Span::call_site(), message));
        }
        can_resolve
    }

    /// Returns the path for an expression whose compile errors point at `span`.
    pub(crate) fn spanned(&self, span: Span) -> TokenStream {
        match &self.0 {
            Some(path) => path.to_token_stream(),
            None => quote_spanned!(span=> ::contextvar),
        }
    }
}

impl ToTokens for CratePath {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.spanned(Span::call_site()));
    }
}
