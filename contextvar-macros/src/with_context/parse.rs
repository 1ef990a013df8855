//! A function, parsed as far as its expansion needs: the body stays a group of tokens.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Attribute, Result, Signature, Token, Visibility};

use crate::errors::Anchor;
use crate::tokens::is_written_by_user;

pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) defaultness: Option<Token![default]>,
    pub(crate) sig: Signature,
    pub(crate) body: Group,
}

impl Function {
    /// Parses the function below `attribute`. Returns `None` for a type or a declaration that another macro
    /// wrote: there is nothing to run in a context.
    pub(crate) fn parse(attribute: &str, attrs: Vec<Attribute>, item: TokenStream) -> Result<Option<Self>> {
        // The parser does not get the body, because it would look at every token in it.
        let mut header: Vec<TokenTree> = item.into_iter().collect();
        let has_body = matches!(header.last(), Some(TokenTree::Group(_)));
        let body = if has_body { header.pop() } else { None };
        let parse = |input: ParseStream<'_>| Function::parse_header(attribute, attrs, input, body);
        parse.parse2(header.into_iter().collect())
    }

    fn parse_header(
        attribute: &str,
        mut attrs: Vec<Attribute>,
        input: ParseStream<'_>,
        body: Option<TokenTree>,
    ) -> Result<Option<Self>> {
        let vis = input.parse()?;
        let defaultness = input.parse()?;
        let start = input.cursor();
        if !contains_fn_keyword(start.token_stream()) {
            // Macros that make a type from an `impl`, such as mockall, copy the attributes of the `impl` to
            // the type.
            return match start.token_stream().into_iter().next() {
                Some(token) if !is_written_by_user(&token) => {
                    input.parse::<TokenStream>()?;
                    Ok(None)
                }
                _ => {
                    let message = format!(
                        "`#[{attribute}]` goes on a function, or on an `impl` block, a trait or an inline module that \
                         contains functions"
                    );
                    Err(Anchor::NOT_A_FUNCTION.error_at(start.span(), message))
                }
            };
        }
        let sig: Signature = input.parse()?;
        if let Some(semicolon) = input.parse::<Option<Token![;]>>()? {
            // Macros that make a trait from an `impl`, such as easy_ext, copy the attributes of the methods
            // to the declarations.
            if !is_written_by_user(&semicolon) {
                return Ok(None);
            }
            let message = format!(
                "this function has no body to run in a context: put `#[{attribute}]` on the methods that implement it"
            );
            return Err(Anchor::NO_BODY.error_on(&sig.ident, message));
        }
        let body = body.ok_or_else(|| input.error(Anchor::SYNTAX_ERROR.message(EXPECTED_BODY)))?;
        let (inner, body) = split_inner_attributes(ungroup_braces(body)?)?;
        attrs.extend(inner);
        Ok(Some(Function { attrs, vis, defaultness, sig, body }))
    }
}

const EXPECTED_BODY: &str = "expected a body";

fn contains_fn_keyword(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| matches!(token, TokenTree::Ident(ident) if ident == "fn"))
}

/// Returns the braces of a body. A body that has passed through a `macro_rules!` as `$body:block` is in a
/// group without delimiters.
fn ungroup_braces(mut token: TokenTree) -> Result<Group> {
    loop {
        let span = token.span();
        token = match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                let mut tokens = group.stream().into_iter();
                tokens.next().ok_or_else(|| Anchor::SYNTAX_ERROR.error_at(span, EXPECTED_BODY))?
            }
            TokenTree::Group(group) => return Ok(group),
            _ => return Err(Anchor::SYNTAX_ERROR.error_at(span, EXPECTED_BODY)),
        };
    }
}

/// Takes the `#![..]` attributes out of a body and makes them outer attributes, which mean the same on a
/// function. The expansion can then nest the rest of the body anywhere.
fn split_inner_attributes(body: Group) -> Result<(Vec<Attribute>, Group)> {
    struct Parts(Vec<Attribute>, TokenStream);

    impl Parse for Parts {
        fn parse(input: ParseStream<'_>) -> Result<Self> {
            Ok(Parts(input.call(Attribute::parse_inner)?, input.parse()?))
        }
    }

    // Most bodies have no inner attribute. They stay as they are: parsing takes time, and both braces of a
    // new group would have the same span.
    let starts_with_hash =
        matches!(body.stream().into_iter().next(), Some(TokenTree::Punct(punct)) if punct.as_char() == '#');
    if !starts_with_hash {
        return Ok((Vec::new(), body));
    }
    let Parts(mut attrs, rest) = syn::parse2(body.stream())?;
    for attr in &mut attrs {
        attr.style = syn::AttrStyle::Outer;
    }
    let mut group = Group::new(body.delimiter(), rest);
    group.set_span(body.span());
    Ok((attrs, group))
}
