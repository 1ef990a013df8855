//! A static, expanded to a context variable.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::spanned::Spanned;
use syn::{Ident, LitStr, Type};

use crate::context_var::args::{ContextVarArgs, PythonName, Shown};
use crate::context_var::parse::Static;
use crate::context_var::shared::find_shared;
use crate::crate_path::CratePath;
use crate::errors::{Anchor, Errors};

pub(crate) fn expand(args: TokenStream, item: TokenStream) -> TokenStream {
    let mut errors = Errors::default();
    let args = ContextVarArgs::parse(args, &mut errors);
    let mut crate_errors = Errors::default();
    let has_crate = args.krate.check("context_var", &mut crate_errors);
    let parse = |input: ParseStream<'_>| Static::parse(input, &mut errors);
    let item = match parse.parse2(item.clone()) {
        Ok(item) if has_crate => expand_static(&args, item, &mut errors),
        // With the error in place of the type, rustc reports nothing more about code that uses the variable.
        Ok(Static { vis, static_token, ident, .. }) => {
            let error = crate_errors.into_compile_errors();
            quote!(#vis #static_token #ident: #error = ();)
        }
        Err(error) => {
            errors.push(error);
            item
        }
    };
    let errors = errors.into_compile_errors();
    quote!(#errors #item)
}

// Input:
//     pub static USER: String = "nobody".to_owned();
//
// Output:
//     pub static USER: ::contextvar::ContextVar<String> =
//         ::contextvar::__private::new_var_with_default::<String>(
//             "USER",
//             || "nobody".to_owned(),
//             { use ::contextvar::__private::NoDebug as _; <DebugOf<String>>::FORMAT },
//         );
fn expand_static(args: &ContextVarArgs, item: Static, errors: &mut Errors) -> TokenStream {
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
        <#krate::__private::DebugOf<#ty>>::FORMAT
    });
    // Errors about the type point at the type.
    let span = Span::mixed_site().located_at(ty.span());
    let constructor = match value {
        Some(_) => format_ident!("new_var_with_default", span = span),
        None => format_ident!("new_var", span = span),
    };
    let shared = value.as_ref().and_then(|_| find_shared(&ty));
    let has_default = value.is_some();
    if let Some(log_default) = args.log_default.as_ref().filter(|_| !has_default) {
        let message = format!("`{ident}` has no default to log: remove `log_default`, or give it one");
        errors.push(Anchor::ARGUMENT_WITHOUT_EFFECT.error_at(log_default.span(), message));
    }
    let default = value.map(|value| quote!(|| #value,));
    let secret = args.secret.then(|| quote!(.secret()));
    let inherit = args.inherit.as_ref().map(|inherit| quote!(.inherit(#inherit)));
    let report = args.report.as_ref().map(|report| quote!(.report(#report)));
    let mut init = quote_spanned! {span=>
        #krate::__private::#constructor::<#ty>(#name, #default #debug) #secret #inherit #report
    };
    if args.log.is_some() || args.metric.is_some() {
        init = add_show(args, &ty, span, init);
    }
    if let Some(shared) = shared {
        init = warn_of_shared_default(krate, shared, init);
    }
    let cfgs: Vec<_> = attrs.iter().filter(|attr| attr.path().is_ident("cfg")).collect();
    let baggage = args.baggage.as_ref().map(|key| {
        let declaration = declare_baggage(args, &ident, &ty, span, key);
        quote_spanned!(span=> #(#cfgs)* #declaration)
    });
    let python = args.python.as_ref().map(|name| {
        let declaration = declare_python(args, &ident, &ty, span, name);
        quote_spanned!(span=> #(#cfgs)* #declaration)
    });
    let (log, metric) = (args.log_default.is_some(), args.metric.is_some());
    let shown_default = (has_default && (log || metric)).then(|| {
        quote_spanned! {span=>
            #(#cfgs)*
            const _: () = {
                #krate::__private::inventory::submit! {
                    #krate::__private::ShownDefault::new(&#ident, #log, #metric)
                }
            };
        }
    });
    quote! {
        #(#attrs)*
        #vis #static_token #ident: #krate::ContextVar<#ty> = #init;
        #shown_default
        #baggage
        #python
    }
}

/// Wraps the initializer in a call of a deprecated function, whose note is the warning. The name has the span
/// of the type that the user wrote, so rustc points there.
fn warn_of_shared_default(krate: &CratePath, shared: &Ident, init: TokenStream) -> TokenStream {
    let warning = Ident::new("default_shared_by_all_requests", shared.span());
    quote!(#krate::__private::#warning(#init))
}

/// Wraps the initializer so that logs or metrics show the variable.
fn add_show(args: &ContextVarArgs, ty: &Type, span: Span, init: TokenStream) -> TokenStream {
    let krate = args.krate.spanned(span);
    let show = quote_spanned!(span=> #krate::__private::show::show((&&&shown).form(), visit));
    let whole = quote_spanned!(span=> |value| value);
    let (part, show) = match args.log.as_ref().map(|log| &log.shown) {
        None | Some(Shown::Value) => (whole, show),
        Some(Shown::Part(part)) => (part.to_token_stream(), show),
        Some(Shown::Json) => {
            (whole, quote_spanned!(span=> #krate::__private::show::show_json(&shown, visit)))
        }
    };
    let mut init = quote_spanned! {span=>
        #krate::__private::with_show::<#ty>(#init, |value, visit| {
            #[allow(unused_imports)]
            use #krate::__private::show::{
                HasDebugForm as _, HasDisplayForm as _, HasPrimitiveForm as _,
                PartOfAnyType as _, PartOfOption as _, PartOfReference as _,
            };
            let part = #krate::__private::show::part::<#ty, _>(value, #part);
            let shown = (&&&#krate::__private::show::Part(&part)).shown();
            #show
        })
    };
    if args.log.is_some() {
        init = quote_spanned!(span=> #krate::__private::log(#init));
    }
    if args.metric.is_some() {
        init = quote_spanned!(span=> #krate::__private::metric(#init));
    }
    init
}

/// Registers the variable and its codec under its baggage key.
fn declare_baggage(args: &ContextVarArgs, ident: &Ident, ty: &Type, span: Span, key: &LitStr) -> TokenStream {
    let krate = args.krate.spanned(span);
    let coded = match &args.codec {
        Some(codec) => {
            let codec = quote!(<#codec as #krate::baggage::Codec<#ty>>);
            quote_spanned! {span=>
                #krate::__private::Coded::<#ty>::new(
                    &#ident,
                    |value, text| ::core::fmt::Write::write_str(text, &#codec::encode(value)),
                    #codec::decode,
                )
            }
        }
        None => {
            let message = Anchor::NO_BAGGAGE_CODEC.message(format_args!(
                "`{ident}` can't be sent as baggage, because its type does not implement both `Display` and `FromStr`: implement both, or \
                 write `codec = Type`, where `Type` implements `contextvar::baggage::Codec` for the values of `{ident}`"
            ));
            quote_spanned! {span=> {
                #[allow(unused_imports)]
                use #krate::__private::{NoDisplay as _, NoFromStr as _};
                match (<#krate::__private::DisplayOf<#ty>>::ENCODE, <#krate::__private::FromStrOf<#ty>>::DECODE) {
                    (Some(encode), Some(decode)) => #krate::__private::Coded::<#ty>::new(&#ident, encode, decode),
                    _ => ::core::panic!("{}", #message),
                }
            }}
        }
    };
    quote_spanned! {span=>
        const _: () = {
            static CODED: #krate::__private::Coded<#ty> = #coded;
            #krate::__private::inventory::submit! {
                #krate::__private::Declared {
                    key: #key,
                    path: ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#ident)),
                    var: &CODED,
                }
            }
        };
    }
}

/// Ties the variable to a Python variable.
fn declare_python(
    args: &ContextVarArgs,
    ident: &Ident,
    ty: &Type,
    span: Span,
    PythonName { module, name }: &PythonName,
) -> TokenStream {
    let krate = args.krate.spanned(span);
    let private = quote_spanned!(span=> #krate::python::expansion);
    let conversion = match &args.python_codec {
        Some(codec) => {
            let codec = quote!(<#codec as #krate::python::Codec<#ty>>);
            quote_spanned! {span=>
                #private::Conversion {
                    to_python: #codec::to_python,
                    from_python: #codec::from_python,
                    is_by_pyo3: false,
                }
            }
        }
        None => quote_spanned! {span=> {
            #[allow(unused_imports)]
            use #private::{ByClone as _, ByReference as _, NoConversion as _};
            (&&&#private::ConversionOf::<#ty>::new()).find()
        }},
    };
    quote_spanned! {span=>
        const _: () = {
            static CONVERTED: #private::Converted<#ty> =
                #private::Converted::<#ty>::new(&#ident, || #conversion);
            #krate::__private::inventory::submit! {
                #private::Declared {
                    module: #module,
                    name: #name,
                    path: ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#ident)),
                    var: &CONVERTED,
                }
            }
        };
    }
}
