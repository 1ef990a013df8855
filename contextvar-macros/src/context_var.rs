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
    let mut missing = Errors::default();
    let has_crate = args.krate.check("context_var", &mut missing);
    let parse = |input: ParseStream<'_>| parse_static(input, &mut errors);
    let item = match parse.parse2(item.clone()) {
        Ok(item) if has_crate => expand_static(&args, item),
        // The error is the type, so that rustc says nothing of the code that uses the variable.
        Ok(Static { vis, static_token, ident, .. }) => {
            let missing = missing.into_compile_errors();
            quote!(#vis #static_token #ident: #missing = ();)
        }
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
        let message = format!(
            "`{ident}` can't be shown in logs, as its type has neither `Display` nor `Debug`: implement one of them, or remove `log`"
        );
        init = quote_spanned! {span=>
            #krate::__private::logged(#init, {
                #[allow(unused_imports)]
                use #krate::__private::{NoDebug as _, NoDisplay as _};
                match (<#krate::__private::Text<#ty>>::DISPLAY, <#krate::__private::Values<#ty>>::DEBUG) {
                    (Some(fmt), _) | (None, Some(fmt)) => fmt,
                    (None, None) => ::core::panic!("{}", #message),
                }
            })
        };
    }
    let declared = args.baggage.as_ref().map(|key| {
        let krate = krate.at(span);
        let coded = match &args.codec {
            Some(codec) => {
                let codec = quote!(<#codec as #krate::baggage::Codec<#ty>>);
                quote_spanned!(span=> #krate::__private::Coded::<#ty>::new(&#ident, #codec::encode, #codec::decode))
            }
            None => {
                let message = format!(
                    "`{ident}` can't be written to baggage and read from it, as its type lacks `Display` or `FromStr`: implement both, or \
                     write `codec = ..` with a `contextvar::baggage::Codec` of that type"
                );
                quote_spanned! {span=> {
                    #[allow(unused_imports)]
                    use #krate::__private::{NoDisplay as _, NoFromStr as _};
                    match (<#krate::__private::Text<#ty>>::ENCODE, <#krate::__private::Text<#ty>>::DECODE) {
                        (Some(encode), Some(decode)) => #krate::__private::Coded::<#ty>::new(&#ident, encode, decode),
                        _ => ::core::panic!("{}", #message),
                    }
                }}
            }
        };
        let cfgs = attrs.iter().filter(|attr| attr.path().is_ident("cfg"));
        quote_spanned! {span=>
            #(#cfgs)*
            const _: () = {
                static CODED: #krate::__private::Coded<#ty> = #coded;
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
