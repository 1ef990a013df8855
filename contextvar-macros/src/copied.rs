//! `#[with_copied_context]`, and `#[with_empty_context]`, which differs in the context alone.

use proc_macro2::{Delimiter, Group, Ident, Punct, Spacing, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Attribute, Block, Error, Expr, ExprAsync, ExprCall, FnArg, Lifetime, Local, Pat, PatIdent, PatType,
    Receiver, Result, ReturnType, Signature, Stmt, Type, Visibility, parse_quote,
};

use crate::args::{CopiedArgs, Entry, Errors, Kind};
use crate::container::{self, Found, gives_context, is_container};
use crate::function::{Function, Returned, path_ends_in, returned_future, ungrouped};

pub(crate) fn expand(kind: Kind, args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let expanded = expand_item(kind, args, item.clone(), &mut errors);
    let item = errors.ok(expanded).unwrap_or(item);
    let errors = errors.into_compile_errors();
    quote!(#errors #item)
}

fn expand_item(
    kind: Kind,
    raw_args: TokenStream,
    item: TokenStream,
    errors: &mut Errors,
) -> Result<TokenStream> {
    // Where the attribute is to expand another time, it tells then what is wrong with its arguments.
    let mut told_again = Errors::default();
    let args = CopiedArgs::parse(kind, raw_args.clone(), &mut told_again);
    let krate = &args.krate;
    if !krate.check(kind.name(), errors) {
        return Ok(item);
    }
    let name = Ident::new(kind.name(), Span::call_site());
    let attribute = quote!(#krate::#name(#raw_args));
    let (mut attrs, rest) = split_attributes(item.clone())?;
    if let Some(n) = attrs.iter().position(gives_context) {
        let other = attrs.remove(n);
        let fix = if path_ends_in(other.path(), &[kind.name()]) {
            format!("`#[{name}]` stands here twice: put all arguments into one")
        } else {
            "a function runs in a copied context or in an empty one: remove one of the attributes".to_owned()
        };
        errors.push(Error::new_spanned(other, fix));
    }
    if is_container(&rest) {
        if let Some(token) = args.skip.or(args.future) {
            let message = format!("`{token}` goes on a function: remove it here");
            return Err(Error::new(token.span(), message));
        }
        if attrs.iter().any(|attr| path_ends_in(attr.path(), &["automock"])) {
            // mockall copies the attributes of methods to statements, where no macro can stand, but not those of an `impl`.
            return Ok(quote!(#(#attrs)* #[#attribute] #rest));
        }
        let (item, found) = container::expand(rest, &quote!(#krate::#name(__nested, #raw_args)))?;
        if !matches!(found, Found::Function) {
            // Nobody else will tell.
            errors.append(told_again);
        }
        match (found, args.entries.first()) {
            (Found::Declaration(name), _) => {
                let message = format!(
                    "no function in this trait has a body to run in a context: put `#[{}]` on its `impl` blocks",
                    kind.name()
                );
                errors.push(Error::new_spanned(name, message));
            }
            (Found::Nothing, Some(Entry { var, .. })) => {
                let message = "there is no function here that is async or returns a future and has a body";
                errors.push(Error::new_spanned(var, message));
            }
            _ => {}
        }
        return Ok(quote!(#(#attrs)* #item));
    }

    let Some(mut function) = Function::parse(kind.name(), attrs, rest)? else {
        return Ok(item);
    };
    if let Some(skip) = &args.skip {
        let fix = "`skip` leaves a function out of an annotated `impl`, trait or module: there is none around \
                   this one, remove the attribute";
        told_again.push(Error::new(skip.span(), fix));
    }
    if let Some(konst) = function.sig.constness {
        let fix = "a `const fn` can have no context: remove `const` or the attribute";
        errors.append(told_again);
        errors.push(Error::new(konst.span, fix));
        return Ok(whole(&function, &function.sig, function.body.stream()));
    }
    if let Some(future) = args.future.as_ref().filter(|_| function.sig.asyncness.is_some()) {
        let fix = "an `async fn` returns a future anyway: remove `future`";
        told_again.push(Error::new(future.span(), fix));
    }
    if !args.last && function.attrs.iter().any(|attr| !is_inert(attr)) {
        // `#[tokio::main]`, `#[tracing::instrument]` and their like want an `async fn`, so they go first; this
        // attribute comes back below them.
        function.attrs.push(parse_quote!(#[#krate::#name(__last, #raw_args)]));
        return Ok(whole(&function, &function.sig, function.body.stream()));
    }
    errors.append(told_again);
    Ok(expand_function(&args, &function))
}

/// Whether the attribute is known to be no macro.
fn is_inert(attr: &Attribute) -> bool {
    const INERT: &[&str] = &[
        "allow",
        "cfg",
        "cfg_attr",
        "clippy",
        "cold",
        "deny",
        "deprecated",
        "diagnostic",
        "doc",
        "expect",
        "export_name",
        "forbid",
        "ignore",
        "inline",
        "link_section",
        "must_use",
        "no_mangle",
        "rustfmt",
        "should_panic",
        "target_feature",
        "track_caller",
        "unsafe",
        "warn",
    ];
    attr.path().segments.first().is_some_and(|first| INERT.iter().any(|name| first.ident == name))
}

/// The attributes, and the item below them, which is not parsed: that takes time.
fn split_attributes(item: TokenStream) -> Result<(Vec<Attribute>, TokenStream)> {
    let is_hash = |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == '#');
    let mut tokens = item.into_iter().peekable();
    let mut attrs = TokenStream::new();
    while let Some(hash) = tokens.next_if(is_hash) {
        attrs.extend([hash].into_iter().chain(tokens.next()));
    }
    Ok((Attribute::parse_outer.parse2(attrs)?, tokens.collect()))
}

fn expand_function(args: &CopiedArgs, function: &Function) -> TokenStream {
    let krate = &args.krate;
    if function.sig.asyncness.is_some() {
        return expand_async(args, function);
    }
    let declared = args.future.as_ref().map(|_| Returned::Boxed);
    match returned_future(&function.sig.output).or(declared) {
        Some(Returned::Boxed) => match async_block_in_box(&function.body) {
            Some(block) => expand_boxed_block(args, function, block),
            None => {
                // If it is no boxed future, then the argument that says so is wrong.
                let span = args.future.as_ref().map_or_else(Span::call_site, Ident::span);
                let span = Span::mixed_site().located_at(span);
                let krate = krate.at(span);
                expand_future(
                    args,
                    function,
                    |scope| quote_spanned!(span=> #krate::__private::Box::pin(#scope)),
                )
            }
        },
        Some(Returned::Plain) => expand_future(args, function, |scope| scope),
        None => expand_plain(args, function),
    }
}

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
//             if false { return returned::<T>() }
//             return match false { true => returned::<T>(), false => '__body: { body } };
//         })
//     }
//
// This is what rustc makes of an `async fn`. What it can say and a macro can't is the type of the block: the
// first `return` does that.
fn expand_async(args: &CopiedArgs, function: &Function) -> TokenStream {
    let krate = &args.krate;
    let output = output_type(&function.sig.output);
    let Inner { mut sig, block } = typed(args, function);
    sig.asyncness = None;
    // The edition of the `impl` token decides which lifetimes are captured. With this crate's, 2024, it is
    // all of them, as for an `async fn` in any edition.
    let end = match &function.sig.output {
        ReturnType::Default => function.sig.paren_token.span.close(),
        ReturnType::Type(_, ty) => last_span(ty),
    };
    let span = Span::call_site().located_at(beside_output(args, &function.sig).0);
    let implement = quote_spanned!(span=> impl);
    let output = match output {
        // `!` is stable as a return type only, be it that of a type of functions.
        Type::Never(_) => quote!(<fn() -> #output as #krate::__private::Returns>::Output),
        _ => output.to_token_stream(),
    };
    let future = {
        let krate = krate.at(span);
        quote_spanned!(span=> #krate::__private::Future<Output = #output)
    };
    // The signature ends where the user's does, and so is the user's to rustc.
    let mut close = Punct::new('>', Spacing::Alone);
    close.set_span(end);
    sig.output = parse_quote!(-> #implement #future #close);
    // `#[must_use]` on an `async fn` speaks of what is awaited. Here it is on a future, which is `must_use` anyway.
    // A method that is `async` is not taken for one of std's traits either.
    let must_use = function.attrs.iter().any(|attr| path_ends_in(attr.path(), &["must_use"]));
    let quiet = [
        must_use.then(|| quote!(#[allow(clippy::double_must_use)])),
        sig.receiver().map(|_| quote!(#[allow(clippy::should_implement_trait)])),
    ];
    let quiet = quiet.iter().flatten();
    // What is wrong with the future as a whole is reported at the body.
    let span = Span::mixed_site().located_at(function.body.span_open());
    let context = args.context(span);
    let future = quote_spanned!(span=> #context.scope(async move #block));
    if !args.nested && is_main(function) {
        // rustc rejects an `async fn main` with its own message, so this one stays `async`. The price: if it is not the
        // program's `main`, its copy is taken at the first poll instead of at the call.
        return whole(function, &function.sig, quote_spanned!(span=> #future.await));
    }
    let whole = whole(function, &sig, quote!(return #future;));
    quote!(#(#quiet)* #whole)
}

/// Whether a function may be the program's.
fn is_main(function: &Function) -> bool {
    let Function { vis, sig, .. } = function;
    sig.ident == "main"
        && sig.inputs.is_empty()
        && sig.generics.params.is_empty()
        && matches!(vis, Visibility::Inherited)
}

// Input:
//     fn f(a: A) -> T { body }
//
// Output:
//     fn f(a: A) -> T {
//         return copy_context().run(move || -> T { let a = a; '__body: { body } });
//     }
fn expand_plain(args: &CopiedArgs, function: &Function) -> TokenStream {
    let declared = output_type(&function.sig.output);
    let output = inferred_impl_trait(&declared);
    let is_whole = output.to_token_stream().to_string() == declared.to_token_stream().to_string();
    // A type with a name may be a boxed future all the same. That would run outside of the copy, silently.
    let check = (is_whole && matches!(output, Type::Path(_))).then(|| {
        let (span, private) = beside_output(args, &function.sig);
        quote_spanned!(span=> {
            #[allow(unused_imports)]
            use #private::NoBoxedFuture as _;
            let returned = #private::Returned::<#output>::new();
            #private::assert_plain(&returned, returned.kind());
        })
    });
    let Inner { sig, block } = inner(args, function, check, |body, _| body);
    let context = args.context(Span::call_site());
    let run = quote!(#context.run(move || -> #output #block));
    whole(
        function,
        &sig,
        match declared {
            Type::Never(_) => run,
            // Clippy checks what closures return as it checks what functions return.
            _ => quote!(#[allow(clippy::result_large_err)] return #run;),
        },
    )
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
fn expand_future(
    args: &CopiedArgs,
    function: &Function,
    boxed: impl FnOnce(TokenStream) -> TokenStream,
) -> TokenStream {
    let output = inferred_impl_trait(&output_type(&function.sig.output));
    let Inner { sig, block } = inner(args, function, None, |body, _| body);
    let new = args.context(Span::call_site());
    let context = Ident::new("context", Span::mixed_site());
    let future = Ident::new("future", Span::mixed_site());
    let scope = boxed(quote!(#context.scope(#future)));
    let body = quote! {
        let mut #context = #new;
        let #future = #context.run(move || -> #output #block);
        return #scope;
    };
    whole(function, &sig, body)
}

// Input, an `async fn` that went through `#[async_trait]`:
//     fn f(a: A) -> Pin<Box<dyn Future<Output = T>>> { Box::pin(async move { let a = a; body }) }
//
// Output:
//     fn f(a: A) -> Pin<Box<dyn Future<Output = T>>> {
//         Box::pin(copy_context().scope(async move { entries; let a = a; body }))
//     }
fn expand_boxed_block(args: &CopiedArgs, function: &Function, mut block: AsyncBlockInBox) -> TokenStream {
    let (context, entries) = (args.context(Span::call_site()), entries(args));
    let asynk = &block.future;
    let (arguments, stmts) = asynk.block.stmts.split_at(after_arguments(&asynk.block.stmts));
    let (attrs, capture) = (&asynk.attrs, &asynk.capture);
    let token = &asynk.async_token;
    let mut body = Group::new(Delimiter::Brace, quote!(#(#arguments)* #entries #(#stmts)*));
    body.set_span(asynk.block.brace_token.span.join());
    let future = quote!(#(#attrs)* #token #capture #body);
    block.call.args = parse_quote!(#context.scope(#future));
    let call = &block.call;
    whole(function, &function.sig, call.to_token_stream())
}

/// How many statements come first that `async_trait` writes: an `if let` that gives the block a type, and for each argument
/// `let user = user;`, for a pattern `let (a, b) = { let __arg1 = __arg1; __arg1 };`, for `self` `let __self = self;`.
fn after_arguments(stmts: &[Stmt]) -> usize {
    fn name(expr: &Expr) -> Option<&Ident> {
        if let Expr::Path(path) = expr { path.path.get_ident() } else { None }
    }

    fn is_argument(stmt: &Stmt) -> bool {
        let Stmt::Local(Local { pat, init: Some(init), .. }) = stmt else { return false };
        match (pat, &*init.expr) {
            (Pat::Ident(pat), value @ Expr::Path(_)) => name(value)
                .is_some_and(|value| pat.ident == *value || (pat.ident == "__self" && value == "self")),
            (_, Expr::Block(block)) => {
                matches!(&*block.block.stmts, [local, Stmt::Expr(value, None)] if is_argument(local) && name(value).is_some())
            }
            _ => false,
        }
    }

    let is_type = |stmt: &Stmt| match stmt {
        Stmt::Expr(Expr::If(check), _) => check.cond.to_token_stream().to_string().contains("__ret"),
        _ => false,
    };
    let first = usize::from(stmts.first().is_some_and(is_type));
    let arguments = stmts[first..].iter().take_while(|stmt| is_argument(stmt)).count();
    if arguments == 0 { 0 } else { first + arguments }
}

/// The function with other statements in its body's braces.
//
// The braces keep their span. By it, rustc and clippy tell a function from one that another crate's macro wrote, which
// they do not lint.
fn whole(function: &Function, sig: &Signature, statements: TokenStream) -> TokenStream {
    let Function { attrs, vis, defaultness, body, .. } = function;
    let mut braces = Group::new(Delimiter::Brace, statements);
    braces.set_span(body.span());
    quote!(#(#attrs)* #vis #defaultness #sig #braces)
}

/// The function's body, for a place inside of the function where the arguments are captured.
struct Inner {
    /// The signature, with a name for each argument in place of its pattern.
    sig: Signature,
    block: Group,
}

fn inner(
    args: &CopiedArgs,
    function: &Function,
    expect: Option<TokenStream>,
    end: impl FnOnce(TokenStream, Span) -> TokenStream,
) -> Inner {
    let mut sig = function.sig.clone();
    let mut bindings = TokenStream::new();
    for (n, arg) in sig.inputs.iter_mut().enumerate() {
        bindings.extend(match arg {
            // So that all of `self` is captured, used or not, and not only the fields that are used.
            FnArg::Receiver(Receiver { self_token, .. }) => quote!(let _ = &#self_token;),
            FnArg::Typed(arg) => bind_argument(n, arg),
        });
    }
    let entries = entries(args);
    let body = &function.body;
    // The edition of this block, 2024, lets it drop the temporaries of the body's last expression before the
    // arguments, which these may borrow. A function does so in any edition.
    //
    // The label keeps rustc from calling the braces of the body unnecessary. It is of the body's edition, as
    // the body must stay.
    let label = Lifetime::new("'__body", body.span());
    let body = quote_spanned!(body.span()=> #label: #body);
    let span = Span::mixed_site().located_at(function.body.span());
    let end = end(body, Span::mixed_site().located_at(function.body.span_open()));
    let mut block = Group::new(Delimiter::Brace, quote!(#bindings #expect #entries #end));
    block.set_span(span);
    Inner { sig, block }
}

/// The function's body for an async block, whose type can't be written: it is that of its first `return`.
fn typed(args: &CopiedArgs, function: &Function) -> Inner {
    let ty = inferred_impl_trait(&output_type(&function.sig.output));
    let (span, private) = beside_output(args, &function.sig);
    if let Type::Never(_) = ty {
        // The value makes `!` the type of the block in editions in which that of code after a `!` is `()`.
        return inner(args, function, None, |body, span| {
            quote_spanned! {span=>
                let never: <fn() -> ! as #private::Returns>::Output = match () { () => #body };
                #[allow(unreachable_code)]
                return never;
            }
        });
    }
    let first = quote_spanned! {span=>
        #[allow(clippy::diverging_sub_expression, clippy::mutable_key_type)]
        if false { let returned: #private::Same<#ty> = #private::returned(); return returned; }
    };
    // With a `return` last, clippy's `async_yields_async` sees no value of an async block that is a future, as it sees none of
    // an `async fn`. In an arm of a `match`, a body that never ends makes no code of ours unreachable, nor a sub-expression.
    inner(args, function, Some(first), |body, span| match function.body.stream().is_empty() {
        true => body,
        false => {
            quote_spanned!(span=> return match false { true => #private::returned::<#ty>(), false => #body };)
        }
    })
}

/// Binds the argument's pattern, whole as in `let x = x`, and leaves a name in the signature.
fn bind_argument(n: usize, arg: &mut PatType) -> TokenStream {
    let is_cfg = |attr: &&Attribute| path_ends_in(attr.path(), &["cfg", "cfg_attr"]);
    let is_expect = |attr: &&Attribute| attr.path().is_ident("expect");
    let of_types = |attr: &&Attribute| attr.to_token_stream().to_string().contains("clippy");
    let mut attrs = arg.attrs.clone();
    let cfgs: Vec<_> = attrs.iter().filter(is_cfg).cloned().collect();
    // What is expected of an argument's type, as clippy does, is found in the signature, and what is expected of its
    // pattern in the binding.
    attrs.retain(|attr| !(is_expect(&attr) && of_types(&attr)));
    arg.attrs.retain(|attr| !is_expect(&attr) || of_types(&attr));
    let pattern = (*arg.pat).clone();
    match &pattern {
        Pat::Ident(PatIdent { by_ref: None, subpat: None, ident, .. }) => {
            *arg.pat = parse_quote!(#ident);
            // That a name is there twice is not the user's doing.
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

/// `VAR.set(value);` for each entry.
fn entries(args: &CopiedArgs) -> TokenStream {
    let entry = |Entry { var, value }: &Entry| {
        let span = Span::mixed_site().located_at(var.span());
        let krate = args.krate.at(span);
        quote_spanned!(span=> #krate::__private::drop(#krate::ContextVar::set(&#var, #value));)
    };
    args.entries.iter().map(entry).collect()
}

/// A place for what the expansion writes about the return type: the arrow; and `contextvar::__private` there. An editor looks for
/// definitions by places, and is not to find ours where it looks for one of the user's.
fn beside_output(args: &CopiedArgs, sig: &Signature) -> (Span, TokenStream) {
    let span = Span::mixed_site().located_at(match &sig.output {
        ReturnType::Default => sig.paren_token.span.close(),
        ReturnType::Type(arrow, _) => arrow.span(),
    });
    let krate = args.krate.at(span);
    (span, quote_spanned!(span=> #krate::__private))
}

fn last_span(tokens: &impl ToTokens) -> Span {
    tokens.to_token_stream().into_iter().last().map_or_else(Span::call_site, |token| token.span())
}

fn output_type(output: &ReturnType) -> Type {
    match output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, ty) => ungrouped(ty).clone(),
    }
}

/// A return type as it can stand in a body: with `_` for `impl Trait`.
fn inferred_impl_trait(output: &Type) -> Type {
    struct InferImplTrait;

    impl VisitMut for InferImplTrait {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            match ty {
                // A macro's type may be one, too.
                Type::ImplTrait(_) | Type::Macro(_) => {
                    let span = Span::mixed_site().located_at(ty.span());
                    *ty = Type::Verbatim(quote_spanned!(span=> _));
                }
                _ => visit_mut::visit_type_mut(self, ty),
            }
        }
    }

    let mut ty = output.clone();
    InferImplTrait.visit_type_mut(&mut ty);
    ty
}

/// `{ Box::pin(async move { .. }) }`
struct AsyncBlockInBox {
    call: ExprCall,
    future: ExprAsync,
}

fn async_block_in_box(body: &Group) -> Option<AsyncBlockInBox> {
    let block: Block = syn::parse2(body.to_token_stream()).ok()?;
    let Ok([Stmt::Expr(Expr::Call(call), None)]) = <[Stmt; 1]>::try_from(block.stmts) else { return None };
    let Expr::Path(function) = &*call.func else { return None };
    let mut path = function.path.segments.iter().rev();
    if path.next()?.ident != "pin" || path.next()?.ident != "Box" || call.args.len() != 1 {
        return None;
    }
    let Some(Expr::Async(future)) = call.args.first().cloned() else { return None };
    Some(AsyncBlockInBox { call, future })
}
