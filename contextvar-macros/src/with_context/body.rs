//! A function's body, nested in a closure or an async block that captures the arguments.

use proc_macro2::{Delimiter, Group, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, FnArg, Lifetime, Pat, PatIdent, PatType, Receiver, Signature, Type, parse_quote};

use crate::tokens::path_ends_in;
use crate::with_context::args::{Entry, WithContextArgs};
use crate::with_context::parse::Function;
use crate::with_context::return_type::{infer_impl_trait, locate_at_arrow, output_type};

/// Returns the function with `statements` in the braces of its body.
//
// The braces keep their span. From it rustc and clippy decide whether another crate's macro wrote the
// function, and they do not lint one that a macro wrote.
pub(crate) fn replace_body(function: &Function, sig: &Signature, statements: TokenStream) -> TokenStream {
    let Function { attrs, vis, defaultness, body, .. } = function;
    let mut braces = Group::new(Delimiter::Brace, statements);
    braces.set_span(body.span());
    quote!(#(#attrs)* #vis #defaultness #sig #braces)
}

/// A function's body as a block that captures the arguments.
pub(crate) struct NestedBody {
    /// The function's signature, with a name in place of each argument's pattern.
    pub(crate) sig: Signature,
    pub(crate) block: Group,
}

/// Returns the body for a closure: it binds the arguments, runs `check`, sets the entries, and ends with what
/// `wrap_body` makes of the user's body.
pub(crate) fn nest_body(
    args: &WithContextArgs,
    function: &Function,
    check: Option<TokenStream>,
    wrap_body: impl FnOnce(TokenStream, Span) -> TokenStream,
) -> NestedBody {
    let mut sig = function.sig.clone();
    let mut bindings = TokenStream::new();
    for (n, arg) in sig.inputs.iter_mut().enumerate() {
        bindings.extend(match arg {
            // This captures `self` as a whole, even if the body uses only some of its fields or none.
            FnArg::Receiver(Receiver { self_token, .. }) => quote!(let _ = &#self_token;),
            FnArg::Typed(arg) => bind_argument(n, arg),
        });
    }
    let entries = set_entries(args);
    let body = &function.body;
    // The edition of the new block is 2024. In that edition the temporaries of the body's last expression are
    // dropped before the arguments, which they may borrow. In a function they are in every edition.
    //
    // The label keeps rustc from reporting the braces of the body as unnecessary. Its edition is that of the
    // body, because the body's own edition must not change.
    let label = Lifetime::new("'__body", body.span());
    let body = quote_spanned!(body.span()=> #label: #body);
    let span = Span::mixed_site().located_at(function.body.span());
    let body = wrap_body(body, Span::mixed_site().located_at(function.body.span_open()));
    let mut block = Group::new(Delimiter::Brace, quote!(#bindings #check #entries #body));
    block.set_span(span);
    NestedBody { sig, block }
}

/// Returns the body for an async block. There is no syntax for the type of such a block: rustc infers it from
/// the first `return`.
pub(crate) fn nest_async_body(args: &WithContextArgs, function: &Function) -> NestedBody {
    let ty = infer_impl_trait(&output_type(&function.sig.output));
    let (span, private) = locate_at_arrow(args, &function.sig);
    if let Type::Never(_) = ty {
        // In editions in which a block that diverges has the type `()`, the variable makes its type `!`.
        return nest_body(args, function, None, |body, span| {
            quote_spanned! {span=>
                let never: <fn() -> ! as #private::FnPointer>::Output = match () { () => #body };
                #[allow(unreachable_code)]
                return never;
            }
        });
    }
    let first_return = quote_spanned! {span=>
        #[allow(clippy::diverging_sub_expression, clippy::mutable_key_type)]
        if false { let output: #private::Unlinted<#ty> = #private::infer_output(); return output; }
    };
    // clippy's `async_yields_async` looks at the value of an async block, but not at that of an `async fn`: a
    // `return` at the end hides it. In an arm of a `match`, a body that never ends makes no code of the
    // expansion unreachable or a diverging sub-expression.
    nest_body(args, function, Some(first_return), |body, span| match function.body.stream().is_empty() {
        true => body,
        false => {
            quote_spanned!(span=> return match false { true => #private::infer_output::<#ty>(), false => #body };)
        }
    })
}

/// Returns statements that capture the whole argument, as `let x = x` does, and bind its pattern. Leaves a
/// name in the signature.
fn bind_argument(n: usize, arg: &mut PatType) -> TokenStream {
    let is_cfg = |attr: &&Attribute| path_ends_in(attr.path(), &["cfg", "cfg_attr"]);
    let is_expect = |attr: &&Attribute| attr.path().is_ident("expect");
    let names_clippy = |attr: &&Attribute| attr.to_token_stream().to_string().contains("clippy");
    let mut attrs = arg.attrs.clone();
    let cfgs: Vec<_> = attrs.iter().filter(is_cfg).cloned().collect();
    // An `#[expect]` belongs where its lint fires. Clippy's lints of arguments fire on the type, in the
    // signature; rustc's fire on the pattern, in the binding.
    attrs.retain(|attr| !(is_expect(&attr) && names_clippy(&attr)));
    arg.attrs.retain(|attr| !is_expect(&attr) || names_clippy(&attr));
    let pattern = (*arg.pat).clone();
    match &pattern {
        Pat::Ident(PatIdent { by_ref: None, subpat: None, ident, .. }) => {
            *arg.pat = parse_quote!(#ident);
            // The user wrote the name only once.
            let underscored = ident.to_string().starts_with('_');
            let underscored = underscored
                .then(|| quote!(, clippy::no_effect_underscore_binding, clippy::used_underscore_binding));
            quote! {
                #(#attrs)*
                #[allow(clippy::mutable_key_type, clippy::shadow_same #underscored)]
                let #pattern = #ident;
            }
        }
        _ => {
            let name = format_ident!("__arg{n}", span = pattern.span().resolved_at(Span::mixed_site()));
            *arg.pat = parse_quote!(#name);
            quote! {
                #(#cfgs)*
                #[allow(clippy::mutable_key_type, clippy::shadow_same)]
                let #name = #name;
                #(#attrs)*
                let #pattern = #name;
            }
        }
    }
}

/// Returns `VAR.set(value);` for each entry.
pub(crate) fn set_entries(args: &WithContextArgs) -> TokenStream {
    let set_entry = |Entry { var, value }: &Entry| {
        let span = Span::mixed_site().located_at(var.span());
        let krate = args.krate.spanned(span);
        quote_spanned!(span=> #krate::__private::drop(#krate::ContextVar::set(&#var, #value));)
    };
    args.entries.iter().map(set_entry).collect()
}
