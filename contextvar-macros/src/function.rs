//! A function, parsed as far as the expansion needs: the body stays as it stands there.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{
    Attribute, Error, GenericArgument, Ident, Path, PathArguments, Result, ReturnType, Signature, Token,
    Type, TypeParamBound, Visibility,
};

pub(crate) struct Function {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) defaultness: Option<Token![default]>,
    pub(crate) sig: Signature,
    pub(crate) body: Group,
}

impl Function {
    /// Parses the function that this attribute is on. What a macro wrote and has no body is none.
    pub(crate) fn parse(attribute: &str, attrs: Vec<Attribute>, item: TokenStream) -> Result<Option<Self>> {
        // The body stays out of the parser, which would look at each of its tokens.
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
        let fix = format!(
            "`#[{attribute}]` goes on a function, or on an `impl` block, a trait or an inline module with functions \
             in it"
        );

        let vis = input.parse()?;
        let defaultness = input.parse()?;
        let start = input.cursor();
        if !is_function(start.token_stream()) {
            // Macros that make a type of an `impl`, such as mockall, hand attributes on to it.
            return match start.token_stream().into_iter().next() {
                Some(token) if !is_written(&token) => {
                    input.parse::<TokenStream>()?;
                    Ok(None)
                }
                _ => Err(Error::new(start.span(), &fix)),
            };
        }
        let sig: Signature = input.parse()?;
        if let Some(semicolon) = input.parse::<Option<Token![;]>>()? {
            // Macros that make a trait of an `impl`, such as easy_ext, hand attributes on to its declarations.
            if !is_written(&semicolon) {
                return Ok(None);
            }
            let fix = "there is no body here to run in a copied context: put the attribute on the \
                       methods that implement this one";
            return Err(Error::new_spanned(&sig.ident, fix));
        }
        let body = body.ok_or_else(|| input.error("expected a body"))?;
        let (inner, body) = split_inner_attributes(braces(body)?)?;
        attrs.extend(inner);
        Ok(Some(Function { attrs, vis, defaultness, sig, body }))
    }
}

pub(crate) fn path_ends_in(path: &Path, names: &[&str]) -> bool {
    path.segments.last().is_some_and(|last| names.iter().any(|name| last.ident == name))
}

/// Whether the user wrote the token. One that a macro wrote has the place of the macro's invocation. Where the place is not known, as
/// in an editor, the token is taken for a macro's.
pub(crate) fn is_written(token: &impl ToTokens) -> bool {
    let token = token.to_token_stream();
    let span = token.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span());
    !proc_macro::is_available() || span.source_text().is_some_and(|text| text == token.to_string())
}

fn is_function(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|token| matches!(token, TokenTree::Ident(ident) if ident == "fn"))
}

/// The braces of the body. Those that went through a `macro_rules!` as a `$body:block` come in a group without delimiters.
fn braces(mut token: TokenTree) -> Result<Group> {
    loop {
        let span = token.span();
        token = match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::None => {
                let mut tokens = group.stream().into_iter();
                tokens.next().ok_or_else(|| Error::new(span, "expected a body"))?
            }
            TokenTree::Group(group) => return Ok(group),
            _ => return Err(Error::new(span, "expected a body")),
        };
    }
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

    // Most bodies have none. A new group would have one span for both braces, and to parse a body takes time.
    let is_inner =
        matches!(body.stream().into_iter().next(), Some(TokenTree::Punct(punct)) if punct.as_char() == '#');
    if !is_inner {
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

/// A return type that is known to be a future.
pub(crate) enum Returned {
    /// `impl Future`
    Plain,
    /// `Pin<Box<dyn Future>>`, `BoxFuture`, `LocalBoxFuture`
    Boxed,
}

pub(crate) fn returned_future(output: &ReturnType) -> Option<Returned> {
    let ReturnType::Type(_, ty) = output else { return None };
    match ungrouped(ty) {
        Type::ImplTrait(ty) if is_future(&ty.bounds) => Some(Returned::Plain),
        ty @ Type::Path(_) => {
            let (name, arg) = name_and_arg(ty)?;
            if name == "BoxFuture" || name == "LocalBoxFuture" {
                return Some(Returned::Boxed);
            }
            let (inner, arg) = (name == "Pin").then(|| name_and_arg(arg?)).flatten()?;
            let bounds = match ungrouped((inner == "Box").then_some(arg).flatten()?) {
                Type::TraitObject(object) => &object.bounds,
                Type::ImplTrait(object) => &object.bounds,
                _ => return None,
            };
            is_future(bounds).then_some(Returned::Boxed)
        }
        _ => None,
    }
}

/// The type without parentheses, and without the group that one comes in that went through a `macro_rules!` as
/// a `$ty:ty`.
pub(crate) fn ungrouped(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            ty => return ty,
        };
    }
}

/// `Name` and `T` of `path::Name<T>`.
fn name_and_arg(ty: &Type) -> Option<(&Ident, Option<&Type>)> {
    let Type::Path(ty) = ungrouped(ty) else { return None };
    let last = ty.path.segments.last()?;
    let arg = match &last.arguments {
        PathArguments::AngleBracketed(args) => args.args.iter().find_map(|arg| match arg {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        }),
        _ => None,
    };
    Some((&last.ident, arg))
}

fn is_future<'a>(bounds: impl IntoIterator<Item = &'a TypeParamBound>) -> bool {
    bounds.into_iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().is_some_and(|last| last.ident == "Future"),
        _ => false,
    })
}
