//! A static, parsed up to its value.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::ParseStream;
use syn::{Attribute, Ident, Result, Token, Type, Visibility};

use crate::errors::{Anchor, Errors};
use crate::tokens::path_ends_in;

/// A static, with or without a value.
pub(crate) struct Static {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) static_token: Token![static],
    pub(crate) ident: Ident,
    /// `None` if the user wrote no type. rustc's parser has already reported that.
    pub(crate) ty: Option<Type>,
    /// The tokens between `=` and `;`, unparsed: rustc reports whatever is wrong with them.
    pub(crate) value: Option<TokenStream>,
}

impl Static {
    /// Parses a static. A `const`, a `static mut` and a second `#[context_var]` are parsed as the static that
    /// the user meant, and recorded in `errors`.
    pub(crate) fn parse(input: ParseStream<'_>, errors: &mut Errors) -> Result<Self> {
        let mut attrs = input.call(Attribute::parse_outer)?;
        if let Some(n) = attrs.iter().position(|attr| path_ends_in(attr.path(), &["context_var"])) {
            let message = "repeated `#[context_var]`: put all arguments into one attribute";
            errors.push(Anchor::REPEATED_ATTRIBUTE.error_on(attrs.remove(n), message));
        }
        let vis = input.parse()?;
        let static_token = if let Some(konst) = input.parse::<Option<Token![const]>>()? {
            let message = "a context variable is a static: write `static` instead of `const`";
            errors.push(Anchor::NOT_A_STATIC.error_at(konst.span, message));
            Token![static](konst.span)
        } else {
            const MESSAGE: &str = "`#[context_var]` goes on a static: write `static USER: String;` or `static LOCALE: &str = \"en\";`";
            input.parse().map_err(|error| Anchor::NOT_A_STATIC.error_at(error.span(), MESSAGE))?
        };
        if let Some(mutability) = input.parse::<Option<Token![mut]>>()? {
            let message = "a context variable is changed with `set`: remove `mut`";
            errors.push(Anchor::NOT_A_STATIC.error_at(mutability.span, message));
        }
        let ident: Ident = input.parse()?;
        let ty = match input.parse::<Option<Token![:]>>()? {
            Some(_) => Some(input.parse()?),
            None => None,
        };
        let value = match input.parse::<Option<Token![=]>>()? {
            Some(_) => Some(take_until_semicolon(input)?),
            None => None,
        };
        input.parse::<Token![;]>()?;
        Ok(Static { attrs, vis, static_token, ident, ty, value })
    }
}

fn take_until_semicolon(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![;]) {
        input.parse::<TokenTree>()?.to_tokens(&mut tokens);
    }
    Ok(tokens)
}
