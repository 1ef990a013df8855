//! The arguments of the attributes.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::{ToTokens, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Error, Expr, Ident, LitBool, LitStr, Path, Result, Token};

use crate::manifest;

/// What went wrong so far. Each mistake is reported once, and as much as possible is expanded all the same.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn push(&mut self, error: Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn append(&mut self, others: Errors) {
        if let Some(others) = others.0 {
            self.push(others);
        }
    }

    /// The value, or else a note of what was wrong.
    pub(crate) fn ok<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    pub(crate) fn into_compile_errors(self) -> TokenStream {
        self.0.map(Error::into_compile_error).unwrap_or_default()
    }
}

/// Where the runtime crate is.
pub(crate) struct Crate(Option<Path>);

impl Crate {
    /// Notes an error if no path was given and the crate that is compiled does not depend on contextvar. rustc would say that
    /// it can't find the crate, and not what to write.
    pub(crate) fn check(&self, attribute: &str, errors: &mut Errors) -> bool {
        let is_found = self.0.is_some() || manifest::names_contextvar();
        if !is_found {
            let message = format!(
                "this crate has no dependency `contextvar`: add it to Cargo.toml, or write `#[{attribute}(crate = path)]` with the \
                 path by which another crate re-exports it"
            );
            errors.push(Error::new(Span::call_site(), message));
        }
        is_found
    }

    /// The path for use in an expression that messages are to point at `span` for.
    pub(crate) fn at(&self, span: Span) -> TokenStream {
        match &self.0 {
            Some(path) => path.to_token_stream(),
            None => quote_spanned!(span=> ::contextvar),
        }
    }
}

impl ToTokens for Crate {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(self.at(Span::call_site()));
    }
}

/// `name = "...", log, baggage = "...", codec = path, secret, inherit = false, crate = path`
pub(crate) struct VarArgs {
    pub(crate) name: Option<LitStr>,
    pub(crate) log: Option<Ident>,
    pub(crate) baggage: Option<LitStr>,
    pub(crate) codec: Option<Path>,
    pub(crate) secret: bool,
    pub(crate) inherit: Option<LitBool>,
    pub(crate) krate: Crate,
}

enum VarArg {
    Name(LitStr),
    Log(Ident),
    Baggage(LitStr),
    Codec(Path),
    Secret,
    Inherit(LitBool),
    Crate(Path),
}

impl VarArgs {
    pub(crate) fn parse(args: TokenStream, errors: &mut Errors) -> Self {
        let mut parsed = VarArgs {
            name: None,
            log: None,
            baggage: None,
            codec: None,
            secret: false,
            inherit: None,
            krate: Crate(None),
        };
        let mut seen = Vec::new();
        for (ident, arg) in list(args, var_arg, errors) {
            once(&ident, &mut seen, errors);
            match arg {
                VarArg::Name(name) => parsed.name = Some(name),
                VarArg::Log(ident) => parsed.log = Some(ident),
                VarArg::Baggage(key) => parsed.baggage = Some(key),
                VarArg::Codec(codec) => parsed.codec = Some(codec),
                VarArg::Secret => parsed.secret = true,
                VarArg::Inherit(inherit) => parsed.inherit = Some(inherit),
                VarArg::Crate(path) => parsed.krate = Crate(Some(path)),
            }
        }
        if let Some(log) = parsed.log.take_if(|_| parsed.secret) {
            let fix = "a variable that is `secret` is never logged: remove `log` or `secret`";
            errors.push(Error::new(log.span(), fix));
        }
        if let Some(key) = parsed.baggage.take_if(|_| parsed.secret) {
            let fix = "a variable that is `secret` never leaves the process: remove `baggage` or `secret`";
            errors.push(Error::new(key.span(), fix));
        } else if let Some(codec) = parsed.codec.as_ref().filter(|_| parsed.baggage.is_none()) {
            errors.push(Error::new_spanned(codec, "`codec` goes with `baggage = \"key\"`: add that"));
        }
        parsed
    }
}

