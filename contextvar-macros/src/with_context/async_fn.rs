//! The expansion of an `async fn`.

use proc_macro2::{Punct, Spacing, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::{ReturnType, Type, Visibility, parse_quote};

use crate::tokens::path_ends_in;
use crate::with_context::args::WithContextArgs;
use crate::with_context::body::{NestedBody, nest_async_body, replace_body};
use crate::with_context::parse::Function;
use crate::with_context::plain_fn::run_in_python;
use crate::with_context::return_type::{locate_at_arrow, output_type};

// Input:
//     async fn f(&self, mut a: A, (b, c): (B, C)) -> T { body }
//
// Output:
//     fn f(&self, a: A, __arg1: (B, C)) -> impl Future<Output = T> {
//         return copy_context().scope(async move {
//             let _ = &self;
//             let mut a = a;
//             let __arg1 = __arg1;
//             let (b, c) = __arg1;
//             if false { return infer_output::<T>() }
//             return match false { true => infer_output::<T>(), false => '__body: { body } };
//         })
//     }
//
// rustc lowers an `async fn` to the same code. It also gives the block a type, for which a macro has no
// syntax; the first `return` takes its place.
pub(crate) fn expand_async_fn(args: &WithContextArgs, function: &Function) -> TokenStream {
    let NestedBody { mut sig, block } = nest_async_body(args, function);
    // Errors about the future as a whole point at the body.
    let span = Span::mixed_site().located_at(function.body.span_open());
    let future = match &args.python {
        None => {
            let context = args.make_context(span);
            quote_spanned!(span=> #context.scope(async move #block))
        }
        Some(_) => {
            // Errors about a return type that is no `Result` point at the return type.
            let (span, _) = locate_at_arrow(args, &function.sig);
            run_in_python(args, span, "scope", quote!(async move #block))
        }
    };
    if !args.is_nested && may_be_program_main(function) {
        // rustc rejects an `async fn main` with its own message, so this one stays `async`. The price: one
        // that is not the program's `main` takes its copy at the first poll instead of at the call.
        return replace_body(function, &function.sig, quote_spanned!(span=> #future.await));
    }
    sig.asyncness = None;
    sig.output = return_impl_future(args, function);
    // clippy checks `#[must_use]` on a function that returns a future, which is `must_use` anyway, but not on
    // an `async fn`. Nor does it compare an `async` method with the methods of std's traits.
    let must_use = function.attrs.iter().any(|attr| path_ends_in(attr.path(), &["must_use"]));
    let allows = [
        must_use.then(|| quote!(#[allow(clippy::double_must_use)])),
        sig.receiver().map(|_| quote!(#[allow(clippy::should_implement_trait)])),
    ];
    let allows = allows.iter().flatten();
    let function = replace_body(function, &sig, quote!(return #future;));
    quote!(#(#allows)* #function)
}

/// Returns `-> impl Future<Output = T>` for an `async fn` that returns `T`.
fn return_impl_future(args: &WithContextArgs, function: &Function) -> ReturnType {
    let krate = &args.krate;
    let output = match output_type(&function.sig.output) {
        // `!` is stable only as a return type, but that includes the return type of a function pointer.
        output @ Type::Never(_) => quote!(<fn() -> #output as #krate::__private::FnPointer>::Output),
        output => output.to_token_stream(),
    };
    // The edition of the `impl` token decides which lifetimes are captured. In this crate's edition, 2024,
    // all of them are, as for an `async fn` in every edition.
    let span = Span::call_site().located_at(locate_at_arrow(args, &function.sig).0);
    let implement = quote_spanned!(span=> impl);
    let future = {
        let krate = krate.spanned(span);
        quote_spanned!(span=> #krate::__private::Future<Output = #output)
    };
    // The signature ends where the user's signature does, so rustc treats it as the user's.
    let mut close = Punct::new('>', Spacing::Alone);
    close.set_span(match &function.sig.output {
        ReturnType::Default => function.sig.paren_token.span.close(),
        ReturnType::Type(_, ty) => find_last_span(ty),
    });
    parse_quote!(-> #implement #future #close)
}

fn find_last_span(tokens: &impl ToTokens) -> Span {
    tokens.to_token_stream().into_iter().last().map_or_else(Span::call_site, |token| token.span())
}

/// Returns whether the function may be the program's `main`.
fn may_be_program_main(function: &Function) -> bool {
    let Function { vis, sig, .. } = function;
    sig.ident == "main"
        && sig.inputs.is_empty()
        && sig.generics.params.is_empty()
        && matches!(vis, Visibility::Inherited)
}
