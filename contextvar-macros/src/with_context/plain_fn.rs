//! The expansion of a function that is not `async`, whether or not it returns a future.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::Type;

use crate::with_context::args::WithContextArgs;
use crate::with_context::body::{NestedBody, nest_body, replace_body};
use crate::with_context::parse::Function;
use crate::with_context::return_type::{infer_impl_trait, locate_at_arrow, output_type};

// Input:
//     fn f(a: A) -> T { body }
//
// Output:
//     fn f(a: A) -> T {
//         return copy_context().run(move || -> T { let a = a; '__body: { body } });
//     }
pub(crate) fn expand_plain_fn(args: &WithContextArgs, function: &Function) -> TokenStream {
    let declared = output_type(&function.sig.output);
    let output = infer_impl_trait(&declared);
    let names_whole_type = output.to_token_stream().to_string() == declared.to_token_stream().to_string();
    // A type alias can hide a boxed future, which would run outside of the context and not say so.
    let check = (names_whole_type && matches!(output, Type::Path(_))).then(|| {
        let (span, private) = locate_at_arrow(args, &function.sig);
        quote_spanned!(span=> {
            #[allow(unused_imports)]
            use #private::NoBoxedFuture as _;
            let output = #private::BoxedFutureOf::<#output>::new();
            #private::assert_plain_output(&output, output.find());
        })
    });
    let NestedBody { sig, block } = nest_body(args, function, check, |body, _| body);
    let run = match &args.python {
        None => {
            let context = args.make_context(Span::call_site());
            quote!(#context.run(move || -> #output #block))
        }
        Some(_) => {
            // Errors about a return type that is no `Result` point at the return type.
            let (span, _) = locate_at_arrow(args, &function.sig);
            run_in_python(args, span, "run", quote!(move || -> #output #block))
        }
    };
    let statements = match declared {
        Type::Never(_) => run,
        // Clippy checks the return types of closures as well as those of functions, and would report this one
        // twice.
        _ => quote!(#[allow(clippy::result_large_err)] return #run;),
    };
    replace_body(function, &sig, statements)
}

/// Returns the call of a function of `contextvar::python` that runs `body` in a copy of Python's context.
pub(crate) fn run_in_python(
    args: &WithContextArgs,
    span: Span,
    name: &str,
    body: TokenStream,
) -> TokenStream {
    let krate = args.krate.spanned(span);
    let name = Ident::new(name, span);
    let applies_changes = args.apply_changes.is_some();
    quote_spanned! {span=>
        #krate::python::expansion::#name(#applies_changes, #krate::python::expansion::from_exception, #body)
    }
}

// Input:
//     fn f(a: A) -> impl Future<Output = T> { body }
//
// Output:
//     fn f(a: A) -> impl Future<Output = T> {
//         let mut context = copy_context();
//         let future = context.run(move || -> _ { let a = a; '__body: { body } });
//         return context.scope(future);
//     }
pub(crate) fn expand_future_fn(
    args: &WithContextArgs,
    function: &Function,
    wrap_scoped: impl FnOnce(TokenStream) -> TokenStream,
) -> TokenStream {
    let output = infer_impl_trait(&output_type(&function.sig.output));
    let NestedBody { sig, block } = nest_body(args, function, None, |body, _| body);
    let make_context = args.make_context(Span::call_site());
    let context = Ident::new("context", Span::mixed_site());
    let future = Ident::new("future", Span::mixed_site());
    let scoped = wrap_scoped(quote!(#context.scope(#future)));
    let statements = quote! {
        let mut #context = #make_context;
        let #future = #context.run(move || -> #output #block);
        return #scoped;
    };
    replace_body(function, &sig, statements)
}
