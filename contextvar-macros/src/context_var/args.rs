//! The arguments of `#[context_var]`.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Error, Ident, LitBool, LitStr, Path, Result, Token};

use crate::args::{parse_crate_path, parse_list, parse_value, reject_repeated, skip_to_comma};
use crate::crate_path::CratePath;
use crate::errors::Errors;

/// `name = "...", log, baggage = "...", codec = Type, secret, inherit = false, report = false, crate = path`
pub(crate) struct ContextVarArgs {
    pub(crate) name: Option<LitStr>,
    pub(crate) log: Option<Ident>,
    pub(crate) baggage: Option<LitStr>,
    pub(crate) codec: Option<Path>,
    pub(crate) secret: bool,
    pub(crate) inherit: Option<LitBool>,
    pub(crate) report: Option<LitBool>,
    pub(crate) krate: CratePath,
}

enum ContextVarArg {
    Name(LitStr),
    Log(Ident),
    Baggage(LitStr),
    Codec(Path),
    Secret,
    Inherit(LitBool),
    Report(LitBool),
    Crate(Path),
}

impl ContextVarArgs {
    pub(crate) fn parse(args: TokenStream, errors: &mut Errors) -> Self {
        let mut parsed = ContextVarArgs {
            name: None,
            log: None,
            baggage: None,
            codec: None,
            secret: false,
            inherit: None,
            report: None,
            krate: CratePath(None),
        };
        let mut seen = Vec::new();
        for (ident, arg) in parse_list(args, parse_arg, errors) {
            reject_repeated(&ident, &mut seen, errors);
            match arg {
                ContextVarArg::Name(name) => parsed.name = Some(name),
                ContextVarArg::Log(ident) => parsed.log = Some(ident),
                ContextVarArg::Baggage(key) => parsed.baggage = Some(key),
                ContextVarArg::Codec(codec) => parsed.codec = Some(codec),
                ContextVarArg::Secret => parsed.secret = true,
                ContextVarArg::Inherit(inherit) => parsed.inherit = Some(inherit),
                ContextVarArg::Report(report) => parsed.report = Some(report),
                ContextVarArg::Crate(path) => parsed.krate = CratePath(Some(path)),
            }
        }
        parsed.reject_contradictions(errors);
        parsed
    }

    /// Records an error for each argument that contradicts another one or lacks it. Drops what `secret` rules
    /// out.
    fn reject_contradictions(&mut self, errors: &mut Errors) {
        if let Some(log) = self.log.take_if(|_| self.secret) {
            let message = "a `secret` variable is never logged: remove `log` or `secret`";
            errors.push(Error::new(log.span(), message));
        }
        if let Some(key) = self.baggage.take_if(|_| self.secret) {
            let message = "a `secret` variable never leaves the process: remove `baggage` or `secret`";
            errors.push(Error::new(key.span(), message));
        } else if let Some(codec) = self.codec.as_ref().filter(|_| self.baggage.is_none()) {
            errors.push(Error::new_spanned(
                codec,
                "`codec` does nothing without a baggage key: add `baggage = \"key\"`",
            ));
        }
    }
}

const USAGE: &str = "`#[context_var]` takes `name = \"...\"`, `log`, `baggage = \"...\"`, `codec = Type`, \
     `secret`, `inherit = false`, `report = false` and `crate = path`";

fn parse_arg(input: ParseStream<'_>) -> Result<(Ident, ContextVarArg)> {
    if input.peek(LitStr) {
        let name = input.parse::<LitStr>()?;
        let message = format!("a string alone is not an argument: write `name = {}`", name.token());
        return Err(Error::new(name.span(), message));
    }
    let ident = input
        .call(Ident::parse_any)
        .map_err(|error| Error::new(error.span(), format!("expected an argument: {USAGE}")))?;
    let arg = if ident == "name" {
        ContextVarArg::Name(parse_value(&ident, "`name` takes a string: write `name = \"user\"`", input)?)
    } else if ident == "secret" || ident == "log" {
        if input.peek(Token![=]) {
            return Err(input.error(format!("`{ident}` takes no value: write only `{ident}`")));
        }
        if ident == "log" { ContextVarArg::Log(ident.clone()) } else { ContextVarArg::Secret }
    } else if ident == "baggage" {
        ContextVarArg::Baggage(parse_baggage_key(&ident, input)?)
    } else if ident == "codec" {
        ContextVarArg::Codec(parse_value(
            &ident,
            "`codec` takes a type: write `codec = Milliseconds`",
            input,
        )?)
    } else if ident == "inherit" {
        let usage =
            "`inherit` takes `true` or `false`: write `inherit = false` to keep the value in its task";
        ContextVarArg::Inherit(parse_value(&ident, usage, input)?)
    } else if ident == "report" {
        let usage =
            "`report` takes `true` or `false`: write `report = false` to expect reads without a context";
        ContextVarArg::Report(parse_value(&ident, usage, input)?)
    } else if ident == "crate" {
        ContextVarArg::Crate(parse_crate_path(&ident, input)?)
    } else {
        return Err(Error::new(ident.span(), format!("unknown argument `{ident}`: {USAGE}")));
    };
    Ok((ident, arg))
}

/// Parses `= "key"` after `baggage`.
fn parse_baggage_key(ident: &Ident, input: ParseStream<'_>) -> Result<LitStr> {
    if !cfg!(feature = "baggage") {
        skip_to_comma(input)?;
        let message = "`baggage` needs the feature `baggage` of contextvar: enable it in Cargo.toml";
        return Err(Error::new(ident.span(), message));
    }
    let key: LitStr = parse_value(ident, "`baggage` takes a key: write `baggage = \"tenant.id\"`", input)?;
    // The baggage specification defines a key as a token of RFC 9110. `%` is left out, because receivers
    // decode it.
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$&'*+-.^_`|~".contains(c);
    if key.value().is_empty() || !key.value().chars().all(is_token) {
        let message = "this is not a baggage key: use one or more ASCII letters, digits and `!#$&'*+-.^_`|~`";
        return Err(Error::new(key.span(), message));
    }
    Ok(key)
}
