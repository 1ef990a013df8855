//! `#[with_copied_context]`, or `#[with_empty_context]`, on an `impl` block, a trait or an inline module: it goes on every function in it
//! that is async or returns a future.
//!
//! Only signatures are parsed. Whatever else stands there is handed on as it is.

use std::cell::Cell;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Ident, Result, Signature, Token, Visibility};

use crate::args::Kind;
use crate::function::{is_written, path_ends_in, returned_future};

/// Whether `item`, without its attributes, is something that has functions in it.
pub(crate) fn is_container(item: &TokenStream) -> bool {
    matches!(&*keyword(item), "impl" | "trait" | "mod")
}

/// The keyword that says what an item is, or the first word that is none of those before it.
fn keyword(item: &TokenStream) -> String {
    let mut idents = item.clone().into_iter().filter_map(|token| match token {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    });
    let kind = idents.find(|ident| !matches!(&**ident, "pub" | "unsafe" | "default" | "auto" | "in"));
    kind.unwrap_or_default()
}

// Input:
//     impl Service for Server {
//         async fn call(&self) { body }
//
//         #[with_copied_context(skip)]
//         async fn poll(&self) { body }
//     }
//
// Output:
//     impl Service for Server {
//         #[with_copied_context]
//         async fn call(&self) { body }
//
//         async fn poll(&self) { body }
//     }
//
// And what it went on.
pub(crate) fn expand(item: TokenStream, attribute: &TokenStream) -> Result<(TokenStream, Found)> {
    let attribute =
        Placed { attribute, anywhere: Cell::new(false), declared: Cell::new(None), other: Cell::new(false) };
    let is_trait = keyword(&item) == "trait";
    let item = expand_container(item, &attribute)?;
    let found = match attribute.declared.into_inner() {
        _ if attribute.anywhere.get() => Found::Function,
        Some(name) if is_trait && !attribute.other.get() => Found::Declaration(name),
        _ => Found::Nothing,
    };
    Ok((item, found))
}

/// What a container has in it.
pub(crate) enum Found {
    /// A function, or another container, for the attribute to go on.
    Function,
    /// No more than the declaration, in a trait, of a function that would have been one.
    Declaration(Ident),
    Nothing,
}

fn expand_container(item: TokenStream, attribute: &Placed<'_>) -> Result<TokenStream> {
    let mut tokens: Vec<TokenTree> = item.into_iter().collect();
    if let Some(TokenTree::Group(body)) = tokens.last_mut() {
        let items = (|input: ParseStream<'_>| expand_items(input, attribute)).parse2(body.stream())?;
        let mut expanded = Group::new(body.delimiter(), items);
        expanded.set_span(body.span());
        *body = expanded;
    }
    Ok(tokens.into_iter().collect())
}

/// The attribute, as it is emitted, and whether it was.
struct Placed<'a> {
    attribute: &'a TokenStream,
    anywhere: Cell<bool>,
    /// The first function without a body, as the user wrote it, that would have been given it.
    declared: Cell<Option<Ident>>,
    /// Whether there is something that has the attribute itself, or a macro, which may be anything.
    other: Cell<bool>,
}

impl ToTokens for Placed<'_> {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.anywhere.set(true);
        self.attribute.to_tokens(tokens);
    }
}

fn expand_items(input: ParseStream<'_>, attribute: &Placed<'_>) -> Result<TokenStream> {
    let mut items = TokenStream::new();
    for attr in input.call(Attribute::parse_inner)? {
        attr.to_tokens(&mut items);
    }
    while !input.is_empty() {
        expand_item(input, attribute, &mut items)?;
    }
    Ok(items)
}