fn var_arg(input: ParseStream<'_>) -> Result<(Ident, VarArg)> {
    const TAKES: &str = "`#[context_var]` takes `name = \"...\"`, `log`, `baggage = \"...\"`, `codec = path`, \
         `secret`, `inherit = false` and `crate = path`";

    if input.peek(LitStr) {
        let name = input.parse::<LitStr>()?;
        let fix = format!("write `name = {}`: {TAKES}", name.token());
        return Err(Error::new(name.span(), fix));
    }
    let ident = input.call(Ident::parse_any).map_err(|error| Error::new(error.span(), TAKES))?;
    let arg = if ident == "name" {
        let fix = "`name` takes a string: `name = \"user\"`";
        input.parse::<Token![=]>().map_err(|_| Error::new(ident.span(), fix))?;
        let span = if input.is_empty() { ident.span() } else { input.span() };
        VarArg::Name(input.parse().map_err(|_| Error::new(span, fix))?)
    } else if ident == "secret" || ident == "log" {
        if input.peek(Token![=]) {
            return Err(input.error(format!("`{ident}` takes no value: write just `{ident}`")));
        }
        if ident == "log" { VarArg::Log(ident.clone()) } else { VarArg::Secret }
    } else if ident == "baggage" {
        if !cfg!(feature = "baggage") {
            skip_argument(input)?;
            return Err(Error::new(
                ident.span(),
                "`baggage` needs the feature `baggage` of contextvar: enable it in Cargo.toml",
            ));
        }
        let fix = "`baggage` takes a key: `baggage = \"tenant.id\"`";
        input.parse::<Token![=]>().map_err(|_| Error::new(ident.span(), fix))?;
        let span = if input.is_empty() { ident.span() } else { input.span() };
        let key: LitStr = input.parse().map_err(|_| Error::new(span, fix))?;
        // RFC 9110's token, as the specification of baggage has it, without `%`, which receivers decode.
        let is_token = |c: char| c.is_ascii_alphanumeric() || "!#$&'*+-.^_`|~".contains(c);
        if key.value().is_empty() || !key.value().chars().all(is_token) {
            let message = "a key of baggage has letters, digits and `!#$&'*+-.^_`|~`, and nothing else";
            return Err(Error::new(key.span(), message));
        }
        VarArg::Baggage(key)
    } else if ident == "codec" {
        let fix = "`codec` takes a type: `codec = Milliseconds`";
        input.parse::<Token![=]>().map_err(|_| Error::new(ident.span(), fix))?;
        let span = if input.is_empty() { ident.span() } else { input.span() };
        VarArg::Codec(input.parse().map_err(|_| Error::new(span, fix))?)
    } else if ident == "inherit" {
        let fix = "`inherit` takes `true` or `false`: `inherit = false` keeps the value in its task";
        input.parse::<Token![=]>().map_err(|_| Error::new(ident.span(), fix))?;
        let span = if input.is_empty() { ident.span() } else { input.span() };
        VarArg::Inherit(input.parse().map_err(|_| Error::new(span, fix))?)
    } else if ident == "crate" {
        VarArg::Crate(crate_path(&ident, input)?)
    } else {
        return Err(Error::new(ident.span(), format!("unknown argument `{ident}`: {TAKES}")));
    };
    Ok((ident, arg))
}

/// Which of the two attributes it is that give a function a context.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Copied,
    Empty,
}

impl Kind {
    pub(crate) const NAMES: [&str; 2] = ["with_copied_context", "with_empty_context"];

    pub(crate) fn name(self) -> &'static str {
        Kind::NAMES[self as usize]
    }
}

/// `VAR = expr, path::OTHER = expr, future, skip, crate = path`
pub(crate) struct CopiedArgs {
    pub(crate) kind: Kind,
    pub(crate) entries: Vec<Entry>,
    pub(crate) future: Option<Ident>,
    pub(crate) skip: Option<Ident>,
    /// Set where the other attributes, which may be macros, have expanded.
    pub(crate) last: bool,
    /// Set on the functions of an annotated `impl`, trait or module.
    pub(crate) nested: bool,
    pub(crate) krate: Crate,
}

/// `VAR = expr`
pub(crate) struct Entry {
    pub(crate) var: Path,
    pub(crate) value: Expr,
}

enum CopiedArg {
    Entry(Entry),
    Future(Ident),
    Skip(Ident),
    Last,
    Nested,
    Crate(Ident, Path),
}

