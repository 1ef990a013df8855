//! The expansion of a function whose body is `Box::pin(async move { .. })`, as `#[async_trait]` writes it.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream};
use quote::{ToTokens, quote};
use syn::{Block, Expr, ExprAsync, ExprCall, Local, Pat, Stmt, parse_quote};

use crate::with_context::args::WithContextArgs;
use crate::with_context::body::{replace_body, set_entries};
use crate::with_context::parse::Function;

/// `{ Box::pin(async move { .. }) }`
pub(crate) struct BoxedBlock {
    call: ExprCall,
    future: ExprAsync,
}

pub(crate) fn parse_boxed_block(body: &Group) -> Option<BoxedBlock> {
    let block: Block = syn::parse2(body.to_token_stream()).ok()?;
    let Ok([Stmt::Expr(Expr::Call(call), None)]) = <[Stmt; 1]>::try_from(block.stmts) else { return None };
    let Expr::Path(function) = &*call.func else { return None };
    let mut path = function.path.segments.iter().rev();
    if path.next()?.ident != "pin" || path.next()?.ident != "Box" || call.args.len() != 1 {
        return None;
    }
    let Some(Expr::Async(future)) = call.args.first().cloned() else { return None };
    Some(BoxedBlock { call, future })
}

// Input, an `async fn` that `#[async_trait]` has expanded:
//     fn f(a: A) -> Pin<Box<dyn Future<Output = T>>> { Box::pin(async move { let a = a; body }) }
//
// Output:
//     fn f(a: A) -> Pin<Box<dyn Future<Output = T>>> {
//         Box::pin(copy_context().scope(async move { let a = a; entries; body }))
//     }
pub(crate) fn expand_boxed_block(
    args: &WithContextArgs,
    function: &Function,
    mut block: BoxedBlock,
) -> TokenStream {
    let (context, entries) = (args.make_context(Span::call_site()), set_entries(args));
    let ExprAsync { attrs, async_token, capture, block: body, .. } = &block.future;
    let (bindings, stmts) = body.stmts.split_at(count_bindings(&body.stmts));
    let mut braces = Group::new(Delimiter::Brace, quote!(#(#bindings)* #entries #(#stmts)*));
    braces.set_span(body.brace_token.span.join());
    let future = quote!(#(#attrs)* #async_token #capture #braces);
    block.call.args = parse_quote!(#context.scope(#future));
    replace_body(function, &function.sig, block.call.to_token_stream())
}

/// Counts the leading statements that `#[async_trait]` writes: an `if let` that gives the block a type, and
/// one binding for each argument. That is `let user = user;` for a name,
/// `let (a, b) = { let __arg1 = __arg1; __arg1 };` for a pattern, and `let __self = self;` for `self`.
fn count_bindings(stmts: &[Stmt]) -> usize {
    fn as_name(expr: &Expr) -> Option<&Ident> {
        if let Expr::Path(path) = expr { path.path.get_ident() } else { None }
    }

    fn is_binding(stmt: &Stmt) -> bool {
        let Stmt::Local(Local { pat, init: Some(init), .. }) = stmt else { return false };
        match (pat, &*init.expr) {
            (Pat::Ident(pat), value @ Expr::Path(_)) => as_name(value)
                .is_some_and(|value| pat.ident == *value || (pat.ident == "__self" && value == "self")),
            (_, Expr::Block(block)) => {
                matches!(&*block.block.stmts, [local, Stmt::Expr(value, None)] if is_binding(local) && as_name(value).is_some())
            }
            _ => false,
        }
    }

    let gives_type = |stmt: &Stmt| match stmt {
        Stmt::Expr(Expr::If(check), _) => check.cond.to_token_stream().to_string().contains("__ret"),
        _ => false,
    };
    let first = usize::from(stmts.first().is_some_and(gives_type));
    let bindings = stmts[first..].iter().take_while(|stmt| is_binding(stmt)).count();
    if bindings == 0 { 0 } else { first + bindings }
}
