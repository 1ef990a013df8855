//! The expansion of an attributed item: it goes to a container's functions, waits for other macros, or
//! rewrites the function.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::{Attribute, Result, parse_quote};

use crate::errors::{Anchor, Errors};
use crate::tokens::path_ends_in;
use crate::with_context::ContextKind;
use crate::with_context::args::{Entry, WithContextArgs};
use crate::with_context::async_fn::expand_async_fn;
use crate::with_context::attributes::{gives_context, is_inert, split_attributes};
use crate::with_context::body::replace_body;
use crate::with_context::boxed_block::{expand_boxed_block, parse_boxed_block};
use crate::with_context::container::{Annotated, annotate_functions, is_container};
use crate::with_context::parse::Function;
use crate::with_context::plain_fn::{expand_future_fn, expand_plain_fn};
use crate::with_context::return_type::{FutureType, find_future_type};

pub(crate) fn expand(kind: ContextKind, args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let expanded = expand_item(kind, args, item.clone(), &mut errors);
    let item = errors.record(expanded).unwrap_or(item);
    let errors = errors.into_compile_errors();
    quote!(#errors #item)
}

fn expand_item(
    kind: ContextKind,
    raw_args: TokenStream,
    item: TokenStream,
    errors: &mut Errors,
) -> Result<TokenStream> {
    let mut arg_errors = Errors::default();
    let args = WithContextArgs::parse(kind, raw_args.clone(), &mut arg_errors);
    if !args.krate.check(kind.attribute(), errors) {
        return Ok(item);
    }
    let (mut attrs, rest) = split_attributes(item.clone())?;
    reject_second_attribute(kind, &mut attrs, errors);
    if is_container(&rest) {
        return expand_container(&args, raw_args, &attrs, rest, arg_errors, errors);
    }
    match Function::parse(kind.attribute(), attrs, rest)? {
        Some(function) => Ok(expand_function(&args, raw_args, function, arg_errors, errors)),
        None => Ok(item),
    }
}

/// Removes another `#[with_copied_context]` or `#[with_empty_context]` from the attributes, and records an
/// error for it.
fn reject_second_attribute(kind: ContextKind, attrs: &mut Vec<Attribute>, errors: &mut Errors) {
    let Some(n) = attrs.iter().position(gives_context) else { return };
    let second = attrs.remove(n);
    let name = kind.attribute();
    let error = if path_ends_in(second.path(), &[name]) {
        let message = format!("repeated `#[{name}]`: put all arguments into one attribute");
        Anchor::REPEATED_ATTRIBUTE.error_on(second, message)
    } else {
        let message =
            "a function runs in either a copied context or an empty one: remove one of the attributes";
        Anchor::TWO_CONTEXTS.error_on(second, message)
    };
    errors.push(error);
}

/// Puts the attribute on the functions in an `impl`, a trait or a module. Their expansions report the
/// mistakes in the arguments, so `arg_errors` are reported here only if there is no such function.
fn expand_container(
    args: &WithContextArgs,
    raw_args: TokenStream,
    attrs: &[Attribute],
    item: TokenStream,
    arg_errors: Errors,
    errors: &mut Errors,
) -> Result<TokenStream> {
    if let Some(token) = args.skip.as_ref().or(args.future.as_ref()) {
        let message = format!(
            "`{token}` is for one function, not for an `impl` block, a trait or a module: remove it here"
        );
        return Err(Anchor::FOR_ONE_FUNCTION.error_at(token.span(), message));
    }
    if let Some(python) = &args.python {
        let message = "`python` is for one function, not for an `impl` block, a trait or a module, where plain \
                       functions are left unchanged: put the attribute on each function that Python calls";
        return Err(Anchor::FOR_ONE_FUNCTION.error_at(python.span(), message));
    }
    let (krate, name) = (&args.krate, Ident::new(args.kind.attribute(), Span::call_site()));
    if attrs.iter().any(|attr| path_ends_in(attr.path(), &["automock"])) {
        // mockall copies the attributes of methods, but not those of an `impl`, to statements, where no
        // attribute macro can be. So this attribute stays on the `impl` and expands after mockall.
        return Ok(quote!(#(#attrs)* #[#krate::#name(#raw_args)] #item));
    }
    let (item, annotated) = annotate_functions(item, &quote!(#krate::#name(__nested, #raw_args)))?;
    if !matches!(annotated, Annotated::Function) {
        errors.append(arg_errors);
    }
    match (annotated, args.entries.first()) {
        (Annotated::OnlyDeclaration(function), _) => {
            let message = format!(
                "no function in this trait has a body to run in a context: put `#[{name}]` on its `impl` blocks"
            );
            errors.push(Anchor::NO_BODY.error_on(function, message));
        }
        (Annotated::Nothing, Some(Entry { var, .. })) => {
            let message = "this entry sets nothing, because no function here that is async or returns a future has a body: \
                           remove the attribute";
            errors.push(Anchor::ENTRY_WITHOUT_EFFECT.error_on(var, message));
        }
        _ => {}
    }
    Ok(quote!(#(#attrs)* #item))
}

/// Expands the attribute on a function, or puts it below the function's other attributes. In that case its
/// next expansion reports `arg_errors`.
fn expand_function(
    args: &WithContextArgs,
    raw_args: TokenStream,
    mut function: Function,
    mut arg_errors: Errors,
    errors: &mut Errors,
) -> TokenStream {
    if let Some(skip) = &args.skip {
        let message = "`skip` leaves a function out of an annotated `impl`, trait or module, and there is none \
                       around this function: remove the attribute";
        arg_errors.push(Anchor::SKIP_OUTSIDE.error_at(skip.span(), message));
    }
    if let Some(konst) = function.sig.constness {
        let message = "a `const fn` can't run in a context: remove `const` or the attribute";
        errors.append(arg_errors);
        errors.push(Anchor::CONST_FN.error_at(konst.span, message));
        return replace_body(&function, &function.sig, function.body.stream());
    }
    if let Some(future) = args.future.as_ref().filter(|_| function.sig.asyncness.is_some()) {
        let message = "an `async fn` always returns a future: remove `future`";
        arg_errors.push(Anchor::NEEDLESS_FUTURE.error_at(future.span(), message));
    }
    if !args.is_last && function.attrs.iter().any(|attr| !is_inert(attr)) {
        // `#[tokio::main]`, `#[tracing::instrument]` and similar macros need an `async fn`, so they expand
        // first.
        let (krate, name) = (&args.krate, Ident::new(args.kind.attribute(), Span::call_site()));
        function.attrs.push(parse_quote!(#[#krate::#name(__last, #raw_args)]));
        return replace_body(&function, &function.sig, function.body.stream());
    }
    errors.append(arg_errors);
    if let Some(python) = args.python.as_ref().filter(|_| returns_future(args, &function)) {
        let message = "Python can't call a function that returns a future: make it an `async fn`, or return \
                       `contextvar::python::coroutine(py, future)`";
        errors.push(Anchor::PYTHON_AND_FUTURES.error_at(python.span(), message));
        return replace_body(&function, &function.sig, function.body.stream());
    }
    rewrite_function(args, &function)
}

/// Returns whether a function that is not async returns a future.
fn returns_future(args: &WithContextArgs, function: &Function) -> bool {
    function.sig.asyncness.is_none()
        && (args.future.is_some() || find_future_type(&function.sig.output).is_some())
}

/// Makes the function run its body in the context.
fn rewrite_function(args: &WithContextArgs, function: &Function) -> TokenStream {
    if function.sig.asyncness.is_some() {
        return expand_async_fn(args, function);
    }
    let declared = args.future.as_ref().map(|_| FutureType::Boxed);
    match find_future_type(&function.sig.output).or(declared) {
        Some(FutureType::Boxed) => match parse_boxed_block(&function.body) {
            Some(block) => expand_boxed_block(args, function, block),
            None => {
                // If the return type is not a boxed future, the error points at the argument `future`.
                let span = args.future.as_ref().map_or_else(Span::call_site, Ident::span);
                let span = Span::mixed_site().located_at(span);
                let krate = args.krate.spanned(span);
                let box_pin = |scoped| quote_spanned!(span=> #krate::__private::Box::pin(#scoped));
                expand_future_fn(args, function, box_pin)
            }
        },
        Some(FutureType::Unboxed) => expand_future_fn(args, function, |scoped| scoped),
        None => expand_plain_fn(args, function),
    }
}
