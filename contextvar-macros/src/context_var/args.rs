//! The arguments of `#[context_var]`.

use proc_macro2::TokenStream;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Expr, Ident, LitBool, LitStr, Path, Result, Token};

use crate::args::{
    expected_argument, parse_crate_path, parse_list, parse_value, reject_repeated, skip_to_comma,
    unknown_argument,
};
use crate::crate_path::CratePath;
use crate::errors::{Anchor, Errors};

/// `name = "...", log, log = |value| .., log = serde, log_default, metric, baggage = "...", codec = Type,
/// python = "module:NAME", python_codec = Type, secret, inherit = false, report = false, crate = path`
pub(crate) struct ContextVarArgs {
    pub(crate) name: Option<LitStr>,
    pub(crate) log: Option<Log>,
    pub(crate) log_default: Option<Ident>,
    pub(crate) metric: Option<Ident>,
    pub(crate) baggage: Option<LitStr>,
    pub(crate) codec: Option<Path>,
    pub(crate) python: Option<PythonName>,
    pub(crate) python_codec: Option<Path>,
    pub(crate) secret: bool,
    pub(crate) inherit: Option<LitBool>,
    pub(crate) report: Option<LitBool>,
    pub(crate) krate: CratePath,
}

/// `log`, and what logs show.
pub(crate) struct Log {
    pub(crate) ident: Ident,
    pub(crate) shown: Shown,
}

pub(crate) enum Shown {
    /// The value, through `Display` or else `Debug`.
    Value,
    /// The part of the value that a function returns.
    Part(Box<Expr>),
    /// The value as JSON.
    Json,
}

/// The Python variable that a variable is tied to.
pub(crate) struct PythonName {
    pub(crate) module: LitStr,
    /// The variable's name in the module, or its dotted path there.
    pub(crate) name: LitStr,
}

enum ContextVarArg {
    Name(LitStr),
    Log(Log),
    LogDefault(Ident),
    Metric(Ident),
    Baggage(LitStr),
    Codec(Path),
    Python(PythonName),
    PythonCodec(Path),
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
            log_default: None,
            metric: None,
            baggage: None,
            codec: None,
            python: None,
            python_codec: None,
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
                ContextVarArg::Log(log) => parsed.log = Some(log),
                ContextVarArg::LogDefault(ident) => parsed.log_default = Some(ident),
                ContextVarArg::Metric(ident) => parsed.metric = Some(ident),
                ContextVarArg::Baggage(key) => parsed.baggage = Some(key),
                ContextVarArg::Codec(codec) => parsed.codec = Some(codec),
                ContextVarArg::Python(name) => parsed.python = Some(name),
                ContextVarArg::PythonCodec(codec) => parsed.python_codec = Some(codec),
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
            errors.push(Anchor::SECRET_VARIABLE.error_at(log.ident.span(), message));
        } else if let Some(log_default) = self.log_default.as_ref().filter(|_| self.log.is_none()) {
            let message = "`log_default` does nothing without `log`: add `log`";
            errors.push(Anchor::ARGUMENT_WITHOUT_EFFECT.error_at(log_default.span(), message));
        }
        if let Some(metric) = self.metric.take_if(|_| self.secret) {
            let message = "a `secret` variable is never a metric's label: remove `metric` or `secret`";
            errors.push(Anchor::SECRET_VARIABLE.error_at(metric.span(), message));
        }
        if let Some(key) = self.baggage.take_if(|_| self.secret) {
            let message = "a `secret` variable never leaves the process: remove `baggage` or `secret`";
            errors.push(Anchor::SECRET_VARIABLE.error_at(key.span(), message));
        } else if let Some(codec) = self.codec.as_ref().filter(|_| self.baggage.is_none()) {
            let message = match self.python {
                Some(_) => "`codec` is for baggage: write `python_codec` for the conversion to Python",
                None => "`codec` does nothing without a baggage key: add `baggage = \"key\"`",
            };
            errors.push(Anchor::ARGUMENT_WITHOUT_EFFECT.error_on(codec, message));
        }
        if let Some(codec) = self.python_codec.as_ref().filter(|_| self.python.is_none()) {
            let message = "`python_codec` does nothing without a Python variable: add `python = \"package.module:NAME\"`";
            errors.push(Anchor::ARGUMENT_WITHOUT_EFFECT.error_on(codec, message));
        }
    }
}

const USAGE: &str = "`#[context_var]` takes `name = \"...\"`, `log`, `log_default`, `metric`, `baggage = \"...\"`, `codec = Type`, \
     `python = \"package.module:NAME\"`, `python_codec = Type`, `secret`, `inherit = false`, `report = false` and `crate = path`";

