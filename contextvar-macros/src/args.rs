//! The argument list of an attribute: `name = "user", secret, crate = path`.

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::parse::{Parse, ParseStream, Parser};
use syn::{Error, Ident, Path, Result, Token};

use crate::errors::{Anchor, Errors};

/// Parses each argument with `parse_arg`. A mistake in one argument does not hide the others.
pub(crate) fn parse_list<T>(
    args: TokenStream,
    parse_arg: impl Fn(ParseStream<'_>) -> Result<T>,
    errors: &mut Errors,
) -> Vec<T> {
    let mut list = Vec::new();
    let mut parse_all = |input: ParseStream<'_>| {
        while !input.is_empty() {
            list.extend(errors.record(parse_arg(input).and_then(|arg| {
                if input.is_empty() || input.peek(Token![,]) {
                    Ok(arg)
                } else {
                    Err(input.error(Anchor::SYNTAX_ERROR.message("expected `,`")))
                }
            })));
            skip_to_comma(input)?;
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(())
    };
    let result = Parser::parse2(&mut parse_all, args);
    errors.record(result);
    list
}

/// Skips the rest of an argument.
pub(crate) fn skip_to_comma(input: ParseStream<'_>) -> Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

/// Parses `= value` after `ident`. If either part is missing or wrong, the error is `usage`.
pub(crate) fn parse_value<T: Parse>(ident: &Ident, usage: &str, input: ParseStream<'_>) -> Result<T> {
    parse_value_with(T::parse, ident, usage, input)
}

/// Parses `= path` after `crate`.
pub(crate) fn parse_crate_path(ident: &Ident, input: ParseStream<'_>) -> Result<Path> {
    parse_value_with(
        Path::parse_mod_style,
        ident,
        "`crate` takes a path: write `crate = my_crate::contextvar`",
        input,
    )
}

fn parse_value_with<T>(
    parse: fn(ParseStream<'_>) -> Result<T>,
    ident: &Ident,
    usage: &str,
    input: ParseStream<'_>,
) -> Result<T> {
    input.parse::<Token![=]>().map_err(|_| Anchor::WRONG_VALUE.error_at(ident.span(), usage))?;
    let span = if input.is_empty() { ident.span() } else { input.span() };
    input.call(parse).map_err(|_| Anchor::WRONG_VALUE.error_at(span, usage))
}

/// Returns the error for something that is not an argument. `usage` lists the arguments.
pub(crate) fn expected_argument(error: &Error, usage: &str) -> Error {
    Anchor::UNKNOWN_ARGUMENT.error_at(error.span(), format!("expected an argument: {usage}"))
}

/// Returns the error for an argument that the attribute does not have.
pub(crate) fn unknown_argument(argument: &impl ToTokens, usage: &str) -> Error {
    let message = format!("unknown argument `{}`: {usage}", path_text(argument));
    Anchor::UNKNOWN_ARGUMENT.error_on(argument, message)
}

/// Returns the text of a path, or of an identifier.
pub(crate) fn path_text(path: &impl ToTokens) -> String {
    path.to_token_stream().to_string().replace(' ', "")
}

/// Records an error if `key` is one of the keys `seen` before, and adds it to them.
pub(crate) fn reject_repeated(key: &impl ToTokens, seen: &mut Vec<String>, errors: &mut Errors) {
    let name = path_text(key);
    if seen.contains(&name) {
        let message = format!("repeated argument `{name}`: remove one of the two");
        errors.push(Anchor::REPEATED_ARGUMENT.error_on(key, message));
    }
    seen.push(name);
}
