//! `#[with_copied_context]`.

use proc_macro2::{Group, Ident, Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{
    Block, Error, Expr, ExprAsync, ExprCall, FnArg, GenericArgument, Pat, PathArguments, ReturnType,
    Signature, Stmt, Type, TypeParamBound, parse_quote,
};

use crate::args::{CopiedArgs, Entry, Errors};
use crate::function::Function;

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let parsed = CopiedArgs::parse(args.clone(), &mut errors);
    let item = match syn::parse2::<Function>(item.clone()) {
        Ok(function) => expand_function(args, parsed, function, &mut errors),
        Err(error) => {
            errors.push(error);
            item
        }
    };
    let errors = errors.into_compile_errors();
    quote!(#errors #item)
}

fn expand_function(
    raw_args: TokenStream,
    args: CopiedArgs,
    function: Function,
    errors: &mut Errors,
) -> TokenStream {
    if let Some(konst) = function.sig.constness {
        let fix = "a `const fn` can have no context: remove `const` or the attribute";
        errors.push(Error::new(konst.span, fix));
        return whole(&function, &function.sig, function.body.to_token_stream());
    }
    let krate = &args.krate;
    if function.sig.asyncness.is_some() {
        if function.has_attr(&["main", "test"]) {
            // `#[tokio::main]` and its like want an `async fn`, so they go first; this attribute comes back
            // below them, and tells what is wrong with its arguments then.
            *errors = Errors::default();
            let Function { attrs, vis, defaultness, sig, body } = &function;
            return quote! {
                #(#attrs)*
                #[#krate::with_copied_context(#raw_args)]
                #vis #defaultness #sig #body
            };
        }
        return expand_async(&args, &function);
    }
    match returned_future(&function.sig.output) {
        Some(Returned::Boxed) => match async_block_in_box(&function.body) {
            Some(block) => expand_boxed_block(&args, &function, block),
            None => expand_future(&args, &function, |scope| quote!(#krate::__private::Box::pin(#scope))),
        },
        Some(Returned::Plain) => expand_future(&args, &function, |scope| scope),
        None => expand_plain(&args, &function),
    }
}

// Input:
//     async fn f(&self, mut a: A, (b, c): (B, C)) -> T { body }
//
// Output:
//     fn f(&self, a: A, __arg1: (B, C)) -> impl Future<Output = T> {
//         fn __call<F, R, A0, A1>(f: F, (a0, a1): (A0, A1)) -> R where F: FnOnce(A0, A1) -> R { f(a0, a1) }
//         copy_context().scope(__call(async move |mut a, (b, c)| {
//             if false { return returned::<T>() }
//             let _ = &self;
//             body
//         }, (a, __arg1)))
//     }
//
// An async closure treats its parameters just as an `async fn` does: patterns, the order of drops. Being
// called once, by value, its future owns what it captured: `self`. Its return type, however, does not reach
// the body as what is expected there; the first `return` does.
fn expand_async(args: &CopiedArgs, function: &Function) -> TokenStream {
    let krate = &args.krate;
    let expect = match output_type_of_closure(&function.sig.output) {
        Type::Never(_) => None,
        ty => {
            let span = Span::mixed_site().located_at(ty.span());
            let krate = krate.at(span);
            Some(quote_spanned!(span=> if false { return #krate::__private::returned::<#ty>(); }))
        }
    };
    let closure = Closure { head: quote!(async move), output: None, expect };
    let Call { mut sig, call } = call(args, function, closure);
    sig.asyncness = None;
    let output = output_type(&function.sig.output);
    // The edition of the `impl` token decides which lifetimes are captured. With this crate's, 2024, it is
    // all of them, as for an `async fn` in any edition.
    let span = Span::call_site().located_at(output.span());
    let implement = quote_spanned!(span=> impl);
    sig.output = parse_quote!(-> #implement #krate::__private::Future<Output = #output>);
    whole(function, &sig, quote!({ #krate::__private::copy_context().scope(#call) }))
}

// Input:
//     fn f(a: A) -> T { body }
//
// Output:
//     fn f(a: A) -> T { copy_context().run(|| __call(move |a| -> T { body }, (a,))) }
fn expand_plain(args: &CopiedArgs, function: &Function) -> TokenStream {
    let krate = &args.krate;
    let Call { sig, call } = call(args, function, Closure::plain(function));
    whole(function, &sig, quote!({ #krate::__private::copy_context().run(move || #call) }))
}

// Input:
//     fn f(a: A) -> impl Future<Output = T> { body }
//
// Output:
//     fn f(a: A) -> impl Future<Output = T> {
//         let mut context = copy_context();
//         let future = context.run(|| __call(move |a| -> _ { body }, (a,)));
//         context.scope(future)
//     }
fn expand_future(
    args: &CopiedArgs,
    function: &Function,
    boxed: impl FnOnce(TokenStream) -> TokenStream,
) -> TokenStream {
    let krate = &args.krate;
    let Call { sig, call } = call(args, function, Closure::plain(function));
    let context = Ident::new("context", Span::mixed_site());
    let future = Ident::new("future", Span::mixed_site());
    let scope = boxed(quote!(#context.scope(#future)));
    let body = quote!({
        let mut #context = #krate::__private::copy_context();
        let #future = #context.run(move || #call);
        #scope
    });
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
    let krate = &args.krate;
    let entries = entries(args);
    let (stmts, asynk) = (&block.future.block.stmts, &block.future);
    let (attrs, capture) = (&asynk.attrs, &asynk.capture);
    let future = quote!(#(#attrs)* async #capture { #entries #(#stmts)* });
    block.call.args = parse_quote!(#krate::__private::copy_context().scope(#future));
    let call = &block.call;
    whole(function, &function.sig, quote!({ #call }))
}

fn whole(function: &Function, sig: &Signature, body: TokenStream) -> TokenStream {
    let Function { attrs, vis, defaultness, .. } = function;
    quote!(#(#attrs)* #vis #defaultness #sig #body)
}

/// What goes around the body to make it a closure.
struct Closure {
    /// `move`, `async move`
    head: TokenStream,
    /// `-> T`
    output: Option<TokenStream>,
    /// What tells rustc which type the body is to have, where `output` does not.
    expect: Option<TokenStream>,
}

impl Closure {
    fn plain(function: &Function) -> Self {
        let ty = output_type_of_closure(&function.sig.output);
        Closure { head: quote!(move), output: Some(quote!(-> #ty)), expect: None }
    }
}

/// The function's body as a closure, called with the function's arguments.
struct Call {
    /// The signature, with a name for each argument in place of its pattern.
    sig: Signature,
    call: TokenStream,
}

fn call(args: &CopiedArgs, function: &Function, closure: Closure) -> Call {
    let krate = &args.krate;
    let mut sig = function.sig.clone();
    let mut patterns = Vec::new();
    let mut names = Vec::new();
    let mut receiver = None;
    for (n, arg) in sig.inputs.iter_mut().enumerate() {
        match arg {
            FnArg::Receiver(arg) => receiver = Some(arg.self_token),
            FnArg::Typed(arg) => {
                let pattern = (*arg.pat).clone();
                let name = argument_name(n, &pattern);
                *arg.pat = parse_quote!(#name);
                patterns.push(pattern);
                names.push(name);
            }
        }
    }
    // So that all of `self` is captured, used or not, and not only the fields that are used.
    let receiver = receiver.map(|token| quote!(let _ = &#token;));
    let Closure { head, output, expect } = closure;
    let entries = entries(args);
    let body = function.body.stream();
    let mut block = Group::new(function.body.delimiter(), quote!(#expect #receiver #entries #body));
    block.set_span(function.body.span());

    let local = |name: &str| Ident::new(name, Span::mixed_site());
    let helper = local("__call");
    let params: Vec<_> = (0..names.len()).map(|n| local(&format!("a{n}"))).collect();
    let types: Vec<_> = (0..names.len()).map(|n| local(&format!("A{n}"))).collect();
    // The arguments go as a tuple, since clippy counts parameters.
    let call = quote!({
        fn #helper<F, R, #(#types),*>(f: F, (#(#params,)*): (#(#types,)*)) -> R
        where
            F: #krate::__private::FnOnce(#(#types),*) -> R,
        {
            f(#(#params),*)
        }
        #helper(#head |#(#patterns),*| #output #block, (#(#names,)*))
    });
    Call { sig, call }
}

/// An argument's own name if that is all its pattern has, else a new one.
fn argument_name(n: usize, pattern: &Pat) -> Ident {
    match pattern {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => pattern.ident.clone(),
        _ => format_ident!("__arg{n}", span = pattern.span().resolved_at(Span::mixed_site())),
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

fn output_type(output: &ReturnType) -> Type {
    match output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, ty) => (**ty).clone(),
    }
}

/// The return type as a closure can have it: with `_` for `impl Trait`.
fn output_type_of_closure(output: &ReturnType) -> Type {
    struct InferImplTrait;

    impl VisitMut for InferImplTrait {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            match ty {
                Type::ImplTrait(_) => *ty = parse_quote!(_),
                _ => visit_mut::visit_type_mut(self, ty),
            }
        }
    }

    let mut ty = output_type(output);
    InferImplTrait.visit_type_mut(&mut ty);
    ty
}

/// A return type that is known to be a future.
enum Returned {
    /// `impl Future`
    Plain,
    /// `Pin<Box<dyn Future>>`, `BoxFuture`, `LocalBoxFuture`
    Boxed,
}

fn returned_future(output: &ReturnType) -> Option<Returned> {
    let ReturnType::Type(_, ty) = output else { return None };
    match &**ty {
        Type::ImplTrait(ty) if is_future(&ty.bounds) => Some(Returned::Plain),
        ty @ Type::Path(_) => {
            let (name, arg) = name_and_arg(ty)?;
            if name == "BoxFuture" || name == "LocalBoxFuture" {
                return Some(Returned::Boxed);
            }
            let (inner, arg) = (name == "Pin").then(|| name_and_arg(arg?)).flatten()?;
            let Type::TraitObject(object) = (inner == "Box").then_some(arg).flatten()? else { return None };
            is_future(&object.bounds).then_some(Returned::Boxed)
        }
        _ => None,
    }
}

/// `Name` and `T` of `path::Name<T>`.
fn name_and_arg(ty: &Type) -> Option<(&Ident, Option<&Type>)> {
    let Type::Path(ty) = ty else { return None };
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
