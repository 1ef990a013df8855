//! The compile errors of one expansion.

use proc_macro2::TokenStream;
use syn::{Error, Result};

/// Collects compile errors, so that one expansion reports every mistake once and still emits as much of the
/// item as it can.
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

    /// Returns the value of an `Ok`; records the error of an `Err`.
    pub(crate) fn record<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    pub(crate) fn into_compile_errors(self) -> TokenStream {
        self.0.map(Error::into_compile_error).unwrap_or_default()
    }
}