fn expand_item(input: ParseStream<'_>, attribute: &Placed<'_>, items: &mut TokenStream) -> Result<()> {
    let mut attrs = input.call(Attribute::parse_outer)?;
    let before = attrs.len();
    attrs.retain(|attr| !is_skip(attr));
    // One that has the attribute itself, be it to be left out, is not given it again.
    let has_its_own = attrs.len() < before || attrs.iter().any(gives_context);
    if has_its_own {
        attribute.other.set(true);
    }
    items.extend(attrs.iter().map(ToTokens::to_token_stream));

    if let Some(group) = item_in_group(input) {
        let inner = group.stream();
        let expand_it = |input: ParseStream<'_>| expand_items(input, attribute);
        items.extend(if has_its_own { inner } else { expand_it.parse2(inner)? });
        return Ok(());
    }
    if !is_function(&input.fork()) {
        let item = any_item(input)?;
        if item
            .clone()
            .into_iter()
            .any(|token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '!'))
        {
            attribute.other.set(true);
        }
        let expand_it = !has_its_own && is_container(&item);
        items.extend(if expand_it { expand_container(item, attribute)? } else { item });
        return Ok(());
    }
    let vis: Visibility = input.parse()?;
    let defaultness: Option<Token![default]> = input.parse()?;
    let sig: Signature = input.parse()?;
    let is_async = sig.asyncness.is_some() || returned_future(&sig.output).is_some();
    let is_meant = !has_its_own && is_async && sig.constness.is_none();
    let semicolon: Option<Token![;]> = input.parse()?;
    let body: Option<TokenTree> = if semicolon.is_some() { None } else { Some(input.parse()?) };
    match &semicolon {
        Some(semicolon) if is_meant && is_written(semicolon) => {
            let first = attribute.declared.take().unwrap_or_else(|| sig.ident.clone());
            attribute.declared.set(Some(first));
        }
        // A trait that a macro made of an `impl` was given the attribute of that.
        Some(_) if is_meant => attribute.anywhere.set(true),
        None if is_meant => items.extend(quote!(#[#attribute])),
        _ => {}
    }
    items.extend(quote!(#vis #defaultness #sig #semicolon #body));
    Ok(())
}

/// An item that went through a `macro_rules!` as an `$item:item` comes in a group without delimiters. So does a
/// `$vis:vis`, which is left to be parsed as such.
fn item_in_group(input: ParseStream<'_>) -> Option<Group> {
    let fork = input.fork();
    match fork.parse() {
        Ok(TokenTree::Group(group))
            if group.delimiter() == Delimiter::None && syn::parse2::<Visibility>(group.stream()).is_err() =>
        {
            input.parse::<TokenTree>().ok();
            Some(group)
        }
        _ => None,
    }
}

fn is_function(input: ParseStream<'_>) -> bool {
    let vis_and_default = input.parse::<Visibility>().and_then(|_| input.parse::<Option<Token![default]>>());
    vis_and_default.is_ok() && input.parse::<Signature>().is_ok()
}

/// `#[with_copied_context]` or `#[with_empty_context]`, by whatever path.
pub(crate) fn gives_context(attr: &Attribute) -> bool {
    path_ends_in(attr.path(), &Kind::NAMES)
}

/// `#[with_copied_context(skip)]`
fn is_skip(attr: &Attribute) -> bool {
    let is_skip = |args: TokenStream| args.to_string() == "skip";
    gives_context(attr) && attr.meta.require_list().is_ok_and(|list| is_skip(list.tokens.clone()))
}

/// The tokens of an item that is no function, after its attributes: up to a semicolon or a body. What comes after the
/// braces in the value of a constant is taken for another item; it is handed on all the same.
fn any_item(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut item = TokenStream::new();
    while !input.is_empty() {
        let token: TokenTree = input.parse()?;
        let is_end = match &token {
            TokenTree::Punct(punct) => punct.as_char() == ';',
            // Braces before `>` or `,` are a const argument.
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                !input.peek(Token![>]) && !input.peek(Token![,])
            }
            _ => false,
        };
        token.to_tokens(&mut item);
        if is_end {
            break;
        }
    }
    Ok(item)
}
