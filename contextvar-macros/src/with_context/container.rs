//! An `impl` block, a trait or an inline module: the attribute goes on each function in it that is async or
//! returns a future.
//!
//! Only signatures are parsed. All other tokens stay as they are.

use std::cell::Cell;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Ident, Result, Signature, Token, Visibility};

use crate::tokens::is_written_by_user;
use crate::with_context::attributes::{gives_context, is_skip};
use crate::with_context::return_type::find_future_type;

/// Returns whether `item`, without its attributes, can contain functions.
pub(crate) fn is_container(item: &TokenStream) -> bool {
    matches!(&*find_item_keyword(item), "impl" | "trait" | "mod")
}

/// Returns the first word of the item that is not one of the words that can precede its keyword.
fn find_item_keyword(item: &TokenStream) -> String {
    let mut idents = item.clone().into_iter().filter_map(|token| match token {
        TokenTree::Ident(ident) => Some(ident.to_string()),
        _ => None,
    });
    let keyword = idents.find(|ident| !matches!(&**ident, "pub" | "unsafe" | "default" | "auto" | "in"));
    keyword.unwrap_or_default()
}

/// What the attribute was put on in a container.
pub(crate) enum Annotated {
    /// At least one function or container.
    Function,
    /// Nothing. The first function of the trait that it would have been put on has no body.
    OnlyDeclaration(Ident),
    Nothing,
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
pub(crate) fn annotate_functions(
    container: TokenStream,
    attribute: &TokenStream,
) -> Result<(TokenStream, Annotated)> {
    let is_trait = find_item_keyword(&container) == "trait";
    let annotator = Annotator::new(attribute);
    let container = annotator.annotate_container(container)?;
    let annotated = match annotator.first_declaration.into_inner() {
        _ if annotator.has_annotated.get() => Annotated::Function,
        Some(name) if is_trait && !annotator.has_other_items.get() => Annotated::OnlyDeclaration(name),
        _ => Annotated::Nothing,
    };
    Ok((container, annotated))
}

/// Puts the attribute on functions, and remembers what it has seen.
struct Annotator<'a> {
    attribute: &'a TokenStream,
    /// True after the attribute has been put on something.
    has_annotated: Cell<bool>,
    /// The first function without a body that the user wrote and that would otherwise have been given the
    /// attribute.
    first_declaration: Cell<Option<Ident>>,
    /// True after an item that already has one of the two attributes, or a macro call, which can expand to
    /// anything.
    has_other_items: Cell<bool>,
}

impl<'a> Annotator<'a> {
    fn new(attribute: &'a TokenStream) -> Self {
        Annotator {
            attribute,
            has_annotated: Cell::new(false),
            first_declaration: Cell::new(None),
            has_other_items: Cell::new(false),
        }
    }

    fn annotate_container(&self, container: TokenStream) -> Result<TokenStream> {
        let mut tokens: Vec<TokenTree> = container.into_iter().collect();
        if let Some(TokenTree::Group(body)) = tokens.last_mut() {
            let items = (|input: ParseStream<'_>| self.annotate_items(input)).parse2(body.stream())?;
            let mut annotated = Group::new(body.delimiter(), items);
            annotated.set_span(body.span());
            *body = annotated;
        }
        Ok(tokens.into_iter().collect())
    }

    fn annotate_items(&self, input: ParseStream<'_>) -> Result<TokenStream> {
        let mut items = TokenStream::new();
        for attr in input.call(Attribute::parse_inner)? {
            attr.to_tokens(&mut items);
        }
        while !input.is_empty() {
            items.extend(self.annotate_item(input)?);
        }
        Ok(items)
    }

    fn annotate_item(&self, input: ParseStream<'_>) -> Result<TokenStream> {
        let mut attrs = input.call(Attribute::parse_outer)?;
        let count = attrs.len();
        attrs.retain(|attr| !is_skip(attr));
        let is_skipped = attrs.len() < count;
        // An item that has such an attribute, `skip` included, does not get a second one.
        let has_own_attribute = is_skipped || attrs.iter().any(gives_context);
        if has_own_attribute {
            self.has_other_items.set(true);
        }
        let item = if let Some(group) = take_grouped_item(input) {
            let item = group.stream();
            let annotate = |input: ParseStream<'_>| self.annotate_items(input);
            if has_own_attribute { item } else { annotate.parse2(item)? }
        } else if starts_function(&input.fork()) {
            self.annotate_function(input, has_own_attribute)?
        } else {
            let item = take_item(input)?;
            let is_bang = |token| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '!');
            if item.clone().into_iter().any(is_bang) {
                self.has_other_items.set(true);
            }
            if !has_own_attribute && is_container(&item) { self.annotate_container(item)? } else { item }
        };
        Ok(quote!(#(#attrs)* #item))
    }

    fn annotate_function(&self, input: ParseStream<'_>, has_own_attribute: bool) -> Result<TokenStream> {
        let vis: Visibility = input.parse()?;
        let defaultness: Option<Token![default]> = input.parse()?;
        let sig: Signature = input.parse()?;
        let semicolon: Option<Token![;]> = input.parse()?;
        let body: Option<TokenTree> = if semicolon.is_some() { None } else { Some(input.parse()?) };
        let is_async = sig.asyncness.is_some() || find_future_type(&sig.output).is_some();
        let takes_attribute = !has_own_attribute && is_async && sig.constness.is_none();
        let mut attribute = None;
        match &semicolon {
            Some(semicolon) if takes_attribute && is_written_by_user(semicolon) => {
                let first = self.first_declaration.take().unwrap_or_else(|| sig.ident.clone());
                self.first_declaration.set(Some(first));
            }
            // A macro that made this trait from an `impl` has copied the attribute of the `impl`.
            Some(_) if takes_attribute => self.has_annotated.set(true),
            None if takes_attribute => {
                self.has_annotated.set(true);
                let tokens = self.attribute;
                attribute = Some(quote!(#[#tokens]));
            }
            _ => {}
        }
        Ok(quote!(#attribute #vis #defaultness #sig #semicolon #body))
    }
}

/// Takes an item that has passed through a `macro_rules!` as `$item:item`: it is in a group without
/// delimiters. A `$vis:vis` is in such a group too, and is left for the parser.
fn take_grouped_item(input: ParseStream<'_>) -> Option<Group> {
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

fn starts_function(input: ParseStream<'_>) -> bool {
    let vis_and_default = input.parse::<Visibility>().and_then(|_| input.parse::<Option<Token![default]>>());
    vis_and_default.is_ok() && input.parse::<Signature>().is_ok()
}

/// Takes the tokens of an item other than a function, up to a semicolon or a body. In the value of a
/// constant, tokens after braces are taken for another item; they are emitted all the same.
fn take_item(input: ParseStream<'_>) -> Result<TokenStream> {
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
