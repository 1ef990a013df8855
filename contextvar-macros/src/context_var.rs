//! `#[context_var]`.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Attribute, Error, Ident, LitStr, Result, Token, Type, Visibility};

use crate::args::{Errors, VarArgs};
use crate::function::path_ends_in;

/// A static, with or without a value.
struct Static {
    attrs: Vec<Attribute>,
    vis: Visibility,
    static_token: Token![static],
    ident: Ident,
    /// Where there is none rustc has noted an error before it came here, and will tell.
    ty: Option<Type>,
    /// As it stands there: whatever it is, rustc is to judge it.
    value: Option<TokenStream>,
}

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = VarArgs::parse(args, &mut errors);
    let parse = |input: ParseStream<'_>| parse_static(input, &mut errors);
    let item = match parse.parse2(item.clone()) {
        Ok(item) => expand_static(&args, item),
        Err(error) => {
            errors.push(error);
            item
        }
    };
    let errors = errors.into_compile_errors();
    quote!(#errors #item)
}

/// Reads a static, and what can be read as if it were one; that goes to `errors`.
fn parse_static(input: ParseStream<'_>, errors: &mut Errors) -> Result<Static> {
    let mut attrs = input.call(Attribute::parse_outer)?;
    if let Some(n) = attrs.iter().position(|attr| path_ends_in(attr.path(), &["context_var"])) {
        let fix = "`#[context_var]` stands here twice: put all arguments into one";
        errors.push(Error::new_spanned(attrs.remove(n), fix));
    }
    let vis = input.parse()?;
    let static_token = if let Some(konst) = input.parse::<Option<Token![const]>>()? {
        let fix = "a context variable is a `static`, not a `const`: write `static` here";
        errors.push(Error::new(konst.span, fix));
        Token![static](konst.span)
    } else {
        const FIX: &str =
            "`#[context_var]` goes on a static: `static USER: String;` or `static LOCALE: &str = \"en\";`";
        input.parse().map_err(|error| Error::new(error.span(), FIX))?
    };
    if let Some(mutability) = input.parse::<Option<Token![mut]>>()? {
        let fix = "a context variable is changed with `set`: remove `mut`";
        errors.push(Error::new(mutability.span, fix));
    }
    let ident: Ident = input.parse()?;
    let ty = match input.parse::<Option<Token![:]>>()? {
        Some(_) => Some(input.parse()?),
        None => None,
    };
    let value = match input.parse::<Option<Token![=]>>()? {
        Some(_) => Some(until_semicolon(input)?),
        None => None,
    };
    input.parse::<Token![;]>()?;
    Ok(Static { attrs, vis, static_token, ident, ty, value })
}

fn until_semicolon(input: ParseStream<'_>) -> Result<TokenStream> {
    let mut tokens = TokenStream::new();
    while !input.is_empty() && !input.peek(Token![;]) {
        input.parse::<TokenTree>()?.to_tokens(&mut tokens);
    }
    Ok(tokens)
}

// Input:
//     pub static USER: String = "nobody".to_owned();
//
// Output:
//     pub static USER: ::contextvar::ContextVar<String> =
//         ::contextvar::__private::var_with_default::<String>(
//             "USER",
//             || "nobody".to_owned(),
//             { use ::contextvar::__private::NoDebug as _; <Values<String>>::DEBUG },
//         );
fn expand_static(args: &VarArgs, item: Static) -> TokenStream {
    let Static { attrs, vis, static_token, ident, ty, value } = item;
    let Some(ty) = ty else {
        let value = value.unwrap_or_else(|| quote!(()));
        return quote!(#(#attrs)* #vis #static_token #ident = #value;);
    };
    let krate = &args.krate;
    let name = match &args.name {
        Some(name) => name.clone(),
        None => LitStr::new(&ident.unraw().to_string(), ident.span()),
    };
    let debug = quote!({
        #[allow(unused_imports)]
        use #krate::__private::NoDebug as _;
        <#krate::__private::Values<#ty>>::DEBUG
    });
    // What is wrong with the type is reported where the user wrote it.
    let span = Span::mixed_site().located_at(ty.span());
    let function = match value {
        Some(_) => format_ident!("var_with_default", span = span),
        None => format_ident!("var", span = span),
    };
    let value = value.map(|value| quote!(|| #value,));
    let secret = args.secret.then(|| quote!(.secret()));
    let inherit = args.inherit.as_ref().map(|inherit| quote!(.inherit(#inherit)));
    let mut init = quote_spanned! {span=>
        #krate::__private::#function::<#ty>(#name, #value #debug) #secret #inherit
    };
    if args.log.is_some() {
        let krate = krate.at(span);
        init = quote_spanned! {span=>
            #krate::__private::logged(#init, {
                #[allow(unused_imports)]
                use #krate::__private::LoggedByDebug as _;
                <#krate::__private::Logged<#ty>>::FMT
            })
        };
    }
    let declared = args.baggage.as_ref().map(|key| {
        let krate = krate.at(span);
        let codec = match &args.codec {
            Some(codec) => codec.to_token_stream(),
            None => quote_spanned!(span=> #krate::__private::ByDisplay),
        };
        let cfgs = attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
        quote_spanned! {span=>
            #(#cfgs)*
            const _: () = {
                static CODED: #krate::__private::Coded<#ty, #codec> = #krate::__private::Coded::new(&#ident);
                #krate::__private::inventory::submit! {
                    #krate::__private::Declared { key: #key, var: &CODED }
                }
            };
        }
    });
    quote! {
        #(#attrs)*
        #vis #static_token #ident: #krate::ContextVar<#ty> = #init;
        #declared
    }
}
