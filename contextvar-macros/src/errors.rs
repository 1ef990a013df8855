//! The compile errors of one expansion, and their entries in the guide.

use std::fmt::Display;

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use syn::{Error, Result};

/// The anchor of an entry on the guide's page `errors`. Every compile error ends with the address of one.
#[derive(Clone, Copy)]
pub(crate) struct Anchor(&'static str);

impl Anchor {
    pub(crate) const ARGUMENT_WITHOUT_EFFECT: Anchor = Anchor("argument-without-effect");
    pub(crate) const CHANGES_WITHOUT_PYTHON: Anchor = Anchor("changes-without-python");
    pub(crate) const CONST_FN: Anchor = Anchor("const-fn");
    pub(crate) const ENTRY_WITHOUT_EFFECT: Anchor = Anchor("entry-without-effect");
    pub(crate) const ENTRY_WITHOUT_VALUE: Anchor = Anchor("entry-without-value");
    pub(crate) const FOR_ONE_FUNCTION: Anchor = Anchor("for-one-function");
    pub(crate) const INVALID_BAGGAGE_KEY: Anchor = Anchor("invalid-baggage-key");
    pub(crate) const MISSING_DEPENDENCY: Anchor = Anchor("missing-dependency");
    pub(crate) const MISSING_FEATURE: Anchor = Anchor("missing-feature");
    pub(crate) const NEEDLESS_FUTURE: Anchor = Anchor("needless-future");
    pub(crate) const NOT_A_FUNCTION: Anchor = Anchor("not-a-function");
    pub(crate) const NOT_A_STATIC: Anchor = Anchor("not-a-static");
    pub(crate) const NO_BAGGAGE_CODEC: Anchor = Anchor("no-baggage-codec");
    pub(crate) const NO_BODY: Anchor = Anchor("no-body");
    pub(crate) const PYTHON_AND_AN_EMPTY_CONTEXT: Anchor = Anchor("python-and-an-empty-context");
    pub(crate) const PYTHON_AND_FUTURES: Anchor = Anchor("python-and-futures");
    pub(crate) const REPEATED_ARGUMENT: Anchor = Anchor("repeated-argument");
    pub(crate) const REPEATED_ATTRIBUTE: Anchor = Anchor("repeated-attribute");
    pub(crate) const SECRET_VARIABLE: Anchor = Anchor("secret-variable");
    pub(crate) const SKIP_OUTSIDE: Anchor = Anchor("skip-outside");
    pub(crate) const STRING_ALONE: Anchor = Anchor("string-alone");
    pub(crate) const SYNTAX_ERROR: Anchor = Anchor("syntax-error");
    pub(crate) const TWO_CONTEXTS: Anchor = Anchor("two-contexts");
    pub(crate) const UNKNOWN_ARGUMENT: Anchor = Anchor("unknown-argument");
    pub(crate) const WRONG_VALUE: Anchor = Anchor("wrong-value");

    /// Returns `text` with the address of the entry on a line of its own.
    pub(crate) fn message(self, text: impl Display) -> String {
        format!("{text}\nsee {PAGE}{}", self.0)
    }

    /// Returns a compile error that points at `span`.
    pub(crate) fn error_at(self, span: Span, text: impl Display) -> Error {
        Error::new(span, self.message(text))
    }

    /// Returns a compile error that points at all of `tokens`.
    pub(crate) fn error_on(self, tokens: impl ToTokens, text: impl Display) -> Error {
        Error::new_spanned(tokens, self.message(text))
    }
}

const PAGE: &str = "https://docs.rs/contextvar/latest/contextvar/guide/errors#";

/// Collects compile errors, so that one expansion reports every mistake once and still emits as much of the
/// item as it can.
#[derive(Default)]
pub(crate) struct Errors(Option<Error>);

impl Errors {
    pub(crate) fn push(&mut self, errors: Error) {
        for error in errors {
            let text = error.to_string();
            // The others are syn's.
            let error = match text.contains(PAGE) {
                true => error,
                false => Anchor::SYNTAX_ERROR.error_at(error.span(), text),
            };
            match &mut self.0 {
                Some(errors) => errors.combine(error),
                None => self.0 = Some(error),
            }
        }
    }

    pub(crate) fn append(&mut self, others: Errors) {
        if let Some(others) = others.0 {
            self.push(others);
        }
    }

    /// Returns the value of an `Ok`; records the error of an `Err`.
    pub(crate) fn record<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    pub(crate) fn into_compile_errors(self) -> TokenStream {
        self.0.map(Error::into_compile_error).unwrap_or_default()
    }
}
