//! The arguments of `#[with_copied_context]` and `#[with_empty_context]`.

use proc_macro2::{Span, TokenStream};
use quote::quote_spanned;
use syn::ext::IdentExt;
use syn::parse::ParseStream;
use syn::{Error, Expr, Ident, Path, Result, Token};

use crate::args::{
    expected_argument, parse_crate_path, parse_list, path_text, reject_repeated, unknown_argument,
};
use crate::crate_path::CratePath;
use crate::errors::{Anchor, Errors};

/// The context that the body of a function runs in, and with it the attribute.
#[derive(Clone, Copy)]
pub(crate) enum ContextKind {
    /// `#[with_copied_context]`
    Copied,
    /// `#[with_empty_context]`
    Empty,
}

impl ContextKind {
    pub(crate) const ATTRIBUTES: [&str; 2] = ["with_copied_context", "with_empty_context"];

    pub(crate) fn attribute(self) -> &'static str {
        ContextKind::ATTRIBUTES[self as usize]
    }
}

/// `VAR = expr, path::OTHER = expr, future, python, apply_changes, skip, crate = path`
pub(crate) struct WithContextArgs {
    pub(crate) kind: ContextKind,
    pub(crate) entries: Vec<Entry>,
    pub(crate) future: Option<Ident>,
    /// The body runs in a copy of Python's context.
    pub(crate) python: Option<Ident>,
    /// The changes are applied to Python's context.
    pub(crate) apply_changes: Option<Ident>,
    pub(crate) skip: Option<Ident>,
    /// Set when the item's other attributes, which may be macros, have expanded.
    pub(crate) is_last: bool,
    /// Set on the functions of an annotated `impl`, trait or module.
    pub(crate) is_nested: bool,
    pub(crate) krate: CratePath,
}

/// `VAR = expr`
pub(crate) struct Entry {
    pub(crate) var: Path,
    pub(crate) value: Expr,
}

enum WithContextArg {
    Entry(Entry),
    Future(Ident),
    Python(Ident),
    ApplyChanges(Ident),
    Skip(Ident),
    Last,
    Nested,
    Crate(Ident, Path),
}

impl WithContextArgs {
    pub(crate) fn parse(kind: ContextKind, args: TokenStream, errors: &mut Errors) -> Self {
        let mut parsed = WithContextArgs {
            kind,
            entries: Vec::new(),
            future: None,
            python: None,
            apply_changes: None,
            skip: None,
            is_last: false,
            is_nested: false,
            krate: CratePath(None),
        };
        let mut seen = Vec::new();
        for arg in parse_list(args, |input| parse_arg(kind, input), errors) {
            match arg {
                WithContextArg::Entry(entry) => {
                    reject_repeated(&entry.var, &mut seen, errors);
                    parsed.entries.push(entry);
                }
                WithContextArg::Future(ident) => {
                    reject_repeated(&ident, &mut seen, errors);
                    parsed.future = Some(ident);
                }
                WithContextArg::Python(ident) => {
                    reject_repeated(&ident, &mut seen, errors);
                    parsed.python = Some(ident);
                }
                WithContextArg::ApplyChanges(ident) => {
                    reject_repeated(&ident, &mut seen, errors);
                    parsed.apply_changes = Some(ident);
                }
                WithContextArg::Skip(ident) => {
                    reject_repeated(&ident, &mut seen, errors);
                    parsed.skip = Some(ident);
                }
                WithContextArg::Last => parsed.is_last = true,
                WithContextArg::Nested => parsed.is_nested = true,
                WithContextArg::Crate(ident, path) => {
                    reject_repeated(&ident, &mut seen, errors);
                    parsed.krate = CratePath(Some(path));
                }
            }
        }
        parsed.reject_contradictions(errors);
        parsed
    }

    /// Records an error for each argument that contradicts the attribute or lacks another one.
    fn reject_contradictions(&mut self, errors: &mut Errors) {
        let message = match self.kind {
            ContextKind::Copied if cfg!(feature = "python") => None,
            ContextKind::Copied => Some((
                Anchor::MISSING_FEATURE,
                "`python` needs the feature `python` of contextvar: enable it in Cargo.toml",
            )),
            ContextKind::Empty => Some((
                Anchor::PYTHON_AND_AN_EMPTY_CONTEXT,
                "`python` copies Python's context: write `#[with_copied_context(python)]`, or remove `python`",
            )),
        };
        if let Some(((anchor, message), python)) = message.zip(self.python.take_if(|_| message.is_some())) {
            errors.push(anchor.error_at(python.span(), message));
        } else if let Some(apply) = self.apply_changes.as_ref().filter(|_| self.python.is_none()) {
            let message = "`apply_changes` applies changes to Python's context: add `python`, or remove `apply_changes`";
            errors.push(Anchor::CHANGES_WITHOUT_PYTHON.error_at(apply.span(), message));
        }
    }

    /// Returns the expression that makes the context. Compile errors about it point at `span`.
    pub(crate) fn make_context(&self, span: Span) -> TokenStream {
        let krate = self.krate.spanned(span);
        match self.kind {
            ContextKind::Copied => quote_spanned!(span=> #krate::__private::copy_context()),
            ContextKind::Empty => quote_spanned!(span=> #krate::Context::new()),
        }
    }
}

fn parse_arg(kind: ContextKind, input: ParseStream<'_>) -> Result<WithContextArg> {
    let flags = match kind {
        ContextKind::Copied => "`future`, `python`, `apply_changes`, `skip`",
        ContextKind::Empty => "`future`, `skip`",
    };
    let usage = format!("`#[{}]` takes `VAR = value` entries, {flags} and `crate = path`", kind.attribute());

    if input.peek(Token![crate]) && !input.peek2(Token![::]) {
        let ident = input.call(Ident::parse_any)?;
        let path = parse_crate_path(&ident, input)?;
        return Ok(WithContextArg::Crate(ident, path));
    }
    let var: Path = input.parse().map_err(|error| expected_argument(&error, &usage))?;
    if input.peek(Token![=]) {
        input.parse::<Token![=]>()?;
        let value = input
            .parse()
            .map_err(|error| if input.is_empty() { reject_missing_value(&var) } else { error })?;
        return Ok(WithContextArg::Entry(Entry { var, value }));
    }
    match var.get_ident() {
        Some(ident) if ident == "future" => Ok(WithContextArg::Future(ident.clone())),
        Some(ident) if ident == "python" => Ok(WithContextArg::Python(ident.clone())),
        Some(ident) if ident == "apply_changes" => Ok(WithContextArg::ApplyChanges(ident.clone())),
        Some(ident) if ident == "skip" => Ok(WithContextArg::Skip(ident.clone())),
        Some(ident) if ident == "__last" => Ok(WithContextArg::Last),
        Some(ident) if ident == "__nested" => Ok(WithContextArg::Nested),
        _ => Err(reject_path(&var, &usage)),
    }
}

/// Returns the error for an argument that is only a path: a variable without a value if it is spelled like a
/// static, or else an unknown argument.
fn reject_path(path: &Path, usage: &str) -> Error {
    let last = path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
    if last.chars().any(char::is_uppercase) && !last.chars().any(char::is_lowercase) {
        reject_missing_value(path)
    } else {
        unknown_argument(path, usage)
    }
}

fn reject_missing_value(var: &Path) -> Error {
    let name = path_text(var);
    Anchor::ENTRY_WITHOUT_VALUE.error_on(var, format!("`{name}` has no value: write `{name} = value`"))
}