fn parse_arg(input: ParseStream<'_>) -> Result<(Ident, ContextVarArg)> {
    if input.peek(LitStr) {
        let name = input.parse::<LitStr>()?;
        let message = format!("a string alone is not an argument: write `name = {}`", name.token());
        return Err(Anchor::STRING_ALONE.error_at(name.span(), message));
    }
    let ident = input.call(Ident::parse_any).map_err(|error| expected_argument(&error, USAGE))?;
    let arg = if ident == "name" {
        ContextVarArg::Name(parse_value(&ident, "`name` takes a string: write `name = \"user\"`", input)?)
    } else if ident == "log" {
        ContextVarArg::Log(parse_log(&ident, input)?)
    } else if ["secret", "log_default", "metric"].iter().any(|flag| ident == flag) {
        if input.peek(Token![=]) {
            let message = format!("`{ident}` takes no value: write only `{ident}`");
            return Err(input.error(Anchor::WRONG_VALUE.message(message)));
        }
        match &*ident.to_string() {
            "log_default" => ContextVarArg::LogDefault(ident.clone()),
            "metric" => ContextVarArg::Metric(ident.clone()),
            _ => ContextVarArg::Secret,
        }
    } else if ident == "baggage" {
        ContextVarArg::Baggage(parse_baggage_key(&ident, input)?)
    } else if ident == "codec" || ident == "python_codec" {
        let usage = format!("`{ident}` takes a type: write `{ident} = Milliseconds`");
        let codec = parse_value(&ident, &usage, input)?;
        if ident == "codec" { ContextVarArg::Codec(codec) } else { ContextVarArg::PythonCodec(codec) }
    } else if ident == "python" {
        ContextVarArg::Python(parse_python_name(&ident, input)?)
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
        return Err(unknown_argument(&ident, USAGE));
    };
    Ok((ident, arg))
}

/// Parses what follows `log`: nothing, `= serde` or `= |value| ..`.
fn parse_log(ident: &Ident, input: ParseStream<'_>) -> Result<Log> {
    let usage = "`log` takes nothing, `serde`, or a function that returns the part to show: write `log`, `log = serde` or \
         `log = |value| &value.part`";
    let shown = if input.peek(Token![=]) {
        match parse_value(ident, usage, input)? {
            Expr::Path(path) if path.path.is_ident("serde") => {
                if !cfg!(feature = "serde") {
                    let message =
                        "`log = serde` needs the feature `serde` of contextvar: enable it in Cargo.toml";
                    return Err(Anchor::MISSING_FEATURE.error_on(path, message));
                }
                Shown::Json
            }
            part @ (Expr::Closure(_) | Expr::Path(_)) => Shown::Part(Box::new(part)),
            other => return Err(Anchor::WRONG_VALUE.error_on(other, usage)),
        }
    } else {
        Shown::Value
    };
    Ok(Log { ident: ident.clone(), shown })
}

/// Parses `= "key"` after `baggage`.
fn parse_baggage_key(ident: &Ident, input: ParseStream<'_>) -> Result<LitStr> {
    if !cfg!(feature = "baggage") {
        skip_to_comma(input)?;
        let message = "`baggage` needs the feature `baggage` of contextvar: enable it in Cargo.toml";
        return Err(Anchor::MISSING_FEATURE.error_at(ident.span(), message));
    }
    let key: LitStr = parse_value(ident, "`baggage` takes a key: write `baggage = \"tenant.id\"`", input)?;
    // The baggage specification defines a key as a token of RFC 9110. `%` is left out, because receivers
    // decode it.
    let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$&'*+-.^_`|~".contains(c);
    if key.value().is_empty() || !key.value().chars().all(is_token) {
        let message = "this is not a baggage key: use one or more ASCII letters, digits and `!#$&'*+-.^_`|~`";
        return Err(Anchor::INVALID_BAGGAGE_KEY.error_at(key.span(), message));
    }
    Ok(key)
}

/// Parses `= "package.module:NAME"` after `python`.
fn parse_python_name(ident: &Ident, input: ParseStream<'_>) -> Result<PythonName> {
    if !cfg!(feature = "python") {
        skip_to_comma(input)?;
        let message = "`python` needs the feature `python` of contextvar: enable it in Cargo.toml";
        return Err(Anchor::MISSING_FEATURE.error_at(ident.span(), message));
    }
    let usage =
        "`python` takes the module and the name of a ContextVar: write `python = \"package.module:NAME\"`";
    let text: LitStr = parse_value(ident, usage, input)?;
    let value = text.value();
    let is_name = |name: &str| {
        name.chars().next().is_some_and(|first| first.is_alphabetic() || first == '_')
            && name.chars().all(|c| c.is_alphanumeric() || c == '_')
    };
    match value.split_once(':') {
        Some((module, name)) if module.split('.').all(is_name) && name.split('.').all(is_name) => {
            let literal = |part| LitStr::new(part, text.span());
            Ok(PythonName { module: literal(module), name: literal(name) })
        }
        _ => Err(Anchor::WRONG_VALUE.error_at(text.span(), usage)),
    }
}
