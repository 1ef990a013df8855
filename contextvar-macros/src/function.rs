//! A function, parsed as far as the expansion needs: the body stays as it stands there.

use proc_macro2::{Group, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream};
use syn::{Attribute, Error, Path, Result, Signature, Token, Visibility};

pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) defaultness: Option<Token![default]>,
    pub(crate) sig: Signature,
    pub(crate) body: Group,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        const FIX: &str = "`#[with_copied_context]` goes on a function: an `async fn` or a plain `fn`";

        let mut attrs = input.call(Attribute::parse_outer)?;
        let vis = input.parse()?;
        let defaultness = input.parse()?;
        let start = input.cursor();
        let sig: Signature = input.parse().map_err(|error| {
            // Where the item is no function at all the mistake is the attribute's place.
            if is_function(start.token_stream()) { error } else { Error::new(start.span(), FIX) }
        })?;
        if input.peek(Token![;]) {
            let fix = "there is no body here to run in a copied context: put the attribute on the \
                       methods that implement this one";
            return Err(Error::new_spanned(&sig.ident, fix));
        }
        let body: Group = input.parse()?;
        let (inner, body) = split_inner_attributes(body)?;
        attrs.extend(inner);
        Ok(Function { attrs, vis, defaultness, sig, body })
    }
}

impl Function {
    /// Whether there is an attribute whose path ends in one of `names`.
    pub(crate) fn has_attr(&self, names: &[&str]) -> bool {
        let ends = |path: &Path| {
            path.segments.last().is_some_and(|last| names.iter().any(|name| last.ident == name))
        };
        self.attrs.iter().any(|attr| ends(attr.path()))
    }
}

fn is_function(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| matches!(token, TokenTree::Ident(ident) if ident == "fn"))
}

/// Takes `#![..]` out of the body. As outer attributes they mean the same, and the rest of the body can be
/// put elsewhere.
fn split_inner_attributes(body: Group) -> Result<(Vec<Attribute>, Group)> {
    struct Parts(Vec<Attribute>, TokenStream);

    impl Parse for Parts {
        fn parse(input: ParseStream<'_>) -> Result<Self> {
            Ok(Parts(input.call(Attribute::parse_inner)?, input.parse()?))
        }
    }

    let Parts(mut attrs, rest) = syn::parse2(body.stream())?;
    for attr in &mut attrs {
        attr.style = syn::AttrStyle::Outer;
    }
    let mut group = Group::new(body.delimiter(), rest);
    group.set_span(body.span());
    Ok((attrs, group))
}