impl CopiedArgs {
    pub(crate) fn parse(kind: Kind, args: TokenStream, errors: &mut Errors) -> Self {
        let mut parsed = CopiedArgs {
            kind,
            entries: Vec::new(),
            future: None,
            skip: None,
            last: false,
            nested: false,
            krate: Crate(None),
        };
        let mut seen = Vec::new();
        for arg in list(args, |input| copied_arg(kind, input), errors) {
            match arg {
                CopiedArg::Entry(entry) => {
                    once(&entry.var, &mut seen, errors);
                    parsed.entries.push(entry);
                }
                CopiedArg::Future(ident) => {
                    once(&ident, &mut seen, errors);
                    parsed.future = Some(ident);
                }
                CopiedArg::Last => parsed.last = true,
                CopiedArg::Nested => parsed.nested = true,
                CopiedArg::Skip(ident) => {
                    once(&ident, &mut seen, errors);
                    parsed.skip = Some(ident);
                }
                CopiedArg::Crate(ident, path) => {
                    once(&ident, &mut seen, errors);
                    parsed.krate = Crate(Some(path));
                }
            }
        }
        parsed
    }

    /// The context that the function gets, for use where messages are to point at `span`.
    pub(crate) fn context(&self, span: Span) -> TokenStream {
        let krate = self.krate.at(span);
        match self.kind {
            Kind::Copied => quote_spanned!(span=> #krate::__private::copy_context()),
            Kind::Empty => quote_spanned!(span=> #krate::Context::new()),
        }
    }
}

fn copied_arg(kind: Kind, input: ParseStream<'_>) -> Result<CopiedArg> {
    let takes =
        format!("`#[{}]` takes `VAR = value` entries, `future`, `skip` and `crate = path`", kind.name());

    if input.peek(Token![crate]) && !input.peek2(Token![::]) {
        let ident = input.call(Ident::parse_any)?;
        let path = crate_path(&ident, input)?;
        return Ok(CopiedArg::Crate(ident, path));
    }
    let var: Path = input.parse().map_err(|error| Error::new(error.span(), &takes))?;
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        let fix = "an entry takes a value: `VAR = value`";
        let value = input
            .parse()
            .map_err(|error| if input.is_empty() { Error::new_spanned(&var, fix) } else { error })?;
        return Ok(CopiedArg::Entry(Entry { var, value }));
    }
    match var.get_ident() {
        Some(ident) if ident == "future" => Ok(CopiedArg::Future(ident.clone())),
        Some(ident) if ident == "__last" => Ok(CopiedArg::Last),
        Some(ident) if ident == "__nested" => Ok(CopiedArg::Nested),
        Some(ident) if ident == "skip" => Ok(CopiedArg::Skip(ident.clone())),
        _ => {
            let name = var.to_token_stream().to_string().replace(' ', "");
            let last = var.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
            // Named like a static, as variables are.
            let message = if last.chars().any(char::is_uppercase) && !last.chars().any(char::is_lowercase) {
                format!("`{name}` has no value: write `{name} = value`")
            } else {
                format!("unknown argument `{name}`: {takes}")
            };
            Err(Error::new_spanned(var, message))
        }
    }
}

/// The arguments between the commas. What is wrong with one says nothing of the others.
fn list<T>(args: TokenStream, arg: impl Fn(ParseStream<'_>) -> Result<T>, errors: &mut Errors) -> Vec<T> {
    let mut list = Vec::new();
    let mut rest = |input: ParseStream<'_>| {
        while !input.is_empty() {
            list.extend(errors.ok(arg(input).and_then(|arg| {
                if input.is_empty() || input.peek(Token![,]) {
                    Ok(arg)
                } else {
                    Err(input.error("expected `,`"))
                }
            })));
            skip_argument(input)?;
            input.parse::<Option<Token![,]>>()?;
        }
        Ok(())
    };
    let result = Parser::parse2(&mut rest, args);
    errors.ok(result);
    list
}

/// Skips what is left of an argument.
fn skip_argument(input: ParseStream<'_>) -> Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}

/// `= path`, after `crate`.
fn crate_path(ident: &Ident, input: ParseStream<'_>) -> Result<Path> {
    let fix = "`crate` takes a path: `crate = my_crate::contextvar`";
    input.parse::<Token![=]>().map_err(|_| Error::new(ident.span(), fix))?;
    let span = if input.is_empty() { ident.span() } else { input.span() };
    input.call(Path::parse_mod_style).map_err(|_| Error::new(span, fix))
}

/// Notes an error if the argument called `key` has been there before.
fn once(key: &impl ToTokens, seen: &mut Vec<String>, errors: &mut Errors) {
    let name = key.to_token_stream().to_string().replace(' ', "");
    if seen.contains(&name) {
        let message = format!("repeated argument `{name}`: remove one of the two");
        errors.push(Error::new_spanned(key, message));
    }
    seen.push(name);
}
