//! What a return type shows about a future, and how it can be written in a body.

use proc_macro2::{Ident, Span, TokenStream};
use quote::quote_spanned;
use syn::spanned::Spanned;
use syn::visit_mut::{self, VisitMut};
use syn::{GenericArgument, PathArguments, ReturnType, Signature, Type, TypeParamBound, parse_quote};

use crate::with_context::args::WithContextArgs;

/// A return type that shows that it is a future.
pub(crate) enum FutureType {
    /// `impl Future`
    Unboxed,
    /// `Pin<Box<dyn Future>>`, `BoxFuture`, `LocalBoxFuture`
    Boxed,
}

/// Returns which kind of future the function returns, or `None` if its return type does not show one.
pub(crate) fn find_future_type(output: &ReturnType) -> Option<FutureType> {
    let ReturnType::Type(_, ty) = output else { return None };
    match ungroup(ty) {
        Type::ImplTrait(ty) if contains_future(&ty.bounds) => Some(FutureType::Unboxed),
        ty @ Type::Path(_) => {
            let (name, arg) = split_generic(ty)?;
            if name == "BoxFuture" || name == "LocalBoxFuture" {
                return Some(FutureType::Boxed);
            }
            let (inner, arg) = (name == "Pin").then(|| split_generic(arg?)).flatten()?;
            let bounds = match ungroup((inner == "Box").then_some(arg).flatten()?) {
                Type::TraitObject(object) => &object.bounds,
                Type::ImplTrait(object) => &object.bounds,
                _ => return None,
            };
            contains_future(bounds).then_some(FutureType::Boxed)
        }
        _ => None,
    }
}

/// Returns `Name` and `T` of `path::Name<T>`.
fn split_generic(ty: &Type) -> Option<(&Ident, Option<&Type>)> {
    let Type::Path(ty) = ungroup(ty) else { return None };
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

fn contains_future<'a>(bounds: impl IntoIterator<Item = &'a TypeParamBound>) -> bool {
    bounds.into_iter().any(|bound| match bound {
        TypeParamBound::Trait(bound) => bound.path.segments.last().is_some_and(|last| last.ident == "Future"),
        _ => false,
    })
}

/// Returns the type without parentheses, and without the group around a type that has passed through a
/// `macro_rules!` as `$ty:ty`.
fn ungroup(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            ty => return ty,
        };
    }
}

/// Returns the return type, `()` if none is written.
pub(crate) fn output_type(output: &ReturnType) -> Type {
    match output {
        ReturnType::Default => parse_quote!(()),
        ReturnType::Type(_, ty) => ungroup(ty).clone(),
    }
}

/// Returns a return type as it can be written in a body: with `_` for each `impl Trait`.
pub(crate) fn infer_impl_trait(output: &Type) -> Type {
    struct InferImplTrait;

    impl VisitMut for InferImplTrait {
        fn visit_type_mut(&mut self, ty: &mut Type) {
            match ty {
                // A macro can expand to an `impl Trait`.
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

/// Returns the span for code about the return type, which is that of the arrow, and the path of
/// `contextvar::__private` there. An editor finds definitions by span: with the span of the user's type it
/// would find the expansion's definitions there.
pub(crate) fn locate_at_arrow(args: &WithContextArgs, sig: &Signature) -> (Span, TokenStream) {
    let span = Span::mixed_site().located_at(match &sig.output {
        ReturnType::Default => sig.paren_token.span.close(),
        ReturnType::Type(arrow, _) => arrow.span(),
    });
    let krate = args.krate.spanned(span);
    (span, quote_spanned!(span=> #krate::__private))
}
